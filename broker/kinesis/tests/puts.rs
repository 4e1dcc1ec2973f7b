//! PutRecord and PutRecords: what is refused in which words, where records go, and what is answered.

#[allow(dead_code, reason = "bytes and numbers are used here, and no values")]
mod random;
mod shards;

use bytes::Bytes;
use random::Random;
use rheos_core::catalog::{Reshard, StreamRecord};
use rheos_kinesis::error::Error;
use rheos_kinesis::records::{Acked, Outgoing, Placement, PutTo, Puts};
use rheos_kinesis::sequence_number::{Place, SequenceNumber};
use rheos_kinesis::shapes::structures::PUT_ENTRY;
use rheos_kinesis::value::{Structure, Value, items};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::hash::hash_key;
use shards::{CREATED_MS, Shards, account, input, named, reader, resharded, stream};

const IN: &str = "in stream orders under account 123456789012";

fn entry(key: &str, data: &[u8]) -> Structure {
    Structure::of(&PUT_ENTRY).with("Data", Bytes::copy_from_slice(data)).with("PartitionKey", key)
}

fn put_records(entries: Vec<Structure>) -> Structure {
    input("PutRecords").with("StreamName", "orders").with("Records", entries.into_iter().collect::<Value>())
}

fn put_record(key: &str, data: &[u8]) -> Structure {
    input("PutRecord").with("Data", Bytes::copy_from_slice(data)).with("PartitionKey", key)
}

/// What an input is refused with, as a put to a stream of one shard.
fn refusal(input: &Structure) -> String {
    let (account, stream) = (account(), stream(1));
    let to = to(&stream, &account, Placement::Keys);
    let puts = match input.members().iter().any(|member| member.name == "Records") {
        true => Puts::many(input, &to),
        false => Puts::one(input, &to),
    };
    puts.map(drop).expect_err("it is refused").to_string()
}

fn to<'a>(stream: &'a StreamRecord, account: &'a rheos_kinesis::arn::AccountId, placement: Placement) -> PutTo<'a> {
    PutTo { stream, named: named(account), placement, now_s: CREATED_MS / 1_000 }
}

/// What is told of a record: its shard and number, or a code and a message.
type Told = Result<(String, SequenceNumber), (String, String)>;

/// Puts many and gives the answer's results.
fn results(shards: &mut Shards, old: &StreamRecord, input: &Structure) -> (i64, Vec<Told>) {
    let account = account();
    let mut puts = Puts::many(input, &to(old, &account, Placement::Keys)).expect("it is in order");
    shards.perform(&mut puts, old);
    read_results(&puts.answer().expect("it is answered"))
}

fn read_results(answer: &Structure) -> (i64, Vec<Told>) {
    let result = |result: &Structure| match result.optional::<&str>("ErrorCode") {
        Some(code) => {
            assert_eq!(result.optional::<&str>("ShardId").or(result.optional("SequenceNumber")), None);
            Err((code.to_owned(), result.optional::<&str>("ErrorMessage").unwrap_or_default().to_owned()))
        }
        None => {
            let number = SequenceNumber::parse(result.optional("SequenceNumber").expect("it has one"));
            Ok((result.optional::<&str>("ShardId").expect("it has one").to_owned(), number.expect("it is one")))
        }
    };
    let results = items::<&Structure>(answer.required("Records")).map(result).collect();
    (answer.optional("FailedRecordCount").expect("it is always there"), results)
}

