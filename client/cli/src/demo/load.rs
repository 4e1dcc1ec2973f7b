//! The producer's side: a thread that puts at a steady rate, whatever comes back, and a task for each shard
//! that waits for what becomes of its puts.
//!
//! The load is open: when something holds it up, what was due meanwhile is put afterwards, and counts from
//! when it was due. What must hold: a task looks at the outcomes of a shard in the order of its puts; what is
//! between thread and tasks is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rheos_client::{Producer, Ticket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::board::SharedBoard;
use super::ledger::fingerprint;
use super::records::Records;
use crate::failure::Failure;

/// Most puts of a shard whose outcome was not looked at yet.
const TICKETS_MAX: usize = 64 << 10;
/// Records that are due within one of these are put together.
const TICK: Duration = Duration::from_millis(1);

/// A put on its way: its place among those of its shard, and its ticket.
type Pending = (usize, Ticket);

/// A load that runs. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Load {
    thread: Option<JoinHandle<Result<(), Failure>>>,
    settling: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

/// What is to be put.
#[derive(Debug)]
pub(super) struct LoadPlan {
    pub(super) records: Records,
    /// Records a second.
    pub(super) rate: u64,
    /// For how long.
    pub(super) time: Duration,
}

impl Load {
    /// Starts to put. The shards of the producer are numbered from 0 on.
    pub(super) fn start(plan: LoadPlan, producer: Producer, board: &SharedBoard) -> Load {
        let (mut settling, mut pending) = (JoinSet::new(), Vec::new());
        for shard in 0..producer.shards().count() {
            let (tickets, settled) = mpsc::channel(TICKETS_MAX);
            pending.push(tickets);
            settling.spawn(settle(shard, settled, board.clone()));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let putting =
            Putting { producer, pending, board: board.clone(), runtime: Handle::current(), stop: Arc::clone(&stop) };
        let thread = thread::spawn(move || putting.put_all(plan));
        Load { thread: Some(thread), settling, stop }
    }

    /// Whether everything was put.
    ///
    /// # Errors
    ///
    /// When something cannot be put.
    pub(super) fn is_over(&mut self) -> Result<bool, Failure> {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(false);
        }
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(Failure::new("the thread that puts has panicked")))?;
        Ok(true)
    }

    /// Whether what became of every put is known, once everything was put.
    pub(super) fn is_settled(&mut self) -> bool {
        while self.settling.try_join_next().is_some() {}
        self.settling.is_empty()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn settle(shard: usize, mut pending: mpsc::Receiver<Pending>, board: SharedBoard) {
    while let Some((place, ticket)) = pending.recv().await {
        let outcome = ticket.await;
        board.lock().settle(shard, place, &outcome);
    }
}

/// What the thread puts with.
struct Putting {
    producer: Producer,
    /// For each shard.
    pending: Vec<mpsc::Sender<Pending>>,
    board: SharedBoard,
    runtime: Handle,
    stop: Arc<AtomicBool>,
}

impl Putting {
    fn put_all(&self, mut plan: LoadPlan) -> Result<(), Failure> {
        let clock = self.board.lock().clock;
        let (begun, count) = (Duration::from_nanos(clock.now_ns()), plan.rate * plan.time.as_millis() as u64 / 1_000);
        for number in 0..count {
            let tick = u32::try_from(number * 1_000 / plan.rate).expect("a demo takes less than 49 days");
            let intended = begun + TICK * tick;
            // In time for all but the first record of a tick.
            thread::sleep(clock.at(intended).saturating_duration_since(Instant::now()));
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.put(&mut plan.records, intended.as_nanos() as u64)?;
        }
        Ok(())
    }

    fn put(&self, records: &mut Records, intended_ns: u64) -> Result<(), Failure> {
        let record = records.next()?;
        let (view, bytes) = (record.view(), record.data.len());
        let shard = self.producer.shard_of(view.hash_key()) as usize;
        let place = self.board.lock().put(shard, fingerprint(&view), bytes, intended_ns);
        let put = async {
            let ticket =
                self.producer.put_view(view).await.map_err(|why| Failure::new(format!("cannot put: {why}")))?;
            // The tasks live as long as this thread, unless the demo has ended.
            let _ = self.pending[shard].send((place, ticket)).await;
            Ok(())
        };
        self.runtime.block_on(put)
    }
}
