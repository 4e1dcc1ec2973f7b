//! Starts: from the start of the process until it says that it is ready.
//!
//! With sealed segments: the broker itself puts and seals them all, in several runs. As few machines
//! have room for 100 GiB, the middle of every sealed segment but the newest of its log is freed on
//! the disk between runs. That changes nothing for a broker that reads no more of an old segment than
//! its two ends; one that read more would find zeros where commits were, refuse the log, and the check
//! after the start would fail. How much it read is reported beside the time.
//!
//! After a kill: a thousand logs, each with puts on the way at that moment.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rheos_broker::directory::Layout;
use rheos_protocol::message::StreamDescription;
use rustix::fs::{FallocateFlags, fallocate};

use super::Walk;
use super::busy::{STREAMS, create_streams, put_once_to_each};
use super::catchup::put_bytes;
use super::lines::{Goal, Lines};
use super::put::require_room;
use crate::Failure;
use crate::broker::process::Data;
use crate::broker::puts::BrokerPuts;
use crate::drive::drive;
use crate::load::Window;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    if let Err(failure) = measure_sealed(walk, lines).await {
        lines.failed("start, all sealed", &failure);
    }
    measure_killed(walk, lines).await
}

async fn measure_sealed(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let gib = walk.arguments.start_gib;
    let data = walk.data("sealed");
    let stream = put_sealed(walk, &data, gib).await?;
    let segments = segments(data.path())?;

    let (mut took, mut read) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let broker = walk.start_broker(&data)?;
        took.push(broker.start_took.as_secs_f64() * 1e3);
        read.push(broker.read_bytes()? as f64 / f64::from(1 << 20));
        let oldest = walk.session(&broker).await?.read(&stream, 0, PROBE_BYTES).await?;
        if oldest.bytes == 0 {
            return Err("the oldest records cannot be read after the start".into());
        }
        broker.stop()?;
    }
    let name = format!("start_{gib}gib");
    let goal = if gib == SEALED_GIB { Goal::AtMost(SEALED_MS_MAX) } else { Goal::None };
    if gib != SEALED_GIB {
        // What was not measured is not guessed.
        lines.fact(format!("start_{SEALED_GIB}gib_ms"), serde_json::Value::Null);
    }
    lines.absolute(&format!("{name}_ms"), &took, goal);
    lines.absolute(&format!("{name}_read_mib"), &read, Goal::None);
    let bytes: u64 = segments.iter().flatten().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum();
    lines.fact(format!("{name}_segments"), segments.iter().map(Vec::len).sum::<usize>());
    lines.fact(format!("{name}_segments_gib"), bytes >> 30);
    lines.fact(format!("{name}_how"), HOW);
    Ok(())
}

/// Puts so many GiB in runs of a few, each ended by a clean stop, and frees what a start need not read.
pub(super) async fn put_sealed(walk: &Walk<'_>, data: &Data, gib: u64) -> Result<StreamDescription, Failure> {
    let mut stream = None;
    let mut left = gib;
    while left > 0 {
        let run = left.min(RUN_GIB);
        require_room(walk.scratch.path(), (run + 4) << 30)?;
        let broker = walk.start_broker(data)?;
        let known = match stream.take() {
            Some(known) => known,
            None => walk.session(&broker).await?.create_stream("sealed", walk.arguments.streams.into()).await?,
        };
        let puts = BrokerPuts::open(walk.session(&broker).await?, std::slice::from_ref(&known)).await?;
        put_bytes(&Arc::new(puts), run << 30).await?;
        broker.stop()?;
        for log in segments(data.path())? {
            // The newest segment of a log is read whole at a start.
            let older = &log[..log.len().saturating_sub(1)];
            older.iter().try_for_each(|path| free_middle(path))?;
        }
        left -= run;
        stream = Some(known);
    }
    Ok(stream.ok_or("no records were asked for")?)
}

/// The segments of each log in a data directory, the newest last.
pub(super) fn segments(data: &Path) -> Result<Vec<Vec<PathBuf>>, Failure> {
    let layout = Layout::new(data);
    let mut logs = Vec::new();
    for incarnation in directories(&layout.logs_dir())? {
        for log in directories(&incarnation)? {
            let mut found: Vec<PathBuf> =
                entries(&log)?.into_iter().filter(|path| layout.segment_place(path).is_some()).collect();
            found.sort();
            logs.push(found);
        }
    }
    Ok(logs)
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    Ok(entries(path)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(path).map_err(|error| format!("cannot list {}: {error}", path.display()))?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

/// Gives back to the file system what lies between the two ends of a file, whose size stays.
fn free_middle(path: &Path) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).open(path)?;
    let middle = file.metadata()?.len().saturating_sub(HEAD_BYTES + TAIL_BYTES);
    if middle > 0 {
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, HEAD_BYTES, middle)
            .map_err(|errno| format!("cannot free a part of {}: {errno}", path.display()))?;
    }
    Ok(())
}