#[test]
fn what_is_refused_is_refused_in_awss_words() {
    let mib = 1 << 20;
    let too_long = "failed to satisfy constraint: Member must have length less than or equal to 1048576";
    let null = "failed to satisfy constraint: Member must not be null";
    let no_key = || Structure::of(&PUT_ENTRY).with("Data", Bytes::new());
    let two_to_the_128 = "340282366920938463463374607431768211456";
    let ten_mib: Vec<_> = (0..11).map(|_| entry("k", &vec![0; mib - 1])).collect();
    for (input, said) in [
        (
            put_record("k", &vec![0; mib]),
            format!("ValidationException: 1 validation error detected: Value at 'data' {too_long}"),
        ),
        (
            put_record("k", &vec![0; mib + 1]),
            format!("ValidationException: 1 validation error detected: Value at 'data' {too_long}"),
        ),
        (
            input("PutRecord").with("Data", Bytes::new()),
            format!("ValidationException: 1 validation error detected: Value null at 'partitionKey' {null}"),
        ),
        (
            put_records(vec![entry("k", b""), no_key(), entry("é", &vec![0; mib - 1])]),
            format!(
                "ValidationException: 2 validation errors detected: Value null at 'records.2.member.partitionKey' {null}; \
                 Value at 'records.3.member.data' {too_long}"
            ),
        ),
        (put_records(ten_mib), "InvalidArgumentException: Records size exceeds 10 MB limit".to_owned()),
        (
            put_record("k", b"").with("ExplicitHashKey", two_to_the_128),
            format!(
                "InvalidArgumentException: Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was {two_to_the_128}"
            ),
        ),
        (
            put_records(vec![entry("k", b""), entry("k", b"").with("ExplicitHashKey", "9".repeat(39))]),
            format!(
                "InvalidArgumentException: Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was {}",
                "9".repeat(39)
            ),
        ),
        (
            put_record("k", b"").with("SequenceNumberForOrdering", "17"),
            "InvalidArgumentException: ExclusiveMinimumSequenceNumber 17 used in PutRecord on stream orders under \
             account 123456789012 is invalid."
                .to_owned(),
        ),
        (
            put_record("k", b"").with("DryRun", true),
            "DryRunOperationException: Request would have succeeded, but DryRun flag is set.".to_owned(),
        ),
        (
            put_records(vec![entry("k", b"")]).with("DryRun", true),
            "DryRunOperationException: Request would have succeeded, but DryRun flag is set.".to_owned(),
        ),
        (
            put_record("k", &vec![0; mib]).with("DryRun", true),
            format!("ValidationException: 1 validation error detected: Value at 'data' {too_long}"),
        ),
    ] {
        assert_eq!(refusal(&input), said);
    }
}

#[test]
fn no_more_clauses_are_told_than_aws_tells() {
    let said = refusal(&put_records((0..500).map(|_| Structure::of(&PUT_ENTRY).with("Data", Bytes::new())).collect()));
    assert!(said.starts_with("ValidationException: 10 validation errors detected: "), "{said}");
    assert_eq!(said.matches("Member must not be null").count(), 10);
}

#[test]
fn what_just_fits_is_taken() {
    let mib = 1 << 20;
    let mut entries: Vec<_> = (0..9).map(|_| entry("k", &vec![7; mib - 1])).collect();
    entries.push(entry("é", &vec![7; mib - 2]));
    let mut shards = Shards::new(stream(1));
    let old = shards.record.clone();
    let (failed, results) = results(&mut shards, &old, &put_records(entries));
    assert_eq!((failed, results.len(), shards.tip(0)), (0, 10, 10));
}

#[test]
fn records_go_where_their_keys_say_and_are_answered_in_order() {
    let mut shards = Shards::new(stream(4));
    let old = shards.record.clone();
    let entries: Vec<_> = (0..400).map(|number| entry(&format!("key-{number}"), b"data")).collect();
    let (failed, results) = results(&mut shards, &old, &put_records(entries));
    assert_eq!((failed, results.len()), (0, 400));
    let mut last = [None; 4];
    for (number, result) in results.into_iter().enumerate() {
        let (shard, sequence_number) = result.expect("it is stored");
        let wanted = old.open_shard_of(hash_key(&format!("key-{number}"))).expect("there is one").shard;
        assert_eq!((shard, sequence_number.shard().number()), (format!("shardId-{wanted:012}"), wanted));
        assert_eq!(sequence_number.created_s(), CREATED_MS / 1_000);
        // Within a shard the order of the call is kept.
        assert!(last[wanted as usize] < Some(sequence_number));
        last[wanted as usize] = Some(sequence_number);
    }
}

