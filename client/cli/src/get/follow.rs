//! Reads all shards at once and prints what comes, until it is interrupted or every shard is at its end.
//!
//! What must hold: nothing of a shard is printed before all of its parents is. When one is split or merged, its
//! children follow.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use rheos_client::{Client, Lineage, Position, ReadBatches, Reader, StreamDescription};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Progress, ReadFailure, is_away, print, print_all, readers, skipping_trimmed};
use crate::broker::Outage;
use crate::failure::{Failure, warn};
use crate::printer::Printer;
use crate::until::End;

/// Most reads that were made and not printed yet, over all shards.
const READS_MAX: usize = 4;
/// Wait before a broker that went away is looked for again.
const AWAY_WAIT: Duration = Duration::from_secs(1);

type Read = Result<ReadBatches, Failure>;

/// Shards that are read, and how far each was printed.
pub(super) struct Following<'a> {
    client: &'a Client,
    stream: StreamDescription,
    lineage: Lineage,
    from: Position,
    end: End,
    /// The shards that there were in the beginning; others are read from their first record on.
    first: BTreeSet<u32>,
    /// Where those go on that are not at their end.
    open: BTreeMap<u32, Position>,
    tasks: JoinSet<()>,
    reads: mpsc::Sender<Read>,
    printed: mpsc::Receiver<Read>,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        client: &'a Client,
        stream: StreamDescription,
        lineage: Lineage,
        from: Position,
        end: End,
    ) -> Following<'a> {
        let first = stream.shards.iter().map(|shard| shard.shard).collect();
        let (reads, printed) = mpsc::channel(READS_MAX);
        let (open, tasks) = (BTreeMap::new(), JoinSet::new());
        Following { client, stream, lineage, from, end, first, open, tasks, reads, printed }
    }

    /// Prints what comes. Where the end is a moment, what is there once it has passed is the rest.
    pub(super) async fn print_all(mut self, printer: &mut Printer) -> Result<(), Failure> {
        let end = self.end;
        let (mut interrupted, mut passed) = (pin!(tokio::signal::ctrl_c()), pin!(end.passed()));
        let mut outages = pin!(Outage::default().watch(self.client, warn));
        loop {
            self.begin_ready()?;
            if self.open.is_empty() {
                return Ok(());
            }
            let read = tokio::select! {
                read = self.printed.recv() => read.expect("this end sends nothing, and keeps it open")?,
                _ = &mut interrupted => return Ok(()),
                never = &mut outages => never,
                () = &mut passed => return tokio::select! {
                    rest = self.print_rest(printer) => rest,
                    _ = &mut interrupted => Ok(()),
                },
            };
            match print(&read, self.end, printer)? {
                Progress::GoesOn => self.open.insert(read.shard, Position::AtSequence(read.next_sequence)),
                Progress::AtEnd => self.open.remove(&read.shard),
            };
            if self.printed.is_empty() || printer.is_full() {
                printer.flush()?;
            }
            if printer.is_full() {
                return Ok(());
            }
            if read.children.is_some() {
                self.open.remove(&read.shard);
                self.lineage.ended(read.shard);
                tokio::select! {
                    seen = self.look_again() => seen?,
                    _ = &mut interrupted => return Ok(()),
                    never = &mut outages => never,
                }
            }
        }
    }

    /// Reads the shards whose turn has come, each on a task of its own that ends with the shard.
    fn begin_ready(&mut self) -> Result<(), Failure> {
        for (shard, position) in self.ready() {
            let reader = self.client.reader_of(&self.stream, shard, position)?;
            self.tasks.spawn(follow_shard(reader, self.end, self.reads.clone()));
            self.open.insert(shard, position);
        }
        Ok(())
    }

    /// Prints what there is, shard by shard.
    async fn print_rest(&mut self, printer: &mut Printer) -> Result<(), Failure> {
        self.tasks.abort_all();
        // What is closed by now is read to its end, so that its children may follow.
        self.look_again().await?;
        while !self.open.is_empty() && !printer.is_full() {
            print_all(readers(self.client, &self.stream, self.open.clone())?, self.end, printer).await?;
            let closed = self.stream.shards.iter().filter(|shard| !shard.open).map(|shard| shard.shard);
            closed.filter(|shard| self.open.contains_key(shard)).for_each(|shard| self.lineage.ended(shard));
            self.open = self.ready().into_iter().collect();
        }
        Ok(())
    }

    fn ready(&mut self) -> Vec<(u32, Position)> {
        let position = |shard| if self.first.contains(&shard) { self.from } else { Position::TrimHorizon };
        self.lineage.ready().into_iter().map(|shard| (shard, position(shard))).collect()
    }

    /// Learns of children. A broker that is away is waited for.
    async fn look_again(&mut self) -> Result<(), Failure> {
        loop {
            match self.client.describe_stream(&self.stream.name).await {
                Ok(stream) => {
                    self.lineage.described(&stream);
                    self.stream = stream;
                    return Ok(());
                }
                Err(error) if is_away(&error) => tokio::time::sleep(AWAY_WAIT).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn follow_shard(mut reader: Reader, end: End, reads: mpsc::Sender<Read>) {
    loop {
        let read = skipping_trimmed(&mut reader, async |reader| reader.next_batches().await).await;
        let read = match read {
            Ok(Some(read)) => Ok(read),
            Ok(None) => continue,
            Err(ReadFailure::Away(_)) => {
                tokio::time::sleep(AWAY_WAIT).await;
                continue;
            }
            Err(failure) => Err(Failure::from(failure)),
        };
        let is_last = |read: &ReadBatches| {
            let beyond = || read.records().last().is_some_and(|at| end.is_before(&at));
            read.children.is_some() || end.is_reached(read.next_sequence) || beyond()
        };
        let ended = read.as_ref().map_or(true, is_last);
        if reads.send(read).await.is_err() || ended {
            return;
        }
    }
}
