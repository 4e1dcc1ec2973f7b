//! The shards of a log as they change: closed when what was admitted is on the disk, opened, forgotten.
//!
//! ```text
//!   Close ─► nothing new is admitted ─► what is staged and in flight becomes durable ─► Drained
//!     Reopen, or Resharded: the catalog has closed them at these ends
//! ```
//!
//! What must hold: where a shard ends is told only when everything before it is on the disk, and nothing is
//! admitted after that; a put that is known is answered as before, whatever its shard is.

use super::append::{going_away, read_only};
use super::{Admission, ClosedShard, Effect, Health, Log, LogShard, Shard, ShardCounts, Stage};
use crate::arrival::Now;
use crate::carry_over::ShardState;

impl Shard {
    /// The shard as recovery has found it, if it has.
    pub(super) fn new(shard: &LogShard, kept: Option<&ShardState>) -> Shard {
        let next_sequence = kept.map_or(0, |state| state.next_sequence);
        Shard {
            number: shard.number,
            range: shard.range,
            admission: shard.closed.clone().map_or(Admission::Open, Admission::Closed),
            next_sequence,
            durable_sequence: next_sequence,
            last_arrival_ms: kept.map_or(0, |state| state.last_arrival_ms),
            watched: false,
            advanced: false,
            counts: ShardCounts::default(),
            ceilings: None,
            keys: None,
        }
    }

    fn is_closing(&self) -> bool {
        self.admission == Admission::Closing
    }
}

impl Log {
    /// The numbers of the log's shards, sorted.
    pub fn shards(&self) -> impl Iterator<Item = u32> + '_ {
        self.shards.iter().map(|shard| shard.number)
    }

    /// The closed shards that nobody can read anything of any more: they were closed, and their last record
    /// arrived, longer ago than records are kept.
    pub fn expired_shards(&self, now: Now) -> Vec<u32> {
        let horizon_ms = self.horizon_ms(now);
        let has_expired = |shard: &&Shard| match &shard.admission {
            Admission::Closed(closed) => closed.closed_ms.max(shard.last_arrival_ms) < horizon_ms,
            Admission::Open | Admission::Closing => false,
        };
        self.shards.iter().filter(has_expired).map(|shard| shard.number).collect()
    }

    pub(super) fn close_shards(&mut self, shards: &[u32]) {
        self.draining = true;
        for number in shards {
            let shard_at = self.shard_at(*number).expect("the owner closes shards of this log");
            let shard = &mut self.shards[shard_at];
            assert!(!matches!(shard.admission, Admission::Closed(_)), "a shard is closed once");
            shard.admission = Admission::Closing;
        }
    }

    pub(super) fn reopen_shards(&mut self) {
        self.draining = false;
        for shard in self.shards.iter_mut().filter(|shard| shard.is_closing()) {
            shard.admission = Admission::Open;
        }
    }

    /// Says where the shards that are to be closed end, once it is on the disk; or that it never will be.
    pub(super) fn tell_when_drained(&mut self, effects: &mut Vec<Effect>) {
        if !self.draining {
            return;
        }
        let ends = match &self.health {
            Health::ReadOnly { why } => Err(read_only(why)),
            Health::Stopping | Health::Stopped => Err(going_away()),
            Health::Serving => {
                let mut closing = self.shards.iter().filter(|shard| shard.is_closing());
                if !closing.clone().all(|shard| shard.durable_sequence == shard.next_sequence) {
                    return;
                }
                Ok(closing.by_ref().map(|shard| (shard.number, shard.durable_sequence)).collect())
            }
        };
        self.draining = false;
        effects.push(Effect::Drained { ends });
    }

    /// Takes the catalog's word for which shards there are.
    pub(super) fn resharded(&mut self, now: &[LogShard], effects: &mut Vec<Effect>) {
        self.draining = false;
        self.forget_gone(now);
        for said in now {
            match self.shard_at(said.number) {
                Ok(shard_at) => self.change_shard(shard_at, said.closed.as_ref(), effects),
                Err(_) => {
                    let newest = self.shards.last().map(|shard| shard.number);
                    assert!(newest < Some(said.number), "a shard that is made has a number above all before");
                    self.shards.push(Shard::new(said, None));
                }
            }
        }
        self.settings.shards = now.to_vec();
    }

    fn change_shard(&mut self, shard_at: usize, closed: Option<&ClosedShard>, effects: &mut Vec<Effect>) {
        let shard = &mut self.shards[shard_at];
        let Some(closed) = closed else { return };
        assert_ne!(shard.admission, Admission::Open, "a shard is closed after its log has said where it ends");
        if shard.is_closing() {
            let ends = (shard.next_sequence, shard.durable_sequence);
            assert_eq!(ends, (closed.end_sequence, closed.end_sequence), "it ends where its log has said");
            if shard.watched {
                // There is nothing more to be given, and that is news.
                effects.push(Effect::Advanced { shard: shard.number });
            }
        }
        shard.admission = Admission::Closed(closed.clone());
    }

    /// Forgets the shards that the catalog has forgotten. Nothing of them is staged: they were closed for long.
    fn forget_gone(&mut self, kept: &[LogShard]) {
        let is_kept = |number: u32| kept.binary_search_by_key(&number, |shard| shard.number).is_ok();
        if self.shards.iter().all(|shard| is_kept(shard.number)) {
            return;
        }
        let mut places = Vec::with_capacity(self.shards.len());
        let mut next = 0;
        for shard in &self.shards {
            places.push(is_kept(shard.number).then_some(next));
            next += usize::from(is_kept(shard.number));
        }
        let moved = |shard_at: &mut usize| *shard_at = places[*shard_at].expect("what is staged is of an open shard");
        self.staged.iter_mut().for_each(|staged| moved(&mut staged.shard_at));
        if let Stage::Submitted(commit) | Stage::Failed(commit) = &mut self.stage {
            commit.places().for_each(moved);
        }
        self.waiting.iter_mut().for_each(|waiting| moved(&mut waiting.shard_at));
        self.shards.retain(|shard| is_kept(shard.number));
        self.producers.forget_shards(is_kept);
    }
}
