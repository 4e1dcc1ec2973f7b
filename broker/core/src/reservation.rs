//! Reservations: what is promised to registered consumers, how it falls on shards and lanes, and whether a lane can
//! keep one promise more.
//!
//! A consumer's reservation is divided evenly over the open shards of its stream. A shard brings no more than what
//! comes in, so its promise weighs no more than its ingest limit. A lane may promise
//! [`PROMISED_PERCENT_MAX`] percent of its capacity.
//!
//! What must hold: a change that would have a lane promise more than that is refused, with the sum; one that has no
//! lane promise more than before is not, even where a lane of this run has too much already, because there are
//! fewer lanes than in the run before or it was found to be slower. While a stream is resharded it weighs what it
//! weighs before or after, whichever is more.

use std::borrow::Borrow;
use std::num::NonZeroU64;

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::StreamLimits;

use crate::capacity::{Capacity, Found};
use crate::catalog::{StreamRecord, plan_reshard};
use crate::lanes::lane_of;
use crate::limits::PROMISED_PERCENT_MAX;

/// A stream, and what is reserved of it: bytes a second for each consumer that has a reservation.
#[derive(Debug, Clone)]
pub struct Reserved<S> {
    /// The stream.
    pub stream: S,
    /// The reservations.
    pub consumers: Vec<NonZeroU64>,
}

/// What lanes have promised, in bytes a second each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised(Vec<u64>);

/// What a reservation promises of each of so many open shards, in bytes a second; rounded up, so that all together
/// are no less than it.
///
/// # Panics
///
/// Without a shard: a stream has at least one.
pub fn share_of_shard(reservation: NonZeroU64, open_shards: usize) -> NonZeroU64 {
    assert!(open_shards > 0, "the open shards of a stream tile the hash space");
    NonZeroU64::new(reservation.get().div_ceil(open_shards as u64)).expect("a part of something is something")
}

impl Promised {
    /// What so many lanes have promised when these streams have these reservations; `inherited` are the broker's
    /// limits.
    pub fn of<S: Borrow<StreamRecord>>(streams: &[Reserved<S>], lanes: u16, inherited: StreamLimits) -> Promised {
        let mut promised = Promised(vec![0; lanes.into()]);
        for Reserved { stream, consumers } in streams {
            let stream = stream.borrow();
            let now = weights(stream, &logs_of_open(stream), consumers, lanes, inherited);
            let then = logs_after_reshard(stream).map(|logs| weights(stream, &logs, consumers, lanes, inherited));
            for (lane, sum) in promised.0.iter_mut().enumerate() {
                let after = then.as_ref().map_or(0, |then| then[lane]);
                *sum = sum.saturating_add(now[lane].max(after));
            }
        }
        promised
    }

    /// Whether lanes that have promised this may promise `after`.
    ///
    /// # Errors
    ///
    /// `OverReserved`, which names the lane, the sum, the most and what to do.
    pub fn admit(&self, after: &Promised, capacity: &Capacity) -> Result<(), WireError> {
        let most = capacity.promised_max();
        let lanes = self.0.iter().zip(&after.0).enumerate();
        let over = lanes.filter(|(_, (before, after))| **after > most && after > before);
        match over.max_by_key(|(_, (_, after))| **after) {
            Some((lane, (before, after))) => Err(over_reserved(lane, *before, *after, capacity)),
            None => Ok(()),
        }
    }

    /// What an operator should know: the lane that has promised the most, when it is more than it may.
    pub fn excess(&self, capacity: &Capacity) -> Option<String> {
        let most = capacity.promised_max();
        let (lane, sum) = self.0.iter().enumerate().max_by_key(|(_, sum)| **sum).filter(|(_, sum)| **sum > most)?;
        Some(format!("lane {lane} has promised its consumers {}, and {}", rate(*sum), bound(capacity)))
    }
}

/// What a stream with its open shards in these logs weighs on each lane.
fn weights(
    stream: &StreamRecord,
    logs_of_open: &[u32],
    consumers: &[NonZeroU64],
    lanes: u16,
    inherited: StreamLimits,
) -> Vec<u64> {
    let limit = stream.terms.limits.or(inherited).in_bytes.per_second().map_or(u64::MAX, NonZeroU64::get);
    let share = |reservation: &NonZeroU64| share_of_shard(*reservation, logs_of_open.len()).get().min(limit);
    let of_shard = consumers.iter().map(share).fold(0, u64::saturating_add);
    let mut sums = vec![0u64; lanes.into()];
    for log in logs_of_open {
        let sum = &mut sums[usize::from(lane_of(stream.incarnation, *log, lanes))];
        *sum = sum.saturating_add(of_shard);
    }
    sums
}

