//! What a PutRecords of 500 x 1 KiB costs the face: measured, not asserted.
//!
//! `cargo test --release -p rheos-kinesis --test put_cost -- --ignored --nocapture`

#![allow(clippy::disallowed_types, clippy::print_stdout, reason = "it measures and says what")]

mod shards;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rheos_kinesis::answer::Answer;
use rheos_kinesis::codec::Encoding::{self, Cbor, Json};
use rheos_kinesis::records::{Acked, Found, Outgoing, Placement, PutTo, Puts, ReadAsked};
use rheos_kinesis::shapes::structures::PUT_ENTRY;
use rheos_kinesis::token::TokenKey;
use rheos_kinesis::value::{Structure, Value};
use rheos_protocol::batch::Batch;
use shards::{CREATED_MS, account, input, named, stream};

const RECORDS: usize = 500;
const ROUNDS: u32 = 400;

#[test]
#[ignore = "it measures, in the release profile, and asserts nothing"]
fn a_put_records_of_500_kib() {
    for encoding in [Json, Cbor] {
        for shards in [1, 16] {
            let body = encoding.encode(&call());
            let mut spent = Spent([Duration::MAX; 7]);
            for _ in 0..ROUNDS {
                put(encoding, &body, shards, &mut spent);
            }
            spent.print(&format!("{encoding:?}, {shards} shards"));
        }
    }
}

#[test]
#[ignore = "it measures, in the release profile, and asserts nothing"]
fn a_get_records_of_500_kib() {
    let (account, stream) = (account(), stream(1));
    let call = call();
    let to = PutTo { stream: &stream, named: named(&account), placement: Placement::Keys, now_s: CREATED_MS / 1_000 };
    let mut puts = Puts::many(&call, &to).expect("it is in order");
    let stamped = |out: Outgoing| out.batch.stamp(0, CREATED_MS);
    let batches: Vec<Batch> = puts.batches(&stream).into_iter().map(stamped).collect();
    let key = TokenKey::new(&[1; 32]);
    let issue = rheos_kinesis::records::Issue { key: &key, principal: "RK", now_ms: CREATED_MS, nonce: 1 };
    let asked = input("GetShardIterator").with("ShardId", "0").with("ShardIteratorType", "TRIM_HORIZON");
    let asked = rheos_kinesis::records::IteratorAsked::new(&asked, Some(&stream), &named(&account), CREATED_MS);
    let iterator = asked.expect("it is in order").answer(None, &issue);
    let get = input("GetRecords").with("ShardIterator", iterator.optional::<&str>("ShardIterator").expect("it is one"));
    for encoding in [Json, Cbor] {
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let asked = ReadAsked::open(&get, &key, "RK", CREATED_MS).expect("it opens");
            let reading = asked.of(Some(&stream), &named(&account)).expect("it is there");
            let found = Found { start_sequence: 0, next_sequence: RECORDS as u64, batches: &batches, behind_ms: 0 };
            black_box(Answer::success(encoding, Some(&reading.answer(Some(&found), &issue))));
            least = least.min(begun.elapsed());
        }
        println!("GetRecords, {encoding:?}: {least:?}");
    }
}

fn call() -> Structure {
    let data: Vec<u8> = (0..1024_u32).map(|at| (at * 31 % 251) as u8).collect();
    let data = Bytes::from(data);
    let entry = |number: usize| {
        Structure::of(&PUT_ENTRY).with("Data", data.clone()).with("PartitionKey", format!("partition-key-{number}"))
    };
    let records: Value = (0..RECORDS).map(entry).collect();
    input("PutRecords").with("StreamName", "orders").with("Records", records)
}

fn put(encoding: Encoding, body: &[u8], shards: u32, spent: &mut Spent) {
    let (account, stream) = (account(), stream(shards));
    let begun = Instant::now();
    let claim = encoding.decode(input("PutRecords").members(), body).expect("it is one");
    let begun = spent.step(0, begun);
    let call = claim.prove().expect("it is in order");
    let begun = spent.step(1, begun);
    let to = PutTo { stream: &stream, named: named(&account), placement: Placement::Keys, now_s: CREATED_MS / 1_000 };
    let mut puts = Puts::many(&call, &to).expect("it is in order");
    let begun = spent.step(2, begun);
    let outgoing = puts.batches(&stream);
    let begun = spent.step(3, begun);
    for Outgoing { ticket, batch, .. } in outgoing {
        black_box(batch);
        puts.settle(ticket, Ok(Acked { first_sequence: 123_456_789, arrival_ms: CREATED_MS }));
    }
    let answer = puts.answer().expect("it is stored");
    let begun = spent.step(4, begun);
    black_box(Answer::success(encoding, Some(&answer)));
    let begun = spent.step(5, begun);
    drop((answer, puts));
    drop(call);
    spent.step(6, begun);
}

/// The least that each step has taken: what else the machine does only adds to it.
struct Spent([Duration; 7]);

impl Spent {
    fn step(&mut self, at: usize, begun: Instant) -> Instant {
        let now = Instant::now();
        self.0[at] = self.0[at].min(now - begun);
        now
    }

    fn print(&self, what: &str) {
        let names = ["decode", "validate", "prove and hash", "route and copy", "answer", "encode", "drop"];
        let us = |spent: Duration| spent.as_secs_f64() * 1e6;
        let all = us(self.0.iter().sum());
        let steps: Vec<_> = names.iter().zip(self.0).map(|(name, spent)| format!("{name} {:.0}", us(spent))).collect();
        println!("PutRecords, {what}: {all:.0} us ({:.0} records/s): {}", RECORDS as f64 / all * 1e6, steps.join(", "));
    }
}
