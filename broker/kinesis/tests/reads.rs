//! GetShardIterator and GetRecords: what is refused in which words, and that a reader gets every record once, in order,
//! and finds the end.

#[allow(dead_code, reason = "bytes and numbers are used here, and no values")]
mod random;
mod shards;

use random::Random;
use rheos_core::catalog::{Reshard, ShardRecord};
use rheos_kinesis::records::{IteratorAsked, ReadAsked, ShardNumbers};
use rheos_kinesis::sequence_number::SequenceNumber;
use rheos_kinesis::value::TimestampMs;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Position;
use shards::reader::{Seen, asked, get, iterator, key, put};
use shards::{CREATED_MS, Shards, account, input, named, resharded, stream};

const IN: &str = "in stream orders under account 123456789012";

fn data(seen: &Seen) -> Vec<&str> {
    seen.records.iter().map(|(_, key, _)| key.as_str()).collect()
}

#[test]
fn what_is_refused_is_refused_in_awss_words() {
    let mut shards = Shards::new(stream(2));
    put(&mut shards, &[("a", b"1"), ("b", b"2")]);
    shards.now_ms = CREATED_MS + 10_000;
    let numbers = ShardNumbers::of(shards.record.shard(0).expect("it is there"));
    let number = numbers.of_record(0, CREATED_MS).to_string();
    let other = ShardNumbers::of(shards.record.shard(1).expect("it is there")).of_record(0, CREATED_MS).to_string();
    let combination = |kind: &str, found: &str| {
        format!(
            "InvalidArgumentException: Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} \
             and {found} StartingSequenceNumber."
        )
    };
    let before = ShardRecord { opened_ms: 1_000, ..shards.record.shards[0] };
    let other_life = ShardNumbers::of(&before).of_record(0, CREATED_MS).to_string();
    let used = |number: &str| {
        format!(
            "StartingSequenceNumber {number} used in GetShardIterator on shard shardId-000000000000 {IN} is invalid"
        )
    };
    for (asked, said) in [
        (asked("AT_SEQUENCE_NUMBER"), combination("AT_SEQUENCE_NUMBER", "no")),
        (asked("AFTER_SEQUENCE_NUMBER"), combination("AFTER_SEQUENCE_NUMBER", "no")),
        (asked("LATEST").with("StartingSequenceNumber", &*number), combination("LATEST", "also a")),
        (asked("TRIM_HORIZON").with("StartingSequenceNumber", "0"), combination("TRIM_HORIZON", "also a")),
        (
            asked("AT_TIMESTAMP").with("StartingSequenceNumber", "0").with("Timestamp", TimestampMs(1)),
            combination("AT_TIMESTAMP", "also a"),
        ),
        (
            asked("AT_TIMESTAMP"),
            "InvalidArgumentException: Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
             request has no timestamp parameter."
                .to_owned(),
        ),
        (
            asked("AT_TIMESTAMP").with("Timestamp", TimestampMs(1_700_000_010_001)),
            "InvalidArgumentException: The timestampInMillis parameter cannot be greater than the \
             currentTimestampInMillis. timestampInMillis: 1700000010001, currentTimestampInMillis: 1700000010000"
                .to_owned(),
        ),
        (
            asked("AT_SEQUENCE_NUMBER").with("StartingSequenceNumber", &*other),
            "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used \
             in a call to a shard with shardId-000000000000"
                .to_owned(),
        ),
        (
            asked("AFTER_SEQUENCE_NUMBER").with("StartingSequenceNumber", &*other_life),
            format!("InvalidArgumentException: {} because it did not come from this stream.", used(&other_life)),
        ),
        (
            asked("AT_SEQUENCE_NUMBER").with("StartingSequenceNumber", "9".repeat(57)),
            format!("InvalidArgumentException: {}.", used(&"9".repeat(57))),
        ),
        (asked("AT_SEQUENCE_NUMBER").with("StartingSequenceNumber", "0"), "InternalFailure".to_owned()),
        (
            asked("LATEST").with("ShardId", "shardId-000000000002"),
            format!("ResourceNotFoundException: Shard shardId-000000000002 {IN} does not exist"),
        ),
        (
            asked("LATEST").with("ShardId", "2147483648"),
            format!("ResourceNotFoundException: Could not find shard 2147483648 {IN}."),
        ),
        (
            asked("LATEST").with("DryRun", true),
            "DryRunOperationException: Request would have succeeded, but DryRun flag is set.".to_owned(),
        ),
        (asked("AT_SEQUENCE_NUMBER").with("DryRun", true), combination("AT_SEQUENCE_NUMBER", "no")),
    ] {
        assert_eq!(iterator(&asked, &shards, 1).expect_err("it is refused").to_string(), said);
    }
    let account = account();
    let said = IteratorAsked::new(&asked("LATEST"), None, &named(&account), 0).expect_err("there is no stream");
    assert_eq!(said.to_string(), format!("ResourceNotFoundException: Shard shardId-000000000000 {IN} does not exist"));
}