/// The log of each open shard.
fn logs_of_open(stream: &StreamRecord) -> Vec<u32> {
    stream.open_shards().map(|shard| shard.log).collect()
}

/// The same after the reshard that has begun.
fn logs_after_reshard(stream: &StreamRecord) -> Option<Vec<u32>> {
    let plan = plan_reshard(stream, stream.resharding?).expect("a reshard that has begun was planned");
    Some(stream.logs_of_open_after(&plan))
}

fn over_reserved(lane: usize, before: u64, after: u64, capacity: &Capacity) -> WireError {
    let message = format!(
        "lane {lane} would promise its consumers {} ({} before), and {}; reserve less, lower the ingest limit of the \
         stream's shards, or take another reservation back",
        rate(after),
        rate(before),
        bound(capacity)
    );
    WireError::new(ErrorCode::OverReserved, message).with_detail(capacity.promised_max(), after)
}

fn bound(capacity: &Capacity) -> String {
    let found = match capacity.found() {
        Found::Assumed => "assumed: rheos calibrate measures it",
        Found::Measured { .. } => "measured",
        Found::Set { .. } => "set by hand",
    };
    format!(
        "may promise {}, {PROMISED_PERCENT_MAX} % of its capacity of {} ({found})",
        rate(capacity.promised_max()),
        rate(capacity.bytes_per_second())
    )
}

