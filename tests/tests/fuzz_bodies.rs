//! The fuzz bodies over a small corpus and some thousands of mutations of it, the same in every run.
//!
//! The seeds are the golden bytes of the protocol, and what lies in `fuzz/seeds/BODY/`: inputs that
//! once broke something. With `RHEOS_FUZZ_CORPUS=write` they are also laid where cargo fuzz looks.

#![allow(clippy::print_stderr, reason = "the input that broke a body is shown")]

use std::path::{Path, PathBuf};

use rheos_protocol::batch::HEADER_BYTES;
use rheos_protocol::frame::FRAME_HEADER_BYTES;
use rheos_tests::fuzz_bodies::{BODIES, Body};
use rheos_tests::random::Random;

#[test]
fn every_body_holds_for_its_seeds() {
    let write = std::env::var("RHEOS_FUZZ_CORPUS").is_ok_and(|word| word == "write");
    for (name, body) in BODIES {
        let corpus = fuzz().join("corpus").join(name);
        for (seed, bytes) in seeds(name) {
            run(name, *body, &seed, &bytes);
            if write {
                std::fs::create_dir_all(&corpus).expect("the checkout can be written");
                std::fs::write(corpus.join(&seed), &bytes).expect("the checkout can be written");
            }
        }
    }
}

#[test]
fn every_body_holds_for_mutated_seeds() {
    for (name, body) in BODIES {
        let seeds = seeds(name);
        let mut random = Random::new(0x7268_656f_7321);
        for round in 0..MUTATIONS {
            let (seed, bytes) = &seeds[below(&mut random, seeds.len())];
            let mut bytes = bytes.clone();
            for _ in 0..=below(&mut random, 4) {
                mutate(&mut bytes, &seeds, &mut random);
            }
            run(name, *body, &format!("{seed}, mutation {round}"), &bytes);
        }
    }
}

#[test]
fn every_body_has_its_target() {
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("the fuzz workspace is there");
    let targets: Vec<String> = files(&fuzz().join("fuzz_targets")).into_iter().map(|(name, _)| name).collect();
    let mut expected: Vec<String> = BODIES.iter().map(|(name, _)| format!("{name}.rs")).collect();
    expected.sort();
    assert_eq!(targets, expected, "the left are targets, the right bodies");
    for (name, _) in BODIES {
        let target = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).expect("it was listed");
        assert!(target.contains(&format!("fuzz_bodies::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

/// Says which input it was before the panic goes on.
fn run(name: &str, body: Body, seed: &str, bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| body(bytes)) {
        eprintln!("{name} broke on {seed}: {bytes:02x?}");
        std::panic::resume_unwind(panic);
    }
}

/// The inputs of a body with their names, in the same order in every run.
fn seeds(body: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = vec![("nothing".to_owned(), Vec::new())];
    for (name, text) in files(&fuzz().join("../../protocol/tests/golden/v1")) {
        let bytes = golden(&String::from_utf8(text).expect("golden files are text"));
        seeds.extend(shape(body, &name, &bytes).map(|bytes| (name, bytes)));
    }
    seeds.extend(files(&fuzz().join("seeds").join(body)));
    assert!(seeds.len() > 1, "{body} has no seeds");
    seeds
}

/// A golden file in the form that a body takes, or none where it says nothing to it.
fn shape(body: &str, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let is_bare_batch = name.starts_with("batch-");
    let reply = name.starts_with("reply-");
    match body {
        "frame" => (!is_bare_batch).then(|| bytes.to_vec()),
        "request" | "reply" => (!is_bare_batch && reply == (body == "reply"))
            .then(|| [&bytes[4..6], &bytes[FRAME_HEADER_BYTES..]].concat()),
        "batch" => is_bare_batch.then(|| bytes.to_vec()),
        "batch_sealed" => is_bare_batch.then(|| [&bytes[8..10], &bytes[HEADER_BYTES..]].concat()),
        _ => None,
    }
}

/// The bytes of a golden file: what stands before `|`.
fn golden(text: &str) -> Vec<u8> {
    let words = text.lines().flat_map(|line| line.split('|').next().unwrap_or_default().split_whitespace());
    words.map(|word| u8::from_str_radix(word, 16).expect("a golden byte is two digits")).collect()
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("it can be read");
            let name = entry.file_name().into_string().expect("the names are ASCII");
            (name, std::fs::read(entry.path()).expect("it can be read"))
        })
        .collect();
    files.sort();
    files
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[(String, Vec<u8>)], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.draw() as u8);
    }
    let at = below(random, bytes.len());
    match below(random, 7) {
        0 => bytes[at] ^= 1 << below(random, 8),
        1 => bytes[at] = random.draw() as u8,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.draw() as u8),
        4 => {
            let number = EDGES[below(random, EDGES.len())].to_le_bytes();
            let len = (bytes.len() - at).min(1 << below(random, 4));
            bytes[at..at + len].copy_from_slice(&number[..len]);
        }
        5 => {
            let end = at + below(random, bytes.len() - at);
            bytes.drain(at..end);
        }
        _ => {
            let (_, other) = &seeds[below(random, seeds.len())];
            let from = below(random, other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// Numbers at which lengths go wrong.
const EDGES: [u64; 8] = [0, 1, 0xff, 0xffff, 0x7fff_ffff, u32::MAX as u64, 1 << 62, u64::MAX];

/// A place before `limit`.
fn below(random: &mut Random, limit: usize) -> usize {
    random.below(limit as u64) as usize
}

/// Mutations for each body.
const MUTATIONS: usize = 5_000;
