//! The catalog on a real disk: what was answered is there after a restart and after a kill, and a
//! damaged file is never believed.
#![allow(clippy::disallowed_methods, reason = "tests make and remove scratch files of their own")]

#[path = "catalog/access.rs"]
mod access;
#[path = "catalog/kinesis.rs"]
mod kinesis;
#[path = "catalog/reshards.rs"]
mod reshards;
#[path = "catalog/scaling.rs"]
mod scaling;
mod scratch;
#[path = "catalog/settings.rs"]
mod settings;

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use redb::{Database, TableDefinition};
use rheos_broker::catalog::{Catalog, CatalogAtStart};
use rheos_broker::directory::{DataDirectory, DirectoryOptions};
use rheos_broker::start_error::StartError;
use rheos_core::catalog::{LogRecord, StreamRecord};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::message::{CreateStream, Limit, LimitsUpdate, StreamLimits, Tag, UpdateStream};
use rheos_protocol::name::StreamName;
use tempfile::TempDir;
use tokio::task::JoinSet;

use scratch::{Player, role, say, scratch};

const NOW_MS: u64 = 1_700_000_000_000;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// What the other process does: creates streams until it is killed, and says each one that was answered.
#[test]
fn child() {
    let Some((_, place)) = role() else { return };
    let directory = DataDirectory::open(&place, DirectoryOptions::default()).expect("the directory is taken");
    let (catalog, _) = Catalog::open(&directory).expect("the catalog opens");
    for number in 0.. {
        let name = format!("stream-{number}");
        let stream = run(catalog.create_stream(create(&name, 3), NOW_MS, 2)).expect("there is room");
        catalog.raise_highest_prepared_blocking(stream.incarnation, 1, number + 1).expect("there is room");
        let limits = LimitsUpdate { in_records: Some(Limit::of(number + 1)), ..LimitsUpdate::default() };
        let update = UpdateStream { limits, ..UpdateStream::of(name.as_str()) };
        run(catalog.update_stream(&stream.name, update, 0)).expect("it is there");
        let tag = Tag { key: "number".to_owned(), value: number.to_string() };
        run(catalog.tag_stream(&stream.name, vec![tag], Vec::new())).expect("it is there");
        if number % 3 == 2 {
            run(catalog.delete_stream(&stream.name)).expect("it is there");
        }
        say(&number.to_string());
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing").block_on(work)
}

fn create(name: &str, shards: u32) -> CreateStream {
    CreateStream { name: name.to_owned(), shards, ..CreateStream::default() }
}

fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("it is a name")
}

fn new_directory() -> (TempDir, DataDirectory) {
    let scratch = scratch();
    let directory = DataDirectory::open(scratch.path(), DirectoryOptions::default()).expect("it is made");
    (scratch, directory)
}

fn open(directory: &DataDirectory) -> (Catalog, CatalogAtStart) {
    Catalog::open(directory).expect("the catalog opens")
}

fn refusal(directory: &DataDirectory) -> StartError {
    let error = Catalog::open(directory).expect_err("it is refused");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains("catalog.redb"), "{line:?} is one line and names the file");
    error
}

#[test]
fn streams_are_made_deleted_and_kept_over_a_restart() {
    let (_scratch, directory) = new_directory();
    let (catalog, at_start) = open(&directory);
    assert_eq!(
        at_start,
        CatalogAtStart { streams: vec![], logs: [].into(), condemned: vec![], consumers: vec![], keys: vec![] }
    );
    let path = directory.layout().catalog_path();
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    assert!(!directory.layout().catalog_unfinished_path().exists());

    let [orders, gone, audit] =
        ["orders", "gone", "audit"].map(|name| run(catalog.create_stream(create(name, 4), NOW_MS, 2)).expect("room"));
    let error = run(catalog.create_stream(create("orders", 1), NOW_MS, 2)).expect_err("it exists");
    assert_eq!(error.code, ErrorCode::StreamExists);
    assert!(error.message.contains("orders"), "{error}");
    let error = run(catalog.create_stream(create("bad", 0), NOW_MS, 2)).expect_err("no shards");
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert_eq!(run(catalog.delete_stream(&name("gone"))), Ok(Arc::clone(&gone)));
    assert_eq!(run(catalog.delete_stream(&name("gone"))).expect_err("it is gone").code, ErrorCode::StreamNotFound);
    catalog.close();

    let (catalog, at_start) = open(&directory);
    assert_eq!(at_start.streams, [audit.clone(), orders.clone()], "sorted by name");
    let logs: Vec<_> = at_start.logs.iter().map(|(log, record)| (*log, *record)).collect();
    let new = |stream: &StreamRecord, log| ((stream.incarnation, log), LogRecord::NEW);
    assert_eq!(logs, [new(&orders, 0), new(&orders, 1), new(&audit, 0), new(&audit, 1)]);
    assert_eq!(at_start.condemned, [gone.incarnation]);
    assert_eq!(at_start.streams[0].describe(|log| log as u16, StreamLimits::NONE).shards.len(), 4);
    catalog.close();
}

