//! Every link of the book and the README leads to a file, and where it names a heading to that.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use rheos_tests::book::{self, CHAPTERS, Page};

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<String, Page> = book::pages().into_iter().map(|page| (page.path.clone(), page)).collect();
    let mut checked = 0;
    for page in pages.values() {
        for link in &page.links {
            if link.target.contains("://") {
                continue;
            }
            let at = page.at(link.line);
            let (file, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let path = if file.is_empty() { page.path.clone() } else { beside(&page.path, file) };
            assert!(book::root().join(&path).exists(), "{at}: {} does not exist", link.target);
            // In what is rendered nothing but the book itself is there.
            let leaves = page.path.starts_with(CHAPTERS) && !path.starts_with(CHAPTERS);
            assert!(!leaves, "{at}: {} is not part of the book; name the file instead", link.target);
            if !anchor.is_empty() {
                let there = pages.get(&path).unwrap_or_else(|| panic!("{at}: {path} has no headings that are known"));
                assert!(there.anchors.iter().any(|known| known == anchor), "{at}: {path} has no #{anchor}");
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} links were found");
}

#[test]
fn the_summary_lists_every_chapter_once() {
    let summary = book::chapter("SUMMARY");
    let mut listed: Vec<String> = summary.links.iter().map(|link| beside(&summary.path, &link.target)).collect();
    listed.sort();
    let chapters: Vec<String> = book::chapter_paths().into_iter().filter(|path| *path != summary.path).collect();
    assert_eq!(listed, chapters);
}

/// The path of a link in the page at `page`, from the repository's root.
fn beside(page: &str, file: &str) -> String {
    let mut path = PathBuf::new();
    for part in Path::new(page).with_file_name(file).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: {file} leads out of the repository"),
            part => path.push(part),
        }
    }
    path.to_str().expect("it was text").to_owned()
}
