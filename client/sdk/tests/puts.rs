//! Puts: acknowledged in order, once, whatever the broker and the connection do.

mod peer;

use std::time::Duration;

use peer::{ARRIVAL_MS, Act, Peer};
use rheos_client::protocol::batch::BatchBuilder;
use rheos_client::protocol::frame::kind;
use rheos_client::{Client, ConnectOptions, ErrorCode, Outcome, Producer, PutRefused, Record, Ticket, WireError};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(peer: &Peer) -> Client {
    Client::connect(ConnectOptions::from_url(&peer.url()).unwrap()).await.unwrap()
}

async fn producer(peer: &Peer, stream: &str) -> Producer {
    peer.create(stream, 1);
    connect(peer).await.producer(stream).await.unwrap()
}

/// Puts each text as a batch of its own.
async fn put_each(producer: &Producer, texts: &[&'static str]) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for text in texts {
        tickets.extend(producer.put_batch(0, batch_of(text)).await.unwrap());
    }
    tickets
}

fn batch_of(text: &'static str) -> BatchBuilder {
    let mut batch = BatchBuilder::default();
    batch.push(&Record::new("key", text).view(), 1 << 20).unwrap();
    batch
}

async fn outcomes(tickets: Vec<Ticket>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.push(ticket.await);
    }
    outcomes
}

fn sequence(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Acked { sequence, .. } => *sequence,
        other => panic!("{other:?}"),
    }
}

fn numbers(peer: &Peer) -> Vec<u64> {
    peer.puts().iter().map(|put| put.producer.number).collect()
}

#[tokio::test]
async fn a_record_is_acknowledged_with_its_place() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    for i in 0..3 {
        let outcome = producer.put(Record::new("key", format!("{i}"))).await.unwrap().await;
        assert_eq!(outcome, Outcome::Acked { shard: 0, sequence: i, arrival_ms: ARRIVAL_MS + i });
    }
    assert_eq!(peer.stored("orders", 0), ["0", "1", "2"]);
    assert_eq!(numbers(&peer), [0, 1, 2]);
    assert_ne!(peer.puts()[0].producer.id, 0);
}

#[tokio::test]
async fn many_records_gather_into_few_batches_and_reach_their_shards_in_order() {
    let peer = Peer::start();
    peer.create("orders", 11);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let record = |i: u32| match i % 3 {
        0 => Record { explicit_hash_key: Some(u128::from(i) << 96), ..Record::new("explicit", i.to_string()) },
        _ => Record::new(format!("key {}", i % 1_000), i.to_string()),
    };
    let tickets = producer.put_all((0..50_000).map(record)).await;
    let mut of_shard = vec![Vec::new(); 11];
    for (i, outcome) in outcomes(tickets).await.into_iter().enumerate() {
        let Outcome::Acked { shard, sequence, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(sequence as usize, of_shard[shard as usize].len(), "acknowledged sequences are dense");
        of_shard[shard as usize].push(i.to_string());
    }
    for (shard, put) in of_shard.iter().enumerate() {
        assert_eq!(&peer.stored("orders", shard), put);
    }
    assert!(peer.puts().len() < 5_000, "{} batches", peer.puts().len());
    producer.close().await;
    assert_eq!(producer.put(Record::new("a", "b")).await.unwrap_err(), PutRefused::Closed);
}

#[tokio::test]
async fn small_batches_grow_while_answers_are_due() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    let mut tickets = Vec::new();
    for i in 0..100 {
        tickets.push(producer.put(Record::new("key", i.to_string())).await.unwrap());
        tokio::task::yield_now().await;
    }
    peer.release_puts(1_000);
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(peer.puts().len() <= 10, "{:?}", peer.puts());
}

#[tokio::test]
async fn after_a_busy_answer_order_is_kept() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    let busy = || Act::Refuse(WireError::retry_after(ErrorCode::Busy, 5, "busy"));
    peer.script([Act::Store, busy(), busy(), Act::Store, busy()]);
    let tickets = put_each(&producer, &["a", "b", "c", "d", "e"]).await;
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(peer.stored("orders", 0), ["a", "b", "c", "d", "e"]);
    let puts = peer.puts();
    assert!(puts.len() > 5 && puts.iter().all(|put| put.producer.id == puts[0].producer.id));
}

