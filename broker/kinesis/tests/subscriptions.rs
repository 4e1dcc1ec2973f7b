//! SubscribeToShard: where it begins, and that its events carry every record once and always say where to go on.

#[allow(dead_code, reason = "bytes and numbers are used here, and no values")]
mod random;
mod shards;

use random::Random;
use rheos_core::catalog::Reshard;
use rheos_kinesis::codec::Encoding;
use rheos_kinesis::event_stream;
use rheos_kinesis::limits::{EVENT_BYTES_MAX, EVENT_RECORDS_MAX};
use rheos_kinesis::records::{ShardNumbers, Subscription, SubscriptionAsked};
use rheos_kinesis::sequence_number::SequenceNumber;
use rheos_kinesis::shapes::structures::STARTING_POSITION;
use rheos_kinesis::value::{Structure, TimestampMs, Value, items};
use rheos_protocol::message::Position;
use shards::{CREATED_MS, Shards, account, input, named, reader, stream};

const IN: &str = "in stream orders under account 123456789012";

fn asked(kind: &str, number: Option<&str>) -> Structure {
    let position = Structure::of(&STARTING_POSITION).with("Type", kind).with_some("SequenceNumber", number);
    input("SubscribeToShard").with("ShardId", "shardId-000000000000").with("StartingPosition", position)
}

fn put(shards: &mut Shards, keys: &[String]) {
    reader::put(shards, &keys.iter().map(|key| (key.as_str(), &b""[..])).collect::<Vec<_>>());
}

fn keys(event: &Structure) -> Vec<String> {
    let key = |record: &Structure| record.optional::<&str>("PartitionKey").expect("it has one").to_owned();
    items::<&Structure>(event.required("Records")).map(key).collect()
}

fn continuation(event: &Structure) -> SequenceNumber {
    assert_eq!(event.optional::<&[Value]>("ChildShards"), None);
    SequenceNumber::parse(event.optional("ContinuationSequenceNumber").expect("it is there")).expect("it is one")
}

/// Begins as a broker does: from the position, or, where that is beyond the tip, from there.
fn begin(input: &Structure, shards: &Shards) -> (Subscription, u64) {
    let account = account();
    let asked = SubscriptionAsked::new(input, Some(&shards.record), &named(&account), shards.now_ms);
    let asked = asked.expect("it is in order");
    let tip = shards.tip(0);
    let next = match asked.position() {
        None => 0,
        Some(Position::AtSequence(sequence)) => sequence.min(tip),
        Some(position) => shards.read(0, position, 0).0,
    };
    (asked.begin(next), next)
}

#[test]
fn what_is_refused_is_refused_in_awss_words() {
    let shards = Shards::new(stream(1));
    let account = account();
    let future =
        Structure::of(&STARTING_POSITION).with("Type", "AT_TIMESTAMP").with("Timestamp", TimestampMs(i64::MAX));
    for (input, said) in [
        (
            // A number below 2^124 is one of AWS's first version.
            asked("AT_SEQUENCE_NUMBER", Some("0")),
            "InternalFailure".to_owned(),
        ),
        (
            asked("AT_SEQUENCE_NUMBER", Some(&"9".repeat(57))),
            format!(
                "InvalidArgumentException: StartingSequenceNumber {} used in SubscribeToShard on shard \
                 shardId-000000000000 {IN} is invalid.",
                "9".repeat(57)
            ),
        ),
        (
            asked("LATEST", Some("17")),
            "InvalidArgumentException: Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified LATEST \
             and also a StartingSequenceNumber."
                .to_owned(),
        ),
        (
            asked("LATEST", None).with("StartingPosition", future),
            format!(
                "InvalidArgumentException: The timestampInMillis parameter cannot be greater than the \
                 currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {CREATED_MS}",
                i64::MAX
            ),
        ),
        (
            asked("LATEST", None).with("ShardId", "x-9"),
            format!("ResourceNotFoundException: Shard shardId-000000000009 {IN} does not exist"),
        ),
        (
            asked("LATEST", None).with("DryRun", true),
            "DryRunOperationException: Request would have succeeded, but DryRun flag is set.".to_owned(),
        ),
    ] {
        let refused = SubscriptionAsked::new(&input, Some(&shards.record), &named(&account), shards.now_ms);
        assert_eq!(refused.expect_err("it is refused").to_string(), said);
    }
}

