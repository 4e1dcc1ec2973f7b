//! A broker that is short of file descriptors or room: refuses what it cannot do, loses nothing, and
//! recovers by itself.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_file_descriptors_refuses_new_logs_and_serves_the_others() {
    let mut place = place().with_launcher(&["prlimit", "--nofile=64:64"]);
    let broker = place.start();
    let client = broker.client().await;
    filled(&client, "old", 10).await;
    client.close().await;
    broker.stop();
    let broker = place.start();
    let client = broker.client().await;
    let raw = RawClient::admitted(broker.address(), &Key::of_admin(place.data())).await;
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 64, "each log that is written holds a file");
        let name = format!("stream-{}", open.len());
        let stream = client.create_stream(StreamSpec::new(name, 1)).await.expect("a stream needs no descriptor");
        match put_once(&raw, &stream).await {
            Ok(0) => open.push(stream),
            Ok(other) => panic!("the first record has sequence {other}"),
            Err(error) => {
                assert!(matches!(error.retry, Retry::After(_)), "{error}");
                break stream;
            }
        }
    };
    assert!(open.len() > 10, "{} logs were open", open.len());
    // What cannot be opened is not damaged.
    match read_all(&client, "old", 0, Position::TrimHorizon).await {
        Ok(read) => assert_eq!(read, texts("old", 10)),
        Err(Error::Broker(error)) => assert!(matches!(error.retry, Retry::After(_)), "{error}"),
        Err(error) => panic!("{error}"),
    }
    for stream in &open {
        assert_eq!(put_once(&raw, stream).await, Ok(1));
    }
    for stream in &open[..4] {
        client.delete_stream(&stream.name).await.expect("it is there");
    }
    put_until_answer(&raw, &refused, Result::is_ok).await;
    assert_eq!(read_all(&client, "old", 0, Position::TrimHorizon).await.expect("it is whole"), texts("old", 10));
    client.close().await;
    broker.kill();
    let broker = place.start();
    let client = broker.client().await;
    for stream in &open[4..] {
        let read = read_all(&client, &stream.name, 0, Position::TrimHorizon).await.expect("it is whole");
        assert_eq!(read, ["one more", "one more"]);
    }
    client.close().await;
    broker.stop();
}

const INSIDE: &str = "RHEOS_TEST_MOUNTS";

/// Runs the test of this name in a process that has its mounts to itself; they go with it. True in
/// that process, where the test is to be done.
#[allow(clippy::print_stderr, reason = "a test that is not done says so")]
fn inside_own_mounts(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("{test} is not done: mounting a small disk takes root");
        return false;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("util-linux is installed");
    assert!(status.success(), "{test} failed among its own mounts: {status}");
    false
}

/// A small disk with an ext4 of its own.
fn mount_small_disk(scratch: &Path, bytes: u64) -> PathBuf {
    let (image, disk) = (scratch.join("image"), scratch.join("disk"));
    File::create(&image).expect("the scratch directory is writable").set_len(bytes).expect("there is room");
    fs::create_dir(&disk).expect("the scratch directory is writable");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("it is installed");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let (image, target) = (image.to_str().expect("a path in UTF-8"), disk.to_str().expect("a path in UTF-8"));
    run("mkfs.ext4", &["-q", "-F", "-m", "0", image]);
    run("mount", &["-o", "loop", image, target]);
    disk
}

fn free_bytes(path: &Path) -> u64 {
    let system = rustix::fs::statvfs(path).expect("it is mounted");
    system.f_bavail * system.f_frsize
}

/// Takes all but so many bytes of a disk.
fn fill(path: &Path, left: u64) -> PathBuf {
    let filler = path.join(format!("filler-{left}"));
    let file = File::create(&filler).expect("there is room for a name");
    let mut taken = 0;
    while free_bytes(path) > left {
        let piece = (free_bytes(path) - left).clamp(4096, 16 << 20) / 4096 * 4096;
        if fallocate(&file, FallocateFlags::empty(), taken, piece).is_err() {
            break;
        }
        taken += piece;
    }
    filler
}

async fn put_once(raw: &RawClient, stream: &StreamDescription) -> Result<u64, WireError> {
    let mut batch = BatchBuilder::default();
    batch.push(&Record::new("key", "one more").view(), 1 << 20).expect("it is small");
    raw.put(&batch.finish(stream.incarnation, 0, ProducerStamp::default())).await
}

/// Puts one record again and again until it comes to what is awaited.
async fn put_until_answer(
    raw: &RawClient,
    stream: &StreamDescription,
    wanted: impl Fn(&Result<u64, WireError>) -> bool,
) {
    within(async {
        loop {
            let answer = put_once(raw, stream).await;
            if wanted(&answer) {
                return;
            }
            if let Err(error) = &answer {
                assert_eq!(error.code, ErrorCode::StorageFull, "{error}");
            }
            sleep(LOOK).await;
        }
    })
    .await;
}

fn is_full(answer: &Result<u64, WireError>) -> bool {
    match answer {
        Err(WireError { code: ErrorCode::StorageFull, retry: Retry::After(wait_ms), .. }) => *wait_ms > 0,
        _ => false,
    }
}

#[test]
fn a_full_disk_refuses_puts_serves_reads_and_recovers_by_itself() {
    if !inside_own_mounts("shortage::a_full_disk_refuses_puts_serves_reads_and_recovers_by_itself") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the system gives threads").block_on(full_disk());
}

