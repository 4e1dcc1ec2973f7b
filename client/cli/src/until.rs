//! Where reading ends: `--until`.
//!
//! A position lies between two records, so what is asked for is everything from `--from` on and before
//! `--until`. What must hold: nothing at or behind the end of a shard is printed.

use std::time::Duration;

use jiff::Timestamp;
use rheos_client::{Client, Position, RecordAt, StreamDescription};

use crate::failure::Failure;

/// How long after a moment the broker is taken to have stored what it took before: clocks differ, and
/// a write takes its time.
const GRACE_MS: u64 = 1_000;

/// Where a shard ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The first sequence that is not asked for.
    pub(crate) before_sequence: u64,
    /// Records that arrived then or later are not asked for.
    before_ms: u64,
}

impl End {
    /// No end.
    pub(crate) const NEVER: End = End { before_sequence: u64::MAX, before_ms: u64::MAX };

    /// The end that a position says by itself. `Latest` says none: that is the tip of each shard.
    pub(crate) fn at(until: Option<Position>) -> Result<End, Failure> {
        Ok(match until {
            None | Some(Position::Latest) => End::NEVER,
            Some(Position::AtSequence(sequence)) => End { before_sequence: sequence, ..End::NEVER },
            Some(Position::AfterSequence(sequence)) => {
                End { before_sequence: sequence.saturating_add(1), ..End::NEVER }
            }
            Some(Position::AtTimestamp(ms)) => End { before_ms: ms, ..End::NEVER },
            Some(Position::TrimHorizon) => {
                let nothing = "--until trim-horizon: nothing comes before the first record that is kept";
                return Err(Failure::Usage(nothing.to_owned()));
            }
        })
    }

    /// The same end, or this one if it comes first.
    pub(crate) fn or_at(self, sequence: u64) -> End {
        End { before_sequence: self.before_sequence.min(sequence), ..self }
    }

    /// Whether a record is not asked for any more. Then none behind it is: arrivals never go back.
    pub(crate) fn is_before(&self, at: &RecordAt<'_>) -> bool {
        at.sequence >= self.before_sequence || at.arrival_ms >= self.before_ms
    }

    /// Whether a shard of which everything before `next_sequence` was printed is at its end.
    pub(crate) fn is_reached(&self, next_sequence: u64) -> bool {
        next_sequence >= self.before_sequence
    }

    /// Waits until nothing more can come before the end: then what there is, is all. For ever where the end
    /// is no moment.
    pub(crate) async fn passed(&self) {
        if self.before_ms == u64::MAX {
            return std::future::pending().await;
        }
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let passed_ms = self.before_ms.saturating_add(GRACE_MS);
        tokio::time::sleep(Duration::from_millis(passed_ms.saturating_sub(now_ms))).await;
    }
}

/// The next sequence of a shard.
pub(crate) async fn tip(client: &Client, stream: &StreamDescription, shard: u32) -> Result<u64, Failure> {
    let mut reader = client.reader_of(stream, shard, Position::Latest)?;
    Ok(reader.read_once().await?.tip_sequence)
}

/// Refuses what makes no sense: a sequence where there is not one shard, an end that is not behind the beginning.
pub(crate) fn check(from: Position, until: Option<Position>, shards: usize) -> Result<(), Failure> {
    for (option, position) in [("--from", Some(from)), ("--until", until)] {
        if let Some(Position::AtSequence(sequence) | Position::AfterSequence(sequence)) = position
            && shards != 1
        {
            let one = format!("{option} {sequence}: a sequence belongs to one shard; say which with --shard");
            return Err(Failure::Usage(one));
        }
    }
    let is_empty = match (from, End::at(until)?) {
        (Position::AtSequence(first), end) => end.is_reached(first),
        (Position::AfterSequence(last), end) => end.is_reached(last.saturating_add(1)),
        (Position::AtTimestamp(ms), end) => ms >= end.before_ms,
        (Position::TrimHorizon | Position::Latest, _) => false,
    };
    match is_empty {
        true => Err(Failure::Usage("--until is not behind --from: there is nothing between them".to_owned())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rheos_client::RecordView;

    #[test]
    fn what_is_at_the_end_or_behind_it_is_not_asked_for() {
        let at = |sequence, arrival_ms| {
            let record = RecordView { partition_key: "k", explicit_hash_key: None, data: b"" };
            RecordAt { sequence, arrival_ms, record }
        };
        for (until, last, first) in [
            (Position::AtSequence(5), at(4, 9), at(5, 9)),
            (Position::AfterSequence(5), at(5, 9), at(6, 9)),
            (Position::AtTimestamp(9), at(7, 8), at(8, 9)),
        ] {
            let end = End::at(Some(until)).unwrap();
            assert!(!end.is_before(&last) && end.is_before(&first), "{until:?}");
        }
        let never = End::at(Some(Position::Latest)).unwrap();
        assert!(!never.is_before(&at(u64::MAX - 1, u64::MAX - 1)) && never == End::NEVER);
        assert!(never.or_at(3).is_before(&at(3, 0)) && never.or_at(3).is_reached(3) && !never.or_at(3).is_reached(2));
        assert!(End::at(Some(Position::TrimHorizon)).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        use Position::{AfterSequence, AtSequence, AtTimestamp, Latest, TrimHorizon};
        for (from, until, shards) in [
            (AtSequence(5), Some(AtSequence(6)), 1),
            (AtSequence(5), Some(AfterSequence(5)), 1),
            (AtTimestamp(5), Some(AtTimestamp(6)), 3),
            (TrimHorizon, Some(Latest), 3),
            (Latest, None, 3),
        ] {
            assert!(check(from, until, shards).is_ok(), "{from:?} {until:?}");
        }
        for (from, until, shards, why) in [
            (AtSequence(5), None, 2, "--from 5: a sequence belongs to one shard"),
            (TrimHorizon, Some(AfterSequence(7)), 2, "--until 7: a sequence belongs to one shard"),
            (AtSequence(5), Some(AtSequence(5)), 1, "not behind"),
            (AfterSequence(5), Some(AfterSequence(5)), 1, "not behind"),
            (AtTimestamp(5), Some(AtTimestamp(5)), 1, "not behind"),
            (Latest, Some(TrimHorizon), 1, "nothing comes before"),
        ] {
            let refused = check(from, until, shards).expect_err(why);
            assert!(refused.message().contains(why), "{from:?} {until:?}: {}", refused.message());
        }
    }
}