#[test]
fn who_comes_again_after_what_has_expired_begins_behind_it() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &["a".to_owned(), "b".to_owned()]);
    let (mut subscription, _) = begin(&asked("TRIM_HORIZON", None), &shards);
    let pushed = shards.read(0, Position::TrimHorizon, 9).2;
    let given = continuation(&subscription.event(&pushed, 0, CREATED_MS));
    subscription.pass_over(7);
    let event = subscription.event(&[], 0, CREATED_MS);
    let number = continuation(&event);
    assert!(keys(&event).is_empty() && given < number);
    assert_eq!((given.first_after(), number.first_at(), number.first_after()), (2, 7, 7));
}

#[test]
fn idle_events_move_on_and_name_no_record_to_come() {
    let mut shards = Shards::new(stream(1));
    let (mut subscription, next) = begin(&asked("LATEST", None), &shards);
    assert_eq!(next, 0);
    let mut last = None;
    for seconds in 0..5 {
        let event = subscription.event(&[], 0, CREATED_MS + seconds * 5_000);
        assert_eq!((keys(&event).len(), event.required::<i64>("MillisBehindLatest")), (0, 0));
        let number = continuation(&event);
        assert!(last < Some(number), "it moves on");
        assert_eq!((number.first_at(), number.first_after()), (0, 0));
        last = Some(number);
    }
    // A clock that is set back takes nothing back.
    assert_eq!(Some(continuation(&subscription.event(&[], 0, CREATED_MS))), last);
    put(&mut shards, &["a".to_owned(), "b".to_owned()]);
    let pushed = shards.read(0, Position::TrimHorizon, 9).2;
    let event = subscription.event(&pushed, 3, CREATED_MS + 60_000);
    assert_eq!((keys(&event), event.required::<i64>("MillisBehindLatest")), (vec!["a".into(), "b".into()], 3));
    let number = continuation(&event);
    assert!(last < Some(number));
    assert_eq!((number.first_at(), number.first_after()), (1, 2), "it is the last record's");
    let idle = continuation(&subscription.event(&[], 0, CREATED_MS + 65_000));
    assert!(number < idle);
    assert_eq!((idle.first_at(), idle.first_after()), (2, 2));
}

#[test]
fn what_is_too_much_for_an_event_is_cut_between_records() {
    let mut shards = Shards::new(stream(1));
    // Keys that JSON writes with six characters for each of theirs.
    let put_keys: Vec<String> = (0..EVENT_RECORDS_MAX + 500).map(|at| format!("{:\u{1}>240}{at:06}", "")).collect();
    put(&mut shards, &put_keys);
    let batches = shards.read(0, Position::TrimHorizon, usize::MAX).2;
    let (mut subscription, _) = begin(&asked("TRIM_HORIZON", None), &shards);
    let (mut given, mut events) = (Vec::new(), 0);
    while given.len() < put_keys.len() {
        assert!(subscription.has_more(&batches));
        let event = subscription.event(&batches, 0, shards.now_ms);
        let (first, len) = (given.len(), keys(&event).len());
        assert!(len > 0 && len <= EVENT_RECORDS_MAX);
        given.extend(keys(&event));
        let number = continuation(&event);
        assert_eq!((number.first_at(), number.first_after()), (given.len() as u64 - 1, given.len() as u64), "{first}");
        let behind = event.required::<i64>("MillisBehindLatest");
        assert_eq!(behind > 0, given.len() < put_keys.len(), "who is given a part is behind");
        for encoding in [Encoding::Json, Encoding::Cbor] {
            assert!(event_stream::event("E", encoding, encoding.encode(&event).into()).len() < EVENT_BYTES_MAX);
        }
        events += 1;
    }
    assert!(given == put_keys && events > 1 && !subscription.has_more(&batches), "{events} events");
}

