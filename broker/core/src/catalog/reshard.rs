//! Resharding: what a stream is asked to become, what its shards will be then, and why not.
//!
//! ```text
//!   asked ─► begin: intent in the record ─► the parents' logs say where they end ─► finish: closed, children open
//!                        └─────────────────► abandon: as it was
//! ```
//!
//! A scale is planned like the splits and merges that Kinesis makes of it: up, every open shard is split in the
//! middle, in rounds, until there are enough; then, as down, neighbours are merged from the left, each once in a
//! round, until there are as many as asked for. It is one change all the same: shards that are made only to
//! be split or merged again are closed from the beginning, and every moment sees the shards of before or of
//! after.
//!
//! What must hold: the open shards tile the hash space before and after; a child has a higher number than its
//! parents, and a shard that takes records is opened in a later second than the parents that took some; the plan follows from the record and what was asked, so that a start can finish what a crash
//! has interrupted.

use std::collections::{BTreeMap, BTreeSet};

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::SHARDS_MAX;
use rheos_protocol::message::ScalingStep;

use super::plan::log_of;
use super::record::StreamFields;
use super::{SHARDS_LISTED_MAX, ShardRecord, ShardState, StreamRecord};

/// Wait that is told to who comes while a stream is resharded, in ms.
pub const RESHARD_RETRY_MS: u32 = 100;

/// What a stream is asked to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reshard {
    /// One open shard becomes two.
    Split {
        /// Which.
        shard: u32,
        /// First hash key of the second child; strictly inside the shard's stretch.
        at: u128,
    },
    /// Two open shards side by side become one.
    Merge {
        /// One of them, the child's first parent.
        shard: u32,
        /// The other.
        adjacent: u32,
    },
    /// As many open shards as this, of about the same width when they were before.
    Scale {
        /// 1 to 10,000.
        target: u32,
    },
}

/// What a reshard makes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReshardPlan {
    /// The open shards that are closed, sorted by number.
    pub parents: Vec<u32>,
    /// The shards that are made, in the order of their numbers.
    pub made: Vec<MadeShard>,
}

/// A shard that a reshard makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeShard {
    /// Its number.
    pub shard: u32,
    /// Its stretch of the hash space.
    pub range: HashRange,
    /// The shard it is split or merged from.
    pub parent: u32,
    /// The second shard it is merged from.
    pub adjacent_parent: Option<u32>,
    /// False when it is itself split or merged by the same reshard, and so never takes a record.
    pub is_open: bool,
}

/// Plans whatever is asked.
///
/// # Errors
///
/// Those of [`plan_split`], [`plan_merge`] and [`plan_scale`].
pub fn plan_reshard(stream: &StreamRecord, reshard: Reshard) -> Result<ReshardPlan, WireError> {
    match reshard {
        Reshard::Split { shard, at } => plan_split(stream, shard, at),
        Reshard::Merge { shard, adjacent } => plan_merge(stream, shard, adjacent),
        Reshard::Scale { target } => plan_scale(stream, target),
    }
}

