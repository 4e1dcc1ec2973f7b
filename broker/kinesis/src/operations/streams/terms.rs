//! What is changed of a stream: retention, mode, the largest record; and what rheos cannot give it.
//!
//! What must hold: every refusal comes before anything is changed; a change that changes nothing is taken, as on AWS.
//! What has expired does not come back when the retention is raised.

use rheos_protocol::limits::ON_DEMAND_SHARDS_MAX;
use rheos_protocol::message::{ShardBounds, StreamMode, UpdateStream};

use super::{ON_DEMAND, StreamView};
use crate::error::Error;
use crate::shapes::operations::find;
use crate::shapes::structures::WARM_THROUGHPUT;
use crate::value::Structure;

const HOUR_MS: u64 = 3_600_000;
const RETENTION_HOURS_LEAST: i64 = 24;
const RETENTION_HOURS_MAX: i64 = 8_760;

/// What an IncreaseStreamRetentionPeriod changes.
///
/// # Errors
///
/// `InvalidArgumentException` for hours out of range or fewer than now, `ResourceInUseException` unless it is active.
pub fn increase_retention(input: &Structure, stream: &StreamView<'_>) -> Result<UpdateStream, Error> {
    let hours = retention_hours(input)?;
    stream.status.must_be_active(stream.arn)?;
    if hours * HOUR_MS < stream.record.terms.retention_ms {
        return Err(wrong_way(stream, hours, "shorter", "Decrease"));
    }
    Ok(with_retention(stream, hours))
}

/// What a DecreaseStreamRetentionPeriod changes.
///
/// # Errors
///
/// `InvalidArgumentException` for hours out of range or more than now, `ResourceInUseException` unless it is active.
pub fn decrease_retention(input: &Structure, stream: &StreamView<'_>) -> Result<UpdateStream, Error> {
    let hours = retention_hours(input)?;
    stream.status.must_be_active(stream.arn)?;
    if hours * HOUR_MS > stream.record.terms.retention_ms {
        return Err(wrong_way(stream, hours, "longer", "Increase"));
    }
    Ok(with_retention(stream, hours))
}

/// What an UpdateStreamMode changes. The shards stay as they are; a stream that is made on demand may keep as many as
/// it has, and one that is on demand already keeps its bounds.
///
/// # Errors
///
/// `ResourceInUseException` unless it is active, `InvalidArgumentException` for warm throughput.
pub fn update_mode(input: &Structure, stream: &StreamView<'_>) -> Result<UpdateStream, Error> {
    stream.status.must_be_active(stream.arn)?;
    admit_warm_throughput(input)?;
    let wanted = input.required::<&Structure>("StreamModeDetails").required::<&str>("StreamMode");
    let mode = match (wanted, stream.record.terms.mode) {
        (ON_DEMAND, now @ StreamMode::OnDemand(_)) => now,
        (ON_DEMAND, StreamMode::Provisioned) => {
            let open = u32::try_from(stream.record.open_shards().len()).expect("a stream has at most 10,000");
            StreamMode::OnDemand(ShardBounds { max: open.max(ON_DEMAND_SHARDS_MAX), ..ShardBounds::default() })
        }
        _ => StreamMode::Provisioned,
    };
    Ok(UpdateStream { mode: Some(mode), ..update(stream) })
}

/// What an UpdateMaxRecordSize changes.
///
/// # Errors
///
/// `ResourceInUseException` unless it is active.
pub fn update_max_record_size(input: &Structure, stream: &StreamView<'_>) -> Result<UpdateStream, Error> {
    stream.status.must_be_active(stream.arn)?;
    let bytes = u32::try_from(input.required::<i64>("MaxRecordSizeInKiB") << 10).expect("the table bounds it");
    Ok(UpdateStream { record_bytes_max: Some(bytes), ..update(stream) })
}

