//! The page of error codes says what the enum says.

use std::fs;

use rheos_protocol::error::ErrorCode;
use rheos_tests::book;

#[test]
fn every_code_stands_with_its_number_and_meaning() {
    let page = book::chapter("error-codes");
    let table = page.table("codes");
    let said = table.rows.iter().map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]);
    let expected = ErrorCode::ALL.iter().map(|code| {
        let name = format!("{code:?}");
        [code.number().to_string(), name.clone(), meaning(&name)]
    });
    assert_eq!(said.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn every_code_says_whether_to_try_again_and_what_to_do() {
    for row in &book::chapter("error-codes").table("codes").rows {
        let known = ["never", "after the wait", "from the number"].iter().any(|known| row[3].starts_with(known));
        assert!(known && row[4].len() > 4, "code {} {}: {:?}, {:?}", row[0], row[1], row[3], row[4]);
    }
}

/// What the code's documentation says, as a reader sees it.
fn meaning(name: &str) -> String {
    let source = fs::read_to_string(book::root().join("protocol/src/error.rs")).expect("the source is there");
    let lines: Vec<&str> = source.lines().collect();
    let at = lines.iter().position(|line| line.trim_start().starts_with(&format!("{name} = ")));
    let at = at.unwrap_or_else(|| panic!("{name} is not in the source"));
    let docs = lines[..at].iter().rev().map_while(|line| line.trim_start().strip_prefix("/// "));
    let docs: Vec<String> = docs.map(|line| line.replace('`', "")).collect();
    docs.into_iter().rev().collect::<Vec<_>>().join(" ")
}