async fn full_disk() {
    let ground = place();
    let disk = mount_small_disk(ground.scratch(), 200 << 20);
    let mut place = place().with_data(disk.join("data"));
    let broker = place.start();
    let client = broker.client().await;
    let (busy, producer) = filled(&client, "busy", 50).await;
    let (fresh, _) = filled(&client, "fresh", 0).await;
    let doomed: Vec<String> = (0..20).map(|at| format!("doomed-{at}")).collect();
    for name in &doomed {
        filled(&client, name, 1).await;
    }
    let raw = RawClient::admitted(broker.address(), &Key::of_admin(place.data())).await;

    let most = fill(&disk, 10 << 20);
    put_until_answer(&raw, &busy, is_full).await;
    put_until_answer(&raw, &fresh, is_full).await;
    // Whoever asks whether it is ready is told why not.
    let ready = http_get(broker.address(), "/ready").await;
    assert!(ready.status == 503 && ready.body.contains("the disk is nearly full"), "{}", ready.body);
    assert_eq!(http_get(broker.address(), "/health").await.status, 200);
    let samples = Samples::of(broker.address()).await;
    assert_eq!((samples.whole("rheos_ready"), samples.whole("rheos_disk_low")), (0, 1));
    assert!(samples.whole("rheos_put_refused_records_total{stream=\"busy\",reason=\"storage_full\"}") > 0);
    let rest = fill(&disk, 0);
    put_until_answer(&raw, &busy, is_full).await;
    put_until_answer(&raw, &fresh, is_full).await;
    // Reads go on, and what is asked of the catalog is answered one way or the other.
    let read = read_all(&client, "busy", 0, Position::TrimHorizon).await.expect("it is whole");
    assert_eq!(read[..50], texts("busy", 50));
    match within(client.create_stream(StreamSpec::new("late", 1))).await {
        Ok(_) => {}
        Err(Error::Broker(error)) => assert_eq!(error.code, ErrorCode::StorageFull, "{error}"),
        Err(error) => panic!("{error}"),
    }
    // What makes room needs none.
    for name in &doomed {
        client.delete_stream(name).await.expect("a stream can be deleted on a full disk");
    }
    let rest = (rest, fill(&disk, 1));
    // A client that waits is served as soon as there is room, and so is a log that never had a file.
    let waiting = producer.put(Record::new("key", "patience")).await.expect("it is small");
    put_until_answer(&raw, &fresh, is_full).await;
    fs::remove_file(rest.0).expect("it is ours");
    fs::remove_file(rest.1).expect("it is ours");
    fs::remove_file(most).expect("it is ours");
    assert!(matches!(within(waiting).await, Outcome::Acked { .. }));
    put_until_answer(&raw, &fresh, Result::is_ok).await;
    within(async {
        while http_get(broker.address(), "/ready").await.status != 200 {
            sleep(LOOK).await;
        }
    })
    .await;
    let samples = Samples::of(broker.address()).await;
    assert_eq!((samples.whole("rheos_ready"), samples.whole("rheos_disk_low")), (1, 0));

    // Puts that run into the wall lose nothing: what is acked is there, also when the broker dies there
    // and is started again before there is room.
    let before = read_all(&client, "busy", 0, Position::TrimHorizon).await.expect("it is whole").len();
    let load = tokio::spawn(put_large(producer));
    put_until_answer(&raw, &busy, Result::is_ok).await;
    let wall = disk.clone();
    let filler = tokio::task::spawn_blocking(move || fill(&wall, 0)).await.expect("it ends");
    put_until_answer(&raw, &busy, is_full).await;
    broker.kill();
    client.close().await;
    let acked = within(load).await.expect("no put breaks the promise");
    assert!(!acked.is_empty(), "something was acked on the way");
    let broker = place.start();
    let client = broker.client().await;
    let read = read_all(&client, "busy", 0, Position::TrimHorizon).await.expect("it is whole");
    assert!(read.len() >= before + acked.len());
    for (text, sequence) in acked {
        assert!(read[sequence as usize].starts_with(&text), "{text} stands at {sequence}");
    }
    let raw = RawClient::admitted(broker.address(), &Key::of_admin(place.data())).await;
    put_until_answer(&raw, &busy, is_full).await;
    fs::remove_file(filler).expect("it is ours");
    put_until_answer(&raw, &busy, Result::is_ok).await;

    // Deleting a stream that was read gives its room back.
    read_all(&client, "busy", 0, Position::TrimHorizon).await.expect("it is whole");
    let stored: u64 = read.iter().map(|text| text.len() as u64).sum();
    let free = free_bytes(&disk);
    client.delete_stream("busy").await.expect("deleting needs no room");
    within(async {
        while free_bytes(&disk) < free + stored {
            sleep(LOOK).await;
        }
    })
    .await;
    put_until_answer(&raw, &fresh, Result::is_ok).await;
    client.close().await;
    broker.stop();
}

/// Puts large records until the client is closed; those that were acked.
async fn put_large(producer: Producer) -> Vec<(String, u64)> {
    let (mut tickets, mut acked) = (Vec::new(), Vec::new());
    for at in 0.. {
        let text = format!("large {at:04} ");
        let data = format!("{text}{}", "x".repeat(200_000));
        let Ok(ticket) = producer.put(Record::new("key", data)).await else { break };
        tickets.push((text, ticket));
        sleep(Duration::from_millis(5)).await;
    }
    for (text, ticket) in tickets {
        if let Outcome::Acked { sequence, .. } = ticket.await {
            acked.push((text, sequence));
        }
    }
    acked
}
