//! A look at everything that a broker needs of its machine, each finding with what to do about it.
//!
//! It asks what a start asks, through the same functions, and measures what a start has no time for. It changes
//! nothing: what it writes has no name and is gone with it, and a broker that runs is not disturbed.

mod clock;
mod cpu;
mod disk;
mod network;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use rheos_core::limits::LANES_MAX;

use crate::clock as machine_clock;
use crate::cores::Cores;
use crate::directory::{self, DirectoryOptions, Layout, check_file_system, holder_of};
use crate::finding::Finding;
use crate::limits::{locked_memory, raise_open_files};
use crate::start_error::StartError;

/// What the broker that is asked about is to be like.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// Its data directory, which need not be there yet.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its lanes, 1 to 256.
    pub lanes: u16,
    /// The cores of its lanes; when empty they take the last ones.
    pub cores: Vec<usize>,
    /// Whether it is for trying things out, and any file system will do.
    pub dev: bool,
}

/// Looks at everything and tells each finding as it comes. Takes a second or two; blocks.
pub fn examine(options: &DoctorOptions, mut tell: impl FnMut(Finding)) {
    let began = (Instant::now(), machine_clock::now());
    let holder = std::path::absolute(&options.data).ok().and_then(|path| holder_of(&Layout::new(path)));

    tell(("kernel", directory::kernel()).into());
    tell(("io_uring", directory::io_uring()).into());
    tell(raise_open_files());
    tell(locked_memory());
    data_directory(options, holder, &mut tell);
    network::examine(options, holder, &mut tell);
    cores(options, &mut tell);
    clock::examine(began, &mut tell);
}

fn data_directory(options: &DoctorOptions, holder: Option<u32>, tell: &mut impl FnMut(Finding)) {
    let looked = directory::look_at(&options.data).map(|found| match holder {
        Some(process) => Finding::ok(found.topic, format!("{}, and process {process} serves it", found.what)),
        None => found,
    });
    tell(("data directory", looked).into());
    tell(("file system", check_file_system(&options.data, DirectoryOptions { dev: options.dev })).into());
    disk::examine(options, tell);
}

fn cores(options: &DoctorOptions, tell: &mut impl FnMut(Finding)) {
    if !(1..=LANES_MAX).contains(&options.lanes) {
        return tell(Finding::problem("cores", &StartError::LanesOutOfRange { lanes: options.lanes }));
    }
    match Cores::deal(options.lanes, &options.cores) {
        Ok(cores) => {
            tell(cores.finding(options.lanes));
            cpu::examine(&cores, options.lanes, tell);
        }
        Err(error) => tell(Finding::problem("cores", &error)),
    }
}
