//! The fuzz bodies of the Kinesis face over a few seeds and mutations of them, the same in every run.
//!
//! Beside the seeds here are those of `fuzz/seeds/face_BODY/`: inputs that once broke something. With
//! `RHEOS_FUZZ_CORPUS=write` all are also laid where cargo fuzz looks.

#![allow(clippy::print_stderr, reason = "the input that broke a body is shown")]

use std::path::{Path, PathBuf};

use rheos_tests::fuzz_face::{BODIES, Body};
use rheos_tests::random::Random;

const MUTATIONS: usize = 3_000;

#[test]
fn every_body_of_the_face_holds_for_its_seeds_and_their_mutations() {
    let write = std::env::var("RHEOS_FUZZ_CORPUS").is_ok_and(|word| word == "write");
    for (name, body) in BODIES {
        let mut random = Random::new(0x7268_656f);
        let seeds: Vec<_> = seeds(name).into_iter().chain(once_broken(name)).collect();
        for (at, seed) in seeds.iter().enumerate() {
            run(name, *body, seed);
            if write {
                let corpus = fuzz().join("corpus").join(format!("face_{name}"));
                std::fs::create_dir_all(&corpus).expect("the checkout can be written");
                std::fs::write(corpus.join(format!("seed-{at}")), seed).expect("the checkout can be written");
            }
        }
        for _ in 0..MUTATIONS {
            let mut bytes = seeds[random.below(seeds.len() as u64) as usize].clone();
            for _ in 0..random.within(1..6) {
                mutate(&mut bytes, &mut random);
            }
            run(name, *body, &bytes);
        }
    }
}

#[test]
fn requests_of_every_shape_are_proved_as_aws_sigv4_signs_them() {
    let mut random = Random::new(0x5194);
    for _ in 0..MUTATIONS {
        let choices: Vec<u8> = (0..random.within(1..64)).map(|_| random.draw() as u8).collect();
        run("signed", rheos_tests::fuzz_face::signed, &choices);
    }
}

#[test]
fn every_body_of_the_face_has_its_target() {
    let fuzz = fuzz();
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("the fuzz workspace is there");
    let bodies: Vec<_> = BODIES.iter().map(|(name, _)| *name).chain(["signed"]).collect();
    for body in &bodies {
        let file = format!("face_targets/face_{body}.rs");
        let target = std::fs::read_to_string(fuzz.join(&file)).expect("it has a target");
        assert!(target.contains(&format!("fuzz_face::{body}(data)")), "{body}");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{body} is not in fuzz/Cargo.toml");
    }
    let targets = std::fs::read_dir(fuzz.join("face_targets")).expect("they are there").count();
    assert_eq!(targets, bodies.len(), "a target without a body");
}

fn run(name: &str, body: Body, bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| body(bytes)) {
        eprintln!("{name} broke on {bytes:02x?}, which is {:?}", String::from_utf8_lossy(bytes));
        std::panic::resume_unwind(panic);
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What once broke a body, in the order of the names.
fn once_broken(body: &str) -> Vec<Vec<u8>> {
    let Ok(files) = std::fs::read_dir(fuzz().join("seeds").join(format!("face_{body}"))) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.expect("the checkout can be read").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the checkout can be read")).collect()
}

/// What a body begins with: something right, of each kind there is.
fn seeds(body: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match body {
        "sequence_number" => &[
            "49590338271490256608559692538361571095921575989136588898",
            "0",
            "21267647932558653966460912964485513216",
            "49039857307708443467467104868809893875799651909875269632",
        ],
        "name" => &[
            "shardId-000000000007",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/board:1545084650",
        ],
        // The byte before the body chooses PutRecord, the 16th of the table.
        "json" => &[
            "\u{f}{\"StreamName\":\"orders\",\"Data\":\"AAE=\",\"PartitionKey\":\"k\"}",
            "\0{\"StreamName\":\"orders\",\"ShardCount\":4,\"Tags\":{\"team\":\"a\"}}",
        ],
        "cbor" => &["\0\u{62}jStreamName"],
        "http" => &["POST\napplication/x-amz-json-1.1\nKinesis_20131202.DescribeLimits\n{}"],
        "claim" => &[HEADER_FORM, QUERY_FORM],
        _ => &[],
    };
    let version = 1_u64.to_be_bytes();
    let issued = 1_795_590_670_000_u64.to_le_bytes();
    let name: &[u8] = b"\x06\0orders";
    let (number, shard) = ([9, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0]);
    let bytes: &[Vec<u8>] = match body {
        // A byte chooses the operation, the next ones its members.
        "control" => &[vec![0; 8], (0..64).collect(), vec![0x55; 64]],
        "iterator" => &[[&version, &number, &issued, &number[..], &shard, &[1], &number, name].concat()],
        "page_token" => &[
            [&number, &issued, name].concat(),
            [&number, &issued, name, &number, &shard, &[2], &number].concat(),
            [&number, &issued, name, &number, name].concat(),
        ],
        _ => &[],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).chain(bytes.iter().cloned()).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    match random.below(4) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.one_of(b"0/-:;=, %\"\n\xff\0A")),
        2 => drop(bytes.drain(at..bytes.len().min(at + 8))),
        _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        _ => bytes.push(random.draw() as u8),
    }
}

const HEADER_FORM: &str = "/
host:127.0.0.1:4567
x-amz-date:20261125T071110Z
x-amz-target:Kinesis_20131202.PutRecord
authorization:AWS4-HMAC-SHA256 Credential=RKABCDEFGHIJKLMNOPQR/20261125/eu-west-1/kinesis/aws4_request, \
SignedHeaders=host;x-amz-date;x-amz-target, \
Signature=d9edc26ccbc2186958c0f01742f0c888aa20e1adfd930cd0de42866384005fc8

{}";

const QUERY_FORM: &str = "/a/../b?X-Amz-Algorithm=AWS4-HMAC-SHA256\
&X-Amz-Credential=RKABCDEFGHIJKLMNOPQR%2F20261125%2Feu-west-1%2Fkinesis%2Faws4_request&X-Amz-Date=20261125T071110Z\
&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=b2077ee559a12763e7567a643145a37a777443501c8776dbf2abb968984cda4d
host:127.0.0.1:4567

";
