//! The disk of the data directory: whether it takes a commit, how long one takes, what it does with its cache,
//! and how much room there is.
//!
//! What is written has no name (`O_TMPFILE`), so that nothing is left behind, whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, major, minor, statvfs};

use super::DoctorOptions;
use crate::directory::{FILE_MODE, Layout, direct_write, nearest_directory};
use crate::disk::{AlignedBuffer, BLOCK_BYTES};
use crate::files::LOW_BYTES;
use crate::finding::Finding;
use crate::start_error::StartError;

pub(super) fn examine(options: &DoctorOptions, tell: &mut impl FnMut(Finding)) {
    let path = std::path::absolute(&options.data).unwrap_or_else(|_| options.data.clone());
    let Ok(nearest) = nearest_directory(&path) else { return };
    match open_and_write(nearest) {
        Ok(None) => tell(Finding::note(DIRECT_WRITE, "this file system has no files without a name: not tried")),
        Ok(Some(file)) => {
            tell(Finding::ok(DIRECT_WRITE, "4 KiB with O_DIRECT and O_DSYNC came back as they were written"));
            tell(latency(&file));
        }
        Err(error) if options.dev && matches!(error, StartError::DirectWriteRefused { .. }) => {
            let what = format!("{} takes no direct writes: they go through the page cache", nearest.display());
            tell(Finding::warning(DIRECT_WRITE, what, "for --dev only"));
        }
        Err(error) => tell(Finding::problem(DIRECT_WRITE, &error)),
    }
    tell(write_cache(nearest));
    tell(free_space(nearest, &path));
}

/// Writes a block as a commit does, to a file without a name; `None` where there is no such thing.
fn open_and_write(directory: &Path) -> Result<Option<File>, StartError> {
    let mut nameless = true;
    let opened = direct_write(directory, directory, |flags| {
        let flags = i32::try_from((flags | OFlags::TMPFILE).bits()).expect("these flags are low bits");
        let file = OpenOptions::new().read(true).write(true).mode(FILE_MODE).custom_flags(flags).open(directory);
        file.inspect_err(|error| nameless = error.kind() != io::ErrorKind::Unsupported)
    });
    if nameless { opened.map(Some) } else { Ok(None) }
}

/// Durable writes of a block, one after the other, into blocks that were written before: as commits are.
fn latency(file: &File) -> Finding {
    match measure(file) {
        Ok(mut micros) if !micros.is_empty() => {
            micros.sort_unstable();
            let at = |percent: usize| micros[(micros.len() - 1) * percent / 100];
            judge(at(50), at(99), micros.len())
        }
        Ok(_) => Finding::note(WRITE_LATENCY, "not measured"),
        Err(error) => {
            Finding::warning(WRITE_LATENCY, format!("a write failed: {error}"), "check the disk: dmesg, smartctl")
        }
    }
}

fn measure(file: &File) -> io::Result<Vec<u64>> {
    let mut blank = AlignedBuffer::with_capacity(AREA_BYTES);
    blank.extend_zeroed(AREA_BYTES);
    file.write_all_at(&blank, 0)?;
    let (began, mut micros) = (Instant::now(), Vec::with_capacity(WRITES_MAX));
    while micros.len() < WRITES_MAX && began.elapsed() < MEASURED_FOR {
        let offset = (micros.len() * BLOCK_BYTES) % AREA_BYTES;
        let at = Instant::now();
        file.write_all_at(&blank[..BLOCK_BYTES], offset as u64)?;
        micros.push(at.elapsed().as_micros() as u64);
    }
    Ok(micros)
}

fn judge(p50_us: u64, p99_us: u64, writes: usize) -> Finding {
    let what = format!("a durable write of 4 KiB takes {p50_us} us (p50), {p99_us} us (p99) of {writes}");
    match p50_us {
        0..FASTER_THAN_DISKS_US => Finding::warning(
            WRITE_LATENCY,
            format!("{what}: faster than a disk can keep it, so perhaps it is not kept"),
            "see that the disk's cache survives a power cut (hdparm -W, nvme get-feature -f 6); in a machine of its \
             own the host's cache mode must not be unsafe",
        ),
        FASTER_THAN_DISKS_US..NOTED_US => Finding::ok(WRITE_LATENCY, what),
        NOTED_US..SLOW_US => Finding::note(WRITE_LATENCY, what)
            .with_fix("every acknowledgement waits that long; an NVMe disk takes 20 to 150 us"),
        SLOW_US.. => Finding::warning(
            WRITE_LATENCY,
            format!("{what}: every acknowledgement waits that long"),
            "put the data directory on an SSD or NVMe disk",
        ),
    }
}

