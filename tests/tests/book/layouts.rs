//! Every layout that is drawn is an example from the golden files, to the byte.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_tests::book::{self, Page, drawing};

use crate::dump;

/// The language of a layout's block, and where its golden bytes lie.
const PLACES: [(&str, &str); 2] = [("wire", "protocol/tests/golden/v1"), ("disk", "broker/core/tests/golden")];

#[test]
fn every_drawing_is_what_is_encoded() {
    let mut drawn = 0;
    for page in book::pages() {
        for block in &page.blocks {
            let Some((_, place)) = PLACES.iter().find(|(language, _)| *language == block.language) else { continue };
            let name = block.attribute("golden").unwrap_or_else(|| panic!("{}: of what?", page.at(block.line)));
            let bytes = drawing::prove(&block.text).unwrap_or_else(|why| panic!("{}: {why}", page.at(block.line)));
            assert_eq!(bytes, golden(place, name), "{}: {name} has other bytes", page.at(block.line));
            drawn += 1;
        }
    }
    assert!(drawn > 40, "only {drawn} drawings were found");
}

#[test]
fn every_kind_of_frame_is_drawn_and_listed() {
    let page = book::chapter("wire-format");
    let frames = drawings(&page).filter(|(name, _)| !name.starts_with("batch-")).map(|(_, bytes)| bytes);
    let kinds =
        frames.map(|bytes| FrameHeader::decode(bytes.first_chunk::<FRAME_HEADER_BYTES>().expect("a frame")).kind);
    assert_eq!(kinds.collect::<BTreeSet<_>>(), kind::ALL.iter().map(|(_, number)| *number).collect());

    let listed = page.table("kinds").rows.iter().map(|row| (row[1].clone(), row[0].clone()));
    let expected = kind::ALL.iter().map(|(name, number)| ((*name).to_owned(), number.to_string()));
    assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn every_reason_of_an_end_is_drawn() {
    let page = book::chapter("wire-format");
    let is_end = |bytes: &Vec<u8>| bytes[4..6] == kind::PUSH_END.to_le_bytes();
    let reasons: BTreeSet<u8> = drawings(&page).map(|(_, bytes)| bytes).filter(is_end).map(|bytes| bytes[16]).collect();
    let places = fs::read_dir(book::root().join(PLACES[0].1)).expect("the golden files are there");
    let names = places.map(|entry| entry.expect("it can be read").file_name().into_string().expect("names are ASCII"));
    let ends = names.filter(|name| name.starts_with("reply-push-end-"));
    let exist = ends.map(|name| golden(PLACES[0].1, name.trim_end_matches(".hex"))[16]).collect();
    assert_eq!(reasons, exist, "the left are drawn, the right exist");
}

#[test]
fn everything_on_the_disk_is_drawn() {
    let page = book::chapter("disk-format");
    let drawn: BTreeSet<String> = drawings(&page).map(|(name, _)| name).collect();
    let files = fs::read_dir(book::root().join(PLACES[1].1)).expect("the golden files are there");
    let files = files.map(|entry| entry.expect("it can be read").file_name().into_string().expect("names are ASCII"));
    let exist: BTreeSet<String> = files.filter_map(|name| Some(name.strip_suffix(".hex")?.to_owned())).collect();
    assert_eq!(drawn, exist, "the left are drawn, the right exist");
}

/// The drawings of a page, each with the name of its example.
fn drawings(page: &Page) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    page.blocks.iter().filter_map(|block| {
        let name = block.attribute("golden")?;
        Some((
            name.to_owned(),
            drawing::prove(&block.text).unwrap_or_else(|why| panic!("{}: {why}", page.at(block.line))),
        ))
    })
}

fn golden(place: &str, name: &str) -> Vec<u8> {
    let path: PathBuf = book::root().join(place).join(format!("{name}.hex"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    dump::read(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}
