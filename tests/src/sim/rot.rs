//! Damage: while the broker is down, what lies on the disk is damaged in one place, and it is looked at what a start
//! makes of that.
//!
//! What must hold: a log that has lost something says so, by taking no puts or by naming the records that
//! cannot be read; everything else is read as before. The one exception is the last commit of a log that died
//! within a second of it: that it was there cannot be told from a torn write.

use std::collections::BTreeMap;

use rheos_core::log::Log;
use rheos_core::reader::ReadOutcome;
use rheos_core::recovery::Recovered;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;

use super::disk::LogFiles;
use super::reader::batch_seen;
use super::world::World;
use crate::checker::Seen;
use crate::random::Random;

/// What was damaged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rot {
    /// A bit has turned over.
    Bit { segment: u64, offset: u64 },
    /// A block holds zeros.
    Zeros { segment: u64, offset: u64 },
    /// A block holds what belongs elsewhere in the file.
    Misdirected { segment: u64, offset: u64 },
    /// The disk does not give a segment back.
    Unreadable { segment: u64 },
    /// A segment is gone.
    Missing { segment: u64 },
}

impl Rot {
    fn any(files: &LogFiles, random: &mut Random) -> Option<Rot> {
        let count = files.segments.len() as u64;
        if count == 0 {
            return None;
        }
        // The newest are where a start has most to decide.
        let from_end = if random.per_mille(500) { random.below(2.min(count)) } else { random.below(count) };
        let (&segment, bytes) = files.segments.iter().rev().nth(from_end as usize)?;
        let used = bytes.chunks(BLOCK).rposition(|block| block.iter().any(|byte| *byte != 0))? as u64;
        let offset = random.below((used + 1) * BLOCK as u64);
        let block = offset - offset % BLOCK as u64;
        Some(match random.below(20) {
            // That the newest was ever made is known by itself alone.
            0 if segment < files.highest_prepared => Rot::Missing { segment },
            1 => Rot::Unreadable { segment },
            2..5 => Rot::Zeros { segment, offset: block },
            5..7 => Rot::Misdirected { segment, offset: block },
            _ => Rot::Bit { segment, offset },
        })
    }

    fn befall(self, files: &mut LogFiles, random: &mut Random) {
        match self {
            Rot::Bit { segment, offset } => {
                files.segments.get_mut(&segment).expect("it is there")[offset as usize] ^= 1 << random.below(8);
            }
            Rot::Zeros { segment, offset } => files.write(segment, offset, &[0; BLOCK]),
            Rot::Misdirected { segment, offset } => {
                let file = &files.segments[&segment];
                let other = random.below((file.len() / BLOCK) as u64) as usize * BLOCK;
                let block = file[other..other + BLOCK].to_vec();
                files.write(segment, offset, &block);
            }
            Rot::Unreadable { segment } => drop(files.unreadable.insert(segment)),
            Rot::Missing { segment } => drop(files.segments.remove(&segment)),
        }
    }

    /// Whether it may have struck the write that began at an offset of a segment and took so many bytes.
    fn may_strike(self, segment: u64, offset: u64, len: u64) -> bool {
        match self {
            Rot::Bit { segment: struck, offset: at } => struck == segment && (offset..offset + len).contains(&at),
            Rot::Zeros { segment: struck, offset: at } | Rot::Misdirected { segment: struck, offset: at } => {
                struck == segment && at < offset + len && offset < at + BLOCK as u64
            }
            // Without the file nothing is taken for torn.
            Rot::Unreadable { .. } | Rot::Missing { .. } => false,
        }
    }
}