/// A rate as an operator reads it, in MiB/s to a hundredth.
fn rate(bytes_per_second: u64) -> String {
    let hundredths = u128::from(bytes_per_second) * 100 / (1 << 20);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    if rest == 0 { format!("{whole} MiB/s") } else { format!("{whole}.{rest:02} MiB/s") }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::message::{CreateStream, Limit, LimitsUpdate, UpdateStream};

    use super::*;
    use crate::catalog::{Reshard, plan_stream};

    const MIB: u64 = 1 << 20;

    fn stream(incarnation: u64, shards: u32, lanes: u16) -> StreamRecord {
        let create = CreateStream { name: "orders".to_owned(), shards, ..CreateStream::default() };
        plan_stream(&create, 1_700_000_000_000, incarnation, lanes, None).expect("it is in range")
    }

    fn limited(stream: StreamRecord, in_bytes: u64) -> StreamRecord {
        let limits = LimitsUpdate { in_bytes: Some(Limit::of(in_bytes)), ..LimitsUpdate::default() };
        let update = UpdateStream { limits, ..UpdateStream::of("orders") };
        stream.update(&update, 0).expect("it is in range").expect("it changes")
    }

    fn sums(streams: &[(&StreamRecord, &[u64])], lanes: u16) -> Vec<u64> {
        let bytes = |mib: &u64| NonZeroU64::new(mib * MIB).expect("it is a reservation");
        let all: Vec<_> = streams
            .iter()
            .map(|(stream, mib)| Reserved { stream: *stream, consumers: mib.iter().map(bytes).collect() })
            .collect();
        Promised::of(&all, lanes, StreamLimits::default()).0
    }

    fn capacity(mib: u64) -> Capacity {
        Capacity::new(mib * MIB, Found::Set { at_ms: 1 }).expect("it is in range")
    }

    #[test]
    fn a_reservation_is_divided_over_the_open_shards_and_their_lanes() {
        let (even, odd) = (stream(0, 4, 2), stream(0, 3, 2));
        assert_eq!(sums(&[(&even, &[8])], 2), [4 * MIB, 4 * MIB]);
        assert_eq!(sums(&[(&even, &[8, 4])], 2), [6 * MIB, 6 * MIB]);
        assert_eq!(sums(&[(&even, &[8])], 1), [8 * MIB], "fewer lanes have more to keep");
        assert_eq!(sums(&[(&odd, &[6])], 2), [4 * MIB, 2 * MIB], "shards 0 and 2 are in log 0");
        assert_eq!(sums(&[(&even, &[8]), (&stream(1, 1, 2), &[1])], 2), [4 * MIB, 5 * MIB]);
        assert_eq!(sums(&[(&even, &[])], 2), [0, 0]);
        let uneven = NonZeroU64::new(10).expect("it is not 0");
        assert_eq!(share_of_shard(uneven, 3).get(), 4, "no byte of the promise is lost");
        assert_eq!(share_of_shard(NonZeroU64::MIN, 10_000).get(), 1);
    }

    #[test]
    fn a_shard_weighs_no_more_than_what_comes_in() {
        let kinesis = limited(stream(0, 4, 1), MIB);
        assert_eq!(sums(&[(&kinesis, &[8])], 1), [4 * MIB]);
        assert_eq!(sums(&[(&kinesis, &[2])], 1), [2 * MIB]);
        assert_eq!(sums(&[(&kinesis, &[8, 8, 2])], 1), [10 * MIB], "for each consumer");
        let all = [Reserved { stream: &stream(0, 4, 1), consumers: vec![NonZeroU64::new(8 * MIB).expect("not 0")] }];
        assert_eq!(Promised::of(&all, 1, StreamLimits::kinesis()).0, [4 * MIB], "the broker's limits count");
    }

    #[test]
    fn a_reshard_weighs_what_it_begins_with_or_leads_to() {
        let before = limited(stream(0, 1, 1), MIB);
        assert_eq!(sums(&[(&before, &[8])], 1), [MIB]);
        let split = Reshard::Split { shard: 0, at: 1 << 127 };
        let (begun, _) = before.begin_reshard(split, None).expect("it can be split");
        assert_eq!(sums(&[(&begun, &[8])], 1), [2 * MIB], "two shards take in twice as much");
        let done = begun.finish_reshard(&[(0, 5)].into(), 1).expect("it has begun").expect("it changes");
        assert_eq!(sums(&[(&done, &[8])], 1), [2 * MIB]);
        let (merging, _) =
            done.begin_reshard(Reshard::Merge { shard: 1, adjacent: 2 }, None).expect("they are neighbours");
        assert_eq!(sums(&[(&merging, &[8])], 1), [2 * MIB], "until it is done");
        let scale = stream(0, 4, 2).begin_reshard(Reshard::Scale { target: 5 }, None).expect("it can be scaled").0;
        let done = {
            let ends = [(0, 1), (1, 1), (2, 1), (3, 1)].into();
            scale.finish_reshard(&ends, 1).expect("it has begun").expect("it changes")
        };
        let [after, most] = [&done, &scale].map(|it| sums(&[(it, &[10])], 2));
        assert!(after.iter().zip(&most).all(|(after, most)| after <= most), "{after:?} {most:?}");
    }

    #[test]
    fn a_lane_promises_no_more_than_its_part() {
        let stream = stream(0, 1, 1);
        let of = |mib: &[u64]| Promised(sums(&[(&stream, mib)], 1));
        assert_eq!(of(&[]).admit(&of(&[60]), &capacity(100)), Ok(()), "60 % are in order");
        let refused = of(&[30]).admit(&of(&[30, 31]), &capacity(100)).expect_err("it is more");
        assert_eq!((refused.code, refused.detail, refused.detail_2), (ErrorCode::OverReserved, 60 * MIB, 61 * MIB));
        for part in ["lane 0 ", "61 MiB/s (30 MiB/s before)", "60 MiB/s, 60 % of its capacity of 100 MiB/s", "less"] {
            assert!(refused.message.contains(part), "{part}: {refused}");
        }
        let assumed = of(&[]).admit(&of(&[39]), &Capacity::ASSUMED).expect_err("it is more than 38.4");
        assert!(assumed.message.contains("38.39 MiB/s") && assumed.message.contains("rheos calibrate"), "{assumed}");
    }

    #[test]
    fn what_is_too_much_already_may_become_less() {
        let stream = stream(0, 1, 1);
        let of = |mib: &[u64]| Promised(sums(&[(&stream, mib)], 1));
        let (slow, much) = (capacity(10), of(&[50, 50]));
        assert_eq!(much.admit(&of(&[50]), &slow), Ok(()));
        assert_eq!(much.admit(&much, &slow), Ok(()));
        assert!(much.admit(&of(&[50, 50, 1]), &slow).is_err());
        let told = much.excess(&slow).expect("it is too much");
        assert!(told.contains("lane 0 has promised its consumers 100 MiB/s"), "{told}");
        assert_eq!(much.excess(&capacity(1_000)), None);
        assert_eq!(Promised(vec![0]).excess(&slow), None);
    }

    #[test]
    fn the_worst_lane_is_named() {
        let (before, after) = (Promised(vec![0, 0, 0]), Promised(vec![70 * MIB, 0, 90 * MIB]));
        let refused = before.admit(&after, &capacity(100)).expect_err("two are too much");
        assert!(refused.message.starts_with("lane 2 would promise its consumers 90 MiB/s"), "{refused}");
        let huge = Promised(vec![u64::MAX]);
        assert!(huge.excess(&capacity(1)).is_some(), "sums saturate");
    }
}
