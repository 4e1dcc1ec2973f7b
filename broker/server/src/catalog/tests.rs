//! The queue and the file, without the thread between them: what only a chosen moment shows.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend};
use tempfile::TempDir;

use super::tables::Changed;
use super::*;
use crate::directory::Layout;

const NOW_MS: u64 = 1_700_000_000_000;
const DIRECTORY_ID: u64 = 42;

fn open_store(scratch: &TempDir) -> (Store, CatalogAtStart) {
    Store::open(&Layout::new(scratch.path()), DIRECTORY_ID).expect("the catalog opens")
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("there is room")
}

fn create(name: &str, shards: u32) -> Change {
    let create = CreateStream { name: name.to_owned(), shards, ..CreateStream::default() };
    Change::Create { create, tags: Vec::new(), now_ms: NOW_MS, lanes: 256 }
}

fn transactions(store: &Store) -> u64 {
    let database = store.database.as_ref().expect("it is open");
    read::transactions(&database.begin_read().expect("it reads")).expect("it reads")
}

#[test]
fn a_thousand_raises_are_one_transaction() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let streams = (0..4).map(|number| create(&format!("stream-{number}"), 250)).collect::<Vec<_>>();
    let incarnations: Vec<_> = store
        .perform(&streams)
        .into_iter()
        .map(|outcome| outcome.expect("there is room").into_stream().incarnation)
        .collect();
    let before = transactions(&store);

    let (queue, waiting) = channel::bounded(CHANGES_WAITING_MAX);
    let mut answered = Vec::new();
    for incarnation in &incarnations {
        for log in 0..250 {
            let change = Change::Raise { incarnation: *incarnation, log, raise: Raise::HighestPrepared(7) };
            let (answer, receiver) = oneshot::channel();
            queue.send(Message::Change(Request { change, answer })).expect("somebody will read");
            answered.push(receiver);
        }
    }
    queue.send(Message::Close).expect("somebody will read");
    queue::serve(store, &waiting);
    for receiver in answered {
        assert_eq!(receiver.blocking_recv().expect("it was answered"), Ok(Changed::Done));
    }

    let (store, at_start) = open_store(&scratch);
    assert_eq!(transactions(&store), before + 1);
    assert_eq!(at_start.logs.len(), 1_000);
    assert!(at_start.logs.values().all(|log| log.highest_prepared == 7));
}

#[test]
fn a_batch_sees_what_stands_before_in_it() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let delete = |name: &str| Change::Delete { name: StreamName::new(name).expect("it is a name") };
    let batch = [create("a", 1), create("a", 1), delete("a"), delete("a"), create("a", 2), create("b", 0)];
    let outcomes = store.perform(&batch);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.code)).collect();
    assert_eq!(
        codes,
        [None, Some(ErrorCode::StreamExists), None, Some(ErrorCode::StreamNotFound), None, Some(ErrorCode::BadRequest)]
    );
    let [first, last] = [0, 4].map(|place| outcomes[place].clone().expect("it was done").into_stream());
    assert!(first.incarnation < last.incarnation && first.created_second() < last.created_second());
    store.close();
    let (_, at_start) = open_store(&scratch);
    assert_eq!((at_start.streams, at_start.condemned), (vec![last], vec![first.incarnation]));
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let incarnation = store.perform(&[create("a", 1)])[0].clone().expect("there is room").into_stream().incarnation;
    let raise = Change::Raise { incarnation, log: 0, raise: Raise::HighestPrepared(3) };
    assert_eq!(store.perform(std::slice::from_ref(&raise)), [Ok(Changed::Done)]);
    let before = transactions(&store);
    assert_eq!(store.perform(&[raise, Change::Forget { incarnation: 99 }]), [Ok(Changed::Done), Ok(Changed::Done)]);
    assert!(store.perform(&[create("a", 1)])[0].is_err());
    assert_eq!(transactions(&store), before);
}

