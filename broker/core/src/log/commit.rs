//! Commit: one write carries everything that is staged, and its completion is what acks wait for.

use bytes::{Bytes, BytesMut};
use rheos_protocol::error::{ErrorCode, WireError};

use super::append::read_only;
use super::segments::Place;
use super::{Acked, Effect, Health, Log, Stage, Staged, Write};
use crate::arrival::Now;
use crate::budget::LaneBudget;
use crate::carry_over::{self, CarryOver};
use crate::commit::{CommitHeader, HeaderDigest};
use crate::counts::Amount;
use crate::index::IndexEntry;
use crate::limits::COMMIT_BYTES_TARGET;
use crate::planted::Bug;
use crate::producer::ProducerTable;

/// A commit in flight.
#[derive(Debug)]
pub(super) struct Submitted {
    header: CommitHeader,
    checksum: u64,
    batches: Vec<Staged>,
    /// Whether it is the first of its segment, whose head was written with it.
    opens_segment: bool,
}

impl Submitted {
    /// Where the shards of its batches stand.
    pub(super) fn places(&mut self) -> impl Iterator<Item = &mut usize> {
        self.batches.iter_mut().map(|staged| &mut staged.shard_at)
    }
}

impl Staged {
    /// The ack that it is due when it is on the disk.
    pub(super) fn ack(&self) -> Effect {
        let header = self.batch.header();
        let acked = Acked { first_sequence: header.first_sequence, arrival_ms: header.arrival_ms };
        Effect::Reply { token: self.token, outcome: Ok(acked) }
    }
}

impl Log {
    /// Begins a commit when none is in flight, something is staged and the lane has a place.
    pub(super) fn flush(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        if !budget.has_commit_slot() {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Failed(failed) if self.segments.spare_is_ready() => {
                self.submit(now, failed.batches, budget, effects);
            }
            Stage::Idle if !self.staged.is_empty() => {
                if self.has_place_for_staged() {
                    let (count, _) = self.next_commit_extent();
                    let batches = self.staged.drain(..count).collect();
                    self.submit(now, batches, budget, effects);
                }
            }
            Stage::Idle if self.must_settle() => self.settle(now, budget, effects),
            stage => self.stage = stage,
        }
    }

    /// Sees to it that the next segment is there when it is needed.
    pub(super) fn look_ahead(&mut self, now: Now, effects: &mut Vec<Effect>) {
        // A log that stops needs a segment only to write again what has failed.
        let serves = self.health == Health::Serving || matches!(self.stage, Stage::Failed(_));
        if !serves || self.read_only().is_some() {
            return;
        }
        let next_len = match &self.stage {
            Stage::Failed(failed) => Some(failed.header.len()),
            // This is asked at every put, so what is staged is not added up.
            _ => self.staged.front().map(|first| {
                let most = if self.staged.len() == 1 { 0 } else { COMMIT_BYTES_TARGET };
                CommitHeader::padded_len(most.max(first.batch.bytes().len()))
            }),
        };
        self.segments.look_ahead(now, next_len, effects);
    }

    /// Writes an empty commit: its header says that the commit before it was durable.
    pub(super) fn settle(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        if budget.has_commit_slot() && self.segments.has_place(CommitHeader::padded_len(0)) {
            self.submit(now, Vec::new(), budget, effects);
        }
    }

    /// How many staged batches the next commit takes, and their bytes: up to the target, at least one.
    fn next_commit_extent(&self) -> (usize, usize) {
        let (mut count, mut payload_len) = (0, 0);
        for staged in &self.staged {
            let len = staged.batch.bytes().len();
            if count > 0 && payload_len + len > COMMIT_BYTES_TARGET {
                break;
            }
            (count, payload_len) = (count + 1, payload_len + len);
        }
        (count, payload_len)
    }

    /// Whether the next commit of what is staged can be written now.
    pub(super) fn has_place_for_staged(&self) -> bool {
        let (_, payload_len) = self.next_commit_extent();
        self.segments.has_place(CommitHeader::padded_len(payload_len))
    }

