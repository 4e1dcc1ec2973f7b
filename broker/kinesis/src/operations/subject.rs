//! Which stream, consumer or resource a call is about.
//!
//! | given | meant |
//! |---|---|
//! | StreamName | the stream of that name in the caller's account and region |
//! | StreamARN | the stream of the ARN's account, in the caller's region |
//! | ConsumerARN; StreamARN and ConsumerName | a registered consumer |
//! | ResourceARN | a stream or a consumer |
//!
//! What must hold: several that are given mean the same, or the call is refused; an ARN of another region than the one
//! that the request was signed for names nothing here, as on AWS, where each region answers for itself. Whether the
//! caller may use what it names is not asked here, nor whether there is such a thing.

use rheos_protocol::name::{ConsumerName, StreamName};

use crate::arn::{AccountId, ConsumerArn, Region, ResourceArn, StreamArn};
use crate::error::Error;
use crate::shapes::position;
use crate::value::Structure;

/// Where a caller is, by its key and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of its key.
    pub account: AccountId,
    /// The region that it has signed for.
    pub region: Region,
}

/// A registered consumer that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerAsked {
    /// Its stream.
    pub stream: StreamArn,
    /// Its name.
    pub name: ConsumerName,
    /// The second since 1970 in which the life that is meant was registered; `None` for any.
    pub created_s: Option<u64>,
}

/// The stream that a call is about.
///
/// # Errors
///
/// `InvalidArgumentException` when none or two are named or an ARN is none, `ResourceNotFoundException` for an ARN
/// of another region.
pub fn stream(input: &Structure, caller: &Caller) -> Result<StreamArn, Error> {
    let named = given(input, "StreamName").map(|name| caller.stream(name)).transpose()?;
    let by_arn = given(input, "StreamARN").map(|arn| caller.here(StreamArn::parse(arn)?)).transpose()?;
    match (named, by_arn) {
        (Some(named), Some(by_arn)) if named.name() != by_arn.name() => Err(Error::invalid_argument(format!(
            "StreamName {} and StreamARN {by_arn} do not name the same stream.",
            named.name()
        ))),
        (_, Some(stream)) | (Some(stream), None) => Ok(stream),
        (None, None) => Err(Error::invalid_argument(none_given(input))),
    }
}

/// The consumer that a call is about.
///
/// # Errors
///
/// As of [`stream`].
pub fn consumer(input: &Structure, caller: &Caller) -> Result<ConsumerAsked, Error> {
    let stream = given(input, "StreamARN").map(|arn| caller.here(StreamArn::parse(arn)?)).transpose()?;
    let name = given(input, "ConsumerName").map(consumer_name).transpose()?;
    let Some(text) = given(input, "ConsumerARN") else {
        return match (stream, name) {
            (Some(stream), Some(name)) => Ok(ConsumerAsked { stream, name, created_s: None }),
            _ => Err(Error::invalid_argument("Either ConsumerARN, or StreamARN and ConsumerName should be provided.")),
        };
    };
    let arn = ConsumerArn::parse(text)?;
    let of = caller.here(arn.stream().clone())?;
    let same = stream.is_none_or(|stream| stream == of) && name.is_none_or(|name| &name == arn.name());
    if !same {
        let message = format!("ConsumerARN {arn} does not name the consumer that StreamARN and ConsumerName name.");
        return Err(Error::invalid_argument(message));
    }
    Ok(ConsumerAsked { stream: of, name: arn.name().clone(), created_s: Some(arn.created_s()) })
}

/// The stream or consumer that a `ResourceARN` names.
///
/// # Errors
///
/// As of [`stream`].
pub fn resource(input: &Structure, caller: &Caller) -> Result<ResourceArn, Error> {
    let arn = ResourceArn::parse(input.required("ResourceARN"))?;
    caller.here(arn.stream().clone())?;
    Ok(arn)
}

impl ConsumerAsked {
    /// Whether a consumer that was registered at this time, in ms since 1970, is the one that is meant.
    pub fn is(&self, created_ms: u64) -> bool {
        self.created_s.is_none_or(|second| second == created_ms / 1_000)
    }

    /// The refusal of one that is not there.
    pub fn not_found(&self) -> Error {
        let ConsumerAsked { stream, name, created_s } = self;
        match created_s {
            Some(second) => ConsumerArn::new(stream.clone(), name.clone(), *second).not_found(),
            None => Error::not_found(format!("Consumer {name}, account {} not found.", stream.account())),
        }
    }
}

impl Caller {
    /// The stream of this name where the caller is.
    fn stream(&self, name: &str) -> Result<StreamArn, Error> {
        // The table's pattern lets no qualified name through either; this holds whoever asks.
        let plain = StreamName::new(name).ok().filter(|name| name.account_and_region().is_none());
        let name = plain.ok_or_else(|| Error::invalid_argument(format!("Invalid StreamName: {name}")))?;
        Ok(StreamArn::new(self.region.clone(), self.account.clone(), name))
    }

    /// The ARN as rheos writes it, if it is of the caller's region.
    fn here(&self, arn: StreamArn) -> Result<StreamArn, Error> {
        if arn.region() != &self.region {
            return Err(arn.in_messages().not_found());
        }
        Ok(StreamArn::new(arn.region().clone(), arn.account().clone(), arn.name().clone()))
    }
}

pub(super) fn consumer_name(text: &str) -> Result<ConsumerName, Error> {
    ConsumerName::new(text).map_err(|_| Error::invalid_argument(format!("Invalid ConsumerName: {text}")))
}

