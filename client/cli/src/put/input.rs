//! What a put is given: files, standard input or a template, and how its progress is shown.

use std::path::Path;

use tokio::sync::mpsc;

use super::feed::Records;
use super::made::Made;
use super::progress::Progress;
use super::rows::{self, Row};
use super::source::{self, Source};
use super::{Format, PutCommand};
use crate::failure::Failure;

/// Most chunks of rows that were read and not put yet. Each is what one read of 64 KiB brought.
const CHUNKS_MAX: usize = 16;

pub(super) struct Input {
    pub(super) records: Records,
    pub(super) progress: Progress,
    /// For each source, how places in it are called: `flights.csv line`.
    pub(super) places: Vec<String>,
}

impl Input {
    /// Opens everything; what cannot be opened fails before anything is put.
    pub(super) fn open(command: &PutCommand) -> Result<Input, Failure> {
        if let Some(template) = &command.template {
            return Ok(Input {
                records: Records::Made(Made::new(template.clone(), command.count)),
                progress: Progress::of_records(command.count),
                places: vec!["record".to_owned()],
            });
        }
        let sources = source::open(&command.files, command.format, command.key_from.as_deref())?;
        let progress = Progress::of_bytes(sources.iter().map(|source| source.bytes).sum());
        let places = sources.iter().map(Source::places).collect();
        let rows = read_on_a_thread(sources, command.key_from.clone());
        Ok(Input { records: Records::Read(rows), progress, places })
    }
}

/// The rows of one file, for another command that puts them.
pub(crate) fn rows_of(
    file: &Path,
    format: Option<Format>,
    key_from: Option<&str>,
) -> Result<mpsc::Receiver<Result<Vec<Row>, String>>, Failure> {
    let sources = source::open(&[file.to_owned()], format, key_from)?;
    Ok(read_on_a_thread(sources, key_from.map(str::to_owned)))
}

/// Starts the thread that reads; it ends when nobody takes its rows any more.
fn read_on_a_thread(sources: Vec<Source>, key_from: Option<String>) -> mpsc::Receiver<Result<Vec<Row>, String>> {
    let (chunks, rows) = mpsc::channel(CHUNKS_MAX);
    std::thread::spawn(move || rows::read_all(sources, key_from.as_deref(), &chunks));
    rows
}
