//! CreateStream.

use rheos_protocol::message::{CreateStream, StreamMode, Tag};

use super::ON_DEMAND;
use super::terms::{admit_distribution, admit_warm_throughput};
use crate::arn::StreamArn;
use crate::error::Error;
use crate::operations::account::{ShardUsage, admit_open_shards};
use crate::operations::subject::{self, Caller};
use crate::operations::tags;
use crate::value::Structure;

/// Shards of a stream for which neither a count nor a mode is asked: so many AWS was seen to make, of a stream that is
/// provisioned.
pub const SHARDS_WHEN_NONE_ASKED: u32 = 4;

/// A stream that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAsked {
    /// What it will be known by.
    pub arn: StreamArn,
    /// What to make. Its name is the one within the account and the region.
    pub create: CreateStream,
    /// The tags that it is to have from the beginning.
    pub tags: Vec<Tag>,
}

/// What a CreateStream asks for.
///
/// # Errors
///
/// `InvalidArgumentException` for members that exclude each other, tags that may not be, and what rheos cannot do;
/// `LimitExceededException` for shards beyond the limit.
pub fn create(input: &Structure, caller: &Caller, usage: &ShardUsage) -> Result<CreateAsked, Error> {
    let arn = subject::stream(input, caller)?;
    let (mode, shards) = mode_and_shards(input)?;
    admit_warm_throughput(input)?;
    admit_distribution(input, mode)?;
    let tags = tags::given_to_new(input, &arn.in_messages().to_string())?;
    admit_open_shards(0, shards)?;
    usage.admit(&arn, shards)?;
    let record_kib = input.optional::<i64>("MaxRecordSizeInKiB").unwrap_or(0);
    let record_bytes_max = u32::try_from(record_kib << 10).expect("the table bounds it");
    let name = arn.name().as_str().to_owned();
    // The retention is the broker's default, which is AWS's.
    let create = CreateStream { name, shards, retention_ms: 0, record_bytes_max, mode };
    Ok(CreateAsked { arn, create, tags })
}

fn mode_and_shards(input: &Structure) -> Result<(StreamMode, u32), Error> {
    let mode = input.optional::<&Structure>("StreamModeDetails").map(|details| details.required::<&str>("StreamMode"));
    let count = input.optional::<i64>("ShardCount");
    let count = count.map(|count| u32::try_from(count).expect("the table bounds it"));
    match (mode, count) {
        (Some(ON_DEMAND), Some(_)) => {
            Err(Error::invalid_argument("ShardCount cannot be set while creating stream in On-Demand StreamMode."))
        }
        (Some(ON_DEMAND), None) => Ok((StreamMode::on_demand(), SHARDS_WHEN_NONE_ASKED)),
        (Some(_), None) => {
            Err(Error::invalid_argument("ShardCount must be set while creating stream in Provisioned StreamMode."))
        }
        (None, None) => Ok((StreamMode::Provisioned, SHARDS_WHEN_NONE_ASKED)),
        (_, Some(count)) => Ok((StreamMode::Provisioned, count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::{arn, caller, input_of, refusal_of};
    use crate::shapes::structures::STREAM_MODE_DETAILS;
    use crate::value::Value;

    const ROOM: ShardUsage = ShardUsage { open: 10, limit: 20 };

    fn asked(members: &[(&'static str, Value)]) -> Result<CreateAsked, Error> {
        let named = input_of("CreateStream", [("StreamName", "orders".into())]);
        let input = members.iter().fold(named, |input, (name, value)| input.with(name, value.clone()));
        create(&input, &caller(), &ROOM)
    }

    fn mode(mode: &str) -> (&'static str, Value) {
        ("StreamModeDetails", Structure::of(&STREAM_MODE_DETAILS).with("StreamMode", mode).into())
    }

    #[test]
    fn mode_and_count_say_what_is_made() {
        for (members, mode, shards) in [
            (&[][..], StreamMode::Provisioned, 4),
            (&[("ShardCount", 7.into())], StreamMode::Provisioned, 7),
            (&[mode("PROVISIONED"), ("ShardCount", 1.into())], StreamMode::Provisioned, 1),
            (&[mode("ON_DEMAND")], StreamMode::on_demand(), 4),
        ] {
            let asked = asked(members).expect("it may be");
            let expected = CreateStream { name: "orders".to_owned(), shards, mode, ..CreateStream::default() };
            assert_eq!((asked.create, asked.arn, asked.tags), (expected, arn(), Vec::new()));
        }
    }

    #[test]
    fn everything_else_goes_into_it() {
        let tags = Value::Map([("team".to_owned(), Value::from("a")), ("env".to_owned(), Value::from(""))].into());
        let asked = asked(&[
            ("MaxRecordSizeInKiB", 10_240.into()),
            ("Tags", tags),
            mode("ON_DEMAND"),
            ("RecordDistributionStrategy", "USER_PARTITION_KEY".into()),
            ("WarmThroughputMiBps", 0.into()),
        ])
        .expect("it may be");
        assert_eq!(asked.create.record_bytes_max, 10 << 20);
        let keys: Vec<_> = asked.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        assert_eq!(keys, [("env", ""), ("team", "a")]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_awss_words_or_plain_ones() {
        let tags = |key: &str| ("Tags", Value::Map([(key.to_owned(), Value::from("v"))].into()));
        let limit = "LimitExceededException: This request would exceed the shard limit for the account 000000000000 in \
                     eu-west-1. Current shard count for the account: 10. Limit: 20. Number of additional shards that \
                     would have resulted from this request: 11. Refer to the AWS Service Limits page \
                     (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how \
                     to request higher limits.";
        for (members, text) in [
            (
                &[mode("ON_DEMAND"), ("ShardCount", 4.into())][..],
                "InvalidArgumentException: ShardCount cannot be set while creating stream in On-Demand StreamMode.",
            ),
            (
                &[mode("PROVISIONED")],
                "InvalidArgumentException: ShardCount must be set while creating stream in Provisioned StreamMode.",
            ),
            (&[("ShardCount", 11.into())], limit),
            (
                &[("ShardCount", 10_001.into())],
                "LimitExceededException: Target shard count or number of open shards cannot be greater than 10000.",
            ),
            (&[("WarmThroughputMiBps", 1.into())], "InvalidArgumentException: WarmThroughputMiBps 1 "),
            (&[mode("ON_DEMAND"), ("RecordDistributionStrategy", "AUTO".into())], "InvalidArgumentException: Record"),
            (&[tags("a!")], "InvalidArgumentException: Some tags contain invalid characters."),
        ] {
            let refusal = refusal_of(asked(members));
            assert!(refusal.starts_with(text), "{refusal}");
        }
    }
}