impl World {
    /// The broker is down: damages what lies on the disk, one place at a time, and looks at what a start makes of
    /// it. Afterwards the disk is as it was.
    pub(crate) fn rot(&mut self) {
        // What has expired by a wrong clock cannot be told from what was lost.
        if self.clock_distrusted || self.broken.is_some() {
            return;
        }
        let recovery_crashes = std::mem::take(&mut self.faults.recovery_crashes);
        let at = self.random.below(self.hosts.len() as u64) as usize;
        let (files, unproved) = (self.hosts[at].files.clone(), self.hosts[at].unproved);
        // What these starts find is shown to nobody: a commit that was on its way may be there in one and not in another.
        let checker = self.checker.clone();
        let kept = self.read_whole(at);
        for _ in 0..ROTS {
            self.hosts[at].files = files.clone();
            let Some(rot) = Rot::any(&files, &mut self.random) else { break };
            rot.befall(&mut self.hosts[at].files, &mut self.random);
            self.trace.note(self.now_us, format_args!("log {at}: {rot:?}"));
            let recovered = self.recover(at).expect("nobody dies in this recovery");
            let may_be_torn = unproved.is_some_and(|(segment, offset, len)| rot.may_strike(segment, offset, len));
            self.judge_rotten(at, rot, recovered, may_be_torn, &kept);
            self.checker = checker.clone();
        }
        (self.hosts[at].log, self.hosts[at].files, self.hosts[at].unproved) = (None, files, unproved);
        self.faults.recovery_crashes = recovery_crashes;
    }

    /// The oldest record that a start finds of every shard when nothing is damaged.
    fn read_whole(&mut self, at: usize) -> BTreeMap<u32, u64> {
        let recovered = self.recover(at).expect("nobody dies in this recovery");
        self.hosts[at].log = Some(Log::new(self.now(), self.hosts[at].settings.clone(), recovered));
        let mut kept = BTreeMap::new();
        for shard in self.hosts[at].settings.shard_numbers().collect::<Vec<_>>() {
            match self.perform_read(at, shard, Position::TrimHorizon, 1) {
                Ok(outcome) => drop(kept.insert(shard, outcome.start_sequence)),
                Err(error) => self.fail(format!("log {at} is whole, and its shard {shard} reads as {error:?}")),
            }
        }
        kept
    }

    fn judge_rotten(
        &mut self,
        at: usize,
        rot: Rot,
        recovered: Recovered,
        may_be_torn: bool,
        kept: &BTreeMap<u32, u64>,
    ) {
        let is_refused = recovered.refused.is_some();
        self.met.rots += 1;
        self.met.rots_refused += u64::from(is_refused);
        self.hosts[at].log = Some(Log::new(self.now(), self.hosts[at].settings.clone(), recovered));
        for (&shard, &first_kept) in kept {
            let (tip, end) = (self.tip(at, shard), self.checker.end(self.hosts[at].shard(shard)));
            if tip < end && !is_refused && !may_be_torn {
                return self.fail(format!("{rot:?} of log {at}: shard {shard} goes back from {end} to {tip}, untold"));
            }
            self.met.rots_in_the_last_second += u64::from(tip < end && !is_refused);
            self.read_around(at, shard, first_kept, rot);
        }
    }

    /// A read that meets damage, perhaps: what it gives is judged, and not why it gives nothing.
    fn read_damaged(&mut self, at: usize, shard: u32, position: Position) -> Result<ReadOutcome, WireError> {
        let outcome = self.perform_read(at, shard, position, 8 << 20)?;
        let ReadOutcome { start_sequence, next_sequence, .. } = outcome;
        let batches = outcome.batches.iter().map(batch_seen).collect();
        self.see(&Seen::Read { shard: self.hosts[at].shard(shard), start_sequence, next_sequence, batches });
        Ok(outcome)
    }

    /// Reads a shard from what was the first that is kept to its tip, past what is said to be damaged.
    fn read_around(&mut self, at: usize, shard: u32, first_kept: u64, rot: Rot) {
        let tip = self.tip(at, shard);
        let mut next = first_kept;
        while next < tip && self.broken.is_none() {
            next = match self.read_damaged(at, shard, Position::AtSequence(next)) {
                Ok(outcome) => outcome.next_sequence,
                Err(error) if error.code == ErrorCode::Damaged && (error.detail..=error.detail_2).contains(&next) => {
                    self.met.rots_named += 1;
                    error.detail_2 + 1
                }
                // What recovery has given up of a log's lowest segment is told as if it had expired.
                Err(error) if error.code == ErrorCode::Trimmed && error.detail > next => {
                    self.met.rots_told_as_expired += 1;
                    error.detail
                }
                Err(error) => return self.fail(format!("{rot:?} of log {at}: shard {shard} from {next}: {error:?}")),
            };
        }
    }
}

/// Places that are damaged, each alone.
const ROTS: usize = 5;
const BLOCK: usize = 4096;
