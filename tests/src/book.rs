//! The book (`broker/docs`) and the README, read so that tests can hold them to their word.
//!
//! What must hold: everything a page shows as a command, a layout or a table is found here as what it is, with
//! its place in the file, so that a test that fails says where to look.
//!
//! Nothing here knows what is right: commands are run in `client/cli/tests/book`, layouts and tables are compared in
//! `tests/tests/book`.

pub mod drawing;
mod page;

use std::fs;
use std::path::{Path, PathBuf};

pub use page::{Block, Link, Page, Table};

/// Where the chapters lie, from the repository's root.
pub const CHAPTERS: &str = "broker/docs/src";

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the crate stands in the repository").to_owned()
}

/// The page at a path from the repository's root.
///
/// # Panics
/// When there is none.
pub fn page(path: &str) -> Page {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page::read(path, &text)
}

/// The chapter of this name.
///
/// # Panics
/// When there is none.
pub fn chapter(name: &str) -> Page {
    page(&format!("{CHAPTERS}/{name}.md"))
}

/// Every chapter, in the order of their names, and the README before them.
///
/// # Panics
/// When the chapters cannot be read.
pub fn pages() -> Vec<Page> {
    std::iter::once("README.md".to_owned()).chain(chapter_paths()).map(|path| page(&path)).collect()
}

/// The path of every chapter from the repository's root, sorted.
///
/// # Panics
/// When the chapters cannot be read.
pub fn chapter_paths() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(CHAPTERS)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the book is there") {
            let entry = entry.expect("it can be read");
            let path = folder.join(entry.file_name());
            match entry.file_type().expect("it can be looked at").is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => {
                    found.push(path.to_str().expect("the names are ASCII").to_owned());
                }
                false => {}
            }
        }
    }
    found.sort();
    found
}
