//! The readers of the simulation: some follow a shard from wherever they are, some begin anywhere.

use std::ops::RangeInclusive;

use rheos_core::log::{Log, ReadStart};
use rheos_core::reader::{ReadOutcome, ReadStep};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;

use super::world::{Due, Pace, SECOND_US, World};
use crate::checker::{BatchSeen, Seen, fingerprint};

/// A reader that goes on where it was.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) log: usize,
    pub(crate) shard: u32,
    pub(crate) cursor: Option<u64>,
}

impl World {
    pub(crate) fn read_something(&mut self) {
        let most_us = match self.pace {
            Pace::Busy(gap_us) if self.up && !self.ending_run => gap_us * 20 + 1_000,
            _ if self.ending_run && self.up => 10 * SECOND_US,
            _ => 600 * SECOND_US,
        };
        let wait_us = self.random.within(1..most_us);
        self.after(wait_us, Due::Read);
        if !self.up {
            return;
        }
        if self.random.per_mille(500) {
            let at = self.random.below(self.followers.len() as u64) as usize;
            self.follow(at);
        } else {
            self.begin_anywhere();
        }
    }

    fn follow(&mut self, at: usize) {
        let Follower { log, shard, cursor } = self.followers[at];
        let position = cursor.map_or(Position::TrimHorizon, Position::AtSequence);
        let bytes_max = self.random.one_of(&[1, 5_000, 200_000, 8 << 20]);
        self.followers[at].cursor = match self.read(log, shard, position, bytes_max) {
            Ok(outcome) => Some(outcome.next_sequence),
            Err(error) if error.code == ErrorCode::Trimmed && Some(error.detail) > cursor => Some(error.detail),
            Err(error) => {
                return self.fail(format!("log {log} shard {shard} is not read from {position:?}: {error:?}"));
            }
        };
    }

    fn begin_anywhere(&mut self) {
        let log = self.random.below(self.hosts.len() as u64) as usize;
        // The catalog may know shards of which the log has not heard yet.
        let shards: Vec<u32> = self.hosts[log].log.iter().flat_map(Log::shards).collect();
        let shard = shards[self.random.below(shards.len() as u64) as usize];
        let end = self.checker.end(self.hosts[log].shard(shard));
        let tip = self.tip(log, shard);
        let position = match self.random.below(6) {
            0 => Position::TrimHorizon,
            1 => Position::Latest,
            2 => Position::AtSequence(self.random.below(end + 1)),
            3 => Position::AfterSequence(self.random.below(end + 1)),
            4 => Position::AtSequence(tip + self.random.below(3)),
            _ => Position::AtTimestamp(self.some_arrival_ms(log, shard)),
        };
        let bytes_max = self.random.one_of(&[1, 50_000, 8 << 20]);
        match self.read(log, shard, position, bytes_max) {
            Ok(outcome) => self.judge_start(log, shard, position, tip..=tip, outcome.start_sequence),
            Err(error) => self.judge_error(position, tip..=tip, &error),
        }
    }

    pub(crate) fn some_arrival_ms(&mut self, log: usize, shard: u32) -> u64 {
        let shard = self.hosts[log].shard(shard);
        let known: Vec<_> = self.checker.arrivals(shard).map(|(_, arrival_ms)| arrival_ms).collect();
        let arrival_ms = if known.is_empty() { 0 } else { known[self.random.below(known.len() as u64) as usize] };
        (arrival_ms + self.random.below(3)).saturating_sub(1)
    }

    /// Where a position was found, while the tip was somewhere in `tips`.
    pub(crate) fn judge_start(
        &mut self,
        log: usize,
        shard: u32,
        position: Position,
        tips: RangeInclusive<u64>,
        start: u64,
    ) {
        let is_right = match position {
            Position::AtSequence(sequence) => start == sequence,
            Position::AfterSequence(sequence) => start == sequence + 1,
            Position::Latest => tips.contains(&start),
            Position::TrimHorizon | Position::AtTimestamp(_) => true,
        };
        if !is_right {
            self.fail(format!("{position:?} of log {log} shard {shard} begins at {start}"));
        }
        let shard = self.hosts[log].shard(shard);
        match position {
            Position::AtTimestamp(arrival_ms)
                if !self.clock_distrusted && self.kept_since_ms(log).is_some_and(|since_ms| arrival_ms >= since_ms) =>
            {
                self.see(&Seen::Began { shard, arrival_ms, sequence: start });
            }
            Position::TrimHorizon => {
                let kept_since_ms = self.kept_since_ms(log);
                self.see(&Seen::Trimmed { shard, first_kept: start, kept_since_ms });
            }
            _ => {}
        }
    }

    pub(crate) fn judge_error(&mut self, position: Position, tips: RangeInclusive<u64>, error: &WireError) {
        let sequence = match position {
            Position::AtSequence(sequence) => sequence,
            Position::AfterSequence(sequence) => sequence + 1,
            _ => return self.fail(format!("{position:?} is answered {error:?}")),
        };
        let is_right = match error.code {
            ErrorCode::Trimmed => error.detail > sequence && sequence < *tips.end(),
            ErrorCode::BeyondTip => sequence > error.detail && tips.contains(&error.detail),
            _ => false,
        };
        if !is_right {
            self.fail(format!("{position:?} is answered {error:?}, the tip is {tips:?}"));
        }
    }