    fn submit(&mut self, now: Now, batches: Vec<Staged>, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        let mut digest = HeaderDigest::default();
        let mut payload_len = 0;
        for staged in &batches {
            digest.add(staged.batch.bytes());
            payload_len += staged.batch.bytes().len();
        }
        let first_arrival_ms = batches.first().map_or(now.wall_ms, |staged| staged.batch.header().arrival_ms);
        let len = CommitHeader::padded_len(payload_len);
        let mut carry = BytesMut::new();
        let opens_segment = self.segments.opens_segment(len);
        if opens_segment {
            match () {
                () if Bug::CarryOverForgotten.is_planted() => CarryOver::default().encode(&mut carry),
                () if Bug::ProducersForgotten.is_planted() => {
                    carry_over::encode(self.shard_states(), &ProducerTable::default(), &mut carry);
                }
                () => carry_over::encode(self.shard_states(), &self.producers, &mut carry),
            }
        }
        let Place { segment, salt, write_offset, commit_offset, head } =
            self.segments.place(now, len, self.next_commit, self.last_checksum, first_arrival_ms, carry);
        let header = CommitHeader {
            segment,
            number: self.next_commit,
            offset: commit_offset,
            payload_len: payload_len as u32,
            batch_count: batches.len() as u32,
            digest: digest.finish(),
            // One commit is in flight at a time, so all before this one are durable.
            durable: self.next_commit,
            previous_checksum: self.last_checksum,
        };
        let (bytes, checksum) = header.encode(salt);
        effects.push(Effect::Write(Write {
            segment: segment.segment,
            offset: write_offset,
            len: head.len() + len as usize,
            head: Bytes::from(head),
            header: bytes,
            batches: batches.iter().map(|staged| staged.batch.bytes().clone()).collect(),
        }));
        if Bug::AckOnSubmit.is_planted() {
            effects.extend(batches.iter().map(Staged::ack));
        }
        budget.submit();
        self.stage = Stage::Submitted(Submitted { header, checksum, batches, opens_segment });
    }

