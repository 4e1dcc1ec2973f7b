//! The data directory on a real disk: what is taken, what is refused, and that a refusal touches nothing.
#![allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own")]

mod scratch;

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rheos_broker::directory::{
    BALLAST_BYTES_MAX, Ballast, DataDirectory, DirectoryOptions, SegmentLockError, check_machine, lock_segment,
    waiting_message,
};
use rheos_broker::identity::BrokerIdentity;
use rheos_broker::start_error::StartError;
use rustix::process::geteuid;
use rustix::thread::{Gid, Uid, set_thread_res_gid, set_thread_uid};

use scratch::{Player, entries_below, ready, role, scratch, snapshot};

const STRICT: DirectoryOptions = DirectoryOptions { dev: false };
const LONG: Duration = Duration::from_secs(60);

/// What the other processes of these tests do; nothing in the test run itself.
#[test]
fn child() {
    match role() {
        Some((role, place)) if role == "first start" => {
            let directory = DataDirectory::open(&place, STRICT).expect("the directory is taken");
            BrokerIdentity::load_or_create(&directory).expect("the keys are made");
            ready("started");
        }
        Some((_, segment)) => {
            let file = OpenOptions::new().read(true).write(true).open(&segment).expect("the segment is there");
            lock_segment(&file, &segment, LONG, |_| {}).expect("nobody else has it");
            ready("locked");
        }
        None => {}
    }
}

fn refusal(path: &Path) -> StartError {
    let error = DataDirectory::open(path, STRICT).expect_err("it is refused");
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.is_empty(), "{line:?} is one line");
    error
}

#[test]
fn a_directory_is_made_with_its_parents_and_is_the_same_after_a_restart() {
    let scratch = scratch();
    let path = scratch.path().join("not/there/yet");
    let first = DataDirectory::open(&path, STRICT).expect("it is made");
    assert_eq!(first.layout().root(), path.canonicalize().expect("it is there"));
    assert!(first.is_direct() && first.warnings().is_empty(), "{:?}", first.warnings());
    assert_eq!(first.history(), 1);
    assert!(first.free_bytes().expect("the system knows") > 0);
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o7777, 0o700);
    let log_dir = first.create_log_dir(7, 3).expect("there is room");
    assert_eq!(first.create_log_dir(7, 3).expect("it is there"), log_dir);
    let id = first.id();
    drop(first);

    let again = DataDirectory::open(&path, STRICT).expect("it is ours");
    assert_eq!((again.id(), again.history()), (id, 1));
    drop(again);
    let tool = DataDirectory::open_existing(&path).expect("no broker runs");
    assert_eq!((tool.id(), tool.is_direct()), (id, false));
}

#[test]
fn a_directory_in_use_is_refused_at_once_and_names_the_process() {
    let scratch = scratch();
    let mut other = Player::start("first start", scratch.path());
    assert_eq!(other.word(), "started");

    let before = snapshot(scratch.path());
    for error in [refusal(scratch.path()), DataDirectory::open_existing(scratch.path()).expect_err("it is in use")] {
        assert!(matches!(error, StartError::InUse { .. }), "{error}");
        assert!(error.to_string().contains(&format!("process {}", other.id())), "{error}");
    }
    assert_eq!(snapshot(scratch.path()), before);

    other.kill();
    DataDirectory::open(scratch.path(), STRICT).expect("a killed broker holds nothing");
}

