//! Catch-up: reading from the disk what was put long ago, two reads of 8 MiB in flight.
//!
//! The oldest records are read first, and those of the end not at all, so that nothing comes from the
//! broker's cache of the tail. The yardstick is the lesser of a direct read of the disk and of a QUIC
//! transfer down, each measured before each catch-up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::StreamDescription;
use tokio::task::{JoinHandle, JoinSet};

use super::Walk;
use super::lines::{Goal, Lines, Names};
use super::put::require_room;
use crate::Failure;
use crate::bare::client::{Target, bulk_down, megabytes_per_s};
use crate::broker::puts::BrokerPuts;
use crate::broker::session::{ReadPart, Session};
use crate::drive::Puts;
use crate::load::{BATCH_RECORDS_MAX, BATCHES_IN_FLIGHT_MAX, RECORD_BYTES};
use crate::machine::ThreadTime;
use crate::pieces::DirectReads;

/// A rate in MB/s, and the share of the time in which the client's thread ran.
type Rate = (f64, f64);

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let read_bytes = walk.arguments.catchup_gib << 30;
    require_room(walk.scratch.path(), read_bytes * 2 + (4 << 30))?;
    let reads = DirectReads::new(walk.scratch.path(), walk.arguments.server_core)?;
    let target = walk.start_target()?;
    let data = walk.data("catchup");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("catchup", 1).await?;
    let puts = Arc::new(BrokerPuts::open(walk.session(&broker).await?, std::slice::from_ref(&stream)).await?);
    put_bytes(&puts, read_bytes + TAIL_BYTES).await?;
    drop(puts);

    let mut found: Vec<(Rate, f64, Rate)> = Vec::new();
    for _ in walk.pairs() {
        let direct = reads.measure()?;
        let down = measure_down(&target).await?;
        let session = Arc::new(walk.session(&broker).await?);
        found.push((catch_up(session, Arc::new(stream.clone()), read_bytes).await?, direct, down));
    }
    let rates: Vec<_> = found.iter().map(|(ours, direct, down)| (ours.0, direct.min(down.0))).collect();
    let names = Names { ratio: "catchup_ratio", ours: "catchup_mb_s", yardstick: "bare_catchup_mb_s" };
    lines.compare(names, &rates, Goal::AtLeast(CATCHUP_RATIO_LEAST));
    lines.client_busy("catchup", "catchup", found.iter().map(|(ours, ..)| ours.1));
    // The client's part in the yardstick counts where the network, not the disk, was the lesser.
    let network_was_lesser = |(_, direct, down): &&(Rate, f64, Rate)| down.0 < *direct;
    if found.iter().filter(network_was_lesser).count() * 2 > found.len() {
        lines.client_busy("catchup", "bare_catchup", found.iter().map(|(.., down)| down.1));
    }
    broker.stop()
}

/// Puts so many bytes of data, as fast as they go.
pub(super) async fn put_bytes(puts: &Arc<BrokerPuts>, bytes: u64) -> Result<(), Failure> {
    let mut in_flight = JoinSet::new();
    for _ in 0..bytes.div_ceil(u64::from(BATCH_RECORDS_MAX) * RECORD_BYTES as u64) {
        if in_flight.len() >= BATCHES_IN_FLIGHT_MAX as usize
            && let Some(acked) = in_flight.join_next().await
        {
            acked??;
        }
        in_flight.spawn(puts.put(0, BATCH_RECORDS_MAX));
    }
    while let Some(acked) = in_flight.join_next().await {
        acked??;
    }
    Ok(())
}

async fn measure_down(target: &Target) -> Result<Rate, Failure> {
    let connection = target.connect().await?;
    // The first transfer finds the path's MTU and its bandwidth.
    bulk_down(connection.clone(), DOWN_BYTES / 8).await?;
    let before = ThreadTime::now();
    let rate = bulk_down(connection, DOWN_BYTES).await?;
    Ok((rate, before.busy_since()))
}

/// Reads the first `bytes` of a shard.
async fn catch_up(session: Arc<Session>, stream: Arc<StreamDescription>, bytes: u64) -> Result<Rate, Failure> {
    let task = async move {
        let before = ThreadTime::now();
        let begun = Instant::now();
        let bytes = Reader::new(session, stream).await?.read(bytes).await?;
        Ok((megabytes_per_s(bytes, begun.elapsed()), before.busy_since()))
    };
    tokio::spawn(task).await?
}

