//! A read that a log has begun, performed over the blocks of its segments.

use std::collections::BTreeSet;
use std::io;

use rheos_core::log::LogId;
use rheos_core::reader::{ReadOutcome, ReadPlace, ReadStep, ReadTask};
use rheos_protocol::error::{ErrorCode, WireError};
use rustix::io::Errno;

use super::{Ahead, Blocks};

/// Wait that is told when a segment cannot be read for a reason that may pass, in ms.
const PASSING_RETRY_MS: u32 = 100;

/// Gives the task the blocks it asks for; `None` when one of its segments turns out to be gone. Had that
/// one expired, a read that is begun anew would not ask for it: the lane knows before the file goes.
/// What is asked for again is missing.
pub(crate) async fn perform(
    blocks: &Blocks,
    log: LogId,
    mut task: ReadTask,
    gone: &mut BTreeSet<u64>,
) -> Result<Option<ReadOutcome>, WireError> {
    let mut step = task.step(None);
    let mut begun: Option<Ahead> = None;
    loop {
        match step {
            ReadStep::Done(outcome) => return outcome.map(Some),
            ReadStep::Read { segment, place, keep, ahead } => {
                // The next piece is on its way while this one is waited for, proved and gathered.
                let this = begun.take().filter(|begun| begun.is(segment, place));
                let this = this.or_else(|| ahead.and_then(|_| blocks.begin(log, segment, place)));
                begun = ahead.and_then(|ahead| blocks.begin(log, segment, ahead));
                // A whole segment is large: one at a time.
                let _turn = match place {
                    ReadPlace::Whole => Some(blocks.whole_turn().await),
                    _ => None,
                };
                let read = match this {
                    Some(this) => this.bytes().await,
                    None => blocks.read(log, segment, place, keep).await,
                };
                let input = match read.map_err(|error| (trouble(&error), error)) {
                    Err((Trouble::Gone, _)) if gone.insert(segment) => return Ok(None),
                    Err((Trouble::Gone, _)) => Err(format!("the file of segment {segment} is missing")),
                    Err((Trouble::Passing, error)) => {
                        let message = format!("segment {segment} cannot be read at the moment ({error}); read again");
                        return Err(WireError::retry_after(ErrorCode::Busy, PASSING_RETRY_MS, message));
                    }
                    read => read.map_err(|(_, error)| error.to_string()),
                };
                step = task.step(Some(input));
            }
        }
    }
}

/// What it means that a segment could not be read.
enum Trouble {
    /// There is no such file.
    Gone,
    /// The disk says that what is there cannot be read.
    Damage,
    /// The broker or the system is short of something: it says nothing of what is on the disk.
    Passing,
}

fn trouble(error: &io::Error) -> Trouble {
    match (error.kind(), Errno::from_io_error(error)) {
        (io::ErrorKind::NotFound, _) => Trouble::Gone,
        (_, Some(Errno::IO | Errno::NODATA | Errno::ILSEQ | Errno::BADMSG | Errno::UCLEAN)) => Trouble::Damage,
        _ => Trouble::Passing,
    }
}
