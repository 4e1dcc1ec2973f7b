//! SplitShard, MergeShards and UpdateShardCount: what is to become of a stream's shards, and AWS's reasons why not.
//!
//! The order of the checks: the shard is there, the stream is active, is provisioned, the shard is open, the hash key
//! or the neighbour fits, the account has room. The plan itself is the core's.

use rheos_core::catalog::{Reshard, ShardRecord};

use crate::error::{Error, ErrorKind};
use crate::operations::account::{ShardUsage, admit_open_shards};
use crate::operations::streams::StreamView;
use crate::shapes::operations::find;
use crate::shard_id::ShardId;
use crate::shard_view::shard_id;
use crate::value::Structure;

/// How far one UpdateShardCount may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleLimits {
    /// Any way there is.
    None,
    /// As on AWS: to twice the open shards at most, and half of them at least.
    Kinesis,
}

/// What a SplitShard asks for.
///
/// # Errors
///
/// `ResourceNotFoundException`, `ResourceInUseException` unless it is active, `ValidationException` for a stream on
/// demand, `InvalidArgumentException` for a closed shard or a hash key outside, `LimitExceededException`.
pub fn split(input: &Structure, stream: &StreamView<'_>, usage: &ShardUsage) -> Result<Reshard, Error> {
    let shard = named(input.required("ShardToSplit"), stream)?;
    stream.status.must_be_active(stream.arn)?;
    stream.must_be_provisioned()?;
    must_be_open(shard, stream)?;
    let given: &str = input.required("NewStartingHashKey");
    let (first, last) = (shard.range.first, shard.range.last);
    // Of 39 digits not all are in the hash space; those beyond it are not less than the end of any shard.
    let at = given.parse::<u128>().ok().filter(|at| at.saturating_sub(first) > 1 && *at < last);
    let at = at.ok_or_else(|| {
        Error::invalid_argument(format!(
            "NewStartingHashKey {given} used in SplitShard() on shard {} in stream {} is not both greater than one plus \
             the shard's StartingHashKey {first} and less than the shard's EndingHashKey {last}.",
            shard_id(shard.shard),
            stream.named()
        ))
    })?;
    usage.admit(stream.arn, 1)?;
    Ok(Reshard::Split { shard: shard.shard, at })
}

/// What a MergeShards asks for. ShardToMerge must be the lower one, as on AWS.
///
/// # Errors
///
/// As of [`split`].
pub fn merge(input: &Structure, stream: &StreamView<'_>) -> Result<Reshard, Error> {
    let shard = named(input.required("ShardToMerge"), stream)?;
    let adjacent = named(input.required("AdjacentShardToMerge"), stream)?;
    stream.status.must_be_active(stream.arn)?;
    stream.must_be_provisioned()?;
    must_be_open(shard, stream)?;
    must_be_open(adjacent, stream)?;
    if shard.range.last.checked_add(1) != Some(adjacent.range.first) {
        return Err(Error::invalid_argument(format!(
            "Shards {} and {} in stream {} are not an adjacent pair of shards eligible for merging",
            shard_id(shard.shard),
            shard_id(adjacent.shard),
            stream.named()
        )));
    }
    Ok(Reshard::Merge { shard: shard.shard, adjacent: adjacent.shard })
}

/// What an UpdateShardCount asks for; `None` when there are as many as that.
///
/// # Errors
///
/// `ResourceInUseException` unless it is active, `ValidationException` for a stream on demand,
/// `LimitExceededException`.
pub fn scale(
    input: &Structure,
    stream: &StreamView<'_>,
    usage: &ShardUsage,
    limits: ScaleLimits,
) -> Result<Option<Reshard>, Error> {
    stream.status.must_be_active(stream.arn)?;
    stream.must_be_provisioned()?;
    let target = u32::try_from(input.required::<i64>("TargetShardCount")).expect("the table bounds it");
    let open = open_shards(stream);
    let beyond = match limits {
        ScaleLimits::None => None,
        ScaleLimits::Kinesis if target > open.saturating_mul(2) => Some("up over double"),
        ScaleLimits::Kinesis if target < open.div_ceil(2) => Some("down below half"),
        ScaleLimits::Kinesis => None,
    };
    if let Some(beyond) = beyond {
        let message = format!(
            "UpdateShardCount cannot scale {beyond} your current open shard count. Current open shard count: {open}, \
             Target shard count: {target}"
        );
        return Err(Error::new(ErrorKind::LimitExceeded, message));
    }
    admit_open_shards(open, target)?;
    usage.admit(stream.arn, target.saturating_sub(open))?;
    Ok((target != open).then_some(Reshard::Scale { target }))
}

