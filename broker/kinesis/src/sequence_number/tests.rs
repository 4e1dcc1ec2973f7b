//! The layout against numbers that AWS has written, and the refusals against AWS's texts.

use super::*;
use crate::arn::AccountId;
use crate::error::Error;
use crate::shard_id::StreamOf;

/// From AWS's sample event for Lambda, which tells the shard (6) and the arrival (1545084650.987) beside it.
const LAMBDA_SAMPLE: &str = "49590338271490256608559692538361571095921575989136588898";
const CREATED_S: u64 = 1_542_776_258;

fn shard(number: u32) -> ShardId {
    ShardId::new(number).expect("it is one")
}

fn start(text: &str, on_shard: u32, created_s: u64) -> Result<SequenceNumber, Error> {
    let account = AccountId::new("000000000000").expect("it is one");
    let stream = StreamOf { name: "orders", account: &account };
    starting_number(text, &UsedOn { operation: "GetShardIterator", stream, shard: shard(on_shard), created_s })
}

#[test]
fn numbers_that_aws_has_written_are_decoded_and_written_again() {
    let cases = [
        (LAMBDA_SAMPLE, 6, CREATED_S, 1_734_642_199, 1_545_084_650),
        ("49568749374218235080373793662003016116473266703358230578", 3, 1_482_271_281, 2_794_736_297, 1_484_245_765),
        ("49546986683135544286507457936321625675700192471156785154", 0, 1_421_279_230, 469, 1_421_279_386),
    ];
    for (text, of_shard, created_s, index, arrival_s) in cases {
        let number = SequenceNumber::parse(text).expect("it is of version 2");
        assert_eq!((number.shard(), number.created_s(), number.arrival_s()), (shard(of_shard), created_s, arrival_s));
        assert_eq!(number.place(), Place::Record(index - 1));
        assert_eq!(SequenceNumber::of_record(shard(of_shard), created_s, index - 1, arrival_s), number);
        assert_eq!((number.to_string().as_str(), text.len()), (text, 56));
    }
}

#[test]
fn the_bytes_are_as_drawn() {
    let number = SequenceNumber::of_record(shard(0x1234_567a), 0x1_2345_6789, 0x0123_4567_89ab_cdee, 0x3_4567_89ab);
    assert_eq!(hex::encode(number.bytes), "02123456789a0123456789abcdef003456789ab1234567a2");
    assert_eq!(number.to_string().parse::<f64>().map(f64::log2).map(|bits| bits.floor()), Ok(185.0));
}

#[test]
fn a_later_place_has_a_larger_number_in_every_way_of_making_one() {
    let (of, created_s) = (shard(21), 1_700_000_000);
    let record = |sequence, arrival_s| SequenceNumber::of_record(of, created_s, sequence, arrival_s);
    let before = |sequence, now_s| SequenceNumber::of_place_before(of, created_s, sequence, now_s);
    let in_order = [
        SequenceNumber::of_start(of, created_s),
        before(0, created_s),
        before(0, created_s + 1),
        // A clock that went back changes nothing: the index is above the seconds.
        record(0, created_s + 9),
        before(1, created_s),
        record(1, created_s + 2),
        record(9, created_s + 3),
        record(10, created_s + 3),
        before(11, created_s + 400),
        record(SEQUENCE_MAX, SECONDS_END - 1),
        SequenceNumber::of_end(of, created_s, created_s + 5),
    ];
    assert!(in_order.is_sorted_by(|a, b| a < b));
    assert!(in_order.map(|number| number.to_string().len()).iter().all(|digits| *digits == 56));
    assert!(in_order.iter().all(|number| SequenceNumber::parse(&number.to_string()) == Some(*number)));
}

#[test]
fn reading_at_and_after_a_number_begins_where_its_order_says() {
    let of = shard(1);
    let cases = [
        (SequenceNumber::of_start(of, 5), Place::Start, 0, 0),
        (SequenceNumber::of_record(of, 5, 0, 6), Place::Record(0), 0, 1),
        (SequenceNumber::of_record(of, 5, 7, 6), Place::Record(7), 7, 8),
        (SequenceNumber::of_place_before(of, 5, 0, 6), Place::Before(0), 0, 0),
        (SequenceNumber::of_place_before(of, 5, 8, 6), Place::Before(8), 8, 8),
        (SequenceNumber::of_end(of, 5, 6), Place::End, u64::MAX, u64::MAX),
    ];
    for (number, place, at, after) in cases {
        assert_eq!((number.place(), number.first_at(), number.first_after()), (place, at, after), "{number:?}");
    }
}

#[test]
fn the_start_and_the_end_of_a_shard_are_those_of_aws() {
    let start = SequenceNumber::of_start(shard(0x12), 0x5be0_1234);
    assert_eq!(hex::encode(start.bytes), "0205be01234200000000000000000005be01234000000122");
    let end = SequenceNumber::of_end(shard(0x12), 0x5be0_1234, 0x5be0_1300);
    assert_eq!(hex::encode(end.bytes), "0205be0123427fffffffffffffff0005be01300000000122");
}