#[tokio::test]
async fn after_a_final_refusal_the_rest_is_numbered_anew() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    peer.script([Act::Store, Act::Refuse(WireError::new(ErrorCode::RecordTooLarge, "too large"))]);
    let tickets = put_each(&producer, &["a", "b", "c", "d"]).await;
    peer.release_puts(1_000);
    let outcomes = outcomes(tickets).await;
    let Outcome::Refused(PutRefused::Broker(error)) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(error.code, ErrorCode::RecordTooLarge);
    assert_eq!([0, 2, 3].map(|i| sequence(&outcomes[i])), [0, 1, 2]);
    assert_eq!(peer.stored("orders", 0), ["a", "c", "d"]);
    // c and d were refused as behind 1, and came again as 1 and 2.
    assert_eq!(numbers(&peer), [0, 1, 2, 3, 1, 2]);
    assert_eq!(sequence(&producer.put(Record::new("key", "e")).await.unwrap().await), 3);
    assert_eq!(numbers(&peer).last(), Some(&3));
}

#[tokio::test]
async fn after_a_broken_connection_the_same_numbers_come_again() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    peer.script([Act::Store, Act::StoreAndBreak, Act::Store, Act::Break]);
    let tickets = put_each(&producer, &["a", "b", "c", "d", "e"]).await;
    peer.release_puts(1_000);
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(peer.stored("orders", 0), ["a", "b", "c", "d", "e"]);
    let puts = peer.puts();
    assert_eq!(peer.hellos(), 3);
    assert!(puts.iter().filter(|put| put.producer.number == 1).count() >= 2, "{puts:?}");
    assert!(puts.iter().all(|put| put.producer.id == puts[0].producer.id));
}

#[tokio::test]
async fn ten_thousand_records_survive_breaking_connections() {
    let peer = Peer::start();
    peer.create("orders", 4);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    let mut tickets = Vec::new();
    for i in 0..10_000u32 {
        if i % 1_000 == 0 {
            peer.script([Act::Store, Act::Store, Act::StoreAndBreak, Act::Store, Act::Break]);
        }
        tickets.push(producer.put(Record::new(format!("{}", i % 50), i.to_string())).await.unwrap());
        if i % 100 == 0 {
            producer.flush().await;
        }
    }
    assert!(outcomes(tickets).await.iter().all(|outcome| matches!(outcome, Outcome::Acked { .. })));
    let mut all = Vec::new();
    for shard in 0..4 {
        let stored = peer.stored("orders", shard);
        let stored: Vec<u32> = stored.iter().map(|data| str::from_utf8(data).unwrap().parse().unwrap()).collect();
        assert!(stored.is_sorted(), "shard {shard} is in order");
        all.extend(stored);
    }
    all.sort_unstable();
    assert_eq!(all, (0..10_000).collect::<Vec<_>>(), "each is stored once");
    assert!(peer.hellos() > 10);
}

#[tokio::test]
async fn a_forgotten_producer_goes_on_under_a_new_id() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    assert_eq!(sequence(&put_each(&producer, &["a"]).await.remove(0).await), 0);
    peer.hold_puts();
    peer.script([Act::Forget]);
    let tickets = put_each(&producer, &["b", "c"]).await;
    peer.release_puts(1_000);
    // The only copies of b and c were refused, so it is certain that they are not stored.
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(peer.stored("orders", 0), ["a", "b", "c"]);
    let puts = peer.puts();
    assert_eq!(numbers(&peer), [0, 1, 2, 0, 1]);
    assert_ne!(puts[0].producer.id, puts[3].producer.id);
}