#[test]
fn an_incarnation_is_never_given_twice() {
    let (_scratch, directory) = new_directory();
    let mut lives = BTreeSet::new();
    let mut seconds = BTreeSet::new();
    for round in 1..=4 {
        let (catalog, at_start) = open(&directory);
        assert_eq!(at_start.condemned.len(), lives.len());
        for life in 1..=3 {
            // All of them at one moment.
            let stream = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
            assert!(lives.insert(stream.incarnation), "round {round}, life {life}");
            assert!(seconds.insert(stream.created_second()), "round {round}, life {life}");
            run(catalog.delete_stream(&stream.name)).expect("it is there");
        }
        catalog.close();
    }

    // Nor when nothing remembers the old ones any more.
    let (catalog, _) = open(&directory);
    for incarnation in &lives {
        run(catalog.forget_condemned(*incarnation)).expect("there is room");
        run(catalog.forget_condemned(*incarnation)).expect("it is known");
    }
    catalog.close();
    let (catalog, at_start) = open(&directory);
    assert!(at_start.condemned.is_empty());
    let stream = run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    assert!(lives.insert(stream.incarnation) && seconds.insert(stream.created_second()));
    catalog.close();
}

#[test]
fn a_logs_numbers_are_raised_and_never_fall() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let stream = run(catalog.create_stream(create("orders", 2), NOW_MS, 2)).expect("there is room");
    let incarnation = stream.incarnation;
    run(catalog.raise_highest_prepared(incarnation, 1, 5)).expect("it is higher");
    run(catalog.raise_highest_prepared(incarnation, 1, 4)).expect("it is known");
    run(catalog.raise_lowest_kept(incarnation, 1, 3)).expect("it is higher");
    run(catalog.raise_lowest_kept(incarnation, 1, 2)).expect("it is known");
    catalog.raise_highest_prepared_blocking(incarnation, 0, 9).expect("it is higher");
    for (bad, code) in [
        (run(catalog.raise_lowest_kept(incarnation, 1, 6)), ErrorCode::Internal),
        (run(catalog.raise_highest_prepared(incarnation, 1, 0)), ErrorCode::Internal),
        (run(catalog.raise_highest_prepared(incarnation, 2, 1)), ErrorCode::StreamNotFound),
        (run(catalog.raise_highest_prepared(incarnation + 1, 0, 1)), ErrorCode::StreamNotFound),
        (catalog.raise_highest_prepared_blocking(incarnation + 1, 0, 1), ErrorCode::StreamNotFound),
    ] {
        assert_eq!(bad.expect_err("it is refused").code, code);
    }
    catalog.close();

    let (catalog, at_start) = open(&directory);
    let expected = [((incarnation, 0), (1, 9)), ((incarnation, 1), (3, 5))];
    let logs: Vec<_> =
        at_start.logs.iter().map(|(log, record)| (*log, (record.lowest_kept, record.highest_prepared))).collect();
    assert_eq!(logs, expected);
    run(catalog.delete_stream(&stream.name)).expect("it is there");
    let error = run(catalog.raise_highest_prepared(incarnation, 1, 6)).expect_err("it is gone");
    assert_eq!(error.code, ErrorCode::StreamNotFound);
    catalog.close();
    assert_eq!(open(&directory).1.logs, [].into());
}

