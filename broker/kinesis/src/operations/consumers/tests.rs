use rheos_core::catalog::plan_consumer;

use super::*;
use crate::operations::testing::{CREATED_MS, arn, caller, input, issue, json, refusal_of, text_of};

const ORDERS: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";

fn record(name: &str) -> ConsumerRecord {
    plan_consumer(name, 7, CREATED_MS).expect("it is a name")
}

fn register_of(members: &[(&str, &str)]) -> Result<RegisterAsked, Error> {
    register(&input("RegisterStreamConsumer", members), &caller())
}

fn listed(members: &[(&str, &str)], created_ms: Option<i64>) -> Result<ListAsked, Error> {
    let input = input("ListStreamConsumers", members).with("StreamARN", ORDERS);
    let input = input.with_some("StreamCreationTimestamp", created_ms.map(TimestampMs)).with("MaxResults", 500);
    ListAsked::read(&input, &caller(), &issue())
}

#[test]
fn a_consumer_is_registered_with_its_tags() {
    let asked = register_of(&[("StreamARN", ORDERS), ("ConsumerName", "board")]).expect("it may be");
    assert_eq!((asked.stream.clone(), asked.name.as_str(), asked.tags.len()), (arn(), "board", 0));
    assert_eq!(
        json(&registered(&arn(), &record("board"))),
        r#"{"Consumer":{"ConsumerName":"board","ConsumerARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/board:1700000000","ConsumerStatus":"CREATING","ConsumerCreationTimestamp":1700000000.000}}"#
    );
    assert_eq!(admit(&asked, 19), Ok(()));
    assert_eq!(
        refusal_of(admit(&asked, 20)),
        "LimitExceededException: The limit of 20 registered consumers of stream orders under account 000000000000 is \
         reached."
    );
    let bad = Value::Map([("a%".to_owned(), Value::from(""))].into());
    let input = input("RegisterStreamConsumer", &[("StreamARN", ORDERS), ("ConsumerName", "board")]).with("Tags", bad);
    let text = text_of(register(&input, &caller()));
    assert!(text.starts_with("Failed to add tags to consumer board of stream orders under account 0"), "{text}");
}

#[test]
fn a_description_says_the_stream_too() {
    assert_eq!(
        json(&describe(&arn(), &record("board"), ConsumerStatus::Active)),
        r#"{"ConsumerDescription":{"ConsumerName":"board","ConsumerARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/board:1700000000","ConsumerStatus":"ACTIVE","ConsumerCreationTimestamp":1700000000.000,"StreamARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/orders"}}"#
    );
    assert_eq!(
        not_active(&arn(), &record("board")).to_string(),
        "ResourceInUseException: Consumer board with creation timestamp 1700000000 under stream orders under account \
         000000000000 is not in ACTIVE status."
    );
}

#[test]
fn consumers_come_in_pages() {
    let first = listed(&[], None).expect("it may be asked");
    assert_eq!((first.after.as_str(), first.limit), ("", 100));
    let (a, b) = (record("a"), record("b"));
    let consumers = [(&a, ConsumerStatus::Active), (&b, ConsumerStatus::Deleting)];
    let page = first.answer(&consumers, true, &StreamName::new("orders").unwrap(), &issue());
    let token: &str = page.optional("NextToken").expect("there are more");
    let second = listed(&[("NextToken", token)], None).expect("it may be asked");
    assert_eq!(second.after, "b");
    assert_eq!((second.admit(7, 0), second.admit(8, 0).is_err()), (Ok(()), true));
    let last = first.answer(&[], false, &StreamName::new("orders").unwrap(), &issue());
    assert_eq!(json(&last), r#"{"Consumers":[]}"#);
    assert!(json(&page).contains(r#""ConsumerStatus":"DELETING""#));
    assert_eq!(
        text_of(listed(&[("NextToken", token)], Some(5))),
        "NextToken and StreamCreationTimestamp cannot be provided together."
    );
    assert_eq!(text_of(listed(&[("NextToken", "x")], None)), "Invalid NextToken.");
}

#[test]
fn the_life_of_the_stream_may_be_named() {
    let of = |ms| listed(&[], Some(ms)).expect("it may be asked");
    assert_eq!(of(1_700_000_000_000).admit(7, CREATED_MS), Ok(()));
    assert_eq!(
        refusal_of(of(1_700_000_001_000).admit(7, CREATED_MS)),
        "ResourceNotFoundException: Stream orders under account 000000000000 not found."
    );
}
