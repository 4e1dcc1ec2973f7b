//! The losses that somebody has accepted, written down in the directory of their log.
//!
//! It is for whoever looks at the log later: nothing that is served depends on it. It goes with its stream.

use std::fs;
use std::io;

use rheos_core::log::LogId;
use rheos_core::recovery::Loss;
use serde::{Deserialize, Serialize};

use crate::contents::LostRecords;
use crate::directory::{FILE_MODE, Layout};
use crate::durable;
use crate::start_error::StartError;

/// What is written down of one log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AcceptedLosses {
    /// One for each repair, oldest first.
    repairs: Vec<AcceptedRepair>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AcceptedRepair {
    /// When, ms since 1970.
    at_ms: u64,
    /// Why the log took no puts; none when it took them.
    refused: Option<String>,
    lost: Vec<AcceptedRange>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AcceptedRange {
    shard: u32,
    first_sequence: u64,
    last_sequence: u64,
}

impl AcceptedLosses {
    /// Reads what is written down; nothing when there is no such file, or one that nobody can read.
    pub(crate) fn read(layout: &Layout, log: LogId) -> Result<AcceptedLosses, StartError> {
        let path = layout.accepted_path(log.incarnation, log.log);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(AcceptedLosses::default()),
            Err(error) => Err(StartError::io("read", path)(error)),
        }
    }

    /// Whether every record of a stretch is among them.
    pub(crate) fn hold(&self, loss: &Loss) -> bool {
        let mut ranges: Vec<_> = self
            .repairs
            .iter()
            .flat_map(|repair| &repair.lost)
            .filter(|range| range.shard == loss.shard)
            .map(|range| (range.first_sequence, range.last_sequence))
            .collect();
        ranges.sort_unstable();
        let mut next = loss.first_sequence;
        for (first, last) in ranges {
            if first <= next && next <= last {
                next = last.saturating_add(1);
            }
        }
        next > loss.last_sequence
    }

    /// Adds a repair and writes all down.
    pub(crate) fn add(
        mut self,
        layout: &Layout,
        log: LogId,
        at_ms: u64,
        refused: Option<&str>,
        lost: &[LostRecords],
    ) -> Result<(), StartError> {
        let range = |lost: &LostRecords| {
            let Loss { shard, first_sequence, last_sequence } = lost.loss();
            AcceptedRange { shard, first_sequence, last_sequence }
        };
        let lost = lost.iter().map(range).collect();
        self.repairs.push(AcceptedRepair { at_ms, refused: refused.map(str::to_owned), lost });
        let text = serde_json::to_vec_pretty(&self).expect("numbers and text are always JSON");
        Ok(durable::create_file(&layout.accepted_path(log.incarnation, log.log), &text, FILE_MODE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_accepted_when_every_record_of_it_is() {
        let range = |first_sequence, last_sequence| AcceptedRange { shard: 3, first_sequence, last_sequence };
        let repair = |lost| AcceptedRepair { at_ms: 1, refused: None, lost };
        let accepted =
            AcceptedLosses { repairs: vec![repair(vec![range(20, 29), range(5, 9)]), repair(vec![range(10, 19)])] };
        let holds =
            |shard, first_sequence, last_sequence| accepted.hold(&Loss { shard, first_sequence, last_sequence });
        assert!(holds(3, 5, 29) && holds(3, 5, 5) && holds(3, 29, 29) && holds(3, 8, 12));
        assert!(!holds(3, 4, 5) && !holds(3, 29, 30) && !holds(3, 0, 100) && !holds(2, 5, 9));
    }
}