/// The answer to an UpdateShardCount, for the stream as it was before.
pub fn scaled(input: &Structure, stream: &StreamView<'_>) -> Structure {
    let answer = find("UpdateShardCount").expect("it is in the table").answer();
    answer
        .with("StreamName", stream.arn.name().as_str())
        .with("CurrentShardCount", open_shards(stream))
        .with("TargetShardCount", input.required::<i64>("TargetShardCount"))
        .with("StreamARN", stream.arn.to_string())
}

fn open_shards(stream: &StreamView<'_>) -> u32 {
    u32::try_from(stream.record.open_shards().len()).expect("a stream has at most 10,000")
}

fn named<'a>(given: &str, stream: &StreamView<'a>) -> Result<&'a ShardRecord, Error> {
    let of = stream.arn.in_messages();
    let id = ShardId::parse(given, &of)?;
    stream.record.shard(id.number()).ok_or_else(|| id.could_not_be_found(&of))
}

fn must_be_open(shard: &ShardRecord, stream: &StreamView<'_>) -> Result<(), Error> {
    if shard.is_open() {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "Shard {} in stream {} has already been merged or split, and thus is not eligible for merging or splitting.",
        shard_id(shard.shard),
        stream.named()
    )))
}

#[cfg(test)]
mod tests {
    use rheos_core::catalog::StreamRecord;

    use super::*;
    use crate::operations::status::StreamStatus;
    use crate::operations::testing::{
        CREATED_MS, input, input_of, json, on_demand, record, refusal_of, resharded, viewed,
    };

    const ROOM: ShardUsage = ShardUsage { open: 4, limit: 5 };
    const FULL: ShardUsage = ShardUsage { open: 5, limit: 5 };
    const ON_DEMAND: &str =
        "ValidationException: Request is invalid. Stream orders under account 000000000000 is in On-Demand mode.";
    const NOT_ACTIVE: &str =
        "ResourceInUseException: Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING";

    /// Shard 0 has the hash keys 0 to 2^127 - 1, and shard 1 the rest.
    fn split_at(record: &StreamRecord, shard: &str, key: &str, usage: &ShardUsage) -> Result<Reshard, Error> {
        let input = input("SplitShard", &[("ShardToSplit", shard), ("NewStartingHashKey", key)]);
        viewed(record, StreamStatus::Active, |view| split(&input, view, usage))
    }

    fn merge_of(record: &StreamRecord, shard: &str, adjacent: &str) -> Result<Reshard, Error> {
        let input = input("MergeShards", &[("ShardToMerge", shard), ("AdjacentShardToMerge", adjacent)]);
        viewed(record, StreamStatus::Active, |view| merge(&input, view))
    }

    fn scale_to(record: &StreamRecord, target: i64, limits: ScaleLimits) -> Result<Option<Reshard>, Error> {
        let input = input_of("UpdateShardCount", [("TargetShardCount", target.into())]);
        viewed(record, StreamStatus::Active, |view| scale(&input, view, &ShardUsage { open: 4, limit: 100 }, limits))
    }

    #[test]
    fn a_split_is_strictly_inside_as_aws_has_it() {
        let last = (1_u128 << 127) - 1;
        for key in [2, 3, 1 << 126, last - 1] {
            assert_eq!(split_at(&record(2), "x-0", &key.to_string(), &ROOM), Ok(Reshard::Split { shard: 0, at: key }));
        }
        let beyond = "9".repeat(39);
        for key in ["0", "1", &last.to_string(), &(last + 1).to_string(), &u128::MAX.to_string(), &beyond] {
            let text = format!(
                "InvalidArgumentException: NewStartingHashKey {key} used in SplitShard() on shard shardId-000000000000 in \
                 stream orders under account 000000000000 is not both greater than one plus the shard's StartingHashKey 0 \
                 and less than the shard's EndingHashKey {last}."
            );
            assert_eq!(refusal_of(split_at(&record(2), "shardId-000000000000", key, &ROOM)), text);
        }
        let first_of_second = last + 1;
        let inside = (first_of_second + 1).to_string();
        assert!(split_at(&record(2), "1", &inside, &ROOM).is_err(), "one plus the start is not greater than it");
    }