#[tokio::test]
async fn what_may_be_stored_is_indeterminate_when_the_producer_is_forgotten() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    assert_eq!(sequence(&put_each(&producer, &["a"]).await.remove(0).await), 0);
    peer.hold_puts();
    // b is stored, c was sent with it; then the broker forgets, and cannot tell.
    peer.script([Act::StoreAndBreak, Act::Store]);
    let doubtful = put_each(&producer, &["b", "c"]).await;
    peer.release_puts(1);
    while peer.hellos() < 2 {
        tokio::task::yield_now().await;
    }
    peer.forget_producers();
    let behind = put_each(&producer, &["d"]).await;
    peer.release_puts(1_000);
    let doubtful = outcomes(doubtful).await;
    assert!(doubtful.iter().all(|outcome| matches!(outcome, Outcome::Indeterminate(_))), "{doubtful:?}");
    assert_eq!(outcomes(behind).await.iter().map(sequence).collect::<Vec<_>>(), [2]);
    assert_eq!(peer.stored("orders", 0), ["a", "b", "d"]);
}

#[tokio::test]
async fn an_indeterminate_answer_is_passed_on_and_the_rest_goes_on() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    peer.script([Act::Refuse(WireError::new(ErrorCode::Indeterminate, "the disk failed"))]);
    let tickets = put_each(&producer, &["a", "b"]).await;
    peer.release_puts(1_000);
    let outcomes = outcomes(tickets).await;
    assert!(matches!(&outcomes[0], Outcome::Indeterminate(why) if why.contains("the disk failed")), "{outcomes:?}");
    assert_eq!(sequence(&outcomes[1]), 0);
    let puts = peer.puts();
    assert_ne!(puts.first().unwrap().producer.id, puts.last().unwrap().producer.id);
}

#[tokio::test]
async fn a_broker_that_breaks_the_protocol_is_connected_to_anew() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.script([Act::Garble]);
    let tickets = put_each(&producer, &["a", "b"]).await;
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((peer.stored("orders", 0).len(), peer.hellos()), (2, 2));
}

#[tokio::test]
async fn a_deleted_stream_refuses() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.script([Act::Break]);
    peer.delete("orders");
    let outcome = producer.put(Record::new("key", "a")).await.unwrap().await;
    let Outcome::Refused(PutRefused::Broker(error)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(error.code, ErrorCode::StreamNotFound);
}

#[tokio::test]
async fn a_full_producer_waits_for_room() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let options = ConnectOptions::from_url(&peer.url()).unwrap().producer_bytes_max(1_000);
    let producer = Client::connect(options).await.unwrap().producer("orders").await.unwrap();
    peer.hold_puts();
    let first = producer.put(Record::new("key", vec![b'a'; 900])).await.unwrap();
    let second = producer.put(Record::new("key", vec![b'b'; 900]));
    tokio::pin!(second);
    tokio::select! {
        biased;
        _ = &mut second => panic!("there is no room"),
        () = async { while peer.requests_waiting() == 0 { tokio::task::yield_now().await } } => {}
    }
    peer.release_puts(1_000);
    let second = second.await.unwrap();
    assert_eq!((sequence(&first.await), sequence(&second.await)), (0, 1));
    // What is larger than all the room goes alone.
    assert_eq!(sequence(&producer.put(Record::new("key", vec![b'c'; 5_000])).await.unwrap().await), 2);
    // A put that is given up while it waits takes no room with it.
    peer.hold_puts();
    let held = producer.put(Record::new("key", vec![b'd'; 900])).await.unwrap();
    tokio::select! {
        biased;
        _ = producer.put(Record::new("key", vec![b'e'; 900])) => panic!("there is no room"),
        () = tokio::task::yield_now() => {}
    }
    peer.release_puts(1_000);
    assert_eq!(sequence(&held.await), 3);
    assert_eq!(sequence(&producer.put(Record::new("key", vec![b'f'; 900])).await.unwrap().await), 4);
}

