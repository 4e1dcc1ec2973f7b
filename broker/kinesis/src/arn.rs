//! The names that AWS has for streams and consumers across accounts and regions.
//!
//! ```text
//! arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME
//! arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME/consumer/CONSUMER:CREATION-SECOND
//! ```
//!
//! What must hold: what is parsed is written again as the same text; every part is one that can be, so that it
//! may stand in messages and keys. Whether there is such a stream is not asked here.

use std::fmt;

use rheos_protocol::name::{ConsumerName, StreamName};

pub use rheos_protocol::name::{AccountId, Region};

use crate::error::Error;
use crate::shard_id::StreamOf;

/// The longest ARN that is looked at, in bytes.
pub const ARN_BYTES_MAX: usize = 2048;
const PARTITION_BYTES_MAX: usize = 32;

/// The ARN of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamArn {
    partition: String,
    region: Region,
    account: AccountId,
    name: StreamName,
}

/// The ARN of one life of a registered consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerArn {
    stream: StreamArn,
    name: ConsumerName,
    created_s: u64,
}

/// What tags and policies belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceArn {
    /// A stream.
    Stream(StreamArn),
    /// A registered consumer.
    Consumer(ConsumerArn),
}

/// The group of regions that a region is in: the second part of its ARNs.
fn partition(region: &Region) -> &'static str {
    let name = region.as_str();
    PARTITIONS.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// The beginnings of the regions outside the partition `aws`, longer ones first.
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("us-iso-", "aws-iso"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
];

impl StreamArn {
    /// The ARN of the stream of this plain name.
    ///
    /// # Panics
    ///
    /// When the name is qualified with an account and a region.
    pub fn new(region: Region, account: AccountId, name: StreamName) -> StreamArn {
        assert!(name.account_and_region().is_none(), "{name} says whose it is already");
        StreamArn { partition: partition(&region).to_owned(), region, account, name }
    }

    /// Reads an ARN.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException`; the pattern of the API's model is looser and refuses most of it earlier.
    pub fn parse(text: &str) -> Result<StreamArn, Error> {
        StreamArn::read(text).ok_or_else(|| invalid("StreamARN", text))
    }

    /// Its region.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Whose it is.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The stream's name.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The stream as messages name it.
    pub fn in_messages(&self) -> StreamOf<'_> {
        StreamOf { name: self.name.as_str(), account: &self.account }
    }

    fn read(text: &str) -> Option<StreamArn> {
        let (place, resource) = Place::read(text)?;
        place.stream(resource.strip_prefix("stream/")?)
    }
}

impl ConsumerArn {
    /// The ARN of a consumer that was registered in this second since 1970.
    pub fn new(stream: StreamArn, name: ConsumerName, created_s: u64) -> ConsumerArn {
        ConsumerArn { stream, name, created_s }
    }

    /// Reads an ARN.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException`; the pattern of the API's model is looser and refuses most of it earlier.
    pub fn parse(text: &str) -> Result<ConsumerArn, Error> {
        ConsumerArn::read(text).ok_or_else(|| invalid("ConsumerARN", text))
    }

    /// Its stream.
    pub fn stream(&self) -> &StreamArn {
        &self.stream
    }

    /// The consumer's name.
    pub fn name(&self) -> &ConsumerName {
        &self.name
    }

    /// When it was registered, seconds since 1970. Another life of the name has another.
    pub fn created_s(&self) -> u64 {
        self.created_s
    }

    /// The refusal of a consumer that is not there.
    pub fn not_found(&self) -> Error {
        Error::not_found(format!("Consumer {self}, account {} not found.", self.stream.account))
    }

    fn read(text: &str) -> Option<ConsumerArn> {
        let (place, resource) = Place::read(text)?;
        let (stream, consumer) = resource.strip_prefix("stream/")?.split_once("/consumer/")?;
        let (name, second) = consumer.split_once(':')?;
        let is_plain = is_digits(second) && (second == "0" || !second.starts_with('0'));
        let created_s = is_plain.then(|| second.parse().ok()).flatten()?;
        Some(ConsumerArn { stream: place.stream(stream)?, name: ConsumerName::new(name).ok()?, created_s })
    }
}

impl ResourceArn {
    /// Reads the ARN of a stream or of a consumer.
    ///
    /// # Errors
    ///
    /// `InvalidArgumentException`.
    pub fn parse(text: &str) -> Result<ResourceArn, Error> {
        let stream = StreamArn::read(text).map(ResourceArn::Stream);
        let either = stream.or_else(|| ConsumerArn::read(text).map(ResourceArn::Consumer));
        either.ok_or_else(|| invalid("ResourceARN", text))
    }

    /// The stream, or the consumer's.
    pub fn stream(&self) -> &StreamArn {
        match self {
            ResourceArn::Stream(stream) => stream,
            ResourceArn::Consumer(consumer) => &consumer.stream,
        }
    }
}