/// What the kernel believes of the disk's cache, and so what it does for a durable write.
fn write_cache(directory: &Path) -> Finding {
    let Some(queue) = queue_of(directory) else {
        return Finding::note(WRITE_CACHE, "the kernel does not say which disk this is");
    };
    let read = |name: &str| fs::read_to_string(queue.join(name)).map(|text| text.trim().to_owned()).unwrap_or_default();
    let disk = queue.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let disk = disk.unwrap_or_default();
    match (read("write_cache").as_str(), read("fua").as_str()) {
        ("write back", "1") => Finding::ok(
            WRITE_CACHE,
            format!("{disk} has a volatile cache and takes FUA: a commit is one write past it"),
        ),
        ("write back", _) => Finding::ok(
            WRITE_CACHE,
            format!("{disk} has a volatile cache and no FUA: a commit is a write and a flush of it"),
        ),
        ("write through", _) => Finding::note(
            WRITE_CACHE,
            format!("{disk} is said to have no volatile cache, so it is never told to flush"),
        )
        .with_fix(format!("if that is not so: echo 'write back' > {}/write_cache", queue.display())),
        _ => Finding::note(WRITE_CACHE, format!("the kernel does not say what cache {disk} has")),
    }
}

/// The directory in which the kernel tells of the queue of the disk, or of what stands for one.
fn queue_of(directory: &Path) -> Option<PathBuf> {
    let device = fs::metadata(directory).ok()?.dev();
    let block = fs::canonicalize(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()?;
    // A partition lies in the directory of its disk.
    let disk = if block.join("partition").exists() { block.parent()?.to_owned() } else { block };
    Some(disk.join("queue")).filter(|queue| queue.exists())
}

fn free_space(nearest: &Path, data: &Path) -> Finding {
    let system = match statvfs(nearest) {
        Ok(system) => system,
        Err(error) => return Finding::note(FREE_SPACE, format!("not told: {error}")),
    };
    let free_bytes = system.f_bavail.saturating_mul(system.f_frsize);
    let ballast = fs::metadata(Layout::new(data).ballast_path()).map_or(0, |about| about.blocks() * 512);
    let held = if ballast > 0 { format!(", and {} MiB of ballast", ballast >> 20) } else { String::new() };
    let what = format!("{} MiB{held}", free_bytes >> 20);
    match free_bytes {
        0..LOW_BYTES => Finding::warning(FREE_SPACE, format!("{what}: puts are refused"), ROOM),
        LOW_BYTES..SCARCE_BYTES => Finding::warning(FREE_SPACE, format!("{what}: segments are up to 256 MiB"), ROOM),
        _ if system.f_favail < 1_000 && system.f_files > 0 => Finding::warning(
            FREE_SPACE,
            format!("{what}, but {} inodes: each segment takes one", system.f_favail),
            ROOM,
        ),
        _ => Finding::ok(FREE_SPACE, what),
    }
}

const DIRECT_WRITE: &str = "direct write";
const WRITE_LATENCY: &str = "write latency";
const WRITE_CACHE: &str = "write cache";
const FREE_SPACE: &str = "free space";
const ROOM: &str = "free some, or give streams a shorter retention";

/// Measured over so many bytes, again and again ...
const AREA_BYTES: usize = 1 << 20;
/// ... until so many writes ...
const WRITES_MAX: usize = 1_000;
/// ... or so long.
const MEASURED_FOR: Duration = Duration::from_millis(500);
/// No disk writes and flushes a block in less.
const FASTER_THAN_DISKS_US: u64 = 12;
/// Slower than an SSD should be ...
const NOTED_US: u64 = 1_000;
/// ... and as slow as a disk that turns.
const SLOW_US: u64 = 4_000;
/// Room for a few of the largest segments.
const SCARCE_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Grade;

    #[test]
    fn latencies_are_judged() {
        for (p50_us, grade) in
            [(3, Grade::Warning), (20, Grade::Ok), (120, Grade::Ok), (1_500, Grade::Note), (9_000, Grade::Warning)]
        {
            let finding = judge(p50_us, 2 * p50_us, 100);
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert_eq!(finding.fix.is_some(), grade != Grade::Ok);
        }
    }

    #[test]
    fn this_disk_is_measured_and_nothing_is_left_behind() {
        let scratch = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("it is on a disk");
        let file = open_and_write(scratch.path()).expect("it takes direct writes").expect("and files without a name");
        let micros = measure(&file).expect("it takes them");
        assert!(micros.len() > 3 && micros.iter().all(|micros| *micros > 0));
        assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 0);
    }
}