/// A member, where the operation has it and the call too.
fn given<'a>(input: &'a Structure, member: &str) -> Option<&'a str> {
    position(input.members(), member).and_then(|_| input.optional(member))
}

/// What is said when no stream is named: AWS's words were never recorded, and these follow those of its ListShards.
fn none_given(input: &Structure) -> &'static str {
    let has = |member| position(input.members(), member).is_some();
    match (has("NextToken"), has("StreamName")) {
        (true, true) => "Either NextToken or StreamName should be provided.",
        (_, true) => "Either StreamName or StreamARN should be provided.",
        (_, false) => "StreamARN should be provided.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::testing::{caller, input, text_of};

    const ORDERS: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";

    /// Members and their texts.
    type Given<'a> = &'a [(&'a str, &'a str)];

    fn meant(operation: &str, members: Given<'_>) -> Result<String, String> {
        let stream = stream(&input(operation, members), &caller());
        stream.map(|arn| arn.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_stream_is_named_by_name_or_arn() {
        let other_account = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        let cases: &[(Given<'_>, &str)] = &[
            (&[("StreamName", "orders")], ORDERS),
            (&[("StreamARN", ORDERS)], ORDERS),
            (&[("StreamARN", other_account)], other_account),
            (&[("StreamName", "orders"), ("StreamARN", ORDERS)], ORDERS),
            (&[("StreamName", "orders"), ("StreamARN", other_account)], other_account),
            (&[("StreamARN", "arn:aws-cn:kinesis:eu-west-1:000000000000:stream/orders")], ORDERS),
        ];
        for (members, arn) in cases {
            assert_eq!(meant("DescribeStream", members).as_deref(), Ok(*arn), "{members:?}");
        }
        assert_eq!(meant("UpdateStreamMode", &[("StreamARN", ORDERS)]).as_deref(), Ok(ORDERS));
    }

    #[test]
    fn none_two_and_what_cannot_be_are_refused() {
        let both = format!("StreamName other and StreamARN {ORDERS} do not name the same stream.");
        let elsewhere = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let cases: &[(&str, Given<'_>, &str)] = &[
            ("DescribeStream", &[], "InvalidArgumentException: Either StreamName or StreamARN should be provided."),
            ("ListShards", &[], "InvalidArgumentException: Either NextToken or StreamName should be provided."),
            ("UpdateMaxRecordSize", &[], "InvalidArgumentException: StreamARN should be provided."),
            (
                "DescribeStream",
                &[("StreamName", "other"), ("StreamARN", ORDERS)],
                &format!("InvalidArgumentException: {both}"),
            ),
            (
                "DescribeStream",
                &[("StreamARN", elsewhere)],
                "ResourceNotFoundException: Stream orders under account 000000000000 not found.",
            ),
            ("DescribeStream", &[("StreamARN", "arn:x")], "InvalidArgumentException: Invalid StreamARN: arn:x"),
        ];
        for (operation, members, text) in cases {
            assert_eq!(meant(operation, members), Err((*text).to_owned()), "{operation} {members:?}");
        }
    }

    #[test]
    fn a_consumer_is_named_in_three_ways() {
        let arn = format!("{ORDERS}/consumer/board:1545084650");
        let of = |members: Given<'_>| consumer(&input("DescribeStreamConsumer", members), &caller());
        let by_name = of(&[("StreamARN", ORDERS), ("ConsumerName", "board")]).expect("both are there");
        let by_arn = of(&[("ConsumerARN", &arn)]).expect("it is there");
        let by_all = of(&[("StreamARN", ORDERS), ("ConsumerName", "board"), ("ConsumerARN", &arn)]);
        assert_eq!((by_name.created_s, by_arn.created_s), (None, Some(1_545_084_650)));
        assert_eq!(by_all.as_ref(), Ok(&by_arn));
        assert!(by_name.is(7_000) && by_arn.is(1_545_084_650_999) && !by_arn.is(1_545_084_651_000));
        assert_eq!(by_name.not_found().text(), "Consumer board, account 000000000000 not found.");
        assert_eq!(by_arn.not_found().text(), format!("Consumer {arn}, account 000000000000 not found."));

        let other = "arn:aws:kinesis:eu-west-1:000000000000:stream/other";
        for (members, text) in [
            (&[("StreamARN", ORDERS)][..], "Either ConsumerARN, or StreamARN and ConsumerName should be provided."),
            (&[("ConsumerName", "board")], "Either ConsumerARN, or StreamARN and ConsumerName should be provided."),
            (&[("ConsumerARN", &arn), ("StreamARN", other)], "does not name the consumer that StreamARN"),
            (&[("ConsumerARN", &arn), ("ConsumerName", "other")], "does not name the consumer that StreamARN"),
            (&[("ConsumerARN", ORDERS)], "Invalid ConsumerARN"),
        ] {
            assert!(text_of(of(members)).contains(text), "{members:?}");
        }
    }

    #[test]
    fn a_resource_is_a_stream_or_a_consumer_of_the_region() {
        let of = |arn: &str| resource(&input("ListTagsForResource", &[("ResourceARN", arn)]), &caller());
        let consumer = format!("{ORDERS}/consumer/board:7");
        assert!(
            matches!(of(ORDERS), Ok(ResourceArn::Stream(_))) && matches!(of(&consumer), Ok(ResourceArn::Consumer(_)))
        );
        let elsewhere = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        assert_eq!(text_of(of(elsewhere)), "Stream orders under account 000000000000 not found.");
    }
}