#[test]
fn an_explicit_hash_key_decides_and_is_stored() {
    let mut shards = Shards::new(stream(2));
    let old = shards.record.clone();
    let half = (1_u128 << 127).to_string();
    let explicit = |key: &str| entry("same", b"x").with("ExplicitHashKey", key);
    let last = u128::MAX.to_string();
    let entries = vec![explicit("0"), explicit(&half), entry("same", b"x"), explicit(&last), entry("same", b"x")];
    let (_, results) = results(&mut shards, &old, &put_records(entries));
    let by_key = old.open_shard_of(hash_key("same")).expect("there is one").shard;
    let shards_of: Vec<_> = results.iter().map(|it| it.as_ref().expect("it is stored").1.shard().number()).collect();
    assert_eq!(shards_of, [0, 1, by_key, 1, by_key]);
    let (_, _, stored) = shards.read(0, rheos_protocol::message::Position::TrimHorizon, 9);
    assert_eq!(stored[0].records().next().map(|record| record.explicit_hash_key), Some(Some(0)));
}

#[test]
fn in_turns_records_spread_and_need_no_key() {
    let (account, stream) = (account(), stream(8));
    let records = (0..400).map(|_| Structure::of(&PUT_ENTRY).with("Data", Bytes::new()).with("ExplicitHashKey", "0"));
    let input = put_records(records.collect());
    let mut puts = Puts::many(&input, &to(&stream, &account, Placement::Turns { seed: 3 << 100 })).expect("no key");
    let mut shards = Shards::new(stream.clone());
    shards.perform(&mut puts, &stream);
    assert!((0..8).all(|shard| (45..=55).contains(&shards.tip(shard))), "an eighth each");
    assert_eq!(read_results(&puts.answer().expect("it is answered")).0, 0);
    for shard in 0..8 {
        let asked = reader::asked("TRIM_HORIZON").with("ShardId", shard.to_string());
        let text = reader::iterator(&asked, &shards, 1).expect("it is in order");
        let seen = reader::get(&shards, &text, None, 9, 2).expect("it is one");
        assert!(seen.records.iter().all(|(_, key, _)| key == "(none)"), "a record without a key is read without one");
    }
}

#[test]
fn nobody_sees_a_reshard() {
    let splits = [
        Reshard::Split { shard: 0, at: 1 << 126 },
        Reshard::Merge { shard: 0, adjacent: 1 },
        Reshard::Scale { target: 7 },
    ];
    for reshard in splits {
        let mut shards = Shards::new(stream(2));
        let old = shards.record.clone();
        shards.now_ms += 60_000;
        shards.reshard(reshard);
        let entries: Vec<_> = (0..300).map(|number| entry(&format!("key-{number}"), b"data")).collect();
        let (failed, results) = results(&mut shards, &old, &put_records(entries));
        assert_eq!(failed, 0, "{results:?}");
        assert!(shards.refused > 0, "the old record was wrong");
        for (number, result) in results.into_iter().enumerate() {
            let (_, sequence_number) = result.expect("it is stored");
            let wanted = shards.record.open_shard_of(hash_key(&format!("key-{number}"))).expect("there is one");
            assert_eq!(sequence_number.shard().number(), wanted.shard);
            assert_eq!(sequence_number.created_s(), wanted.opened_ms / 1_000);
        }
    }
}

