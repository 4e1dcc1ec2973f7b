//! Scans: reads of the disk that a subscription needs, and what others get of them.
//!
//! What must hold: no more are under way than [`SCANS_MAX`]; who waits for one is served in the order of the
//! wishes, and whether or not others are served from memory meanwhile; a subscription that was told what
//! another's scan has found is told nothing of its own place.

use rheos_protocol::error::WireError;

use super::{Asks, FanOut, FanOutEffect, Place, SubscriptionId, Turn};
use crate::arrival::Now;
use crate::limits::SCANS_MAX;
use crate::log::{Log, LogId};
use crate::reader::{ReadOutcome, ReadTask};

/// A read in progress.
#[derive(Debug)]
pub(super) struct Scan {
    log: LogId,
    shard: u32,
    /// Where it began; none when that is what it finds out.
    from: Option<u64>,
    /// Who waits for it.
    pub(super) waiting: Vec<SubscriptionId>,
}

/// A scan brings what it meets of other shards where at least one in so many of the log's is subscribed to.
const SPARSE_SHARDS: usize = 16;

impl FanOut {
    /// A scan has ended. `None` means that a segment was gone, and whoever waits tries again.
    pub fn scanned(&mut self, now: Now, scan: u64, outcome: Option<Result<ReadOutcome, WireError>>) {
        let Scan { log, shard, from, waiting } = self.scans.remove(&scan).expect("a scan ends once");
        let start: Option<Result<u64, WireError>> = outcome.map(|outcome| {
            let ReadOutcome { start_sequence, batches, others, read_bytes, .. } = outcome?;
            self.pieces.keep(log, batches.into_iter().chain(others).collect(), read_bytes, now.boot_ms);
            Ok(start_sequence)
        });
        for id in waiting {
            let Some(subscription) = self.subscriptions.get_mut(&id) else { continue };
            subscription.waits_for_scan = false;
            let is_its_own = match subscription.place {
                Place::Sought(_) => from.is_none(),
                Place::At(next) => subscription.shard == shard && from == Some(next),
            };
            subscription.waited_in_vain = !is_its_own;
            self.turns.line_up(id);
            match &start {
                Some(Ok(start)) if is_its_own => self.found(id, *start),
                Some(Err(error)) if is_its_own => self.failed(id, error.clone()),
                _ => {}
            }
        }
    }

    /// Whether a subscription is to begin a scan. If not, it waits for one that is under way and reads
    /// where it stands, or that perhaps comes there, or for its turn to begin one.
    pub(super) fn may_scan(&mut self, id: SubscriptionId, asks: Asks, from: Option<u64>) -> bool {
        let subscription = self.subscriptions.get_mut(&id).expect("the caller has seen it");
        let (log, shard, in_vain) = (subscription.log, subscription.shard, subscription.waited_in_vain);
        // A scan brings what it meets of the log's other shards, and those read one after the other mostly
        // stand together. Who has waited for another's in vain waits for its own place alone.
        let will_do = |scan: &&mut Scan| {
            let comes_there = scan.shard != shard || scan.from <= from;
            let is_there = scan.shard == shard && scan.from == from;
            scan.log == log && scan.from.is_some() && from.is_some() && (is_there || (!in_vain && comes_there))
        };
        // Nobody goes before those who wait.
        let all_in_use = self.scans.len() >= SCANS_MAX || (asks == Asks::InTurn && !self.scans_wanted.is_empty());
        let running = self.scans.values_mut().find(will_do);
        subscription.waits_for_scan = running.is_some() || all_in_use;
        match running {
            Some(running) => running.waiting.push(id),
            None if subscription.waits_for_scan => self.scans_wanted.push_back(id),
            None => return true,
        }
        false
    }

    /// Begins a scan for a subscription, in a log of so many shards; [`may_scan`](Self::may_scan) has said that
    /// it is to.
    pub(super) fn scan(&mut self, id: SubscriptionId, from: Option<u64>, task: ReadTask, shards: usize) -> Turn {
        let subscription = self.subscriptions.get_mut(&id).expect("the caller has seen it");
        subscription.waits_for_scan = true;
        let (log, shard) = (subscription.log, subscription.shard);
        self.next_scan += 1;
        self.scans.insert(self.next_scan, Scan { log, shard, from, waiting: vec![id] });
        // Where few of the log's shards are subscribed to, the index is the way, past what nobody wants.
        let watched = self.shards.range((log, 0)..=(log, u32::MAX)).count();
        let is_dense = watched > 1 && watched * SPARSE_SHARDS >= shards && from.is_some();
        let task = Box::new(if is_dense { task.with_others() } else { task });
        Turn::Scan(FanOutEffect::Scan { scan: self.next_scan, log, task })
    }

    pub(super) fn may_begin_wanted(&self) -> bool {
        self.scans.len() < SCANS_MAX && !self.scans_wanted.is_empty()
    }

    /// Begins the scan of the subscription that has waited longest for one, when one is free.
    pub(super) fn begin_wanted<'a>(&mut self, now: Now, log_of: &impl Fn(LogId) -> Option<&'a Log>) -> Option<Turn> {
        if !self.may_begin_wanted() {
            return None;
        }
        let id = self.scans_wanted.pop_front()?;
        self.subscriptions.get_mut(&id).expect("who ends is forgotten here too").waits_for_scan = false;
        // Nothing is read for who takes nothing; its turn comes when it does.
        if self.turns.is_parked(id.peer) {
            self.turns.line_up(id);
            return Some(Turn::Over);
        }
        self.pushed_bytes = 0;
        Some(self.turn(now, id, Asks::ForScan, log_of))
    }
}