    /// The commit in flight is on the disk. In this order: it is the log's end; its records are
    /// readable; its producers know; then, and only then, it is acked.
    pub(super) fn durable(&mut self, now: Now, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        let Stage::Submitted(commit) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            panic!("a completion belongs to a commit in flight");
        };
        budget.complete();
        self.next_commit = commit.header.number + 1;
        self.last_checksum = commit.checksum;
        self.settled = commit.batches.is_empty();
        self.quiet_since_boot_ms = now.boot_ms;
        self.segments.extend(&commit.header, commit.checksum, effects);
        let mut advanced = Vec::new();
        for staged in commit.batches {
            let ack = staged.ack();
            let Staged { shard_at, batch, .. } = staged;
            self.make_durable(shard_at, &batch, commit.header.offset);
            let shard = &mut self.shards[shard_at];
            let lost = Bug::LostWakeUp.is_planted() && self.next_commit.is_multiple_of(2);
            if shard.watched && !lost && !std::mem::replace(&mut shard.advanced, true) {
                advanced.push(shard_at);
            }
            budget.unstage(batch.bytes().len());
            self.tail.push(batch, now.boot_ms, budget);
            if !(Bug::AckOnStage.is_planted() || Bug::AckOnSubmit.is_planted()) {
                effects.push(ack);
            }
        }
        self.ack_resends(effects);
        for shard_at in advanced {
            let shard = &mut self.shards[shard_at];
            shard.advanced = false;
            effects.push(Effect::Advanced { shard: shard.number });
        }
        self.stop_when_quiet(now, budget, effects);
    }

    fn make_durable(&mut self, shard_at: usize, batch: &rheos_protocol::batch::Batch, offset: u64) {
        let header = batch.header();
        let shard = &mut self.shards[shard_at];
        assert_eq!(shard.durable_sequence, header.first_sequence, "a shard's batches become durable in order");
        shard.durable_sequence = batch.next_sequence();
        shard.last_arrival_ms = header.arrival_ms;
        shard.counts.incoming += Amount::of(header);
        self.counts.incoming += Amount::of(header);
        let entry = IndexEntry { first_sequence: header.first_sequence, arrival_ms: header.arrival_ms, offset };
        self.segments.index(header.shard, entry);
        if header.producer.is_numbered() {
            self.producers.store(header.producer, header.shard);
        }
    }

    fn ack_resends(&mut self, effects: &mut Vec<Effect>) {
        let shards = &self.shards;
        self.waiting.retain(|waiting| {
            let durable = waiting.acked.first_sequence < shards[waiting.shard_at].durable_sequence;
            if durable {
                effects.push(Effect::Reply { token: waiting.token, outcome: Ok(waiting.acked) });
            }
            !durable
        });
    }

    /// What is on the disk of the failed commit is not known. Its batches, which have their sequences,
    /// are written again at the head of the next segment, whose header overrules what stands here.
    pub(super) fn write_failed(&mut self, why: &str, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        let Stage::Submitted(commit) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            panic!("a completion belongs to a commit in flight");
        };
        budget.complete();
        let opens_segment = commit.opens_segment;
        self.stage = Stage::Failed(commit);
        if opens_segment {
            self.turn_read_only(&format!("the first write of a new segment failed: {why}"), budget, effects);
        } else {
            self.segments.give_up_active();
        }
    }

    pub(super) fn segment_failed(
        &mut self,
        now: Now,
        ask: u64,
        why: &str,
        budget: &mut LaneBudget,
        effects: &mut Vec<Effect>,
    ) {
        self.segments.failed(ask, now);
        let stopping = self.health == Health::Stopping;
        if stopping && matches!(self.stage, Stage::Failed(_)) {
            let why = format!("the broker stopped while no segment could be made: {why}");
            self.give_up_submitted(&WireError::new(ErrorCode::Indeterminate, why), budget, effects);
        }
        // What is staged was never submitted: it is refused, to come again. What was submitted and
        // failed keeps its sequences and waits for a segment.
        let starved = !self.has_place_for_staged();
        if !matches!(self.stage, Stage::Submitted(_)) && (starved || matches!(self.stage, Stage::Failed(_))) {
            let refusal = if stopping { super::append::going_away() } else { super::append::storage_full() };
            self.refuse_staged(&refusal, budget, effects);
        }
        self.stop_when_quiet(now, budget, effects);
    }

    fn turn_read_only(&mut self, why: &str, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        let stopping = self.health == Health::Stopping;
        self.health = Health::ReadOnly { why: why.to_owned() };
        effects.push(Effect::ReadOnly { why: why.to_owned() });
        self.give_up_submitted(&WireError::new(ErrorCode::Indeterminate, why), budget, effects);
        self.refuse_staged(&read_only(why), budget, effects);
        if stopping {
            // There is nothing left that could be finished.
            self.health = Health::Stopped;
            effects.push(Effect::Stopped);
        }
    }

    /// Answers what was submitted and never completed: it may or may not be stored.
    pub(super) fn give_up_submitted(
        &mut self,
        outcome: &WireError,
        budget: &mut LaneBudget,
        effects: &mut Vec<Effect>,
    ) {
        let (Stage::Submitted(commit) | Stage::Failed(commit)) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return;
        };
        let indeterminate =
            WireError { code: ErrorCode::Indeterminate, retry: rheos_protocol::error::Retry::Never, ..outcome.clone() };
        for staged in commit.batches {
            budget.unstage(staged.batch.bytes().len());
            self.count_refused(Some(staged.shard_at), staged.batch.header().record_count, indeterminate.code);
            effects.push(Effect::Reply { token: staged.token, outcome: Err(indeterminate.clone()) });
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.count_refused(Some(waiting.shard_at), waiting.record_count, indeterminate.code);
            effects.push(Effect::Reply { token: waiting.token, outcome: Err(indeterminate.clone()) });
        }
    }
}
