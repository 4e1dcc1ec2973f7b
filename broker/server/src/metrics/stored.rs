//! Bytes of each stream's segments on the disk: looked up, because only the file system knows them all.
//!
//! What must hold: looking takes no turn of the HTTP thread, is done by one thread at a time and takes a
//! hundredth of its time at most; a page waits for it shortly, and else shows what was found before.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::directory::{DataDirectory, Layout};

/// What was found is good for so long, and for so many times as long as it took to find.
const GOOD_LEAST: Duration = Duration::from_secs(1);
const GOOD_TIMES: u32 = 100;
/// How long a page waits for what is being looked up.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// The unit in which the file system counts what a file takes.
const STAT_BLOCK_BYTES: u64 = 512;

/// By incarnation.
type Bytes = BTreeMap<u64, u64>;

/// Looks at the segments now and then.
#[derive(Debug)]
pub(super) struct Stored {
    directory: Arc<DataDirectory>,
    known: Bytes,
    good_until: Option<Instant>,
    looking: Option<JoinHandle<(Bytes, Duration)>>,
}

impl Stored {
    pub(super) fn new(directory: Arc<DataDirectory>) -> Stored {
        Stored { directory, known: Bytes::new(), good_until: None, looking: None }
    }

    /// Bytes on the disk by incarnation, as they were a moment ago. A stream that has no file has none.
    pub(super) async fn bytes(&mut self) -> &BTreeMap<u64, u64> {
        if self.looking.is_none() && self.good_until.is_none_or(|until| Instant::now() >= until) {
            let layout = self.directory.layout().clone();
            self.looking = Some(spawn_blocking(move || {
                let began = Instant::now();
                (look(&layout), began.elapsed())
            }));
        }
        if let Some(looking) = &mut self.looking
            && let Ok(found) = timeout(WAIT_MAX, looking).await
        {
            self.looking = None;
            let (found, took) = found.expect("looking does not panic");
            self.known = found;
            self.good_until = Some(Instant::now() + GOOD_LEAST.max(took * GOOD_TIMES));
        }
        &self.known
    }
}

/// What cannot be read is being removed, and counts nothing.
fn look(layout: &Layout) -> Bytes {
    let incarnations = entries(&layout.logs_dir());
    let bytes_of = |entry: DirEntry| {
        let incarnation = Layout::incarnation_of(&entry.file_name())?;
        let segments = entries(&entry.path()).flat_map(|log| entries(&log.path()));
        let blocks: u64 = segments.filter_map(|segment| Some(segment.metadata().ok()?.blocks())).sum();
        Some((incarnation, blocks * STAT_BLOCK_BYTES))
    };
    incarnations.filter_map(bytes_of).collect()
}

fn entries(path: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    fs::read_dir(path).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_stream_counts_with_the_blocks_it_takes() {
        let scratch = tempfile::tempdir().expect("there is room");
        let layout = Layout::new(scratch.path());
        let write = |path: std::path::PathBuf, bytes: usize| {
            fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
            fs::write(&path, vec![7; bytes]).expect("there is room");
            fs::File::open(&path).and_then(|file| file.sync_all()).expect("there is room");
        };
        write(layout.segment_path(7, 0, 1), 40_000);
        write(layout.segment_path(7, 0, 2), 10_000);
        write(layout.segment_path(7, 3, 1), 4_096);
        write(layout.log_dir(7, 3).join(".2.tmp"), 4_096);
        write(layout.segment_path(9, 0, 1), 8_192);
        write(layout.logs_dir().join("strange"), 8_192);
        let found = look(&layout);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [7, 9]);
        assert!((58_192..200_000).contains(&found[&7]) && (8_192..50_000).contains(&found[&9]), "{found:?}");
        assert_eq!(look(&Layout::new(scratch.path().join("nothing"))), Bytes::new());
    }
}