async fn measure_killed(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("killed");
    let mut broker = walk.start_broker(&data)?;
    let session = walk.session(&broker).await?;
    let streams = create_streams(&session, STREAMS).await?;
    drop(session);
    let mut took = Vec::new();
    for _ in 0..KILLS {
        put_once_to_each(walk.session(&broker).await?, &streams).await?;
        let puts = Arc::new(BrokerPuts::open(walk.session(&broker).await?, &streams).await?);
        let window = Window { warm_up: Duration::ZERO, measured: PUT_BEFORE_KILL * 10 };
        tokio::select! {
            ended = drive(&puts, super::load("put_10k"), window) => {
                ended?;
                return Err("the load ended before the kill".into());
            }
            () = tokio::time::sleep(PUT_BEFORE_KILL) => broker.kill()?,
        }
        puts.close();
        broker = walk.start_broker(&data)?;
        took.push(broker.start_took.as_secs_f64() * 1e3);
    }
    lines.absolute("start_after_kill_1000_logs_ms", &took, Goal::AtMost(KILLED_MS_MAX));
    let logs = segments(data.path())?.iter().filter(|log| !log.is_empty()).count();
    lines.fact("start_after_kill_logs", logs);
    broker.stop()
}

const HOW: &str = "put and sealed by the broker in several runs; between them the middle of each sealed segment but \
                   the newest was freed on the disk (kept: the first 4 MiB and the last 8 MiB); the oldest records \
                   were read after each start";
/// The size that the goal is for.
pub(super) const SEALED_GIB: u64 = 100;
const SEALED_MS_MAX: f64 = 1_000.0;
const KILLED_MS_MAX: f64 = 5_000.0;
const STARTS: u32 = 7;
const KILLS: u32 = 5;
const RUN_GIB: u64 = 10;
const PROBE_BYTES: u32 = 256 << 10;
/// What is kept of a segment: its header and first commits, and its footer.
const HEAD_BYTES: u64 = 4 << 20;
const TAIL_BYTES: u64 = 8 << 20;
const PUT_BEFORE_KILL: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn the_segments_of_a_log_are_found_in_order() {
        let scratch = tempfile::tempdir().expect("there is a temporary directory");
        let layout = Layout::new(scratch.path());
        for (incarnation, log, segment) in [(7, 0, 2), (7, 0, 10), (7, 0, 1), (8, 3, 0)] {
            fs::create_dir_all(layout.log_dir(incarnation, log)).expect("it can be made");
            fs::write(layout.segment_path(incarnation, log, segment), b"x").expect("it can be written");
        }
        fs::write(layout.log_dir(7, 0).join("spare"), b"x").expect("it can be written");
        let mut found = segments(scratch.path()).expect("it can be listed");
        found.sort();
        assert_eq!(found[0], [1, 2, 10].map(|segment| layout.segment_path(7, 0, segment)));
        assert_eq!(found[1], [layout.segment_path(8, 3, 0)]);
    }

    #[test]
    fn the_ends_of_a_file_stay_when_its_middle_goes() {
        // In the build's own directory, because not every file system in memory can free a part.
        let scratch = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("the checkout can be written");
        let path = scratch.path().join("segment");
        let bytes = vec![7; 16 << 20];
        fs::write(&path, &bytes).expect("it can be written");
        free_middle(&path).expect("the file system can");
        let file = fs::File::open(&path).expect("it is there");
        file.sync_all().expect("it can be synced");
        let metadata = file.metadata().expect("it is there");
        assert_eq!(metadata.len(), bytes.len() as u64);
        assert!(metadata.blocks() * 512 < 13 << 20, "{} blocks", metadata.blocks());
        let byte = |offset| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).expect("it is within the file");
            byte[0]
        };
        assert_eq!([byte(HEAD_BYTES - 1), byte(HEAD_BYTES), byte(metadata.len() - TAIL_BYTES)], [7, 0, 7]);
    }
}
