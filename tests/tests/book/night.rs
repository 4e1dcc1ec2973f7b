//! What the book says that the broker says when it does not start, it says.

use std::fs;

use rheos_core::counts::Refusal;
use rheos_tests::book;

#[test]
fn every_message_that_is_quoted_exists() {
    let source =
        fs::read_to_string(book::root().join("broker/server/src/start_error.rs")).expect("the source is there");
    // A string goes on in the next line after a backslash, without its indentation.
    let source: String = source.split("\\\n").map(str::trim_start).collect();
    let page = book::chapter("operating/night");
    let table = page.table("the-broker-does-not-start");
    assert!(table.rows.len() > 5, "{} has few rows", page.at(table.line));
    for row in &table.rows {
        for part in row[0].split('…').map(str::trim).filter(|part| !part.is_empty()) {
            assert!(source.contains(part), "{}: the broker never says {part:?}", page.at(table.line));
        }
    }
}

#[test]
fn every_reason_of_a_refusal_is_told() {
    let page = book::chapter("operating/night");
    let told: Vec<&str> = page.table("rheosputsrefused").rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(told, Refusal::ALL.map(Refusal::name));
}