#[test]
fn a_broker_carries_so_many_shards_and_no_more() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let full: Vec<_> = (0..20).map(|number| create(&format!("stream-{number}"), 10_000)).collect();
    assert!(store.perform(&full).iter().all(Result::is_ok));
    let refused = |store: &mut Store| store.perform(&[create("one-more", 1)])[0].clone().expect_err("it is full");
    assert_eq!(refused(&mut store).code, ErrorCode::LimitExceeded);
    // Also after a start, and no longer when one was deleted.
    store.close();
    let (mut store, at_start) = open_store(&scratch);
    assert_eq!(at_start.streams.len(), 20);
    assert_eq!(refused(&mut store).code, ErrorCode::LimitExceeded);
    let name = StreamName::new("stream-3").expect("it is a name");
    assert!(store.perform(&[Change::Delete { name }, create("one-more", 10_000)]).iter().all(Result::is_ok));
}

#[test]
fn a_clock_that_is_set_back_gives_no_creation_second_twice() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let name = StreamName::new("a").expect("it is a name");
    let at = |name: &str, now_ms| match create(name, 1) {
        Change::Create { create, tags, lanes, .. } => Change::Create { create, tags, now_ms, lanes },
        change => change,
    };
    let mut seconds = Vec::new();
    for now_ms in [NOW_MS, NOW_MS, NOW_MS + 60_000, NOW_MS, NOW_MS - 60_000] {
        // Another stream, made much later, has the tombstone removed.
        let other = format!("other-{}", seconds.len());
        let batch = [at("a", now_ms), Change::Delete { name: name.clone() }, at(&other, NOW_MS + 100_000)];
        let outcomes = store.perform(&batch);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        seconds.push(outcomes[0].clone().expect("it was made").into_stream().created_second());
    }
    assert!(seconds.is_sorted_by(|one, next| one < next), "{seconds:?}");
}

/// A file that fails after so many writes, syncs and changes of length, and from then on.
#[derive(Debug)]
struct Failing {
    file: FileBackend,
    /// Below zero once it has failed.
    left: Arc<AtomicI64>,
    kind: io::ErrorKind,
}

impl Failing {
    fn spend(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(self.kind.into()) }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.file.write(offset, data)
    }
}

/// Has the store work on a file that fails after so many operations.
fn fail_after(store: &mut Store, path: &Path, operations: i64, kind: io::ErrorKind) -> Arc<AtomicI64> {
    store.database = None;
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let file = FileBackend::new(open_file(path)).expect("it is a file");
    let failing = Failing { file, left: Arc::clone(&left), kind };
    store.database = Some(Database::builder().create_with_backend(failing).expect("it opens"));
    left.store(operations, Ordering::Relaxed);
    left
}

fn open_file(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("it is there")
}