#[test]
fn a_foreign_directory_is_refused_and_not_touched() {
    for (name, text) in [
        ("thesis.tex", "my thesis"),
        ("FORMAT", "somebody else's format\n"),
        ("FORMAT", ""),
        ("LOCK", "somebody else's lock\n"),
        ("logs", "not even a directory"),
        (".keys.tmp", ""),
    ] {
        let scratch = scratch();
        fs::write(scratch.path().join(name), text).expect("it is writable");
        let before = snapshot(scratch.path());
        let error = refusal(scratch.path());
        assert!(matches!(&error, StartError::Foreign { found, .. } if found == name), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        let error = DataDirectory::open_existing(scratch.path()).expect_err("nor is it one for tools");
        assert!(matches!(error, StartError::Foreign { .. }), "{name}: {error}");
        assert_eq!(snapshot(scratch.path()), before, "{name}");
    }
}

#[test]
fn a_tool_makes_nothing_in_an_empty_directory() {
    let scratch = scratch();
    let before = snapshot(scratch.path());
    let error = DataDirectory::open_existing(scratch.path()).expect_err("it is empty");
    assert!(matches!(error, StartError::NoData { .. }), "{error}");
    assert_eq!(snapshot(scratch.path()), before);
}

#[test]
fn a_file_is_no_directory() {
    let scratch = scratch();
    let file = scratch.path().join("file");
    fs::write(&file, "text").expect("it is writable");
    for path in [file.clone(), file.join("below")] {
        assert!(matches!(refusal(&path), StartError::NotADirectory { path } if path == file));
    }
}

#[test]
fn a_newer_or_damaged_format_is_refused_and_not_touched() {
    let scratch = scratch();
    drop(DataDirectory::open(scratch.path(), STRICT).expect("it is made"));
    let format = scratch.path().join("FORMAT");
    let text = fs::read_to_string(&format).expect("it is there");

    fs::write(&format, text.replace("format 1", "format 7")).expect("it is ours");
    let before = snapshot(scratch.path());
    let error = refusal(scratch.path());
    assert!(matches!(error, StartError::FormatNewer { found: 7, known: 1, .. }), "{error}");
    assert_eq!(snapshot(scratch.path()), before);

    for damaged in [text.replace("history 1", "history 2"), text[..text.len() - 3].to_owned(), text.clone() + "more"] {
        fs::write(&format, damaged).expect("it is ours");
        let before = snapshot(scratch.path());
        let error = refusal(scratch.path());
        assert!(matches!(&error, StartError::FormatDamaged { path, .. } if path.ends_with("FORMAT")), "{error}");
        assert_eq!(snapshot(scratch.path()), before);
    }

    fs::write(&format, text).expect("it is ours");
    DataDirectory::open(scratch.path(), STRICT).expect("it is as it was");
}

/// Runs on a thread that is an ordinary user: root may write everywhere.
fn as_an_ordinary_user<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let nobody = 65_534;
    thread::scope(|scope| {
        let ordinary = scope.spawn(|| {
            if geteuid().is_root() {
                let group = Gid::from_raw(nobody);
                set_thread_res_gid(group, group, group).expect("root may be anybody");
                set_thread_uid(Uid::from_raw(nobody)).expect("root may be anybody");
            }
            work()
        });
        ordinary.join().expect("it does not panic")
    })
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn what_cannot_be_written_is_refused_and_named() {
    let scratch = scratch();
    let made = scratch.path().join("made");
    drop(DataDirectory::open(&made, STRICT).expect("it is made"));
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).expect("it is writable");
    set_mode(&empty, 0o555);
    // Readable, so that the refusal is about writing.
    for name in ["FORMAT", "LOCK", "probe"] {
        set_mode(&made.join(name), 0o444);
    }
    set_mode(&made, 0o555);
    set_mode(scratch.path(), 0o555);

    for path in [made.clone(), empty.clone(), scratch.path().join("new")] {
        let error = as_an_ordinary_user(|| refusal(&path));
        assert!(matches!(error, StartError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    // A tool that only looks takes it all the same.
    as_an_ordinary_user(|| drop(DataDirectory::open_existing(&made).expect("it is readable")));
    for path in [scratch.path(), &made, &empty] {
        set_mode(path, 0o755);
    }
}

#[test]
fn memory_is_refused_unless_for_trying_things_out() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has it");
    let before = snapshot(memory.path());
    let error = refusal(memory.path());
    assert!(matches!(&error, StartError::FileSystemRefused { name, .. } if name == "tmpfs"), "{error}");
    assert!(error.to_string().contains("--dev"), "{error}");
    assert_eq!(snapshot(memory.path()), before);
    // Also where the directory is not there yet.
    let error = refusal(&memory.path().join("a/b"));
    assert!(matches!(error, StartError::FileSystemRefused { .. }), "{error}");
    assert!(!memory.path().join("a").exists());

    let directory = DataDirectory::open(memory.path(), DirectoryOptions { dev: true }).expect("only a warning");
    assert!(directory.warnings().iter().any(|warning| warning.contains("not durable")), "{:?}", directory.warnings());
}

#[test]
fn a_crash_anywhere_in_the_first_start_leaves_a_directory_that_the_next_start_takes() {
    let entries_max = {
        let scratch = scratch();
        let mut whole = Player::start("first start", scratch.path());
        whole.word();
        entries_below(scratch.path())
    };
    assert!(entries_max >= 9, "FORMAT, LOCK, probe, logs, aside, keys and four keys are made, not {entries_max}");
    for entries in 0..=entries_max {
        let scratch = scratch();
        let mut killed = Player::start("first start", scratch.path());
        // Names that come and go on the way may let the count pass the mark unseen, never the last one.
        while entries_below(scratch.path()) < entries && !killed.has_ended() {
            thread::yield_now();
        }
        killed.kill();
        let directory = DataDirectory::open(scratch.path(), STRICT)
            .unwrap_or_else(|error| panic!("killed at {entries} entries: {error}"));
        BrokerIdentity::load_or_create(&directory)
            .unwrap_or_else(|error| panic!("killed at {entries} entries: {error}"));
    }
}

#[test]
fn what_a_crash_may_leave_is_taken() {
    for (name, text) in
        [("LOCK", ""), ("LOCK", "rheos process 4711\n"), (".FORMAT.tmp", "rheos data dir"), (".FORMAT.tmp", "")]
    {
        let scratch = scratch();
        fs::write(scratch.path().join(name), text).expect("it is writable");
        fs::create_dir(scratch.path().join("lost+found")).expect("it is writable");
        let directory = DataDirectory::open(scratch.path(), STRICT).expect("it is as good as empty");
        assert!(!scratch.path().join(".FORMAT.tmp").exists());
        drop(directory);
        DataDirectory::open(scratch.path(), STRICT).expect("it is ours now");
    }
}

#[test]
fn a_segment_of_a_dying_process_is_waited_for() {
    let scratch = scratch();
    let segment = scratch.path().join("00000000000000000001.segment");
    fs::write(&segment, "records").expect("it is writable");
    let mut writer = Player::start("segment", &segment);
    assert_eq!(writer.word(), "locked");
    let file = OpenOptions::new().read(true).write(true).open(&segment).expect("it is there");

    let error = lock_segment(&file, &segment, Duration::ZERO, |_| {}).expect_err("it is held");
    assert!(matches!(error, SegmentLockError::Held { .. }), "{error}");
    assert!(error.to_string().contains(&*segment.to_string_lossy()), "{error}");

    let mut writer = Some(writer);
    let mut said = Vec::new();
    lock_segment(&file, &segment, LONG, |_| {
        said.push(waiting_message(&segment));
        if let Some(writer) = writer.take() {
            writer.kill();
        }
    })
    .expect("the other is dead");
    assert!(said[0].contains("a previous process is still writing") && said[0].contains("0001.segment"), "{said:?}");
}

#[test]
fn the_ballast_is_held_released_and_held_again() {
    let scratch = scratch();
    let directory = DataDirectory::open(scratch.path(), STRICT).expect("it is made");
    let mut ballast = Ballast::open(&directory).expect("there is room");
    let held_bytes = ballast.held_bytes();
    assert!(ballast.is_held() && held_bytes <= BALLAST_BYTES_MAX);
    let blocks = || fs::metadata(directory.layout().ballast_path()).expect("it is there").blocks() * 512;
    assert!(blocks() >= held_bytes, "the space is allocated, not merely a size");

    assert_eq!(ballast.release().expect("it is held"), held_bytes);
    assert!(!ballast.is_held() && blocks() == 0);
    assert!(ballast.restore().expect("there is room"));
    drop(ballast);
    assert!(Ballast::open(&directory).expect("it is there").is_held());
}

#[test]
fn this_machine_runs_a_broker() {
    check_machine().expect("the rest of the tests need io_uring too");
}
