use rheos_core::catalog::{Reshard, StreamRecord};

use super::*;
use crate::error::ErrorKind;
use crate::operations::testing::{
    CREATED_MS, arn, caller, input, issue, record, refusal_of, resharded, text_of, viewed,
};
use crate::shapes::structures::SHARD_FILTER;
use crate::value::items;

const NOW_MS: u64 = CREATED_MS + 60_000;

fn read(input: &Structure) -> Result<ListAsked, Error> {
    ListAsked::read(input, &caller(), &issue())
}

fn named() -> Structure {
    input("ListShards", &[("StreamName", "orders")])
}

fn answer(asked: &ListAsked, record: &StreamRecord, status: StreamStatus) -> Result<Structure, Error> {
    viewed(record, status, |view| asked.answer(view, 0, &issue()))
}

/// The numbers of a page, and its token.
fn page(input: &Structure, record: &StreamRecord) -> (Vec<u32>, Option<String>) {
    let output = answer(&read(input).expect("it may be asked"), record, StreamStatus::Active).expect("it is there");
    let shards = items::<&Structure>(output.optional("Shards").expect("it is always there"));
    let number = |shard: &Structure| shard.required::<&str>("ShardId")["shardId-".len()..].parse().expect("digits");
    (shards.map(number).collect(), output.optional::<&str>("NextToken").map(str::to_owned))
}

fn filtered(kind: &str) -> Structure {
    named().with("ShardFilter", Structure::of(&SHARD_FILTER).with("Type", kind))
}

#[test]
fn all_shards_come_in_pages_of_at_most_a_thousand() {
    let many = record(1_500);
    let (first, token) = page(&named(), &many);
    assert_eq!((first.len(), first[0]), (1_000, 0));
    let next = input("ListShards", &[("NextToken", &token.expect("there are more"))]);
    assert_eq!(page(&next, &many), ((1_000..1_500).collect(), None));
    assert_eq!(page(&named().with("MaxResults", 10_000), &many).0.len(), 1_000);
    let (two, token) = page(&named().with("MaxResults", 2).with("ExclusiveStartShardId", "x-5"), &many);
    assert_eq!((two, token.is_some()), (vec![6, 7], true));
    assert_eq!(
        page(&named().with("MaxResults", 4), &record(4)),
        (vec![0, 1, 2, 3], None),
        "the last page has no token"
    );
}

#[test]
fn after_a_shard_is_where_the_filter_or_the_member_says() {
    let after = |filter: &str, member: Option<&str>| {
        let filter = Structure::of(&SHARD_FILTER).with("Type", "AFTER_SHARD_ID").with("ShardId", filter);
        page(&named().with("ShardFilter", filter).with_some("ExclusiveStartShardId", member), &record(4)).0
    };
    assert_eq!((after("shardId-000000000001", None), after("0", Some("2"))), (vec![2, 3], vec![3]));
    let text = "ShardId must be provided in a ShardFilter of type AFTER_SHARD_ID.";
    assert_eq!(text_of(read(&filtered("AFTER_SHARD_ID"))), text);
    let bad = named().with("ExclusiveStartShardId", "no");
    assert_eq!(text_of(read(&bad)), "Could not find shard no in stream orders under account 000000000000.");
}

/// A reshard between two pages must not mix parents with children.
#[test]
fn the_pages_of_a_list_show_one_moment() {
    let before = record(4);
    let (first, token) = page(&filtered("AT_LATEST").with("MaxResults", 2), &before);
    let after = resharded(&before, Reshard::Scale { target: 8 }, NOW_MS + 1);
    let next = input("ListShards", &[("NextToken", &token.expect("there are more"))]);
    assert_eq!((first, page(&next, &after)), (vec![0, 1], (vec![2, 3], None)));
    assert_eq!(page(&filtered("AT_TRIM_HORIZON"), &after).0, [0, 1, 2, 3]);
}

#[test]
fn a_token_stands_alone() {
    let token = page(&named().with("MaxResults", 1), &record(2)).1.expect("there are more");
    let with = |member: &str, value: Value| input("ListShards", &[("NextToken", &token)]).with(member, value);
    for (member, value) in [
        ("StreamName", Value::from("orders")),
        ("ExclusiveStartShardId", "0".into()),
        ("StreamCreationTimestamp", TimestampMs(0).into()),
    ] {
        let text = format!("InvalidArgumentException: NextToken and {member} cannot be provided together.");
        assert_eq!(refusal_of(read(&with(member, value))), text);
    }
    let asked = read(&with("StreamARN", arn().to_string().into())).expect("clients send both");
    assert_eq!(asked.of, Listed::Life { name: record(2).name, incarnation: 7 });
    assert_eq!(text_of(read(&input("ListShards", &[]))), "Either NextToken or StreamName should be provided.");
    assert_eq!(text_of(read(&input("ListShards", &[("NextToken", "x")]))), "Invalid NextToken.");
    let late = Issue { now_ms: NOW_MS + 300_001, ..issue() };
    let late = ListAsked::read(&input("ListShards", &[("NextToken", &token)]), &caller(), &late);
    assert_eq!(late.expect_err("it is too old").kind, ErrorKind::ExpiredNextToken);
}

#[test]
fn another_life_is_not_shown() {
    let not_found = "ResourceNotFoundException: Stream orders under account 000000000000 not found.";
    let created = |ms: i64| read(&named().with("StreamCreationTimestamp", TimestampMs(ms))).expect("it may be asked");
    assert!(answer(&created(1_700_000_000_000), &record(1), StreamStatus::Active).is_ok());
    let other = created(1_700_000_001_000);
    assert_eq!(refusal_of(answer(&other, &record(1), StreamStatus::Active)), not_found);
    let life = Listed::Life { name: record(1).name, incarnation: 8 };
    let asked = ListAsked { of: life, ..other };
    assert_eq!(refusal_of(answer(&asked, &record(1), StreamStatus::Active)), not_found);
}

#[test]
fn a_stream_that_is_being_made_or_deleted_is_not_listed() {
    let asked = read(&named()).expect("it may be asked");
    for status in [StreamStatus::Creating, StreamStatus::Deleting] {
        let text = format!("not ACTIVE, instead in state {}", status.name());
        let refusal = answer(&asked, &record(1), status).expect_err("it is not there yet");
        assert!(refusal.kind == ErrorKind::ResourceInUse && refusal.text().ends_with(&text), "{refusal}");
    }
    assert!(answer(&asked, &record(1), StreamStatus::Updating).is_ok());
}