#[test]
fn after_every_failure_of_the_disk_the_answer_is_true_and_the_catalog_goes_on() {
    let scratch = scratch();
    let path = Layout::new(scratch.path()).catalog_path();
    let (mut store, _) = open_store(&scratch);
    let (mut refused, mut settled) = (0, 0);
    for operations in 0.. {
        let kind = if operations % 2 == 0 { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        let left = fail_after(&mut store, &path, operations, kind);
        let name = format!("stream-{operations}");
        let outcome = store.perform(&[create(&name, 100)])[0].clone();
        let has_failed = left.load(Ordering::Relaxed) < 0;
        match &outcome {
            Ok(_) if has_failed => settled += 1,
            Ok(_) => break,
            Err(error) => {
                refused += 1;
                let expected = if operations % 2 == 0 { ErrorCode::StorageFull } else { ErrorCode::Internal };
                assert_eq!(error.code, expected, "{error}");
                assert!(error.message.contains("nothing was changed"), "{error}");
            }
        }
        // What it said is what is found, now and after a start.
        let again = store.perform(&[create(&name, 100)])[0].clone();
        match outcome {
            Ok(_) => assert_eq!(again.expect_err("it is there").code, ErrorCode::StreamExists),
            Err(_) => drop(again.expect("it is not there, and the catalog goes on")),
        }
        store.close();
        let (opened, at_start) = open_store(&scratch);
        assert_eq!(at_start.streams.len() as i64, operations + 1);
        store = opened;
    }
    assert!(refused > 3 && settled > 0, "it fails before and after the switch: {refused} refused, {settled} settled");
}

#[test]
fn what_cannot_be_found_out_is_said_to_be_unknown() {
    let scratch = scratch();
    let path = Layout::new(scratch.path()).catalog_path();
    let away = scratch.path().join("away");
    let (mut store, _) = open_store(&scratch);
    let mut unknown = 0;
    for operations in 0.. {
        let left = fail_after(&mut store, &path, operations, io::ErrorKind::Other);
        // The file that fails cannot be opened again either.
        std::fs::rename(&path, &away).expect("it is ours");
        let outcome = store.perform(&[create(&format!("stream-{operations}"), 100)])[0].clone();
        if left.load(Ordering::Relaxed) >= 0 {
            outcome.expect("nothing has failed");
            break;
        }
        let meanwhile = store.perform(&[create("meanwhile", 1)])[0].clone();
        std::fs::rename(&away, &path).expect("it is ours");
        let error = outcome.expect_err("it has failed");
        match error.code {
            ErrorCode::Indeterminate => unknown += 1,
            code => assert_eq!(code, ErrorCode::Internal, "{error}"),
        }
        assert_eq!(meanwhile.expect_err("there is no file").code, ErrorCode::Internal);
        store.perform(&[create(&format!("after-{operations}"), 1)])[0].clone().expect("the file is back");
        let counted = read::shards(&store.database.as_ref().expect("it is open").begin_read().expect("it reads"));
        assert_eq!(store.shards(), counted.expect("it reads"));
    }
    assert!(unknown > 0, "a commit that failed on the way is one");
}

#[test]
fn tombstones_do_not_pile_up() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let names = |store: &Store| {
        let transaction = store.database.as_ref().expect("it is open").begin_read().expect("it reads");
        let names = transaction.open_table(redb::TableDefinition::<&str, u64>::new("names")).expect("it is there");
        redb::ReadableTableMetadata::len(&names).expect("it reads")
    };
    for number in 0..50 {
        let name = StreamName::new(&format!("stream-{number}")).expect("it is a name");
        let outcomes = store.perform(&[create(name.as_str(), 1), Change::Delete { name }]);
        assert!(outcomes.iter().all(Result::is_ok));
    }
    assert_eq!(names(&store), 50);
    let Change::Create { create, lanes, .. } = create("later", 1) else { panic!("it is one") };
    assert!(store.perform(&[Change::Create { create, tags: Vec::new(), now_ms: NOW_MS + 10_000, lanes }])[0].is_ok());
    assert_eq!(names(&store), 0);
}

#[test]
fn on_a_full_disk_what_takes_room_fails_alone() {
    let scratch = scratch();
    let (mut store, _) = open_store(&scratch);
    let name = |text: &str| StreamName::new(text).expect("it is a name");
    let kept = store.perform(&[create("kept", 1), create("gone", 1)])[0].clone().expect("there is room").into_stream();
    let path = Layout::new(scratch.path()).catalog_path();
    fail_after(&mut store, &path, 0, io::ErrorKind::StorageFull);

    let raise = Change::Raise { incarnation: kept.incarnation, log: 0, raise: Raise::HighestPrepared(1) };
    let batch = [raise, create("new", 1), Change::Delete { name: name("gone") }, Change::Delete { name: name("new") }];
    let outcomes = store.perform(&batch);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.code)).collect();
    assert_eq!(codes, [None, Some(ErrorCode::StorageFull), None, Some(ErrorCode::StreamNotFound)]);
    store.close();
    let (_, at_start) = open_store(&scratch);
    assert_eq!(at_start.logs[&(kept.incarnation, 0)].highest_prepared, 1);
    assert_eq!(at_start.streams, [kept]);
}

#[test]
fn a_full_queue_is_busy_and_a_dead_one_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
    let (queue, waiting) = channel::bounded(1);
    let catalog = Catalog { queue, thread: Arc::new(Mutex::new(None)) };
    let request = || {
        let (answer, _) = oneshot::channel();
        Message::Change(Request { change: Change::Forget { incarnation: 1 }, answer })
    };
    catalog.queue.send(request()).expect("there is room for one");
    let error = runtime.block_on(catalog.forget_condemned(1)).expect_err("there is no room");
    assert_eq!((error.code, error.retry), (ErrorCode::Busy, rheos_protocol::error::Retry::After(BUSY_RETRY_MS)));
    drop(waiting);
    assert_eq!(runtime.block_on(catalog.forget_condemned(1)).expect_err("nobody serves").code, ErrorCode::GoingAway);
    let error = catalog.raise_highest_prepared_blocking(1, 0, 1).expect_err("nobody serves");
    assert_eq!(error.code, ErrorCode::GoingAway);
    catalog.close();
}