    #[test]
    fn a_merge_is_of_neighbours_the_lower_first() {
        assert_eq!(merge_of(&record(3), "0", "shardId-000000000001"), Ok(Reshard::Merge { shard: 0, adjacent: 1 }));
        for (shard, adjacent) in [("1", "0"), ("0", "2"), ("1", "1"), ("2", "0")] {
            let text = format!(
                "InvalidArgumentException: Shards shardId-00000000000{shard} and shardId-00000000000{adjacent} in stream \
                 orders under account 000000000000 are not an adjacent pair of shards eligible for merging"
            );
            assert_eq!(refusal_of(merge_of(&record(3), shard, adjacent)), text);
        }
    }

    #[test]
    fn shards_must_be_there_and_open() {
        let closed = resharded(&record(2), Reshard::Scale { target: 1 }, CREATED_MS + 5);
        let already = "InvalidArgumentException: Shard shardId-000000000001 in stream orders under account 000000000000 \
                       has already been merged or split, and thus is not eligible for merging or splitting.";
        assert_eq!(refusal_of(split_at(&closed, "1", "5", &ROOM)), already);
        assert_eq!(refusal_of(merge_of(&closed, "2", "1")), already);
        let absent = "ResourceNotFoundException: Could not find shard shardId-000000000009 in stream orders under \
                      account 000000000000.";
        assert_eq!(refusal_of(split_at(&closed, "shard-9", "5", &ROOM)), absent);
        assert_eq!(refusal_of(merge_of(&record(2), "0", "9")), absent);
        assert_eq!(refusal_of(merge_of(&record(2), "9", "0")), absent);
    }

    #[test]
    fn a_count_is_scaled_as_far_as_the_limits_allow() {
        let to = |target| Ok(Some(Reshard::Scale { target }));
        for (target, free, kinesis) in [
            (10, to(10), None),
            (11, to(11), Some("up over double")),
            (3, to(3), None),
            (2, to(2), Some("down below half")),
        ] {
            assert_eq!(scale_to(&record(5), target, ScaleLimits::None), free);
            match kinesis {
                None => assert_eq!(scale_to(&record(5), target, ScaleLimits::Kinesis), free),
                Some(beyond) => assert_eq!(
                    refusal_of(scale_to(&record(5), target, ScaleLimits::Kinesis)),
                    format!(
                        "LimitExceededException: UpdateShardCount cannot scale {beyond} your current open shard count. \
                         Current open shard count: 5, Target shard count: {target}"
                    )
                ),
            }
        }
        assert_eq!(scale_to(&record(5), 5, ScaleLimits::Kinesis), Ok(None));
        let asked = input_of("UpdateShardCount", [("TargetShardCount", 8.into())]);
        assert_eq!(
            json(&viewed(&record(4), StreamStatus::Active, |view| scaled(&asked, view))),
            r#"{"StreamName":"orders","CurrentShardCount":4,"TargetShardCount":8,"StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders"}"#
        );
    }

    #[test]
    fn the_account_must_have_room_for_more() {
        let limit = "LimitExceededException: This request would exceed the shard limit for the account 000000000000 in \
                     eu-west-1. Current shard count for the account: ";
        assert!(refusal_of(split_at(&record(2), "0", "5", &FULL)).starts_with(&format!("{limit}5. Limit: 5.")));
        assert!(
            refusal_of(scale_to(&record(4), 101, ScaleLimits::None)).starts_with(&format!("{limit}4. Limit: 100."))
        );
        assert!(scale_to(&record(4), 100, ScaleLimits::None).is_ok());
        assert_eq!(
            refusal_of(scale_to(&record(4), 10_001, ScaleLimits::None)),
            "LimitExceededException: Target shard count or number of open shards cannot be greater than 10000. Current \
             open shard count: 4, Target shard count: 10001"
        );
    }

    #[test]
    fn only_an_active_and_provisioned_stream_is_resharded() {
        let split_input = input("SplitShard", &[("ShardToSplit", "0"), ("NewStartingHashKey", "5")]);
        let merge_input = input("MergeShards", &[("ShardToMerge", "0"), ("AdjacentShardToMerge", "1")]);
        let scale_input = input_of("UpdateShardCount", [("TargetShardCount", 8.into())]);
        for (record, status, text) in
            [(record(4), StreamStatus::Updating, NOT_ACTIVE), (on_demand(), StreamStatus::Active, ON_DEMAND)]
        {
            viewed(&record, status, |view| {
                assert_eq!(refusal_of(split(&split_input, view, &ROOM)), text);
                assert_eq!(refusal_of(merge(&merge_input, view)), text);
                assert_eq!(refusal_of(scale(&scale_input, view, &ROOM, ScaleLimits::None)), text);
            });
        }
    }
}
