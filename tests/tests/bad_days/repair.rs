//! Repair of a stream that takes no puts: refused, repaired, served; whatever was damaged and wherever the
//! repair was killed.

use rheos_broker::{RepairError, StreamRepair, plan_repair};

use super::damage::wait_settled;
use super::*;

/// Segments of the victim.
const RUNS: u64 = 5;

/// Something that happens to the files of a log while its broker is down; `newest` is its newest segment.
type Damage = fn(&Path, u64);

/// What the broker refuses afterwards.
const DAMAGES: [(&str, Damage); 9] = [
    ("a commit header", |log, newest| flip(log, newest, commit(log, newest, 1) + 40)),
    ("a batch header", |log, newest| flip(log, newest, commit(log, newest, 1) + 140)),
    ("a body", |log, newest| flip(log, newest, commit(log, newest, 1) + 230)),
    ("both headers", |log, newest| [4096 + 30, 8192 + 30].iter().for_each(|at| flip(log, newest, *at))),
    ("the label", |log, newest| flip(log, newest, 12)),
    ("the carry-over", |log, newest| flip(log, newest, 3 * 4096 + 9)),
    ("the whole head", |log, newest| write_at(log, newest, 0, &[0xa5; 4 * 4096])),
    ("the first segment is lost", |log, _| fs::remove_file(file(log, 1)).expect("it is there")),
    ("two in the middle are lost", |log, newest| {
        [newest - 2, newest - 1].iter().for_each(|segment| fs::remove_file(file(log, *segment)).expect("it is there"));
    }),
];

fn file(log: &Path, segment: u64) -> PathBuf {
    log.join(format!("{segment:020}.segment"))
}

/// Where the commit of this place among those of a segment stands.
fn commit(log: &Path, segment: u64, at: usize) -> usize {
    let bytes = fs::read(file(log, segment)).expect("it is there");
    let mut commits = (0..bytes.len()).step_by(BLOCK).filter(|at| bytes[*at..].starts_with(b"RHC1"));
    commits.nth(at).expect("it has so many")
}

fn flip(log: &Path, segment: u64, at: usize) {
    let byte = fs::read(file(log, segment)).expect("it is there")[at];
    write_at(log, segment, at, &[byte ^ 0x10]);
}

fn write_at(log: &Path, segment: u64, at: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(file(log, segment)).expect("it is ours");
    file.write_all_at(bytes, at as u64).expect("it is ours");
}

/// A stream `victim` of a few segments, one for each run of the broker, and one that is none of its business;
/// the broker is down. Says how many records the victim holds.
async fn two_streams(place: &mut Place, clean_stop: bool) -> (StreamDescription, u64) {
    let mut records = 0;
    let mut run = 0;
    loop {
        run += 1;
        let broker = place.start();
        let client = broker.client().await;
        if run == 1 {
            client.create_stream(StreamSpec::new("victim", 1)).await.expect("there is room");
            filled(&client, "bystander", 5).await;
        }
        let producer = client.producer("victim").await.expect("it is there");
        for _ in 0..5 {
            put(&producer, [text("victim", records).into_bytes(), vec![b'.'; 20_000]].concat()).await;
            records += 1;
        }
        let stream = client.describe_stream("victim").await.expect("it is there");
        client.close().await;
        match run {
            RUNS if !clean_stop => {
                wait_settled(&segment(place, &stream, RUNS)).await;
                broker.kill()
            }
            _ => broker.stop(),
        };
        if run == RUNS {
            return (stream, records as u64);
        }
    }
}

/// The newest segment in which a record stands.
fn newest(log: &Path) -> u64 {
    let holds = |segment: &u64| {
        fs::read(file(log, *segment)).is_ok_and(|bytes| bytes.windows(9).any(|window| window == b"of victim"))
    };
    (1..10).rev().find(holds).expect("there is one")
}