    pub(crate) fn tip(&self, log: usize, shard: u32) -> u64 {
        let log = self.hosts[log].log.as_ref().expect("the broker is up");
        log.tip(shard).expect("the shard is of this log").durable_sequence
    }

    /// One read, whole.
    pub(crate) fn read(
        &mut self,
        at: usize,
        shard: u32,
        position: Position,
        bytes_max: usize,
    ) -> Result<ReadOutcome, WireError> {
        self.met.reads += 1;
        let tip = self.tip(at, shard);
        let result = self.perform_read(at, shard, position, bytes_max);
        self.trace.note(
            self.now_us,
            format_args!(
                "read {position:?} of {at}/{shard}: {}",
                match &result {
                    Ok(outcome) => format!("{}..{}", outcome.start_sequence, outcome.next_sequence),
                    Err(error) => format!("{:?} {}", error.code, error.detail),
                }
            ),
        );
        let shard = self.hosts[at].shard(shard);
        match &result {
            Ok(outcome) => {
                let batches: Vec<_> = outcome.batches.iter().map(batch_seen).collect();
                let ReadOutcome { start_sequence, next_sequence, .. } = *outcome;
                let pieces: usize = outcome.pieces.iter().map(|piece| piece.len()).sum();
                let bytes: usize = outcome.batches.iter().map(|batch| batch.bytes().len()).sum();
                if pieces != bytes {
                    self.fail(format!("the pieces of {position:?} of {shard:?} are not its batches"));
                }
                self.see(&Seen::Read { shard, start_sequence, next_sequence, batches });
                if next_sequence > tip
                    || (outcome.batches.is_empty() && next_sequence < tip)
                    || (outcome.batches.len() > 1 && bytes > bytes_max)
                {
                    let count = outcome.batches.len();
                    self.fail(format!(
                        "{position:?} of {shard:?} gives {count} batches, {bytes} of {bytes_max} bytes, to {next_sequence}; the tip is {tip}"
                    ));
                }
            }
            Err(error) if error.code == ErrorCode::Trimmed => {
                self.met.trimmed_reads += 1;
                let kept_since_ms = self.kept_since_ms(at);
                self.see(&Seen::Trimmed { shard, first_kept: error.detail, kept_since_ms });
            }
            Err(_) => {}
        }
        result
    }

    pub(crate) fn perform_read(
        &mut self,
        at: usize,
        shard: u32,
        position: Position,
        bytes_max: usize,
    ) -> Result<ReadOutcome, WireError> {
        let now = self.now();
        let host = &self.hosts[at];
        let log = host.log.as_ref().expect("the broker is up");
        let mut task = match log.read(now, shard, position, bytes_max)? {
            ReadStart::Ready(outcome) => return Ok(outcome),
            ReadStart::Disk(task) => task,
        };
        self.met.disk_reads += 1;
        let mut input = None;
        for _ in 0..READ_STEPS_MAX {
            match task.step(input.take()) {
                ReadStep::Read { segment, place, .. } => {
                    self.coverage.count("a read looks at", task.looks_at());
                    input = Some(host.files.read(segment, place));
                }
                ReadStep::Done(result) => return result,
            }
        }
        self.fail(format!("{position:?} of log {at} shard {shard} takes more than {READ_STEPS_MAX} steps"));
        Err(WireError::new(ErrorCode::Internal, "it does not end"))
    }

    /// Reads everything that is kept, once: from the oldest record to the tip.
    pub(crate) fn sweep(&mut self) {
        for at in 0..self.hosts.len() {
            for shard in self.hosts[at].settings.shard_numbers().collect::<Vec<_>>() {
                if self.broken.is_none() {
                    self.sweep_shard(at, shard);
                }
            }
        }
    }

    fn sweep_shard(&mut self, at: usize, shard: u32) {
        let tip = self.tip(at, shard);
        let shard_of = self.hosts[at].shard(shard);
        self.see(&Seen::Tip { shard: shard_of, next_sequence: tip });
        let mut position = Position::TrimHorizon;
        loop {
            let bytes_max = self.random.one_of(&[1, 300_000]);
            match self.read(at, shard, position, bytes_max) {
                Ok(outcome) => {
                    if position == Position::TrimHorizon {
                        self.judge_start(at, shard, position, tip..=tip, outcome.start_sequence);
                    }
                    if outcome.next_sequence >= tip || self.broken.is_some() {
                        return;
                    }
                    position = Position::AtSequence(outcome.next_sequence);
                }
                Err(error) => return self.fail(format!("the sweep of {shard_of:?} from {position:?}: {error:?}")),
            }
        }
    }
}

pub(crate) fn batch_seen(batch: &rheos_protocol::batch::Batch) -> BatchSeen {
    let header = batch.header();
    let records = batch.records().map(|record| fingerprint(&record)).collect();
    BatchSeen { first_sequence: header.first_sequence, arrival_ms: header.arrival_ms, records }
}

/// Steps of one read: far more than the segments of any run.
pub(crate) const READ_STEPS_MAX: usize = 20_000;