/// Keeps reads in flight, each from where the one before it should end.
struct Reader {
    session: Arc<Session>,
    stream: Arc<StreamDescription>,
    in_flight: VecDeque<JoinHandle<Result<ReadPart, Failure>>>,
    progress: Progress,
}

/// How far the shard is read, and how far a read goes.
#[derive(Debug, PartialEq)]
struct Progress {
    /// Everything before it is read.
    next: u64,
    /// Where the next read in line begins.
    asked: u64,
    /// Sequences that the last read went on.
    step: u64,
    bytes: u64,
}

impl Reader {
    /// Reads once, to learn how far one read goes.
    async fn new(session: Arc<Session>, stream: Arc<StreamDescription>) -> Result<Self, Failure> {
        let first = session.read(&stream, 0, READ_BYTES_MAX).await?;
        let mut progress = Progress { next: 0, asked: first.next, step: first.next, bytes: 0 };
        progress.take(first)?;
        Ok(Self { session, stream, in_flight: VecDeque::new(), progress })
    }

    /// Goes on until so many bytes have come.
    async fn read(mut self, bytes: u64) -> Result<u64, Failure> {
        while self.progress.bytes < bytes {
            while self.in_flight.len() < READS_IN_FLIGHT {
                let start = self.progress.ask();
                let (session, stream) = (Arc::clone(&self.session), Arc::clone(&self.stream));
                self.in_flight
                    .push_back(tokio::spawn(async move { session.read(&stream, start, READ_BYTES_MAX).await }));
            }
            let part = self.in_flight.pop_front().expect("reads were just begun").await??;
            if !self.progress.take(part)? {
                self.in_flight.drain(..).for_each(|read| read.abort());
            }
        }
        self.in_flight.drain(..).for_each(|read| read.abort());
        Ok(self.progress.bytes)
    }
}

impl Progress {
    /// Where the next read begins.
    fn ask(&mut self) -> u64 {
        let start = self.asked;
        self.asked += self.step;
        start
    }

    /// Counts what is new of a part; false when it leaves a gap, and reading goes on at the gap.
    fn take(&mut self, part: ReadPart) -> Result<bool, Failure> {
        if part.next <= part.start {
            return Err(format!("a read at {} brought nothing", part.start).into());
        }
        if part.start > self.next {
            self.asked = self.next;
            return Ok(false);
        }
        // Records are of one size, so bytes go by their number.
        let new = part.next.saturating_sub(self.next);
        self.bytes += (u128::from(part.bytes) * u128::from(new) / u128::from(part.next - part.start)) as u64;
        self.next = self.next.max(part.next);
        self.step = part.next - part.start;
        Ok(true)
    }
}

const CATCHUP_RATIO_LEAST: f64 = 0.7;
const READS_IN_FLIGHT: usize = 3;
/// What is put after the records that are read: more than any cache of the tail.
const TAIL_BYTES: u64 = 512 << 20;
const DOWN_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: u64, next: u64) -> ReadPart {
        ReadPart { start, first_arrival_ms: None, next, bytes: (next - start) * 10 }
    }

    fn progress() -> Progress {
        let mut progress = Progress { next: 0, asked: 100, step: 100, bytes: 0 };
        assert!(progress.take(part(0, 100)).unwrap());
        progress
    }

    #[test]
    fn parts_that_follow_one_another_count_in_full() {
        let mut progress = progress();
        assert_eq!((progress.ask(), progress.ask()), (100, 200));
        assert!(progress.take(part(100, 200)).unwrap() && progress.take(part(200, 300)).unwrap());
        assert_eq!((progress.next, progress.bytes), (300, 3000));
    }

    #[test]
    fn what_comes_twice_counts_once() {
        let mut progress = progress();
        assert!(progress.take(part(100, 220)).unwrap() && progress.take(part(200, 320)).unwrap());
        assert_eq!((progress.next, progress.bytes), (320, 3200));
        assert!(progress.take(part(200, 300)).unwrap(), "it brings nothing new");
        assert_eq!((progress.next, progress.bytes), (320, 3200));
    }

    #[test]
    fn a_gap_is_read_again() {
        let mut progress = progress();
        assert_eq!((progress.ask(), progress.ask()), (100, 200));
        assert!(progress.take(part(100, 190)).unwrap());
        assert!(!progress.take(part(200, 290)).unwrap());
        assert_eq!((progress.ask(), progress.ask()), (190, 280));
        assert_eq!(progress.bytes, 1900);
        assert!(
            progress.take(ReadPart { start: 190, first_arrival_ms: None, next: 190, bytes: 0 }).is_err(),
            "the end came too early"
        );
    }
}