#[test]
fn ten_thousand_shards_are_kept() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let stream = run(catalog.create_stream(create("wide", 10_000), NOW_MS, 8)).expect("there is room");
    catalog.close();
    let (_, at_start) = open(&directory);
    assert_eq!(at_start.streams, [stream]);
    assert_eq!(at_start.logs.len(), 8);
    assert_eq!(at_start.streams[0].open_shard_of(u128::MAX).expect("they tile the space").shard, 9_999);
}

#[test]
fn a_thousand_logs_are_raised_at_once() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let streams: Vec<_> = (0..10)
        .map(|number| run(catalog.create_stream(create(&format!("s{number}"), 100), NOW_MS, 100)).expect("room"))
        .collect();
    run(async {
        let mut raises = JoinSet::new();
        for stream in &streams {
            for log in 0..100 {
                let (catalog, incarnation) = (catalog.clone(), stream.incarnation);
                raises.spawn(async move { catalog.raise_highest_prepared(incarnation, log, 2).await });
            }
        }
        while let Some(raised) = raises.join_next().await {
            raised.expect("it does not panic").expect("it is higher");
        }
    });
    catalog.close();
    let (_, at_start) = open(&directory);
    assert_eq!(at_start.logs.len(), 1_000);
    assert!(at_start.logs.values().all(|log| log.highest_prepared == 2));
}

#[test]
fn what_was_asked_for_before_a_close_is_done() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    let mut context = Context::from_waker(Waker::noop());
    let mut creates: Vec<_> = (0..100)
        .map(|number| {
            let catalog = catalog.clone();
            Box::pin(async move { catalog.create_stream(create(&format!("s{number}"), 1), NOW_MS, 1).await })
        })
        .collect();
    // Polled once, each has asked; the first may even be answered.
    let asked: Vec<_> = creates.iter_mut().map(|create| create.as_mut().poll(&mut context)).collect();
    catalog.clone().close();
    for (create, asked) in creates.iter_mut().zip(asked) {
        let answered = if asked.is_ready() { asked } else { create.as_mut().poll(&mut context) };
        assert!(matches!(answered, Poll::Ready(Ok(_))), "{answered:?}");
    }
    let late = run(catalog.create_stream(create("late", 1), NOW_MS, 1));
    assert_eq!(late.expect_err("it is closed").code, ErrorCode::GoingAway);
    assert_eq!(open(&directory).1.streams.len(), 100);
}

#[test]
fn a_kill_takes_nothing_that_was_answered() {
    let scratch = scratch();
    let mut answered_before = 0;
    for answers in [1, 10, 50] {
        let mut player = Player::start("create streams", scratch.path());
        let mut words = player.words();
        let answered: u64 = words.by_ref().nth(answers).expect("it says many").parse().expect("it says numbers");
        player.kill();
        // What it has said while it was being killed was answered too.
        let answered = words.last().map_or(answered, |word| word.parse().expect("it says numbers"));

        let directory = DataDirectory::open(scratch.path(), DirectoryOptions::default()).expect("it is ours");
        let (catalog, at_start) = open(&directory);
        for number in 0..=answered {
            let wanted = format!("stream-{number}");
            let stream = at_start.streams.iter().find(|stream| stream.name.as_str() == wanted);
            assert_eq!(stream.is_some(), number % 3 != 2, "{wanted}");
            let Some(stream) = stream else { continue };
            assert_eq!(at_start.logs[&(stream.incarnation, 1)].highest_prepared, number + 1, "{wanted}");
            assert_eq!(stream.terms.limits.in_records, Limit::of(number + 1), "{wanted}");
            assert!(stream.tags.has("number", Some(&number.to_string())), "{wanted}");
        }
        // One more may have been made and not answered.
        assert!(at_start.streams.iter().all(|stream| {
            let number: u64 = stream.name.as_str()["stream-".len()..].parse().expect("it is one of ours");
            number <= answered + 1
        }));
        let made = answered + 1;
        assert!(at_start.condemned.len() as u64 >= answered_before + made / 3);
        for stream in &at_start.streams {
            run(catalog.delete_stream(&stream.name)).expect("it is there");
        }
        answered_before += made;
        catalog.close();
    }
}

