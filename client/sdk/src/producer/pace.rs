//! How much a producer sends at a time to a shard that has told it of a limit.
//!
//! The broker refuses what is over a limit and says when to come again, and it refuses what follows unlooked at.
//! Whatever was sent behind the refused batch is then sent in vain. So after such a refusal one batch is out at a
//! time, and more again the longer none is refused; and batches hold no more than a part of what a second
//! allows, so that a little passes often.
//!
//! What must hold: a producer that is never over a limit knows nothing of this.

use rheos_protocol::batch::BatchBuilder;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{BATCH_BODY_BYTES_TARGET, PUTS_IN_FLIGHT_MAX};
use rheos_protocol::record::RecordView;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Most puts that are unanswered at a time.
    in_flight_max: usize,
    /// Acked since that was last raised.
    acked: usize,
    batch_bytes_max: usize,
    batch_records_max: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            in_flight_max: PUTS_IN_FLIGHT_MAX,
            acked: 0,
            batch_bytes_max: BATCH_BODY_BYTES_TARGET as usize,
            batch_records_max: u32::MAX,
        }
    }
}

impl Pace {
    /// Most puts that may be unanswered.
    pub(super) fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// A put was refused.
    pub(super) fn refused(&mut self, error: &WireError) {
        if error.code != ErrorCode::OverLimit {
            return;
        }
        // The numbers of the refusal are what a second allows: bytes and records, 0 where there is no limit.
        let part = |allowed: u64, most: u64| if allowed == 0 { most } else { (allowed / PARTS).clamp(1, most) };
        *self = Pace {
            in_flight_max: 1,
            acked: 0,
            batch_bytes_max: part(error.detail, BATCH_BODY_BYTES_TARGET.into()) as usize,
            batch_records_max: part(error.detail_2, u32::MAX.into()) as u32,
        };
    }

    /// A put was acked.
    pub(super) fn acked(&mut self) {
        if self.in_flight_max == PUTS_IN_FLIGHT_MAX {
            return;
        }
        self.acked += 1;
        if self.acked == ACKS_FOR_MORE {
            let in_flight_max = self.in_flight_max * 2;
            *self = match in_flight_max < PUTS_IN_FLIGHT_MAX {
                true => Pace { in_flight_max, acked: 0, ..*self },
                false => Pace::default(),
            };
        }
    }

    /// Whether a batch takes this record too. A single record may be larger than any batch is to be.
    pub(super) fn takes(&self, builder: &BatchBuilder, record: &RecordView<'_>) -> bool {
        builder.fits(record)
            && builder.body_len() + record.encoded_len() <= self.batch_bytes_max
            && builder.record_count() < self.batch_records_max
    }
}

/// A batch holds at most what a second allows, divided by this.
const PARTS: u64 = 8;
/// Acks in a row after which twice as many puts may be unanswered.
const ACKS_FOR_MORE: usize = 16;

#[cfg(test)]
mod tests {
    use rheos_protocol::record::Record;

    use super::*;

    fn over(bytes: u64, records: u64) -> WireError {
        WireError::retry_after(ErrorCode::OverLimit, 10, "too much").with_detail(bytes, records)
    }

    #[test]
    fn one_is_out_after_a_refusal_and_more_after_many_acks() {
        let mut pace = Pace::default();
        pace.refused(&WireError::behind(7));
        pace.refused(&WireError::retry_after(ErrorCode::Busy, 10, "busy"));
        assert_eq!(pace, Pace::default(), "no limit was spoken of");
        pace.refused(&over(1 << 20, 1_000));
        let mut seen = Vec::new();
        for _ in 0..6 * ACKS_FOR_MORE {
            seen.push(pace.in_flight_max());
            pace.acked();
        }
        assert!(seen.is_sorted() && seen.first() == Some(&1) && seen.last() == Some(&32), "{seen:?}");
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn batches_are_a_part_of_what_a_second_allows() {
        let count = |pace: &Pace, record: &Record| {
            let mut builder = BatchBuilder::default();
            while builder.record_count() == 0 || pace.takes(&builder, &record.view()) {
                builder.push(&record.view(), 1 << 20).expect("it is within limits");
            }
            (builder.record_count(), builder.body_len())
        };
        let mut pace = Pace::default();
        let small = Record::new("k", vec![0; 100]);
        assert!(count(&pace, &small).0 > 2_000);
        pace.refused(&over(0, 1_000));
        assert_eq!(count(&pace, &small).0, 125);
        pace.refused(&over(1 << 20, 0));
        assert!(count(&pace, &small).1 <= 128 << 10);
        pace.refused(&over(1, 1));
        assert_eq!(count(&pace, &small).0, 1);
        assert_eq!(count(&pace, &Record::new("k", vec![0; 1 << 20])).0, 1);
    }
}