#[test]
fn what_two_parents_refuse_goes_to_their_child_as_one_batch() {
    let (account, stream) = (account(), stream(2));
    let input = put_records((0..50).map(|number| entry(&number.to_string(), b"")).collect());
    let mut puts = Puts::many(&input, &to(&stream, &account, Placement::Keys)).expect("it is in order");
    let outgoing = puts.batches(&stream);
    assert_eq!(outgoing.len(), 2);
    for Outgoing { ticket, .. } in outgoing {
        puts.settle(ticket, Err(WireError::new(ErrorCode::ShardClosed, "closed")));
    }
    let merged = resharded(&stream, Reshard::Merge { shard: 0, adjacent: 1 }, &|_| 0, CREATED_MS);
    let batch = puts.batches(&merged).pop().expect("there is one").batch;
    let keys: Vec<_> = batch.records().map(|record| record.partition_key.to_owned()).collect();
    assert_eq!(keys, (0..50).map(|number| number.to_string()).collect::<Vec<_>>(), "all of them, in order");
}

#[test]
fn a_reshard_that_does_not_end_is_a_failure_in_the_end() {
    let (account, stream) = (account(), stream(1));
    let input = put_record("k", b"x");
    let mut puts = Puts::one(&input, &to(&stream, &account, Placement::Keys)).expect("it is in order");
    let mut waited_ms = 0;
    while let Some(wait_ms) = puts.wait_ms() {
        waited_ms += wait_ms;
        for Outgoing { ticket, .. } in puts.batches(&stream) {
            puts.settle(ticket, Err(WireError::retry_after(ErrorCode::Resharding, 2, "closing")));
        }
    }
    assert!((2_000..10_000).contains(&waited_ms), "{waited_ms} ms");
    let said = puts.answer().expect_err("it has failed").to_string();
    assert_eq!(said, "InternalFailure: Internal service failure. the stream is still being resharded; put again");
}

#[test]
fn of_a_batch_over_the_limit_the_beginning_that_fits_goes_in() {
    for room in [0, 1, 2, 31, 63, 64] {
        let mut shards = Shards::new(stream(1));
        shards.room = Some(room);
        let old = shards.record.clone();
        let input = put_records((0..64).map(|_| entry("k", b"data")).collect());
        let (failed, results) = results(&mut shards, &old, &input);
        assert_eq!((failed as u64, shards.tip(0)), (64 - room, room), "to the record");
        let refused = results.iter().skip(room as usize);
        assert!(results.iter().take(room as usize).all(Result::is_ok) && results.len() == 64);
        let text = format!("Rate exceeded for shard shardId-000000000000 {IN}.");
        let wanted = Err(("ProvisionedThroughputExceededException".to_owned(), text));
        assert!(refused.clone().all(|result| *result == wanted), "{:?}", refused.collect::<Vec<_>>());
        assert!(shards.refused <= 7, "{} refusals", shards.refused);
    }
    for room in (0..500).step_by(13) {
        let mut shards = Shards::new(stream(1));
        shards.room = Some(room);
        let old = shards.record.clone();
        let (failed, _) = results(&mut shards, &old, &put_records((0..500).map(|_| entry("k", b"")).collect()));
        assert_eq!(500 - failed as u64, shards.tip(0));
        assert!(room - shards.tip(0) <= 500_u64.div_ceil(64), "{} of {room} went in", shards.tip(0));
    }
}

#[test]
fn a_put_of_one_is_refused_as_aws_does() {
    let (account, stream) = (account(), stream(1));
    let limit = format!("ProvisionedThroughputExceededException: Rate exceeded for shard shardId-000000000000 {IN}.");
    let failure = "InternalFailure: Internal service failure.".to_owned();
    for (code, said) in [
        (ErrorCode::OverLimit, limit.clone()),
        (ErrorCode::Busy, limit),
        (ErrorCode::Indeterminate, failure.clone()),
        (ErrorCode::Internal, failure.clone()),
        (ErrorCode::RecordTooLarge, failure),
        (ErrorCode::StorageFull, "InternalFailure: Internal service failure. it is full".to_owned()),
    ] {
        let input = put_record("k", b"x");
        let mut puts = Puts::one(&input, &to(&stream, &account, Placement::Keys)).expect("it is in order");
        let outgoing = puts.batches(&stream);
        assert_eq!(outgoing.len(), 1);
        puts.settle(outgoing[0].ticket, Err(WireError::new(code, "it is full")));
        assert_eq!(puts.wait_ms(), None, "{code:?} is not tried again");
        assert_eq!(puts.answer().expect_err("it is refused").to_string(), said, "{code:?}");
    }
}