#[test]
fn the_last_event_has_the_children_and_no_continuation() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &["a".to_owned(), "b".to_owned()]);
    let before = shards.record.clone();
    let (mut subscription, _) = begin(&asked("TRIM_HORIZON", None), &shards);
    shards.now_ms += 1_000;
    shards.reshard(Reshard::Scale { target: 2 });
    assert_eq!(subscription.last_event(&before), None, "that record knows of no end");
    let pushed = shards.read(0, Position::TrimHorizon, 9).2;
    assert_eq!(keys(&subscription.event(&pushed, 0, shards.now_ms)), ["a", "b"]);
    let event = subscription.last_event(&shards.record).expect("it is the end");
    assert_eq!(keys(&event).len(), 0);
    let text = String::from_utf8(Encoding::Json.encode(&event)).expect("it is text");
    let children = &text[text.find("\"MillisBehindLatest\"").expect("it is there")..];
    let middle = (1_u128 << 127) - 1;
    let wanted = format!(
        "\"MillisBehindLatest\":0,\"ChildShards\":[{{\"ShardId\":\"shardId-000000000001\",\"ParentShards\":\
         [\"shardId-000000000000\"],\"HashKeyRange\":{{\"StartingHashKey\":\"0\",\"EndingHashKey\":\"{middle}\"}}}},\
         {{\"ShardId\":\"shardId-000000000002\",\"ParentShards\":[\"shardId-000000000000\"],\"HashKeyRange\":\
         {{\"StartingHashKey\":\"{}\",\"EndingHashKey\":\"{}\"}}}}]}}",
        middle + 1,
        u128::MAX
    );
    assert_eq!(children, wanted);

    // A closed shard that was read to its end has that one event, and no lane is asked.
    let last = ShardNumbers::of(&before.shards[0]).of_record(1, CREATED_MS).to_string();
    for input in [asked("LATEST", None), asked("AFTER_SEQUENCE_NUMBER", Some(&last))] {
        let account = account();
        let asked = SubscriptionAsked::new(&input, Some(&shards.record), &named(&account), shards.now_ms);
        let asked = asked.expect("it is in order");
        assert_eq!(asked.position(), None);
        let event = asked.begin(0).last_event(&shards.record).expect("it is the end");
        assert_eq!((keys(&event).len(), event.optional::<&str>("ContinuationSequenceNumber")), (0, None));
    }
}

#[test]
fn a_number_of_a_record_to_come_skips_what_comes_before_it() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &["a".to_owned()]);
    let number = ShardNumbers::of(&shards.record.shards[0]).of_record(2, CREATED_MS).to_string();
    let (mut subscription, pushed_from) = begin(&asked("AT_SEQUENCE_NUMBER", Some(&number)), &shards);
    assert_eq!((pushed_from, subscription.next_sequence()), (1, 2));
    for key in ["b", "c", "d"] {
        put(&mut shards, &[key.to_owned()]);
    }
    let pushed = shards.read(0, Position::AtSequence(1), 9).2;
    let event = subscription.event(&pushed[..1], 0, CREATED_MS + 1_000);
    assert_eq!((keys(&event).len(), continuation(&event).first_after()), (0, 2));
    assert_eq!(keys(&subscription.event(&pushed[1..], 0, CREATED_MS + 2_000)), ["c", "d"]);
}

#[test]
fn whoever_comes_back_misses_nothing_and_gets_nothing_twice() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut shards = Shards::new(stream(1));
        let (mut subscription, mut pushed_to) = begin(&asked("TRIM_HORIZON", None), &shards);
        let mut given: Vec<String> = Vec::new();
        let mut put_so_far = 0;
        let mut last: Option<SequenceNumber> = None;
        for _ in 0..60 {
            shards.now_ms += random.below(3_000) as u64;
            if random.below(2) == 0 {
                let count = 1 + random.below(5);
                put(&mut shards, &(put_so_far..put_so_far + count).map(|key| key.to_string()).collect::<Vec<_>>());
                put_so_far += count;
            }
            let pushed = shards.read(0, Position::AtSequence(pushed_to), random.below(3)).2;
            pushed_to = pushed.last().map_or(pushed_to, |batch| batch.next_sequence());
            let event = subscription.event(&pushed, 0, shards.now_ms);
            let number = continuation(&event);
            assert!(last <= Some(number), "seed {seed}: {last:?}, then {number:?}");
            last = Some(number);
            given.extend(keys(&event));
            assert_eq!(number.first_after(), given.len() as u64);
            assert!(number.first_at() <= given.len() as u64);
            if random.below(5) == 0 {
                let text = number.to_string();
                (subscription, pushed_to) = begin(&asked("AFTER_SEQUENCE_NUMBER", Some(&text)), &shards);
            }
        }
        let wanted: Vec<String> = (0..given.len()).map(|key| key.to_string()).collect();
        assert_eq!(given, wanted, "seed {seed}");
    }
}
