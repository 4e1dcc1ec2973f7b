//! Damage on the disk: named, never cut when it was acked, and no concern of other logs.

use super::*;

fn find(haystack: &[u8], needle: &str) -> usize {
    haystack.windows(needle.len()).rposition(|window| window == needle.as_bytes()).expect("it was written there")
}

/// Changes one byte of a record on the disk.
fn damage(segment: &Path, record: &str) {
    let at = find(&fs::read(segment).expect("it is there"), record) as u64;
    let file = OpenOptions::new().read(true).write(true).open(segment).expect("it is ours");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it is there");
    file.write_all_at(&[byte[0] ^ 0x20], at).expect("it is ours");
}

/// The end of the last block of a file that holds anything.
fn written_end(path: &Path) -> usize {
    let bytes = fs::read(path).expect("it is there");
    let last = bytes.chunks(BLOCK).rposition(|block| block.iter().any(|byte| *byte != 0));
    last.map_or(0, |last| (last + 1) * BLOCK)
}

/// Waits until a log that is silent has written what proves its last commit.
pub(super) async fn wait_settled(segment: &Path) {
    let before = written_end(segment);
    within(async {
        while written_end(segment) == before {
            sleep(LOOK).await;
        }
    })
    .await;
}

#[tokio::test]
async fn damage_in_a_segment_stops_the_puts_of_its_log_alone() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let (victim, _) = filled(&client, "victim", 60).await;
    filled(&client, "bystander", 20).await;
    client.close().await;
    broker.kill();
    damage(&segment(&place, &victim, 1), &text("victim", 25));

    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(!report.is_whole());
    let log = |name| &report.streams.iter().find(|stream| stream.name == name).expect("it is there").logs[0];
    assert!(log("victim").refused.as_ref().is_some_and(|why| why.contains("segment 1")), "{report:?}");
    assert_eq!(log("victim").damaged.len(), 1, "{report:?}");
    assert!(log("bystander").refused.is_none() && log("bystander").records == 20, "{report:?}");

    let broker = place.start();
    assert!(broker.said().contains("takes no puts"), "{}", broker.said());
    let client = broker.client().await;
    let producer = client.producer("victim").await.expect("it is there");
    let ticket = producer.put(Record::new("key", "more")).await.expect("it is small");
    let Outcome::Refused(refused) = within(ticket).await else { panic!("the log takes puts") };
    assert!(refused.to_string().contains("takes no puts"), "{refused}");
    damaged_in_the_middle(&client).await;

    // Everything else is as it was.
    let bystander = client.producer("bystander").await.expect("it is there");
    assert_eq!(put(&bystander, text("bystander", 20)).await, 20);
    let read = read_all(&client, "bystander", 0, Position::TrimHorizon).await.expect("it is whole");
    assert_eq!(read, texts("bystander", 21));
    client.close().await;
    broker.stop();

    // It does not heal by being started again.
    let broker = place.start();
    assert!(broker.said().contains("takes no puts"), "{}", broker.said());
    let client = broker.client().await;
    damaged_in_the_middle(&client).await;
    client.close().await;
    broker.stop();
}

/// Record 25 of 60 is gone, and only that.
async fn damaged_in_the_middle(client: &Client) {
    let whole = texts("victim", 60);
    let error = read_all(client, "victim", 0, Position::TrimHorizon).await.expect_err("25 is damaged");
    let mut reader = client.reader("victim", 0, Position::TrimHorizon).await.expect("it is there");
    let mut read = Vec::new();
    while let Ok(Some(record)) = reader.next().await {
        read.push(String::from_utf8_lossy(&record.record.data).into_owned());
    }
    assert_eq!(read, whole[..25]);
    let Error::Damaged { shard: 0, first_sequence: 25, last_sequence } = error else { panic!("{error}") };
    assert_eq!(last_sequence, 25, "no more is missing than is damaged");
    let rest = read_all(client, "victim", 0, Position::AtSequence(26)).await.expect("the rest is whole");
    assert_eq!(rest, whole[26..]);
}

#[tokio::test]
async fn damage_in_a_sealed_segment_is_named_by_whoever_reads_it() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let (victim, _) = filled(&client, "victim", 60).await;
    client.close().await;
    broker.stop();
    damage(&segment(&place, &victim, 1), &text("victim", 25));
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(!report.is_whole() && report.streams[0].logs[0].damaged.len() == 1, "{report:?}");
    let broker = place.start();
    let client = broker.client().await;
    damaged_in_the_middle(&client).await;
    client.close().await;
    broker.stop();
}