#[test]
fn every_type_begins_where_it_says() {
    let mut shards = Shards::new(stream(1));
    let mut times = Vec::new();
    for key in ["a", "b", "c"] {
        shards.now_ms += 1_000;
        put(&mut shards, &[(key, b"")]);
        times.push(shards.now_ms as i64);
    }
    let numbers = ShardNumbers::of(&shards.record.shards[0]);
    let of_record = |sequence| numbers.of_record(sequence, CREATED_MS).to_string();
    let start = SequenceNumber::of_start(numbers.shard(), numbers.created_s()).to_string();
    let end = SequenceNumber::of_end(numbers.shard(), numbers.created_s(), 1).to_string();
    let place = numbers.of_place_before(1, CREATED_MS).to_string();
    let at = |number: &str| asked("AT_SEQUENCE_NUMBER").with("StartingSequenceNumber", number);
    let after = |number: &str| asked("AFTER_SEQUENCE_NUMBER").with("StartingSequenceNumber", number);
    let timestamp = |ms: i64| asked("AT_TIMESTAMP").with("Timestamp", TimestampMs(ms));
    for (asked, wanted) in [
        (asked("TRIM_HORIZON"), "abc"),
        (asked("TRIM_HORIZON").with("Timestamp", TimestampMs(i64::MAX)), "abc"),
        (asked("LATEST"), ""),
        (asked("LATEST").with("ShardId", "shard-0"), ""),
        (at(&of_record(1)), "bc"),
        (after(&of_record(1)), "c"),
        (at(&start), "abc"),
        (after(&start), "abc"),
        (at(&place), "bc"),
        (after(&place), "bc"),
        (at(&of_record(3)), ""),
        (at(&of_record(5)), ""),
        (after(&of_record(2)), ""),
        (at(&end), ""),
        (timestamp(-1), "abc"),
        (timestamp(0), "abc"),
        (timestamp(times[1]), "bc"),
        (timestamp(times[1] + 1), "c"),
        (timestamp(times[2]), "c"),
    ] {
        let seen = get(&shards, &iterator(&asked, &shards, 1).expect("it is in order"), None, 9, 2).expect("it is one");
        assert_eq!(data(&seen).concat(), wanted, "{asked:?}");
        assert!(seen.next.is_some());
    }
}

#[test]
fn what_is_put_after_the_iterator_was_given_is_read_by_it() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &[("before", b"")]);
    let latest = iterator(&asked("LATEST"), &shards, 1).expect("it is in order");
    let now = asked("AT_TIMESTAMP").with("Timestamp", TimestampMs(shards.now_ms as i64 + 1));
    shards.now_ms += 1;
    let from_now = iterator(&now, &shards, 1).expect("it is in order");
    put(&mut shards, &[("after", b"")]);
    for text in [latest, from_now] {
        let seen = get(&shards, &text, None, 9, 2).expect("it is one");
        assert_eq!(data(&seen), ["after"]);
        // A retry gives the same, and never the same next.
        let again = get(&shards, &text, None, 9, 3).expect("it is one");
        assert_eq!(again.records, seen.records);
        assert_ne!(again.next, seen.next);
    }
}