#[tokio::test]
async fn bad_records_are_refused_here_with_a_number() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    for (record, code, shown) in [
        (Record::new("", "a"), ErrorCode::BadKey, "partition key is empty"),
        (Record::new("k".repeat(257), "a"), ErrorCode::BadKey, "more than 256"),
        (
            Record::new("big", vec![0; (1 << 20) + 1]),
            ErrorCode::RecordTooLarge,
            "1048577 bytes with partition key \"big\"",
        ),
    ] {
        let refused = producer.put(record).await.unwrap_err();
        let PutRefused::Record(error) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.code, code);
        let message = refused.to_string();
        assert!(message.contains(shown) && message.contains("orders") && message.contains("(error 2"), "{message}");
    }
    let tickets = producer.put_all([Record::new("", "a"), Record::new("key", "b")]).await;
    let outcomes = outcomes(tickets).await;
    assert!(matches!(&outcomes[0], Outcome::Refused(PutRefused::Record(_))));
    assert_eq!(sequence(&outcomes[1]), 0);
    let error = producer.put_batch(1, batch_of("a")).await.unwrap_err();
    assert!(error.to_string().contains("no open shard 1"), "{error}");
    assert!(producer.put_batch(0, BatchBuilder::default()).await.is_err());
    assert_eq!(peer.puts().len(), 1);
}

#[tokio::test]
async fn large_records_go_through() {
    let peer = Peer::start();
    peer.create_large("images", 10 << 20);
    let client = connect(&peer).await;
    let producer = client.producer("images").await.unwrap();
    let sizes = [10 << 20, 1, 300 << 10, 0, 10 << 20];
    let tickets = producer.put_all(sizes.map(|size| Record::new("key", vec![7; size]))).await;
    assert_eq!(outcomes(tickets).await.iter().map(sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let stored: Vec<_> = peer.stored("images", 0).iter().map(|data| data.len()).collect();
    assert_eq!(stored, sizes);
}

#[tokio::test]
async fn past_its_time_a_record_is_given_up() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let options = ConnectOptions::from_url(&peer.url()).unwrap().delivery_timeout(Duration::from_millis(200));
    let producer = Client::connect(options.clone()).await.unwrap().producer("orders").await.unwrap();
    // Its time ends while it waits to be sent again, never while an answer to it is due.
    let busy = WireError::retry_after(ErrorCode::Busy, 60_000, "the broker is busy");
    peer.script([Act::Refuse(busy)]);
    let outcome = producer.put(Record::new("key", "refused")).await.unwrap().await;
    let Outcome::Refused(PutRefused::TimedOut { timeout_ms: 200, why }) = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the broker is busy"), "{why}");
    // Another producer: the first one still waits as long as it was told.
    let producer = Client::connect(options).await.unwrap().producer("orders").await.unwrap();
    peer.script([Act::Ignore]);
    let outcome = producer.put(Record::new("key", "unanswered")).await.unwrap().await;
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
    assert_eq!(sequence(&producer.put(Record::new("key", "stored")).await.unwrap().await), 0);
    assert_eq!(peer.stored("orders", 0), ["stored"]);
}

#[tokio::test]
async fn dropping_the_handles_delivers_what_was_put() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    let ticket = producer.put(Record::new("key", "a")).await.unwrap();
    drop(producer);
    peer.release_puts(1);
    assert_eq!(sequence(&ticket.await), 0);
    peer.all_connections_closed().await;
}

#[tokio::test]
async fn closing_the_client_leaves_no_ticket_waiting() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let client = connect(&peer).await;
    let producer = client.producer("orders").await.unwrap();
    peer.hold_puts();
    let sent = producer.put(Record::new("key", "a")).await.unwrap();
    while peer.requests_waiting() == 0 {
        tokio::task::yield_now().await;
    }
    client.close().await;
    let outcome = sent.await;
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
}

#[tokio::test]
async fn while_a_put_waits_the_broker_is_asked_whether_it_is_there() {
    let peer = Peer::start();
    let producer = producer(&peer, "orders").await;
    peer.hold_puts();
    let ticket = producer.put(Record::new("key", "a")).await.unwrap();
    // The put has come; nothing of it is left to be sent.
    let asked = async {
        while peer.requests_of(kind::PING) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it asks");
    peer.restart().await;
    peer.release_puts(2);
    assert_eq!(sequence(&ticket.await), 0);
}
