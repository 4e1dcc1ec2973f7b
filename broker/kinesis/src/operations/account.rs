//! The account: its limits, and the settings that AWS has for it.
//!
//! rheos bills nothing. The commitment to a minimum of throughput is kept and shown as AWS would, so that tools which
//! set it find it again; nothing follows from it.

use rheos_core::catalog::{Commitment, CommitmentStatus};
use rheos_protocol::limits::SHARDS_MAX;

use crate::arn::StreamArn;
use crate::error::{Error, ErrorKind};
use crate::shapes::operations::find;
use crate::shapes::structures::COMMITMENT;
use crate::value::{Structure, TimestampMs};

/// The largest count that AWS's clients take.
const COUNT_MAX: u64 = 1_000_000;
/// Open shards of the provisioned streams of an account, by AWS's default in its largest regions.
pub const SHARDS_OF_ACCOUNT_MAX: u64 = 20_000;
/// Streams of an account that may be on demand, by AWS's default.
pub const ON_DEMAND_STREAMS_MAX: u64 = 50;

/// Shards that an account has, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardUsage {
    /// Those that count against the limit now.
    pub open: u64,
    /// The limit: AWS's with `--limits kinesis`, else the broker's.
    pub limit: u64,
}

impl ShardUsage {
    /// Refuses so many shards more, for a stream of the account and region.
    ///
    /// # Errors
    ///
    /// `LimitExceededException`.
    pub fn admit(&self, stream: &StreamArn, more: u32) -> Result<(), Error> {
        let ShardUsage { open, limit } = self;
        if more == 0 || open.saturating_add(more.into()) <= *limit {
            return Ok(());
        }
        let message = format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard count for the account: \
             {open}. Limit: {limit}. Number of additional shards that would have resulted from this request: {more}. \
             Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
             request higher limits.",
            stream.account(),
            stream.region()
        );
        Err(Error::new(ErrorKind::LimitExceeded, message))
    }
}

/// Refuses more shards than one stream may have open.
///
/// # Errors
///
/// `LimitExceededException`.
pub(super) fn admit_open_shards(open: u32, target: u32) -> Result<(), Error> {
    if target <= SHARDS_MAX {
        return Ok(());
    }
    let message = format!(
        "Target shard count or number of open shards cannot be greater than {SHARDS_MAX}. Current open shard count: {open}, \
         Target shard count: {target}"
    );
    Err(Error::new(ErrorKind::LimitExceeded, message))
}

/// The answer to DescribeLimits. Channels, which rheos does not have, are left out.
pub fn describe_limits(usage: &ShardUsage, on_demand: u64, on_demand_limit: u64) -> Structure {
    let count = |of: u64| of.min(COUNT_MAX) as i64;
    let answer = find("DescribeLimits").expect("it is in the table").answer();
    answer
        .with("ShardLimit", count(usage.limit))
        .with("OpenShardCount", count(usage.open))
        .with("OnDemandStreamCount", count(on_demand))
        .with("OnDemandStreamCountLimit", count(on_demand_limit))
}

/// The answer to DescribeAccountSettings, for an account that has made a commitment or never did.
pub fn describe_settings(commitment: Option<Commitment>, now_ms: u64) -> Structure {
    settings("DescribeAccountSettings", commitment, now_ms)
}

/// Whether an UpdateAccountSettings makes the commitment, or ends it.
pub fn commits(input: &Structure) -> bool {
    input.required::<&Structure>("MinimumThroughputBillingCommitment").required::<&str>("Status") == "ENABLED"
}

/// The answer to UpdateAccountSettings, with the commitment as it is now.
pub fn updated_settings(commitment: Option<Commitment>, now_ms: u64) -> Structure {
    settings("UpdateAccountSettings", commitment, now_ms)
}

fn status(commitment: Commitment, now_ms: u64) -> &'static str {
    match commitment.status(now_ms) {
        CommitmentStatus::Enabled => "ENABLED",
        CommitmentStatus::EnabledUntilEarliestEnd => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        CommitmentStatus::Disabled => DISABLED,
    }
}