#[test]
fn a_number_of_a_record_to_come_skips_what_comes_before_it() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &[("a", b"")]);
    let number = ShardNumbers::of(&shards.record.shards[0]).of_record(2, CREATED_MS).to_string();
    let asked = asked("AT_SEQUENCE_NUMBER").with("StartingSequenceNumber", number);
    let text = iterator(&asked, &shards, 1).expect("it is in order");
    let seen = get(&shards, &text, None, 9, 2).expect("it is one");
    assert!(seen.records.is_empty());
    put(&mut shards, &[("b", b""), ("c", b""), ("d", b"")]);
    let seen = get(&shards, &seen.next.expect("it goes on"), None, 9, 3).expect("it is one");
    assert_eq!(data(&seen), ["c", "d"]);
}

#[test]
fn a_limit_cuts_within_a_batch() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4"), ("e", b"5")]);
    let arrived_ms = shards.now_ms;
    shards.now_ms += 500;
    let mut text = iterator(&asked("TRIM_HORIZON"), &shards, 0).expect("it is in order");
    let mut pages = Vec::new();
    for nonce in 1..5 {
        let seen = get(&shards, &text, Some(2), 9, nonce).expect("it is one");
        let behind_ms = if nonce < 3 { (shards.now_ms - arrived_ms) as i64 } else { 0 };
        assert_eq!(seen.behind_ms, behind_ms, "as old as what comes next");
        pages.push(data(&seen).concat());
        text = seen.next.expect("it goes on");
    }
    assert_eq!(pages, ["ab", "cd", "e", ""]);
}

#[test]
fn an_answer_carries_ten_mib_and_at_least_one_record() {
    let mut shards = Shards::new(stream(1));
    let mib = vec![7; (1 << 20) - 1];
    for _ in 0..2 {
        put(&mut shards, &[("k", mib.as_slice()); 8]);
    }
    let mut text = iterator(&asked("TRIM_HORIZON"), &shards, 0).expect("it is in order");
    for wanted in [10, 6] {
        let seen = get(&shards, &text, None, 9, 1).expect("it is one");
        assert_eq!(seen.records.len(), wanted);
        text = seen.next.expect("it goes on");
    }
}

#[test]
fn a_small_limit_reads_little() {
    let shards = Shards::new(stream(1));
    let (account, key) = (account(), key());
    let text = iterator(&asked("TRIM_HORIZON"), &shards, 0).expect("it is in order");
    for (limit, bytes_max) in [(Some(1), 64 << 10), (Some(10), 640 << 10), (Some(10_000), 8 << 20), (None, 8 << 20)] {
        let input = input("GetRecords").with("ShardIterator", &*text).with_some("Limit", limit);
        let asked = ReadAsked::open(&input, &key, "RKALICE", shards.now_ms).expect("it is one");
        let reading = asked.of(Some(&shards.record), &named(&account)).expect("it is there");
        assert_eq!(reading.bytes_max(), bytes_max);
    }
}

#[test]
fn at_the_end_of_a_shard_are_its_children_and_no_iterator() {
    let mut shards = Shards::new(stream(1));
    put(&mut shards, &[("a", b""), ("b", b"")]);
    let before = iterator(&asked("TRIM_HORIZON"), &shards, 1).expect("it is in order");
    shards.reshard(Reshard::Split { shard: 0, at: 1 << 127 });
    let middle = (1_u128 << 127) - 1;
    let parents = vec!["shardId-000000000000".to_owned()];
    let children = vec![
        ("shardId-000000000001".to_owned(), parents.clone(), format!("0-{middle}")),
        ("shardId-000000000002".to_owned(), parents, format!("{}-{}", middle + 1, u128::MAX)),
    ];
    let seen = get(&shards, &before, None, 9, 2).expect("it is one");
    assert_eq!((data(&seen).concat(), seen.next, seen.children), ("ab".to_owned(), None, children.clone()));
    let cut = get(&shards, &before, Some(1), 9, 2).expect("it is one");
    assert_eq!((data(&cut), cut.children.len()), (vec!["a"], 0));
    let rest = get(&shards, &cut.next.expect("it goes on"), Some(1), 9, 3).expect("it is one");
    assert_eq!((data(&rest), &rest.next, rest.children.len()), (vec!["b"], &None, 2));
    // KCL asks a closed shard for its children so, and the lane is not asked.
    let latest = iterator(&asked("LATEST"), &shards, 1).expect("a closed shard has iterators too");
    let seen = get(&shards, &latest, None, 0, 2).expect("it is one");
    assert_eq!((seen.records.len(), seen.behind_ms, seen.next, seen.children), (0, 0, None, children));
}

