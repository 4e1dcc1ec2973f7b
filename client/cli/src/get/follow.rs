//! Reads all shards at once and prints what comes, until it is interrupted or every shard is at its end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use rheos_client::{Client, Position, ReadBatches, Reader, StreamDescription};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Progress, ReadFailure, print, print_all, readers, skipping_trimmed};
use crate::failure::{Failure, warn};
use crate::printer::Printer;
use crate::until::End;

/// Most reads that were made and not printed yet, over all shards.
const READS_MAX: usize = 4;
/// Wait before a broker that went away is looked for again.
const AWAY_WAIT: Duration = Duration::from_secs(1);

/// Follows these shards. Where the end is a moment, what is there once it has passed is the rest.
pub(super) async fn follow(
    client: &Client,
    stream: &StreamDescription,
    shards: Vec<u32>,
    from: Position,
    end: End,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut open: BTreeMap<u32, Position> = shards.into_iter().map(|shard| (shard, from)).collect();
    let (_tasks, mut reads) = read_all(readers(client, stream, open.clone())?, end);
    let (mut interrupted, mut passed) = (pin!(tokio::signal::ctrl_c()), pin!(end.passed()));
    loop {
        let read = tokio::select! {
            read = reads.recv() => read,
            _ = &mut interrupted => return Ok(()),
            () = &mut passed => return print_all(readers(client, stream, open)?, end, printer).await,
        };
        // Without a reader left, every shard is at its end.
        let Some(read) = read else { return Ok(()) };
        let read = read?;
        match print(&read, end, printer)? {
            Progress::GoesOn => open.insert(read.shard, Position::AtSequence(read.next_sequence)),
            Progress::AtEnd => open.remove(&read.shard),
        };
        if reads.is_empty() || printer.is_full() {
            printer.flush()?;
        }
        if printer.is_full() {
            return Ok(());
        }
    }
}

/// Reads on tasks of their own, which end with what is given.
fn read_all(readers: Vec<Reader>, end: End) -> (JoinSet<()>, mpsc::Receiver<Result<ReadBatches, Failure>>) {
    let (reads, printed) = mpsc::channel(READS_MAX);
    let mut tasks = JoinSet::new();
    for reader in readers {
        // One of them speaks for all when the broker goes away.
        let speaks = tasks.is_empty();
        tasks.spawn(follow_shard(reader, end, reads.clone(), speaks));
    }
    (tasks, printed)
}

async fn follow_shard(mut reader: Reader, end: End, reads: mpsc::Sender<Result<ReadBatches, Failure>>, speaks: bool) {
    let mut away = false;
    loop {
        let read = skipping_trimmed(&mut reader, async |reader| reader.next_batches().await).await;
        let read = match read {
            Ok(Some(read)) => Ok(read),
            Ok(None) => continue,
            Err(ReadFailure::Away(error)) => {
                if !std::mem::replace(&mut away, true) && speaks {
                    warn(&format!("{error}; waiting for it"));
                }
                tokio::time::sleep(AWAY_WAIT).await;
                continue;
            }
            Err(failure) => Err(Failure::from(failure)),
        };
        away = false;
        let ended = read.as_ref().is_ok_and(|read| {
            end.is_reached(read.next_sequence) || read.records().last().is_some_and(|at| end.is_before(&at))
        });
        let ended = ended || read.is_err();
        if reads.send(read).await.is_err() || ended {
            return;
        }
    }
}