#[test]
fn a_number_of_this_shard_is_taken_whether_a_record_has_it_or_not() {
    for number in [
        SequenceNumber::of_start(shard(6), CREATED_S),
        SequenceNumber::of_record(shard(6), CREATED_S, 1 << 60, 1),
        SequenceNumber::of_place_before(shard(6), CREATED_S, 3, 1),
        SequenceNumber::of_end(shard(6), CREATED_S, 1),
    ] {
        assert_eq!(start(&number.to_string(), 6, CREATED_S), Ok(number));
    }
}

#[test]
fn the_four_refusals_are_those_of_aws_in_its_order() {
    let refused = |text: &str, on_shard, created_s| {
        let refusal = start(text, on_shard, created_s).expect_err(text);
        (refusal.kind.name(), refusal.text().to_owned())
    };
    let on =
        |shard: u32| format!("on shard shardId-{shard:012} in stream orders under account 000000000000 is invalid");
    let used = |text: &str, shard, why: &str| {
        let message = format!("StartingSequenceNumber {text} used in GetShardIterator {}{why}", on(shard));
        ("InvalidArgumentException", message)
    };
    let other_shard = |encoded: &str, shard: u32| {
        let call = format!("while it was used in a call to a shard with shardId-{shard:012}");
        ("InvalidArgumentException", format!("Invalid StartingSequenceNumber. It encodes {encoded}, {call}"))
    };

    // (a) comes before (b): a number of another shard and another life.
    assert_eq!(refused(LAMBDA_SAMPLE, 5, 1), other_shard("shardId-000000000006", 5));
    let other_life = " because it did not come from this stream.";
    assert_eq!(refused(LAMBDA_SAMPLE, 6, CREATED_S + 1), used(LAMBDA_SAMPLE, 6, other_life));
    for text in
        ["", "x", "-1", "01", &"9".repeat(129), &two_to(125), &two_to(184), &two_to(185), &three_times_two_to_184()]
    {
        assert_eq!(refused(text, 0, 1), used(text, 0, "."), "{text}");
    }
    // (d): what is below 2^124 is of version 0 too.
    assert_eq!(refused("42", 0, 1), other_shard("shardId-000000000042", 0));
    for (text, of_shard) in [("0", 0), (two_to(124).as_str(), 0), ("42", 42)] {
        assert_eq!(refused(text, of_shard, 1), ("InternalFailure", String::new()), "{text}");
    }
}

#[test]
fn numbers_that_rheos_never_gave_are_refused() {
    let message = |hex: &str, on_shard| start(&of_hex(hex), on_shard, 5).map_err(|refusal| refusal.text().to_owned());
    let with_end = |hex: &str, on_shard, end: &str| {
        assert!(message(hex, on_shard).is_err_and(|message| message.ends_with(end)), "{hex}");
    };
    let other_life = "because it did not come from this stream.";
    let number = |created: u64, nibble: u8, index: u64, shard: u32, version: u8| {
        format!("2{created:09x}{nibble:x}{index:016x}00000000006{shard:08x}{version:x}")
    };
    assert!(message(&number(5, 3, 1, 3, 2), 3).is_ok());
    // Version 1, and a nibble that is not the shard's.
    with_end(&number(5, 3, 1, 3, 1), 3, other_life);
    with_end(&number(5, 4, 1, 3, 2), 3, other_life);
    // An index above 63 bits, a shard of a year that AWS does not take, and a version that there is not.
    with_end(&number(5, 3, 1 << 63, 3, 2), 3, "is invalid.");
    with_end(&number(CREATED_S_END, 3, 1, 3, 2), 3, "is invalid.");
    with_end(&number(5, 3, 1, 3, 3), 3, "is invalid.");
    let negative = message(&number(5, 15, 1, u32::MAX, 2), 3).expect_err("no shard is negative");
    assert!(negative.contains("It encodes shardId--04294967295, while"), "{negative}");
}

#[test]
fn an_ordering_number_is_checked_as_aws_checks_it() {
    let account = AccountId::new("000000000000").expect("it is one");
    let stream = StreamOf { name: "orders", account: &account };
    assert!(check_ordering(LAMBDA_SAMPLE, &stream, 1_545_084_650).is_ok());
    for (text, now_s) in [(LAMBDA_SAMPLE, 1_545_084_649), ("0", u64::MAX), ("", 0)] {
        let of_it = format!("ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream orders");
        let message = format!("{of_it} under account 000000000000 is invalid.");
        assert_eq!(check_ordering(text, &stream, now_s), Err(Error::invalid_argument(message)));
    }
}

fn two_to(bit: usize) -> String {
    let mut bytes = [0; BYTES];
    bytes[BYTES - 1 - bit / 8] = 1 << (bit % 8);
    decimal::Decimal::of(bytes).as_str().to_owned()
}

fn three_times_two_to_184() -> String {
    let mut bytes = [0; BYTES];
    (bytes[0], bytes[BYTES - 1]) = (0x03, 0x02);
    decimal::Decimal::of(bytes).as_str().to_owned()
}

fn of_hex(hex: &str) -> String {
    let bytes = hex::decode(format!("0{hex}")).expect("it is hexadecimal");
    decimal::Decimal::of(bytes.try_into().expect("it has 47 digits")).as_str().to_owned()
}