#[test]
fn a_put_of_one_is_answered_with_its_shard_and_number() {
    let (account, stream) = (account(), stream(3));
    let input = put_record("k", b"x");
    let mut puts = Puts::one(&input, &to(&stream, &account, Placement::Keys)).expect("it is in order");
    for Outgoing { ticket, .. } in puts.batches(&stream) {
        puts.settle(ticket, Ok(Acked { first_sequence: 41, arrival_ms: CREATED_MS + 5_000 }));
    }
    let answer = puts.answer().expect("it is stored");
    let number = SequenceNumber::parse(answer.required("SequenceNumber")).expect("it is one");
    assert_eq!((number.place(), number.arrival_s()), (Place::Record(41), CREATED_MS / 1_000 + 5));
    assert_eq!(answer.required::<&str>("ShardId"), number.shard().to_string());
    assert_eq!(answer.optional::<&str>("EncryptionType"), None);
    // A number that was given is taken for ordering, at once and later.
    let again = put_record("k", b"x").with("SequenceNumberForOrdering", number.to_string());
    let later = PutTo { now_s: CREATED_MS / 1_000 + 5, ..to(&stream, &account, Placement::Keys) };
    assert!(Puts::one(&again, &later).is_ok());
}

#[test]
fn of_a_deleted_stream_the_whole_call_is_told() {
    let (account, stream) = (account(), stream(2));
    let input = put_records((0..9).map(|number| entry(&number.to_string(), b"")).collect());
    let puts = |stored: usize| -> Result<Structure, Error> {
        let mut puts = Puts::many(&input, &to(&stream, &account, Placement::Keys)).expect("it is in order");
        for Outgoing { ticket, .. } in puts.batches(&stream) {
            let closed = || WireError::new(ErrorCode::ShardClosed, "closed");
            let acked = Acked { first_sequence: 0, arrival_ms: CREATED_MS };
            puts.settle(ticket, if ticket < stored { Ok(acked) } else { Err(closed()) });
        }
        puts.stream_is_gone();
        puts.answer()
    };
    let said = puts(0).expect_err("nothing was stored").to_string();
    assert_eq!(said, "ResourceNotFoundException: Stream orders under account 123456789012 not found.");
    let (failed, results) = read_results(&puts(1).expect("something was stored"));
    let refused = results.iter().filter_map(|result| result.as_ref().err()).collect::<Vec<_>>();
    assert_eq!(failed, refused.len() as i64);
    assert!(failed > 0 && refused.iter().all(|(code, _)| code == "InternalFailure"));
}

#[test]
fn every_record_is_stored_once_whatever_happens_to_the_stream_meanwhile() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut shards = Shards::new(stream(1 + random.below(6) as u32));
        let mut put = 0;
        for _ in 0..8 {
            let old = shards.record.clone();
            if random.below(2) == 0 {
                shards.now_ms += 1_000;
                let target = 1 + (old.open_shards().len() + random.below(3)) as u32 % 7;
                if target as usize != old.open_shards().len() {
                    shards.reshard(Reshard::Scale { target });
                }
            }
            shards.room = (random.below(2) == 0).then(|| random.below(60) as u64);
            let count = 1 + random.below(100);
            let entries = (0..count).map(|_| entry(&format!("{}", random.below(40)), &random.bytes(50))).collect();
            let (failed, results) = results(&mut shards, &old, &put_records(entries));
            assert_eq!(results.len(), count);
            let stored = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!(count - stored, failed as usize);
            put += stored as u64;
        }
        let stored: u64 = shards.record.shards.iter().map(|shard| shards.tip(shard.shard)).sum();
        assert_eq!(stored, put, "seed {seed}");
    }
}