fn settings(operation: &str, commitment: Option<Commitment>, now_ms: u64) -> Structure {
    let time = |ms: u64| TimestampMs(i64::try_from(ms).unwrap_or(i64::MAX));
    let shown = Structure::of(&COMMITMENT);
    let shown = match commitment {
        None => shown.with("Status", DISABLED),
        Some(commitment) => shown
            .with("Status", status(commitment, now_ms))
            .with("StartedAt", time(commitment.started_ms))
            .with_some("EndedAt", commitment.ends_ms.filter(|ends_ms| *ends_ms <= now_ms).map(time))
            .with("EarliestAllowedEndAt", time(commitment.earliest_end_ms())),
    };
    find(operation).expect("it is in the table").answer().with("MinimumThroughputBillingCommitment", shown)
}

const DISABLED: &str = "DISABLED";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::{arn, input_of, json};
    use crate::shapes::structures::COMMITMENT_REQUEST;

    const HOUR_MS: u64 = 3_600_000;

    fn update(wanted: &str, now: Option<Commitment>, now_ms: u64) -> (Option<Commitment>, String) {
        let request = Structure::of(&COMMITMENT_REQUEST).with("Status", wanted);
        let input = input_of("UpdateAccountSettings", [("MinimumThroughputBillingCommitment", request.into())]);
        let after = match commits(&input) {
            true => Some(Commitment::enable(now, now_ms)),
            false => now.map(|now| now.disable(now_ms)),
        };
        let answer = json(&updated_settings(after, now_ms));
        assert_eq!(json(&describe_settings(after, now_ms)), answer, "it is found as it was answered");
        (after, answer)
    }

    #[test]
    fn limits_are_counted() {
        let usage = ShardUsage { open: 3, limit: 200_000_000 };
        assert_eq!(
            json(&describe_limits(&usage, 1, ON_DEMAND_STREAMS_MAX)),
            r#"{"ShardLimit":1000000,"OpenShardCount":3,"OnDemandStreamCount":1,"OnDemandStreamCountLimit":50}"#
        );
        let room = ShardUsage { open: 3, limit: 5 };
        assert_eq!((room.admit(&arn(), 2), ShardUsage { open: 9, limit: 5 }.admit(&arn(), 0)), (Ok(()), Ok(())));
        assert!(room.admit(&arn(), 3).is_err() && ShardUsage { open: u64::MAX, limit: 5 }.admit(&arn(), 1).is_err());
    }

    #[test]
    fn a_commitment_lasts_a_day_at_least() {
        let none = r#"{"MinimumThroughputBillingCommitment":{"Status":"DISABLED"}}"#;
        assert_eq!(json(&describe_settings(None, 5)), none);
        assert_eq!(update("DISABLED", None, 5), (None, none.to_owned()));

        let (on, answer) = update("ENABLED", None, HOUR_MS);
        assert_eq!(on, Some(Commitment { started_ms: HOUR_MS, ends_ms: None }));
        assert_eq!(
            answer,
            r#"{"MinimumThroughputBillingCommitment":{"Status":"ENABLED","StartedAt":3600.000,"EarliestAllowedEndAt":90000.000}}"#
        );
        assert_eq!(update("ENABLED", on, 2 * HOUR_MS).0, on, "it goes on");

        let (ending, answer) = update("DISABLED", on, 2 * HOUR_MS);
        assert_eq!(ending, Some(Commitment { started_ms: HOUR_MS, ends_ms: Some(25 * HOUR_MS) }));
        assert!(answer.contains(r#""ENABLED_UNTIL_EARLIEST_ALLOWED_END""#) && !answer.contains("EndedAt"), "{answer}");
        assert_eq!(update("DISABLED", ending, 3 * HOUR_MS).0, ending);
        assert_eq!(update("ENABLED", ending, 3 * HOUR_MS).0, on, "that takes it back");

        let over = json(&describe_settings(ending, 25 * HOUR_MS));
        assert!(over.contains(r#""Status":"DISABLED","StartedAt":3600.000,"EndedAt":90000.000"#), "{over}");
        let again = update("ENABLED", ending, 26 * HOUR_MS).0;
        assert_eq!(again, Some(Commitment { started_ms: 26 * HOUR_MS, ends_ms: None }));
        let late = update("DISABLED", on, 50 * HOUR_MS).0;
        assert_eq!(late, Some(Commitment { started_ms: HOUR_MS, ends_ms: Some(50 * HOUR_MS) }));
    }
}
