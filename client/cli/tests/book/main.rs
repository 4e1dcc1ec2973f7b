//! Every command of the book and the README, run as a reader would run them: page by page, in order, in a
//! directory of its own, with the real binary and a real broker.
//!
//! What the blocks of a page mean:
//!
//! ```text
//! sh                           commands; each must end with 0
//! sh,fails=N                   the last one must end with N
//! sh,background=NAME           one command that goes on while the reader does something else
//! sh,background=NAME,until=W   and that has printed the word W before the next block begins
//! sh,no-run=REASON             cannot run in a test; every one is listed in NOT_RUN
//! console                      lines after "$ " are commands, the others are what they print, … is anything
//! text,printed-by=NAME         what the command in the background has printed so far
//! toml,config                  a configuration file that `rheos config check` takes
//! …,client=NAME                for a client of AWS's: run in `tests/tests/kinesis/book.rs`
//! ```
//!
//! What must hold: no block of a language that could be run is passed over; nothing that a page started is left.

mod commands;
mod session;
mod settings;
mod transcript;

use rheos_tests::book::{self, Block, Page};
use session::Session;

/// Languages that show something and are nothing to run here; `rust` is compiled by the crate of the tests, `wire` and `disk`
/// are compared there, `python` and `javascript` are for clients of AWS's; for `java` there is none.
const SHOWN: [&str; 9] = ["text", "rust", "wire", "disk", "yaml", "ini", "python", "javascript", "java"];

/// Pages whose commands need a broker that already serves.
const WITH_BROKER: [&str; 8] = [
    "broker/docs/src/aws-sdks.md",
    "broker/docs/src/commands.md",
    "broker/docs/src/operating/backup.md",
    "broker/docs/src/operating/damage.md",
    "broker/docs/src/operating/metrics.md",
    "broker/docs/src/operating/night.md",
    "broker/docs/src/security.md",
    "broker/docs/src/tuning.md",
];

/// Every block that is not run, with its page and reason.
const NOT_RUN: [(&str, &str); 9] = [
    ("README.md", "runs-this-among-everything"),
    ("README.md", "builds-a-release"),
    ("README.md", "measures-for-minutes"),
    ("broker/docs/src/operating/install.md", "builds-a-release"),
    ("broker/docs/src/security.md", "needs-a-certificate-of-your-own"),
    ("broker/docs/src/tuning.md", "builds-a-release-and-measures-for-minutes"),
    ("broker/docs/src/tuning.md", "wants-more-cores-than-a-test-has"),
    ("broker/docs/src/tuning.md", "changes-the-machine"),
    ("broker/docs/src/tutorial.md", "a-manifest"),
];

#[test]
fn every_command_does_what_its_page_says() {
    let pages: Vec<Page> = book::pages().into_iter().filter(|page| page.blocks.iter().any(is_run)).collect();
    assert!(pages.len() >= 2, "only {} pages have commands", pages.len());
    // At most two at a time: each has a broker that wants a core.
    let (left, right) = pages.split_at(pages.len().div_ceil(2));
    std::thread::scope(|scope| {
        let halves =
            [left, right].map(|half| scope.spawn(move || half.iter().flat_map(failures_of).collect::<Vec<_>>()));
        let failures: Vec<String> =
            halves.into_iter().flat_map(|half| half.join().expect("it gathers failures")).collect();
        assert!(failures.is_empty(), "{} pages do not do what they say:\n\n{}", failures.len(), failures.join("\n\n"));
    });
}

#[test]
fn what_is_not_run_is_listed_with_its_reason() {
    let mut not_run = Vec::new();
    for page in book::pages() {
        for block in &page.blocks {
            let known = ["sh", "console", "toml"].contains(&&*block.language) || SHOWN.contains(&&*block.language);
            assert!(known, "{}: a block of {:?} is neither run nor shown", page.at(block.line), block.language);
            if let Some(reason) = block.attribute("no-run") {
                not_run.push((page.path.clone(), reason.to_owned()));
            }
        }
    }
    let listed: Vec<_> = NOT_RUN.iter().map(|(page, reason)| ((*page).to_owned(), (*reason).to_owned())).collect();
    assert_eq!(not_run, listed, "the left are not run, the right are allowed not to be");
}

fn is_run(block: &Block) -> bool {
    let runs = ["sh", "console", "toml"].contains(&&*block.language) || block.attribute("printed-by").is_some();
    runs && block.attribute("no-run").is_none() && block.attribute("client").is_none()
}

/// What a page does otherwise than it says: the first such thing, because what follows depends on it.
fn failures_of(page: &Page) -> Option<String> {
    let mut session = Session::new();
    if WITH_BROKER.contains(&&*page.path) {
        session.serve();
    }
    let blocks = page.blocks.iter().filter(|block| is_run(block));
    let failed = blocks.filter_map(|block| Some((block, session.perform(block).err()?))).next();
    failed.map(|(block, why)| format!("{}: {why}", page.at(block.line)))
}