/// The answer to an UpdateStreamWarmThroughput, which changes nothing: none is all there is.
///
/// # Errors
///
/// `InvalidArgumentException` for any but 0, and for a stream that is not on demand.
pub fn update_warm_throughput(input: &Structure, stream: &StreamView<'_>) -> Result<Structure, Error> {
    stream.status.must_be_active(stream.arn)?;
    if stream.mode() != ON_DEMAND {
        let message = format!("Stream {} is not in On-Demand mode and has no warm throughput.", stream.named());
        return Err(Error::invalid_argument(message));
    }
    admit_warm_throughput(input)?;
    let none = Structure::of(&WARM_THROUGHPUT).with("TargetMiBps", 0).with("CurrentMiBps", 0);
    let answer = find("UpdateStreamWarmThroughput").expect("it is in the table").answer();
    Ok(answer
        .with("StreamARN", stream.arn.to_string())
        .with("StreamName", stream.arn.name().as_str())
        .with("WarmThroughput", none))
}

/// Whether a stream may be distributed as an UpdateStreamRecordDistributionStrategy asks. Nothing changes: records go
/// where their keys send them.
///
/// # Errors
///
/// `InvalidArgumentException` for AUTO, `ResourceInUseException` unless it is active.
pub fn update_distribution(input: &Structure, stream: &StreamView<'_>) -> Result<(), Error> {
    stream.status.must_be_active(stream.arn)?;
    admit_distribution(input, stream.record.terms.mode)
}

/// Refuses warm throughput. None of it is taken, so that tools which always send a number may.
pub(super) fn admit_warm_throughput(input: &Structure) -> Result<(), Error> {
    match input.optional::<i64>("WarmThroughputMiBps") {
        None | Some(0) => Ok(()),
        Some(asked) => Err(Error::invalid_argument(format!(
            "WarmThroughputMiBps {asked} is not supported: rheos has no throughput to warm up, and splits the shards of \
             an on-demand stream when they are busy. Leave it out, or make the stream with as many shards as it needs."
        ))),
    }
}

/// Refuses to spread records otherwise than by their keys.
pub(super) fn admit_distribution(input: &Structure, mode: StreamMode) -> Result<(), Error> {
    match (input.optional::<&str>("RecordDistributionStrategy"), mode) {
        (None | Some("USER_PARTITION_KEY"), _) => Ok(()),
        (Some(_), StreamMode::Provisioned) => Err(Error::invalid_argument(
            "RecordDistributionStrategy AUTO is for streams in On-Demand mode; put records with even partition keys.",
        )),
        (Some(_), StreamMode::OnDemand(_)) => Err(Error::invalid_argument(
            "RecordDistributionStrategy AUTO is not supported: rheos sends records where their partition keys say, so \
             that each key keeps its order. Leave it out or use USER_PARTITION_KEY.",
        )),
    }
}

fn retention_hours(input: &Structure) -> Result<u64, Error> {
    let hours: i64 = input.required("RetentionPeriodHours");
    let (bound, limit, verdict) = match hours {
        RETENTION_HOURS_LEAST..=RETENTION_HOURS_MAX => return Ok(hours.unsigned_abs()),
        ..RETENTION_HOURS_LEAST => ("Minimum", RETENTION_HOURS_LEAST, "short"),
        _ => ("Maximum", RETENTION_HOURS_MAX, "long"),
    };
    Err(Error::invalid_argument(format!(
        "{bound} allowed retention period is {limit} hours. Requested retention period ({hours} hours) is too {verdict}."
    )))
}

fn wrong_way(stream: &StreamView<'_>, hours: u64, verdict: &str, instead: &str) -> Error {
    let existing = stream.record.terms.retention_ms / HOUR_MS;
    Error::invalid_argument(format!(
        "Requested retention period ({hours} hours) for stream {} can not be {verdict} than existing retention period \
         ({existing} hours). Use {instead}RetentionPeriod API.",
        stream.arn.name()
    ))
}

fn with_retention(stream: &StreamView<'_>, hours: u64) -> UpdateStream {
    UpdateStream { retention_ms: Some(hours * HOUR_MS), ..update(stream) }
}

fn update(stream: &StreamView<'_>) -> UpdateStream {
    UpdateStream { stream: stream.record.name.as_str().to_owned(), ..UpdateStream::default() }
}

#[cfg(test)]
mod tests;
