//! What a new stream will be, and why one is refused.
//!
//! What must hold: a refusal names the field, its value and the range; the creation second of two
//! lives of one name differs, also after the clock was set back.

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::hash::HashRange;
use rheos_protocol::limits::{
    RECORD_BYTES_DEFAULT, RECORD_BYTES_LEAST, RECORD_BYTES_MAX, RETENTION_MS_LEAST, RETENTION_MS_MAX, SHARDS_MAX,
};
use rheos_protocol::message::CreateStream;
use rheos_protocol::name::StreamName;

use super::record::StreamFields;
use super::terms::refuse_unless_mode;
use super::{LOGS_OF_STREAM_MAX, ShardMetrics, ShardRecord, ShardState, StreamRecord, StreamTerms, Tags};

/// Most shards of one broker, all streams together, the closed ones included.
pub const SHARDS_OF_BROKER_MAX: u64 = 200_000;
/// How long the creation second of a deleted name must be remembered.
pub const TOMBSTONE_SECONDS: u64 = 2;

/// Plans the stream that is asked for.
///
/// `lanes` is the number of lanes now, 1 to 256. `last_created_second_of_name` is that of the newest
/// deleted life of the name, as far as it is known ([`creation_second`]); the new one is later.
///
/// # Errors
///
/// `BadRequest`, which names the field.
///
/// # Panics
///
/// When `lanes` is not from 1 to 256.
pub fn plan_stream(
    create: &CreateStream,
    now_ms: u64,
    incarnation: u64,
    lanes: u16,
    last_created_second_of_name: Option<u64>,
) -> Result<StreamRecord, WireError> {
    assert!((1..=LOGS_OF_STREAM_MAX).contains(&u32::from(lanes)), "a broker has 1 to 256 lanes, not {lanes}");
    let name = StreamName::new(&create.name)
        .map_err(|error| WireError::new(ErrorCode::BadRequest, format!("name: {error}")))?;
    let shards = create.shards;
    refuse_unless("shards", shards.into(), 1, SHARDS_MAX.into(), "")?;
    refuse_unless_mode(create.mode)?;
    if let Some(bounds) = create.mode.bounds() {
        let (least, most) = (bounds.min.into(), bounds.max.into());
        refuse_unless("shards", shards.into(), least, most, ", the bounds of the on-demand stream")?;
    }
    let retention_ms = or_default(create.retention_ms, RETENTION_MS_LEAST);
    refuse_unless("retention_ms", retention_ms, RETENTION_MS_LEAST, RETENTION_MS_MAX, " ms, or 0 for the least")?;
    let record_bytes_max = or_default(create.record_bytes_max, RECORD_BYTES_DEFAULT);
    let (least, most) = (RECORD_BYTES_LEAST.into(), RECORD_BYTES_MAX.into());
    refuse_unless("record_bytes_max", record_bytes_max.into(), least, most, " bytes, or 0 for 1 MiB")?;

    let created_ms = match last_created_second_of_name {
        Some(second) => now_ms.max((second + 1) * 1_000),
        None => now_ms,
    };
    let log_count = shards.min(lanes.into());
    let first_shard = |(range, shard)| ShardRecord {
        shard,
        range,
        state: ShardState::Open,
        parent: None,
        adjacent_parent: None,
        log: log_of(shard, log_count),
        opened_ms: created_ms,
    };
    let shards = HashRange::even(shards).zip(0..).map(first_shard).collect();
    let resharding = None;
    let terms = StreamTerms { mode: create.mode, ..StreamTerms::new(retention_ms, record_bytes_max) };
    let (tags, shard_metrics) = (Tags::default(), ShardMetrics::NONE);
    let fields =
        StreamFields { name, incarnation, created_ms, terms, log_count, shards, resharding, tags, shard_metrics };
    Ok(fields.prove().expect("even ranges tile the hash space, and the rest was looked at"))
}

/// Refuses shards beyond what one broker carries.
///
/// # Errors
///
/// `LimitExceeded`, which names the limit.
pub fn admit_shards(shards_now: u64, more: u32) -> Result<(), WireError> {
    if shards_now + u64::from(more) <= SHARDS_OF_BROKER_MAX {
        return Ok(());
    }
    let message = format!(
        "a broker carries {SHARDS_OF_BROKER_MAX} shards, this one has {shards_now}, so {more} more do not fit; \
         delete streams or ask for fewer shards"
    );
    Err(WireError::new(ErrorCode::LimitExceeded, message).with_detail(SHARDS_OF_BROKER_MAX, shards_now))
}

/// The refusal of a second stream of one name.
pub fn stream_exists(name: &StreamName) -> WireError {
    WireError::new(
        ErrorCode::StreamExists,
        format!("a stream named {name} exists; delete it first or choose another name"),
    )
}

/// The refusal of a request about a stream that is not there.
pub fn stream_not_found(name: &StreamName) -> WireError {
    WireError::new(ErrorCode::StreamNotFound, format!("there is no stream named {name}"))
}

/// Whether the tombstone of a name, with its creation second, is no longer needed.
pub fn tombstone_may_go(created_second: u64, now_ms: u64) -> bool {
    created_second.saturating_add(TOMBSTONE_SECONDS) <= now_ms / 1_000
}

/// The newest second in which a deleted life of a name may have begun: its tombstone's, or, when that
/// is gone, the newest second of any tombstone that has gone. The second matters only when the clock
/// was set back since.
pub fn creation_second(tombstone: Option<u64>, newest_gone: Option<u64>) -> Option<u64> {
    tombstone.or(newest_gone)
}