/// The records that are read, by sequence, and how many are said to be lost.
async fn read_around(client: &Client) -> (BTreeSet<u64>, u64) {
    let mut reader = client.reader("victim", 0, Position::TrimHorizon).await.expect("it is there");
    let (mut read, mut lost) = (BTreeSet::new(), 0);
    loop {
        match within(reader.read_once()).await {
            Ok(batches) => {
                for at in batches.records() {
                    let data = String::from_utf8_lossy(at.record.data).into_owned();
                    assert!(data.starts_with(&text("victim", at.sequence as usize)) || data == "new", "{data:.40}");
                    read.insert(at.sequence);
                }
                if batches.is_at_tip() {
                    return (read, lost);
                }
            }
            Err(Error::Damaged { first_sequence, last_sequence, .. }) => {
                lost += last_sequence + 1 - first_sequence;
                reader.skip_to(Position::AtSequence(last_sequence + 1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn plan(place: &Place) -> StreamRepair {
    plan_repair(place.data(), "victim", |_| {}).expect("nobody holds the directory")
}

/// Plans and does so many steps, or all; says whether all are done. On a thread that runs no async tasks.
fn repair(place: &Place, steps: usize) -> bool {
    std::thread::scope(|scope| {
        let work = || {
            let mut repair = plan(place);
            let mut done = (0..steps).map(|_| repair.step());
            done.any(|step| step.map(|outcome| outcome.expect("the disk is well")).is_none())
        };
        scope.spawn(work).join().expect("it does not panic")
    })
}

fn repair_all(place: &Place) {
    let work = || plan(place).accept().expect("the disk is well");
    let left_out = std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"));
    assert_eq!(left_out, Vec::<String>::new());
}

/// Puts a copy of the directory at `from` in the place of `to`.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("it is ours");
    }
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("there is cp");
    assert!(copied.success());
}

/// Whether a start takes puts for the victim.
fn takes_puts(place: &mut Place) -> bool {
    let broker = place.start();
    let said = broker.said();
    broker.stop();
    !said.contains("takes no puts")
}

#[tokio::test]
async fn whatever_is_damaged_is_refused_repaired_and_served() {
    for clean_stop in [false, true] {
        let mut place = place();
        let (stream, records) = two_streams(&mut place, clean_stop).await;
        let whole = place.scratch().join("whole");
        copy(place.data(), &whole);
        for (what, damage) in DAMAGES {
            let what = format!("clean {clean_stop}, {what}");
            copy(&whole, place.data());
            let log = log_dir(&place, &stream);
            damage(&log, newest(&log));
            if takes_puts(&mut place) {
                // With a footer that tells all, damage in the middle stops no puts; it is accepted all the same.
                assert!(clean_stop, "{what}: it is refused");
            }
            let before: Vec<_> = (1..20).filter_map(|segment| fs::read(file(&log, segment)).ok()).collect();
            let repair = plan(&place);
            let report = repair.report().clone();
            drop(repair);
            let now: Vec<_> = (1..20).filter_map(|segment| fs::read(file(&log, segment)).ok()).collect();
            assert!(before == now, "{what}: nothing is changed by looking");
            if !report.is_needed() {
                continue;
            }
            repair_all(&place);
            assert!(!plan(&place).report().is_needed(), "{what}: once is enough");
            let verified = verify(place.data(), |_| {}).expect("nobody holds the directory");
            assert!(verified.is_whole(), "{what}: {verified:?}");

            let broker = place.start();
            assert!(!broker.said().contains("takes no puts"), "{what}: {}", broker.said());
            let client = broker.client().await;
            let (read, lost) = read_around(&client).await;
            assert!(read.iter().all(|sequence| *sequence < records), "{what}");
            assert!(read.len() as u64 + lost >= records, "{what}: {} read, {lost} lost of {records}", read.len());
            let said: u64 = report.logs[0].lost.iter().map(|lost| lost.count()).sum();
            assert_eq!((said, report.logs[0].kept_records), (lost, read.len() as u64), "{what}: as was said before");
            let producer = client.producer("victim").await.expect("it is there");
            let sequence = put(&producer, "new").await;
            assert!(sequence >= records, "{what}: {sequence} is given again");
            let bystander = client.producer("bystander").await.expect("it is there");
            assert_eq!(put(&bystander, text("bystander", 5)).await, 5);
            client.close().await;
            broker.kill();

            let broker = place.start();
            let client = broker.client().await;
            let (again, lost_again) = read_around(&client).await;
            assert!(again.contains(&sequence) && again.len() == read.len() + 1 && lost_again == lost, "{what}");
            client.close().await;
            broker.stop();
        }
    }
}

#[tokio::test]
async fn a_repair_that_is_killed_anywhere_is_taken_up_again() {
    for (what, damage) in [DAMAGES[1], DAMAGES[6], DAMAGES[8]] {
        let mut place = place();
        let (stream, records) = two_streams(&mut place, false).await;
        let log = log_dir(&place, &stream);
        damage(&log, newest(&log));
        assert!(!takes_puts(&mut place), "{what}");
        for steps in 1.. {
            let done = repair(&place, steps);
            // Whatever a start finds, it is the refusal or a log that takes puts, and it changes no promise.
            let takes = takes_puts(&mut place);
            if done {
                assert!(takes, "{what}: it is done after {steps} steps");
                break;
            }
        }
        assert!(!plan(&place).report().is_needed(), "{what}");
        let broker = place.start();
        let client = broker.client().await;
        let (read, lost) = read_around(&client).await;
        assert!(read.len() as u64 + lost >= records, "{what}");
        let producer = client.producer("victim").await.expect("it is there");
        assert!(put(&producer, "new").await >= records, "{what}");
        client.close().await;
        broker.stop();
    }
}

#[tokio::test]
async fn a_producer_and_a_consumer_go_on_after_a_repair() {
    let mut place = place();
    let (stream, records) = two_streams(&mut place, false).await;
    let broker = place.start();
    let client = broker.client().await;
    let producer = client.producer("victim").await.expect("it is there");
    assert_eq!(put(&producer, "new").await, records);
    broker.kill();
    let log = log_dir(&place, &stream);
    let newest = (1..20).rev().find(|segment| fs::read(file(&log, *segment)).is_ok_and(|bytes| bytes[4096] != 0));
    let newest = newest.expect("one is used");
    fs::write(file(&log, newest), "gone").expect("it is ours");
    repair_all(&place);

    // The same producer, which knows nothing of it: its next put is told apart from what may be lost.
    let broker = place.start();
    let put = producer.put(Record::new("key", "new")).await.expect("it is small");
    let outcome = within(put).await;
    let sequence = match outcome {
        Outcome::Acked { sequence, .. } => sequence,
        Outcome::Indeterminate { .. } => {
            match within(producer.put(Record::new("key", "new")).await.expect("it is small")).await {
                Outcome::Acked { sequence, .. } => sequence,
                other => panic!("the second put came to {other:?}"),
            }
        }
        other => panic!("a put came to {other:?}"),
    };
    assert!(sequence > records);
    let (read, lost) = read_around(&client).await;
    assert!(read.contains(&sequence) && lost > 0);
    client.close().await;
    broker.stop();
}

#[tokio::test]
async fn a_healthy_stream_is_left_alone() {
    let mut place = place();
    let (stream, _) = two_streams(&mut place, true).await;
    let log = log_dir(&place, &stream);
    let format = fs::read(place.data().join("FORMAT")).expect("it is there");
    let repair = plan(&place);
    assert!(!repair.report().is_needed() && repair.report().logs[0].lost.is_empty());
    assert_eq!(repair.accept().expect("there is nothing to do"), Vec::<String>::new());
    assert_eq!(fs::read(place.data().join("FORMAT")).expect("it is there"), format);
    assert!(!log.join("accepted-losses.json").exists());
}

#[tokio::test]
async fn damage_in_a_sealed_segment_is_accepted_without_a_new_segment() {
    let mut place = place();
    let (stream, records) = two_streams(&mut place, true).await;
    let log = log_dir(&place, &stream);
    flip(&log, 2, commit(&log, 2, 1) + 300);
    assert!(takes_puts(&mut place), "it stops no puts");
    assert!(!verify(place.data(), |_| {}).expect("nobody holds the directory").is_whole());
    let repair = plan(&place);
    let report = &repair.report().logs[0];
    assert!(report.refused.is_none() && report.new_segment.is_none());
    assert_eq!(report.lost.iter().map(|lost| lost.count()).sum::<u64>(), 1);
    assert_eq!(report.kept_records, records - 1);
    drop(repair);
    repair_all(&place);
    let verified = verify(place.data(), |_| {}).expect("nobody holds the directory");
    let victim = verified.streams.iter().find(|stream| stream.name == "victim").expect("it is there");
    assert!(verified.is_whole() && victim.logs[0].accepted.len() == 1 && victim.logs[0].damaged.is_empty());
    // A second loss is not covered by it.
    flip(&log, 3, commit(&log, 3, 1) + 300);
    assert!(!verify(place.data(), |_| {}).expect("nobody holds the directory").is_whole());
    assert!(plan(&place).report().is_needed());
}

#[tokio::test]
async fn what_cannot_be_worked_on_is_refused_with_what_to_do() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    filled(&client, "victim", 3).await;
    client.close().await;
    let refused = |place: &Place, stream: &str| plan_repair(place.data(), stream, |_| {}).expect_err("it is refused");
    assert!(refused(&place, "victim").to_string().contains("in use by process"), "a broker runs");
    broker.stop();
    let RepairError::NoStream { streams, .. } = refused(&place, "victin") else { panic!("there is no such stream") };
    assert_eq!(streams, ["victim"]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.data(), Some(1234), None).expect("root may");
        let error = refused(&place, "victim").to_string();
        assert!(error.contains("belongs to user 1234") && error.contains("sudo -u '#1234'"), "{error}");
        std::os::unix::fs::chown(place.data(), Some(0), None).expect("root may");
    }
    let catalog = place.data().join("catalog.redb");
    let len = fs::metadata(&catalog).expect("it is there").len();
    let file = OpenOptions::new().write(true).open(&catalog).expect("it is ours");
    file.write_all_at(&vec![0x5a; len as usize], 0).expect("it is ours");
    let error = refused(&place, "victim").to_string();
    assert!(error.contains("catalog") && error.contains("backup"), "{error}");
}
