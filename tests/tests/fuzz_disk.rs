//! The fuzz bodies of the disk format over a small corpus and mutations of it, the same in every run.

#![allow(clippy::print_stderr, reason = "the input that broke a body is shown")]

use std::path::{Path, PathBuf};

use rheos_tests::fuzz_bodies::Body;
use rheos_tests::fuzz_disk::BODIES;
use rheos_tests::random::Random;

#[test]
fn every_disk_body_holds_for_its_seeds_and_their_mutations() {
    let write = std::env::var("RHEOS_FUZZ_CORPUS").is_ok_and(|word| word == "write");
    for (name, body) in BODIES {
        let mut random = Random::new(0x7268_656f);
        let seeds = seeds(name);
        for (at, seed) in seeds.iter().enumerate() {
            run(name, *body, seed);
            if write {
                let corpus = fuzz().join("corpus").join(name);
                std::fs::create_dir_all(&corpus).expect("the checkout can be written");
                std::fs::write(corpus.join(format!("seed-{at}")), seed).expect("the checkout can be written");
            }
        }
        let reads_files = name.contains("recovery") || name.contains("reader");
        for _ in 0..if reads_files { MUTATIONS / 30 } else { MUTATIONS } {
            let mut bytes = seeds[random.below(seeds.len() as u64) as usize].clone();
            for _ in 0..random.within(1..6) {
                mutate(&mut bytes, &mut random);
            }
            run(name, *body, &bytes);
        }
    }
}

#[test]
fn every_disk_body_has_its_target() {
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("the fuzz workspace is there");
    for (name, _) in BODIES {
        let target = std::fs::read_to_string(fuzz().join(format!("disk_targets/{name}.rs"))).expect("it has a target");
        let body = name.strip_prefix("disk_").expect("their names begin alike");
        assert!(target.contains(&format!("fuzz_disk::{body}(data)")), "{name}");
        assert!(manifest.contains(&format!("path = \"disk_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

fn run(name: &str, body: Body, bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| body(bytes)) {
        eprintln!("{name} broke on {:02x?}", &bytes[..bytes.len().min(4096)]);
        std::panic::resume_unwind(panic);
    }
}

/// What a body begins with: golden bytes where there are any.
fn seeds(body: &str) -> Vec<Vec<u8>> {
    let zeros = vec![0; 64];
    match body {
        "disk_label" => vec![golden("label"), zeros],
        "disk_header" => vec![golden("head"), zeros],
        "disk_carry_over" => vec![golden("carry-over"), zeros],
        "disk_footer" => {
            let footer = golden("footer");
            let (content, trailer) = footer.split_at(footer.len() - 4096);
            vec![[&trailer[..120], content].concat(), zeros]
        }
        "disk_commit" => vec![golden("commit")[128..].to_vec(), zeros],
        "disk_recovery_mutated" => vec![vec![7; 24], (0..48).collect()],
        _ => vec![[golden("label"), golden("head"), golden("commit"), golden("footer")].concat(), zeros],
    }
}

fn golden(name: &str) -> Vec<u8> {
    let path = fuzz().join(format!("../../broker/core/tests/golden/{name}.hex"));
    let text = std::fs::read_to_string(path).expect("the golden bytes are there");
    let mut bytes = Vec::new();
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("zeros ") {
            bytes.resize(bytes.len() + 16 * count.parse::<usize>().expect("it is a number"), 0);
            continue;
        }
        let words = line.split('|').next().unwrap_or_default().split_whitespace();
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("it is a byte")));
    }
    bytes
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let at = random.below(bytes.len() as u64) as usize;
    let number =
        random.one_of(&[0, 1, 0xff, 0xffff, 0x7fff_ffff, u64::from(u32::MAX), 1 << 62, u64::MAX]).to_le_bytes();
    let len = (bytes.len() - at).min(1 << random.below(4));
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.draw() as u8,
        2 => bytes.truncate(at),
        3 => bytes[at..at + len].copy_from_slice(&number[..len]),
        _ => bytes.extend_from_slice(&number),
    }
}

/// Mutations for each body; fewer where a body reads whole files.
const MUTATIONS: usize = 3_000;