/// The log of a shard: a stream's shards are dealt to its logs in turn, those that come later too.
pub(super) fn log_of(shard: u32, log_count: u32) -> u32 {
    shard % log_count
}

fn or_default<T: Default + PartialEq>(value: T, default: T) -> T {
    if value == T::default() { default } else { value }
}

pub(super) fn refuse_unless(field: &str, value: u64, least: u64, most: u64, unit: &str) -> Result<(), WireError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("{field} is {value} and must be from {least} to {most}{unit}");
    Err(WireError::new(ErrorCode::BadRequest, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_123;

    fn create(shards: u32) -> CreateStream {
        CreateStream { name: "orders".to_owned(), shards, ..CreateStream::default() }
    }

    #[test]
    fn defaults_are_those_of_kinesis() {
        let stream = plan_stream(&create(1), NOW_MS, 9, 4, None).expect("it is in range");
        assert_eq!(stream.terms, StreamTerms::new(86_400_000, 1 << 20));
        assert_eq!((stream.incarnation, stream.created_ms, stream.log_count), (9, NOW_MS, 1));
    }

    #[test]
    fn shards_are_dealt_evenly_to_as_many_logs_as_there_are_lanes() {
        for (shards, lanes, log_count) in [(1, 1, 1), (3, 8, 3), (8, 3, 3), (10_000, 256, 256)] {
            let stream = plan_stream(&create(shards), NOW_MS, 1, lanes, None).expect("it is in range");
            assert_eq!(stream.log_count, log_count);
            let counts: Vec<_> = (0..log_count).map(|log| stream.shards_of_log(log).count() as u32).collect();
            assert_eq!(counts.iter().sum::<u32>(), shards);
            assert!(counts.iter().all(|count| count.abs_diff(shards / log_count) <= 1), "{counts:?}");
            assert!(stream.shards.iter().all(|shard| shard.log == shard.shard % log_count && shard.is_open()));
            assert!(stream.shards.iter().map(|shard| shard.range).eq(HashRange::even(shards)));
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_and_named() {
        let good = create(1);
        for (bad, field, value) in [
            (CreateStream { shards: 0, ..good.clone() }, "shards", "0"),
            (CreateStream { shards: 10_001, ..good.clone() }, "shards", "10001"),
            (CreateStream { retention_ms: 1, ..good.clone() }, "retention_ms", "1"),
            (CreateStream { retention_ms: RETENTION_MS_MAX + 1, ..good.clone() }, "retention_ms", "31536000001"),
            (CreateStream { record_bytes_max: 1_048_575, ..good.clone() }, "record_bytes_max", "1048575"),
            (CreateStream { record_bytes_max: u32::MAX, ..good.clone() }, "record_bytes_max", "4294967295"),
            (CreateStream { name: "no spaces".to_owned(), ..good.clone() }, "name", "\"no spaces\""),
            (CreateStream { name: String::new(), ..good.clone() }, "name", "\"\""),
        ] {
            let error = plan_stream(&bad, NOW_MS, 1, 1, None).expect_err(field);
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.starts_with(field) && error.message.contains(value), "{}", error.message);
        }
        for (least, most) in [(RETENTION_MS_LEAST, RECORD_BYTES_LEAST), (RETENTION_MS_MAX, RECORD_BYTES_MAX)] {
            let edge = CreateStream { retention_ms: least, record_bytes_max: most, ..good.clone() };
            plan_stream(&edge, NOW_MS, 1, 1, None).expect("the ends of a range belong to it");
        }
    }

    #[test]
    fn two_lives_of_a_name_never_begin_in_one_second() {
        for (last, created_ms) in [
            (None, NOW_MS),
            (Some(0), NOW_MS),
            (Some(NOW_MS / 1_000 - 1), NOW_MS),
            (Some(NOW_MS / 1_000), 1_700_000_001_000),
            // The clock was set back.
            (Some(NOW_MS / 1_000 + 60), 1_700_000_061_000),
        ] {
            let stream = plan_stream(&create(1), NOW_MS, 1, 1, last).expect("it is in range");
            assert_eq!(stream.created_ms, created_ms, "after {last:?}");
            assert!(last.is_none_or(|last| stream.created_second() > last));
        }
    }

    #[test]
    fn a_tombstone_stays_while_it_matters() {
        for (created_second, now_ms, gone) in
            [(10, 10_000, false), (10, 11_999, false), (10, 12_000, true), (10, 9_000, false), (u64::MAX, 0, false)]
        {
            assert_eq!(tombstone_may_go(created_second, now_ms), gone, "{created_second} at {now_ms}");
        }
        assert_eq!(creation_second(Some(5), Some(9)), Some(5));
        assert_eq!(creation_second(None, Some(9)), Some(9));
        assert_eq!(creation_second(None, None), None);
    }

    #[test]
    fn a_broker_has_its_limit() {
        admit_shards(0, 10_000).expect("there is room");
        admit_shards(SHARDS_OF_BROKER_MAX - 10, 10).expect("the last ones fit");
        let error = admit_shards(SHARDS_OF_BROKER_MAX - 10, 11).expect_err("there is no room");
        assert_eq!((error.code, error.detail), (ErrorCode::LimitExceeded, SHARDS_OF_BROKER_MAX));
        assert!(error.message.contains("200000"), "{}", error.message);
    }
}
