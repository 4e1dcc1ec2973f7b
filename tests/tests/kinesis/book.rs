//! The programs that the README and the book show for clients of AWS's do what stands below them; and the book tells of
//! every operation.
//!
//! A block with `client=NAME` is a program for the client of that name; the next one, with `shows`, is what it prints.

use std::collections::BTreeSet;
use std::fs;

use rheos_kinesis::shapes::operations;
use rheos_tests::book::{self, Block};

use crate::alone::alone;
use crate::client::{Client, Surroundings, said};
use crate::face::{Face, OWN_REGION, Way};

const PAGES: [&str; 2] = ["README.md", "broker/docs/src/aws-sdks.md"];
/// What a reader has where a test has something else.
const ADDRESS: &str = "localhost:4567";
const CA: &str = "rheos-data/ca.pem";
const RUST_EXAMPLE: &str = "tests/clients/rust/src/bin/book.rs";

#[test]
fn programs_do_what_their_page_says() {
    alone("book::programs_do_what_their_page_says", &[Client::Aws, Client::Node, Client::Rust], async {
        let mut run = 0;
        for path in PAGES {
            let mut face = Face::start().await;
            let page = book::page(path);
            for (program, shows) in page.blocks.iter().zip(page.blocks.iter().skip(1)) {
                let Some(name) = program.attribute("client") else { continue };
                assert!(shows.attribute("shows").is_some(), "{} says what is printed", page.at(shows.line));
                let (client, source) = (client(name), program.text.clone());
                let language = program.language.clone();
                let perform =
                    move |around: &Surroundings<'_>| said(client, &written(&language, &source, around), &[], around);
                let printed = face.surrounded(OWN_REGION, Way::Plain, perform).await;
                assert_eq!(printed.trim_end(), shows.text.trim_end(), "{}", page.at(program.line));
                run += 1;
            }
            face.end();
        }
        assert!(run >= 6, "only {run} programs were run");
    });
}

fn client(name: &str) -> Client {
    match name {
        "aws" => Client::Aws,
        "node" => Client::Node,
        "rust" => Client::Rust,
        other => panic!("no client is called {other}"),
    }
}

/// The script of a block, as it is run here.
fn written(language: &str, source: &str, around: &Surroundings<'_>) -> String {
    let (_, address) = around.endpoint.split_once("://").expect("an endpoint is a URL");
    let port = address.rsplit_once(':').expect("it has a port").1;
    let ca = around.ca.to_str().expect("the build directory's name is text");
    let source = source.replace(ADDRESS, &format!("localhost:{port}")).replace(CA, ca);
    let (file, source) = match language {
        "python" => ("example.py", source),
        "javascript" => ("example.js", source),
        "sh" => ("example.sh", format!("set -eu\n{source}")),
        // Built beside the other; it takes its endpoint from the environment.
        "rust" => return "book".to_owned(),
        other => panic!("nobody knows how to run {other}"),
    };
    fs::create_dir_all(around.home).expect("the scratch directory is writable");
    let path = around.home.join(file);
    fs::write(&path, source).expect("the scratch directory is writable");
    path.to_str().expect("the build directory's name is text").to_owned()
}

#[test]
fn the_program_in_rust_is_the_one_that_is_run() {
    let page = book::chapter("aws-sdks");
    let shown: Vec<&Block> = page.blocks.iter().filter(|block| block.attribute("client") == Some("rust")).collect();
    let [shown] = &shown[..] else { panic!("one block is of Rust: {shown:?}") };
    let run = fs::read_to_string(book::root().join(RUST_EXAMPLE)).expect("it is there");
    assert_eq!(run.trim_end(), shown.text.trim_end(), "{} is not {RUST_EXAMPLE}", page.at(shown.line));
}

#[test]
fn every_operation_is_told() {
    let page = book::chapter("aws-sdks");
    let told: BTreeSet<&str> = page.table("operations").rows.iter().map(|row| row[0].as_str()).collect();
    let all: BTreeSet<&str> = operations::all().map(|operation| operation.name).collect();
    assert_eq!(told, all, "the left stand in the book, the right in the table of the face");
}
