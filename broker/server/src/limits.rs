//! What the system lets this process have: open files, locked memory.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::finding::Finding;

/// Asks for as many open files as the system allows: a log that is written holds two of them open.
pub(crate) fn raise_open_files() -> Finding {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if open_files >= OPEN_FILES_WANTED {
        return Finding::ok(OPEN_FILES, format!("this process may open {open_files}"));
    }
    let what = format!(
        "this process may open {open_files} files, enough for about {} busy streams",
        open_files / FILES_OF_BUSY_STREAM
    );
    Finding::warning(
        OPEN_FILES,
        what,
        format!("raise it: ulimit -Hn {OPEN_FILES_WANTED}, or LimitNOFILE=65536 of the unit"),
    )
}

/// How much memory may be locked. The rings of these kernels are not charged to it.
pub(crate) fn locked_memory() -> Finding {
    match getrlimit(Resource::Memlock).current {
        None => Finding::ok(LOCKED_MEMORY, "not limited"),
        Some(bytes) => Finding::ok(LOCKED_MEMORY, format!("{} KiB, of which the rings take none", bytes >> 10)),
    }
}

const OPEN_FILES: &str = "open files";
const LOCKED_MEMORY: &str = "locked memory";
/// Enough for a thousand busy streams and their readers.
const OPEN_FILES_WANTED: u64 = 4_096;
/// Its active segment, the next one, and one that is read.
const FILES_OF_BUSY_STREAM: u64 = 3;