/// Plans to split a shard: the first child ends before `at`, the second begins there.
///
/// # Errors
///
/// `ShardNotFound`, `ShardClosed`, `BadRequest` for a hash key that is not strictly inside the shard,
/// `LimitExceeded`.
pub fn plan_split(stream: &StreamRecord, shard: u32, at: u128) -> Result<ReshardPlan, WireError> {
    let HashRange { first, last } = open_shard(stream, shard)?.range;
    if at <= first || last <= at {
        let message = format!(
            "hash key {at} is not strictly inside shard {shard} of stream {}, which has the hash keys {first} to {last}",
            stream.name
        );
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let mut draft = Draft::of(stream);
    let place = draft.place_of(shard);
    let halves = draft.split(draft.leaves[place], at);
    draft.leaves.splice(place..=place, halves);
    draft.finish(stream)
}

/// Plans to merge two shards whose stretches lie side by side, in whichever order they are named.
///
/// # Errors
///
/// `ShardNotFound`, `ShardClosed`, `BadRequest` for shards that do not lie side by side, `LimitExceeded`.
pub fn plan_merge(stream: &StreamRecord, shard: u32, adjacent: u32) -> Result<ReshardPlan, WireError> {
    let (one, other) = (open_shard(stream, shard)?, open_shard(stream, adjacent)?);
    let follows = |a: &ShardRecord, b: &ShardRecord| a.range.last.checked_add(1) == Some(b.range.first);
    let lower = match (follows(one, other), follows(other, one)) {
        (true, _) => shard,
        (_, true) => adjacent,
        (false, false) => {
            let message = format!(
                "shards {shard} and {adjacent} of stream {} do not lie side by side; describe the stream for its neighbours",
                stream.name
            );
            return Err(WireError::new(ErrorCode::BadRequest, message));
        }
    };
    let mut draft = Draft::of(stream);
    let place = draft.place_of(lower);
    let child = draft.merge(draft.leaves[place], draft.leaves[place + 1]);
    draft.leaves.splice(place..=place + 1, [child]);
    let made = draft.made.last_mut().expect("it was just made");
    (made.parent, made.adjacent_parent) = (shard, Some(adjacent));
    draft.finish(stream)
}

/// Plans to have `target` open shards.
///
/// # Errors
///
/// `BadRequest` for a target that is out of range, is what there is, or for which a shard is too narrow;
/// `LimitExceeded`.
pub fn plan_scale(stream: &StreamRecord, target: u32) -> Result<ReshardPlan, WireError> {
    let now = stream.open.len();
    if !(1..=SHARDS_MAX).contains(&target) {
        let message = format!("a stream has 1 to {SHARDS_MAX} open shards, not {target}");
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let target = target as usize;
    if target == now {
        let message = format!("stream {} has {now} open shards already", stream.name);
        return Err(WireError::new(ErrorCode::BadRequest, message));
    }
    let mut draft = Draft::of(stream);
    while draft.leaves.len() < target {
        draft.split_all(stream)?;
    }
    while draft.leaves.len() > target {
        draft.merge_from_left(target);
    }
    draft.finish(stream)
}

/// Shards as they come to be while a reshard is planned.
struct Draft {
    /// Open shards, in the order of the hash space.
    leaves: Vec<(u32, HashRange)>,
    parents: BTreeSet<u32>,
    made: Vec<MadeShard>,
    /// The number of the first that is made.
    first: u32,
}

impl Draft {
    fn of(stream: &StreamRecord) -> Draft {
        Draft {
            leaves: stream.open_shards().map(|shard| (shard.shard, shard.range)).collect(),
            parents: BTreeSet::new(),
            made: Vec::new(),
            // The newest shard of a stream is open, so it is always listed.
            first: stream.shards.last().map_or(0, |newest| newest.shard + 1),
        }
    }

    fn place_of(&self, shard: u32) -> usize {
        self.leaves.iter().position(|(number, _)| *number == shard).expect("the caller has seen that it is open")
    }

    fn split(&mut self, (parent, range): (u32, HashRange), at: u128) -> [(u32, HashRange); 2] {
        self.close(parent);
        [HashRange { last: at - 1, ..range }, HashRange { first: at, ..range }]
            .map(|half| self.make(half, parent, None))
    }

    fn merge(&mut self, (lower, one): (u32, HashRange), (upper, other): (u32, HashRange)) -> (u32, HashRange) {
        self.close(lower);
        self.close(upper);
        self.make(HashRange { first: one.first, last: other.last }, lower, Some(upper))
    }

    fn split_all(&mut self, stream: &StreamRecord) -> Result<(), WireError> {
        let before = std::mem::take(&mut self.leaves);
        for leaf in before {
            let Some(at) = leaf.1.middle() else {
                let message = format!("stream {} has shards too narrow to be split again", stream.name);
                return Err(WireError::new(ErrorCode::BadRequest, message));
            };
            let halves = self.split(leaf, at);
            self.leaves.extend(halves);
        }
        Ok(())
    }

    /// One round: each shard is merged at most once.
    fn merge_from_left(&mut self, target: usize) {
        let before = std::mem::take(&mut self.leaves);
        let mut too_many = before.len() - target;
        let mut rest = before.into_iter().peekable();
        while let Some(lower) = rest.next() {
            let leaf = match rest.next_if(|_| too_many > 0) {
                Some(upper) => {
                    too_many -= 1;
                    self.merge(lower, upper)
                }
                None => lower,
            };
            self.leaves.push(leaf);
        }
    }

    fn close(&mut self, shard: u32) {
        match shard.checked_sub(self.first) {
            Some(at) => self.made[at as usize].is_open = false,
            None => drop(self.parents.insert(shard)),
        }
    }

    fn make(&mut self, range: HashRange, parent: u32, adjacent_parent: Option<u32>) -> (u32, HashRange) {
        let shard = self.first + self.made.len() as u32;
        self.made.push(MadeShard { shard, range, parent, adjacent_parent, is_open: true });
        (shard, range)
    }

    fn finish(self, stream: &StreamRecord) -> Result<ReshardPlan, WireError> {
        let exceeded = |limit: u64, what: &str| {
            let message = format!(
                "stream {} would have {what}, and may have {limit}; closed shards go when their records expire",
                stream.name
            );
            Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(limit, stream.shards.len() as u64))
        };
        let (open, listed) = (self.leaves.len(), stream.shards.len() + self.made.len());
        if open > SHARDS_MAX as usize {
            return exceeded(SHARDS_MAX.into(), &format!("{open} open shards"));
        }
        if listed > SHARDS_LISTED_MAX || u64::from(self.first) + self.made.len() as u64 >= u64::from(u32::MAX) {
            return exceeded(SHARDS_LISTED_MAX as u64, &format!("{listed} shards, the closed ones included"));
        }
        Ok(ReshardPlan { parents: self.parents.into_iter().collect(), made: self.made })
    }
}

impl StreamRecord {
    /// The stream with the intent to reshard it, by request or as this step, and what that will make of it.
    ///
    /// # Errors
    ///
    /// `BadRequest` when the stream's mode gives that to others, `Resharding` while another has begun, and those of the plan.
    pub fn begin_reshard(
        &self,
        reshard: Reshard,
        step: Option<&ScalingStep>,
    ) -> Result<(StreamRecord, ReshardPlan), WireError> {
        match step {
            None => self.admit_reshard_by_request()?,
            Some(step) => self.admit_step(step)?,
        }
        if self.resharding.is_some() {
            return Err(resharding(self));
        }
        let plan = plan_reshard(self, reshard)?;
        Ok((StreamRecord { resharding: Some(reshard), ..self.clone() }, plan))
    }

    /// The stream after its reshard: the parents closed, each at its end in `ends`, the children open: now, or in the
    /// next second where a parent was opened in this one.
    ///
    /// Doing again what was done changes nothing: `None`.
    ///
    /// # Errors
    ///
    /// `Internal` when no reshard has begun that closes these shards: a fault of the broker.
    pub fn finish_reshard(&self, ends: &BTreeMap<u32, u64>, now_ms: u64) -> Result<Option<StreamRecord>, WireError> {
        let Some(reshard) = self.resharding else {
            let is_done = |(shard, end): (&u32, &u64)| {
                let closed_at = |it: &ShardRecord| matches!(it.state, ShardState::Closed { end_sequence, .. } if end_sequence == *end);
                self.shard(*shard).is_some_and(closed_at)
            };
            return if ends.iter().all(is_done) { Ok(None) } else { Err(no_such_reshard(self)) };
        };
        let plan = plan_reshard(self, reshard)?;
        if !plan.parents.iter().eq(ends.keys()) {
            return Err(no_such_reshard(self));
        }
        // Kinesis sequence numbers begin with the second in which their shard was opened, and those of a child are to be
        // greater than its parents'.
        let later =
            |shard: &u32| self.shard(*shard).map_or(0, |shard| (shard.opened_ms / 1_000 + 1).saturating_mul(1_000));
        let at_ms = plan.parents.iter().map(later).fold(now_ms, u64::max);
        let mut shards = self.shards.clone();
        for shard in &mut shards {
            if let Some(end) = ends.get(&shard.shard) {
                shard.state = ShardState::Closed { end_sequence: *end, closed_ms: at_ms };
            }
        }
        shards.extend(plan.made.iter().map(|made| made.record(self.log_count, at_ms)));
        let fields = StreamFields { shards, resharding: None, ..self.fields() };
        Ok(Some(fields.prove().expect("a plan keeps the hash space tiled")))
    }

    /// The log of each shard that is open after this plan, in no order.
    pub(crate) fn logs_of_open_after(&self, plan: &ReshardPlan) -> Vec<u32> {
        let stay = self.open_shards().filter(|shard| plan.parents.binary_search(&shard.shard).is_err());
        let open = plan.made.iter().filter(|made| made.is_open);
        stay.map(|shard| shard.log).chain(open.map(|made| log_of(made.shard, self.log_count))).collect()
    }

    /// The stream without the intent to reshard it; `None` when there is none.
    pub fn abandon_reshard(&self) -> Option<StreamRecord> {
        self.resharding.is_some().then(|| StreamRecord { resharding: None, ..self.clone() })
    }

    /// The stream without those of these closed shards that may go: all of whose ancestors have gone or go
    /// with them, so that a reader who begins with the oldest shards finds the way to every child. `None` when
    /// none may.
    pub fn forget_shards(&self, expired: &BTreeSet<u32>) -> Option<StreamRecord> {
        // Its plan counts on the shards as they are.
        if self.resharding.is_some() {
            return None;
        }
        let mut kept = BTreeSet::new();
        for shard in &self.shards {
            // Parents have lower numbers, so they were looked at before.
            let follows_kept = shard.parents().any(|parent| kept.contains(&parent));
            if shard.is_open() || follows_kept || !expired.contains(&shard.shard) {
                kept.insert(shard.shard);
            }
        }
        if kept.len() == self.shards.len() {
            return None;
        }
        let shards = self.shards.iter().filter(|shard| kept.contains(&shard.shard)).copied().collect();
        let fields = StreamFields { shards, ..self.fields() };
        Some(fields.prove().expect("open shards stay"))
    }

    fn fields(&self) -> StreamFields {
        StreamFields {
            name: self.name.clone(),
            incarnation: self.incarnation,
            created_ms: self.created_ms,
            terms: self.terms,
            log_count: self.log_count,
            shards: Vec::new(),
            resharding: self.resharding,
            tags: self.tags.clone(),
            shard_metrics: self.shard_metrics,
        }
    }
}

impl MadeShard {
    fn record(&self, log_count: u32, at_ms: u64) -> ShardRecord {
        let state = match self.is_open {
            true => ShardState::Open,
            false => ShardState::Closed { end_sequence: 0, closed_ms: at_ms },
        };
        ShardRecord {
            shard: self.shard,
            range: self.range,
            state,
            parent: Some(self.parent),
            adjacent_parent: self.adjacent_parent,
            log: log_of(self.shard, log_count),
            opened_ms: at_ms,
        }
    }
}

fn open_shard(stream: &StreamRecord, number: u32) -> Result<&ShardRecord, WireError> {
    let shard = stream.shard(number).ok_or_else(|| {
        let message = format!("stream {} has no shard {number}; describe it for its shards", stream.name);
        WireError::new(ErrorCode::ShardNotFound, message)
    })?;
    if !shard.is_open() {
        let message = format!("shard {number} of stream {} was split or merged before and is closed", stream.name);
        return Err(WireError::new(ErrorCode::ShardClosed, message));
    }
    Ok(shard)
}

fn resharding(stream: &StreamRecord) -> WireError {
    let message = format!("stream {} is being resharded; try again when that is done", stream.name);
    WireError::retry_after(ErrorCode::Resharding, RESHARD_RETRY_MS, message)
}

fn no_such_reshard(stream: &StreamRecord) -> WireError {
    WireError::new(ErrorCode::Internal, format!("stream {} is not being resharded like that", stream.name))
}

#[cfg(test)]
mod tests;
