//! Stops and restarts, with and without clients, and many streams and shards through a kill.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_keeps_what_was_acked_and_leaves_nothing_to_repair() {
    let mut place = place();
    let mut acked = Vec::new();
    for round in 0..3 {
        let broker = place.start();
        let client = broker.client().await;
        if round == 0 {
            client.create_stream(StreamSpec::new("orders", 4)).await.expect("the broker is new");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let load =
            tokio::spawn(put_until(client.producer("orders").await.expect("it is there"), round, Arc::clone(&stop)));
        // Streams are made and deleted all the while, also while the broker stops.
        let changes = tokio::spawn(make_and_delete(client.clone(), Arc::clone(&stop)));
        sleep(Duration::from_millis(300)).await;
        broker.stop();
        stop.store(true, Ordering::Relaxed);
        client.close().await;
        acked.extend(within(load).await.expect("no put fails"));
        within(changes).await.expect("no change fails");
    }
    let report = verify(place.data(), |_| {}).expect("nobody holds the directory");
    assert!(report.is_whole() && report.unknown.is_empty(), "{report:?}");
    let broker = place.start();
    let said = broker.said();
    assert!(!said.contains("cut") && !said.contains("torn"), "{said}");
    let client = broker.client().await;
    let mut read = Vec::new();
    for shard in 0..4 {
        read.push(read_all(&client, "orders", shard, Position::TrimHorizon).await.expect("it is whole"));
    }
    assert!(acked.len() > 100, "{} puts were acked", acked.len());
    for (shard, sequence, text) in acked {
        assert_eq!(read[shard as usize][sequence as usize], text);
    }
    client.close().await;
    broker.stop();
}

/// Puts until told to stop; what was acked, with its place.
async fn put_until(producer: Producer, round: usize, stop: Arc<AtomicBool>) -> Vec<(u32, u64, String)> {
    let (mut tickets, mut acked) = (Vec::new(), Vec::new());
    for at in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("round {round} record {at}");
        let Ok(ticket) = producer.put(Record::new(format!("key {at}"), text.clone())).await else { break };
        tickets.push((ticket, text));
        if at % 50 == 49 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    for (ticket, text) in tickets {
        if let Outcome::Acked { shard, sequence, .. } = ticket.await {
            acked.push((shard, sequence, text));
        }
    }
    acked
}

async fn make_and_delete(client: Client, stop: Arc<AtomicBool>) {
    for at in 0.. {
        let name = format!("passing-{}", at % 5);
        let made = client.create_stream(StreamSpec::new(name.as_str(), 2)).await;
        let deleted = client.delete_stream(&name).await;
        let gone = made.is_err() && deleted.is_err();
        if stop.load(Ordering::Relaxed) || (gone && client.ping().await.is_err()) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_live_resume_after_a_restart_on_the_same_port() {
    let mut place = place();
    let mut broker = place.start();
    let client = broker.client().await;
    let (_, producer) = filled(&client, "orders", 10).await;
    let mut reader = client.reader("orders", 0, Position::AtSequence(0)).await.expect("it is there");
    let mut due = 0;
    for (kill, at) in [(false, 10), (true, 11), (false, 12), (true, 13)] {
        if kill {
            broker.kill();
        } else {
            broker.stop();
        }
        let ticket = producer.put(Record::new("key", text("orders", at))).await.expect("there is room");
        broker = place.start();
        let outcome = within(ticket).await;
        assert!(matches!(outcome, Outcome::Acked { sequence, .. } if sequence == at as u64), "{outcome:?}");
        while due <= at {
            match within(reader.next()).await {
                Ok(record) => {
                    assert_eq!(record.expect("the client is open").sequence, due as u64);
                    due += 1;
                }
                // A broken connection may be told once; the reader stands where it stood.
                Err(Error::Lost { .. } | Error::Unanswered { .. } | Error::Connect { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let read = read_all(&client, "orders", 0, Position::TrimHorizon).await.expect("it is whole");
    assert_eq!(read, texts("orders", 14));
    client.close().await;
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_come_through_a_kill() {
    const STREAMS: usize = 1_000;
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let mut making = Vec::new();
    for chunk in 0..8 {
        let client = client.clone();
        making.push(tokio::spawn(async move {
            for at in (chunk..STREAMS).step_by(8) {
                let name = format!("stream-{at:04}");
                filled(&client, &name, 1).await;
            }
        }));
    }
    for making in making {
        making.await.expect("each is made and acks its put");
    }
    client.close().await;
    broker.kill();
    let broker = place.start();
    let client = broker.client().await;
    let streams = client.list_streams().await.expect("it lists");
    assert_eq!(streams.len(), STREAMS);
    for (at, stream) in streams.iter().enumerate() {
        assert_eq!(stream.name, format!("stream-{at:04}"));
        let read = read_all(&client, &stream.name, 0, Position::TrimHorizon).await.expect("it is whole");
        assert_eq!(read, texts(&stream.name, 1));
    }
    client.close().await;
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_shards_take_a_put_each() {
    const SHARDS: u32 = 10_000;
    let mut place = place();
    let broker = place.start();
    let client = broker.client().await;
    let stream = client.create_stream(StreamSpec::new("wide", SHARDS)).await.expect("so many are allowed");
    assert_eq!(client.describe_stream("wide").await.expect("it is there"), stream);
    let before = broker.memory_bytes();
    let producer = client.producer("wide").await.expect("it is there");
    let mut tickets = Vec::new();
    for shard in &stream.shards {
        let record = Record {
            explicit_hash_key: Some(shard.range.first),
            ..Record::new("key", text("wide", shard.shard as usize))
        };
        tickets.push((shard.shard, producer.put(record).await.expect("there is room")));
    }
    for (shard, ticket) in tickets {
        let outcome = within(ticket).await;
        assert!(matches!(outcome, Outcome::Acked { shard: to, sequence: 0, .. } if to == shard), "{outcome:?}");
    }
    let grown = broker.memory_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "10,000 shards with a record each take {} MiB", grown >> 20);
    client.close().await;
    broker.kill();
    let broker = place.start();
    let client = broker.client().await;
    for shard in (0..SHARDS).step_by(97).chain([SHARDS - 1]) {
        let mut reader = client.reader_of(&stream, shard, Position::TrimHorizon).expect("it is there");
        let record = within(reader.next()).await.expect("it is whole").expect("the client is open");
        assert_eq!(record.record.data, text("wide", shard as usize));
    }
    client.close().await;
    broker.stop();
}