#[test]
fn the_child_of_a_merge_has_both_parents_and_an_empty_shard_ends_at_once() {
    let mut shards = Shards::new(stream(2));
    put(&mut shards, &[("a", b"")]);
    shards.reshard(Reshard::Merge { shard: 1, adjacent: 0 });
    let empty = (0..2).find(|shard| shards.tip(*shard) == 0).expect("one has nothing");
    let asked = asked("TRIM_HORIZON").with("ShardId", empty.to_string());
    let seen = get(&shards, &iterator(&asked, &shards, 1).expect("it is in order"), None, 9, 2).expect("it is one");
    let parents = vec!["shardId-000000000001".to_owned(), "shardId-000000000000".to_owned()];
    assert_eq!(seen.children, [("shardId-000000000002".to_owned(), parents, format!("0-{}", u128::MAX))]);
}

#[test]
fn an_iterator_does_not_open_everywhere() {
    let shards = Shards::new(stream(1));
    let (account, key) = (account(), key());
    let text = iterator(&asked("LATEST"), &shards, 1).expect("it is in order");
    let input = |text: &str| input("GetRecords").with("ShardIterator", text);
    let open = |text: &str, principal: &str, later_ms: u64| {
        ReadAsked::open(&input(text), &key, principal, shards.now_ms + later_ms).map_err(|error| error.to_string())
    };
    let invalid = "InvalidArgumentException: Invalid ShardIterator.";
    assert_eq!(open(&text, "RKBOB", 0).expect_err("it is another's"), invalid);
    assert_eq!(open("AAAA", "RKALICE", 0).expect_err("it is none"), invalid);
    let expired = open(&text, "RKALICE", 300_001).expect_err("it is too old");
    assert!(expired.starts_with("ExpiredIteratorException: Iterator expired. "), "{expired}");

    let mut again = shards.record.clone();
    again.incarnation = 8;
    for stream in [None, Some(&again)] {
        let asked = open(&text, "RKALICE", 0).expect("it opens");
        let said = asked.of(stream, &named(&account)).expect_err("that stream is gone").to_string();
        assert_eq!(said, format!("ResourceNotFoundException: Shard shardId-000000000000 {IN} does not exist"));
    }
    let dry = input(&text).with("DryRun", true);
    let asked = ReadAsked::open(&dry, &key, "RKALICE", shards.now_ms).expect("it opens");
    let said = asked.of(Some(&shards.record), &named(&account)).expect_err("it was a try").to_string();
    assert_eq!(said, "DryRunOperationException: Request would have succeeded, but DryRun flag is set.");
}