#[test]
fn a_catalog_that_cannot_be_is_refused_in_one_line() {
    let (_scratch, directory) = new_directory();
    let path = directory.layout().catalog_path();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(create("orders", 4), NOW_MS, 2)).expect("there is room");
    catalog.close();
    let good = fs::read(&path).expect("it is there");
    for bad in [&b""[..], b"no database", &[0; 8192], &good[..good.len() / 2], &good[..4096], &good[1..]] {
        fs::write(&path, bad).expect("it is ours");
        let error = refusal(&directory);
        assert!(matches!(error, StartError::CatalogDamaged { .. }), "{} bytes: {error}", bad.len());
    }
    fs::write(&path, &good).expect("it is ours");
    assert_eq!(open(&directory).1.streams.len(), 1);
}

#[test]
fn no_damage_is_taken_for_another_catalog() {
    let (_scratch, directory) = new_directory();
    let path = directory.layout().catalog_path();
    let (catalog, _) = open(&directory);
    for number in 0..20 {
        let stream = run(catalog.create_stream(create(&format!("s{number}"), 8), NOW_MS, 8)).expect("there is room");
        for log in 0..8 {
            catalog.raise_highest_prepared_blocking(stream.incarnation, log, 5).expect("there is room");
            // Numbers that still make sense with another bit in them: the worst to get wrong.
            run(catalog.raise_lowest_kept(stream.incarnation, log, 2)).expect("there is room");
        }
    }
    run(catalog.delete_stream(&name("s7"))).expect("it is there");
    catalog.close();
    let (catalog, expected) = open(&directory);
    catalog.close();

    let good = fs::read(&path).expect("it is there");
    let places: Vec<_> = (0..good.len()).filter(|place| good[*place] != 0).collect();
    let mut refused = 0;
    for place in places.iter().step_by(places.len() / 400) {
        let mut bad = good.clone();
        bad[*place] ^= 0x10;
        fs::write(&path, bad).expect("it is ours");
        match Catalog::open(&directory) {
            // The byte was of no use, or stands twice.
            Ok((catalog, found)) => {
                assert_eq!(found, expected, "byte {place}");
                catalog.close();
            }
            Err(error) => {
                assert!(matches!(error, StartError::CatalogDamaged { .. }), "byte {place}: {error}");
                assert!(!error.to_string().contains('\n'), "byte {place}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "some of these bytes matter");
}

/// Changes a number that the catalog keeps about itself, as another release or another hand would.
fn set_meta(directory: &DataDirectory, key: &str, value: u64) {
    let database = Database::open(directory.layout().catalog_path()).expect("nobody has it open");
    let transaction = database.begin_write().expect("it writes");
    transaction.open_table(META).expect("it is there").insert(key, value).expect("it writes");
    transaction.commit().expect("it writes");
}

#[test]
fn a_newer_or_foreign_catalog_is_refused() {
    let (_scratch, directory) = new_directory();
    let (catalog, _) = open(&directory);
    run(catalog.create_stream(create("orders", 1), NOW_MS, 1)).expect("there is room");
    catalog.close();

    set_meta(&directory, "format", 9);
    assert!(matches!(refusal(&directory), StartError::CatalogNewer { found: 9, known: 1, .. }));
    set_meta(&directory, "format", 0);
    assert!(refusal(&directory).to_string().contains("never was"));
    set_meta(&directory, "format", 1);
    set_meta(&directory, "directory", directory.id() ^ 1);
    assert!(refusal(&directory).to_string().contains("another data directory"));
    set_meta(&directory, "directory", directory.id());
    set_meta(&directory, "next incarnation", 1);
    assert!(refusal(&directory).to_string().contains("incarnation"));
    set_meta(&directory, "next incarnation", 2);
    assert_eq!(open(&directory).1.streams.len(), 1);
}

#[test]
fn a_catalog_is_made_once_and_never_beside_logs() {
    let (_scratch, directory) = new_directory();
    // A crash while it was made leaves this.
    fs::write(directory.layout().catalog_unfinished_path(), "half a catalog").expect("it is writable");
    open(&directory).0.close();
    assert!(!directory.layout().catalog_unfinished_path().exists());

    directory.create_log_dir(1, 0).expect("there is room");
    fs::remove_file(directory.layout().catalog_path()).expect("it is ours");
    let error = refusal(&directory);
    assert!(error.to_string().contains("it is missing, and there are logs"), "{error}");
    assert!(!directory.layout().catalog_path().exists());
}