#[tokio::test]
async fn a_damaged_last_commit_is_refused_once_it_was_proved() {
    for clean in [false, true] {
        let mut place = place();
        let broker = place.start();
        let client = broker.client().await;
        let (stream, _) = filled(&client, "orders", 10).await;
        client.close().await;
        let first = segment(&place, &stream, 1);
        if clean {
            broker.stop();
        } else {
            wait_settled(&first).await;
            broker.kill();
        }
        damage(&first, &text("orders", 9));
        let broker = place.start();
        let said = broker.said();
        assert!(said.contains("takes no puts") && !said.contains("cut"), "clean {clean}: {said}");
        let client = broker.client().await;
        let error = read_all(&client, "orders", 0, Position::TrimHorizon).await.expect_err("9 is damaged");
        assert!(matches!(error, Error::Damaged { first_sequence: 9, last_sequence: 9, .. }), "clean {clean}: {error}");
        client.close().await;
        broker.stop();
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_said_and_nothing_acked_goes_with_it() {
    // Garbage behind the last commit; the same over many blocks; the file cut in the middle of a block of nothing.
    for (what, blocks, cut) in [("a torn block", 1, false), ("a torn megabyte", 200, false), ("a short file", 0, true)]
    {
        let mut place = place();
        let broker = place.start();
        let client = broker.client().await;
        let (stream, _) = filled(&client, "orders", 10).await;
        client.close().await;
        broker.kill();
        let first = segment(&place, &stream, 1);
        let end = written_end(&first);
        let file = OpenOptions::new().write(true).open(&first).expect("it is ours");
        if cut {
            file.set_len(end as u64 + 100).expect("it is ours");
        } else {
            let garbage: Vec<u8> = (0..blocks * BLOCK).map(|at| (at * 31 % 251) as u8 | 1).collect();
            file.write_all_at(&garbage, end as u64).expect("it is ours");
        }
        let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
        assert!(report.is_whole(), "{what}: nothing acked is lost: {report:?}");
        assert_eq!(report.streams[0].logs[0].torn.is_some(), !cut, "{what}: {report:?}");

        let broker = place.start();
        assert_eq!(broker.said().contains("cut"), !cut, "{what}: {}", broker.said());
        let client = broker.client().await;
        let read = read_all(&client, "orders", 0, Position::TrimHorizon).await.expect("it is whole");
        assert_eq!(read, texts("orders", 10), "{what}");
        let producer = client.producer("orders").await.expect("it is there");
        assert_eq!(put(&producer, text("orders", 10)).await, 10, "{what}");
        client.close().await;
        broker.kill();
        let broker = place.start();
        let client = broker.client().await;
        let read = read_all(&client, "orders", 0, Position::TrimHorizon).await.expect("it is whole");
        assert_eq!(read, texts("orders", 11), "{what}");
        client.close().await;
        broker.stop();
    }
}

#[tokio::test]
async fn a_missing_segment_stops_the_puts_of_its_log_and_is_named() {
    for missing in [1, 2] {
        let mut place = place();
        let broker = place.start();
        let client = broker.client().await;
        let stream = client.create_stream(StreamSpec::new("victim", 1)).await.expect("there is room");
        let producer = client.producer("victim").await.expect("it is there");
        let mut records = 0;
        while !segment(&place, &stream, 4).exists() {
            put(&producer, vec![b'.'; 900_000]).await;
            records += 1;
        }
        filled(&client, "bystander", 3).await;
        client.close().await;
        broker.stop();
        fs::remove_file(segment(&place, &stream, missing)).expect("it is there");

        let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
        let log = &report.streams.iter().find(|stream| stream.name == "victim").expect("it is there").logs[0];
        assert!(!report.is_whole() && log.refused.is_some() && !log.damaged.is_empty(), "{report:?}");
        let broker = place.start();
        let said = broker.said();
        assert!(said.contains("takes no puts") && said.contains("missing"), "{said}");
        let client = broker.client().await;
        let mut reader = client.reader("victim", 0, Position::TrimHorizon).await.expect("it is there");
        let (mut read, mut gone) = (BTreeSet::new(), 0);
        loop {
            match within(reader.read_once()).await {
                Ok(batches) => {
                    read.extend(batches.records().map(|at| at.sequence));
                    if batches.is_at_tip() {
                        break;
                    }
                }
                Err(Error::Damaged { first_sequence, last_sequence, .. }) => {
                    assert!(!read.contains(&first_sequence) && last_sequence >= first_sequence);
                    gone += last_sequence + 1 - first_sequence;
                    reader.skip_to(Position::AtSequence(last_sequence + 1));
                }
                Err(error) => panic!("segment {missing} is missing: {error}"),
            }
        }
        assert!(gone > 0 && read.len() as u64 + gone == records, "{} of {records} read, {gone} gone", read.len());
        let bystander = client.producer("bystander").await.expect("it is there");
        assert_eq!(put(&bystander, "more").await, 3);
        client.close().await;
        broker.stop();
    }
}

#[tokio::test]
async fn files_that_the_catalog_does_not_know_are_set_aside_and_kept() {
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let (stream, _) = filled(&client, "orders", 10).await;
    client.close().await;
    broker.stop();
    let known = fs::read(segment(&place, &stream, 1)).expect("it is there");
    fs::write(segment(&place, &stream, 99), &known).expect("it is ours");
    let unknown = place.data().join("logs/00000000000000aa");
    fs::create_dir_all(unknown.join("0000000000")).expect("it is ours");
    fs::write(unknown.join("0000000000/00000000000000000001.segment"), "somebody's").expect("it is ours");

    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert_eq!(report.unknown, ["00000000000000aa"]);
    let broker = place.start();
    let client = broker.client().await;
    let read = read_all(&client, "orders", 0, Position::TrimHorizon).await.expect("it is whole");
    assert_eq!(read, texts("orders", 10));
    let producer = client.producer("orders").await.expect("it is there");
    assert_eq!(put(&producer, "more").await, 10);
    client.close().await;
    let said = broker.stop();
    assert_eq!(said.matches("set aside").count(), 2, "{said}");
    let aside = place.data().join("aside");
    let kept = format!("{:016x}-0-99.segment", stream.incarnation);
    assert!(fs::read(aside.join(kept)).expect("it was kept") == known);
    let kept = aside.join("00000000000000aa/0000000000/00000000000000000001.segment");
    assert_eq!(fs::read(kept).expect("it was kept"), b"somebody's");
    assert!(!place.start().stop().contains("set aside"), "once is enough");
}