#[test]
fn refusals_of_the_broker_have_their_words() {
    let shards = Shards::new(stream(1));
    let (account, key) = (account(), key());
    let text = iterator(&asked("TRIM_HORIZON"), &shards, 0).expect("it is in order");
    let input = input("GetRecords").with("ShardIterator", text);
    let asked = ReadAsked::open(&input, &key, "RKALICE", shards.now_ms).expect("it is one");
    let reading = asked.of(Some(&shards.record), &named(&account)).expect("it is there");
    let place = ShardNumbers::of(reading.shard).of_place_before(10, 0);
    let refused = |code| {
        let error = WireError::new(code, "said").with_detail(5, 9);
        reading.refused(&error, &named(&account)).map_err(|error| error.to_string())
    };
    let limit = format!("ProvisionedThroughputExceededException: Rate exceeded for shard shardId-000000000000 {IN}.");
    let gone = format!("ResourceNotFoundException: Shard shardId-000000000000 {IN} does not exist");
    for (code, wanted) in [
        (ErrorCode::Trimmed, Ok(Some(Position::AtSequence(5)))),
        (ErrorCode::BeyondTip, Ok(None)),
        (ErrorCode::OverLimit, Err(limit.clone())),
        (ErrorCode::Busy, Err(limit)),
        (ErrorCode::StreamNotFound, Err(gone.clone())),
        (ErrorCode::ShardNotFound, Err(gone)),
        (ErrorCode::Internal, Err("InternalFailure: Internal service failure.".to_owned())),
        (ErrorCode::GoingAway, Err("InternalFailure: Internal service failure. said".to_owned())),
        (
            ErrorCode::Damaged,
            Err(format!(
                "InternalFailure: Internal service failure. said; AFTER_SEQUENCE_NUMBER {place} reads on behind the damage"
            )),
        ),
    ] {
        assert_eq!(refused(code), wanted, "{code:?}");
    }
}

#[test]
fn what_was_put_is_read_once_and_in_order_over_reshards() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut shards = Shards::new(stream(1 + random.below(3) as u32));
        let mut wanted: Vec<(String, Vec<u8>)> = Vec::new();
        for _ in 0..1 + random.below(6) {
            let count = 1 + random.below(30);
            let records: Vec<(String, Vec<u8>)> = (0..count)
                .map(|at| (format!("{}", random.below(9)), [&[at as u8][..], &random.bytes(40)].concat()))
                .collect();
            put(&mut shards, &records.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect::<Vec<_>>());
            wanted.extend(records);
            let target = 1 + random.below(4) as u32;
            if random.below(2) == 0 && target as usize != shards.record.open_shards().len() {
                shards.now_ms += 2_000;
                shards.reshard(Reshard::Scale { target });
            }
        }
        let mut read = Vec::new();
        for shard in shards.record.shards.clone() {
            let asked = asked("TRIM_HORIZON").with("ShardId", shard.shard.to_string());
            let mut next = Some(iterator(&asked, &shards, 0).expect("it is in order"));
            let mut last = None;
            let mut empty = 0;
            while let Some(text) = next {
                let limit = 1 + random.below(20) as i64;
                let seen = get(&shards, &text, Some(limit), 1 + random.below(3), 1).expect("it is one");
                assert!(seen.records.len() <= limit as usize);
                for (number, key, data) in seen.records {
                    assert!(last < Some(number), "numbers grow within a shard");
                    last = Some(number);
                    read.push((key, data));
                }
                empty += usize::from(shard.is_open() && seen.behind_ms == 0);
                next = seen.next.filter(|_| empty < 2);
            }
        }
        // Across shards nothing is promised: each key's records, in the order of their shards, are as they were put.
        for key in 0..9 {
            let of_key = |records: &[(String, Vec<u8>)]| {
                records
                    .iter()
                    .filter(|(of, _)| *of == key.to_string())
                    .map(|(_, data)| data.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(of_key(&read), of_key(&wanted), "seed {seed}, key {key}");
        }
        assert_eq!(read.len(), wanted.len());
    }
}

#[test]
fn an_older_record_of_the_stream_gives_a_page_more() {
    let shards = Shards::new(stream(1));
    let text = iterator(&asked("TRIM_HORIZON"), &shards, 0).expect("it is in order");
    let seen = get(&shards, &text, None, 9, 1).expect("it is one");
    assert!(seen.next.is_some() && seen.children.is_empty());
    let closed = resharded(&shards.record, Reshard::Scale { target: 2 }, &|_| 0, CREATED_MS);
    let closed = Shards::new(closed);
    let seen = get(&closed, &seen.next.expect("it goes on"), None, 9, 2).expect("it is one");
    assert_eq!((seen.next, seen.children.len()), (None, 2));
}