/// The parts of an ARN before its resource.
struct Place<'a> {
    partition: &'a str,
    region: Region,
    account: AccountId,
}

impl<'a> Place<'a> {
    fn read(text: &'a str) -> Option<(Place<'a>, &'a str)> {
        if text.len() > ARN_BYTES_MAX {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (Region::new(next()?).ok()?, AccountId::new(next()?).ok()?, next()?);
        let is_partition = partition.starts_with("aws")
            && partition.len() <= PARTITION_BYTES_MAX
            && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let is_ours = arn == "arn" && service == "kinesis" && is_partition;
        is_ours.then_some((Place { partition, region, account }, resource))
    }

    fn stream(self, name: &str) -> Option<StreamArn> {
        // An account and a region stand before the name already.
        let name = StreamName::new(name).ok().filter(|name| name.account_and_region().is_none())?;
        Some(StreamArn { partition: self.partition.to_owned(), region: self.region, account: self.account, name })
    }
}

/// No emulator has recorded what AWS says of an ARN that passes its pattern and names nothing: the words are ours.
fn invalid(member: &str, text: &str) -> Error {
    let shown = &text[..text.floor_char_boundary(ARN_BYTES_MAX)];
    Error::invalid_argument(format!("Invalid {member}: {shown}"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:kinesis:{}:{}:stream/{}", self.partition, self.region, self.account, self.name)
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/consumer/{}:{}", self.stream, self.name, self.created_s)
    }
}

impl fmt::Display for ResourceArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceArn::Stream(stream) => stream.fmt(f),
            ResourceArn::Consumer(consumer) => consumer.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.a_b-c";
    const CONSUMER: &str = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders/consumer/board:1545084650";

    #[test]
    fn arns_come_back_as_they_were() {
        let stream = StreamArn::parse(STREAM).expect("it is one");
        assert_eq!((stream.region().as_str(), stream.account().as_str()), ("eu-west-1", "123456789012"));
        assert_eq!((stream.name().as_str(), stream.to_string()), ("orders.a_b-c", STREAM.to_owned()));
        let consumer = ConsumerArn::parse(CONSUMER).expect("it is one");
        assert_eq!((consumer.name().as_str(), consumer.created_s()), ("board", 1_545_084_650));
        assert_eq!((consumer.stream().name().as_str(), consumer.to_string()), ("orders", CONSUMER.to_owned()));
        for text in [STREAM, CONSUMER] {
            assert_eq!(ResourceArn::parse(text).map(|arn| arn.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn an_arn_is_built_in_its_regions_partition() {
        let account = AccountId::new("000000000000").expect("it is one");
        let name = StreamName::new("s").expect("it is one");
        let cases = [
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("local", "aws"),
        ];
        for (region, partition) in cases {
            let region = Region::new(region).expect("it is one");
            let arn = StreamArn::new(region.clone(), account.clone(), name.clone());
            assert_eq!(arn.to_string(), format!("arn:{partition}:kinesis:{region}:000000000000:stream/s"));
            assert_eq!(StreamArn::parse(&arn.to_string()), Ok(arn.clone()));
            let again = ConsumerArn::new(arn.clone(), ConsumerName::new("c").expect("it is one"), 7);
            assert_eq!(
                again.not_found().text(),
                format!("Consumer {arn}/consumer/c:7, account 000000000000 not found.")
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        let long = format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{}", "a".repeat(129));
        for text in [
            "",
            "arn",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/a/b",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/123456789012/eu-west-1/a",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/a b",
            "arn:aws:kinesis:eu-west-1:12345678901:stream/a",
            "arn:aws:kinesis:eu-west-1:12345678901x:stream/a",
            "arn:aws:kinesis::123456789012:stream/a",
            "arn:aws:kinesis:EU:123456789012:stream/a",
            "arn:aws:dynamodb:eu-west-1:123456789012:stream/a",
            "arn:gcp:kinesis:eu-west-1:123456789012:stream/a",
            "ARN:aws:kinesis:eu-west-1:123456789012:stream/a",
            " arn:aws:kinesis:eu-west-1:123456789012:stream/a",
            CONSUMER,
            &long,
        ] {
            let refusal = StreamArn::parse(text).expect_err(text);
            assert_eq!(
                (refusal.kind.name(), refusal.text()),
                ("InvalidArgumentException", &*format!("Invalid StreamARN: {text}"))
            );
        }
        for second in ["", "x", "01", "-1", "18446744073709551616", "1:2"] {
            let text = format!("{STREAM}/consumer/c:{second}");
            assert!(ConsumerArn::parse(&text).is_err() && ResourceArn::parse(&text).is_err(), "{text}");
        }
        assert!(ConsumerArn::parse(STREAM).is_err());
    }
}
