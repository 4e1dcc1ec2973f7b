//! What ends a consumer: another one of its name, its deregistration, the end of its stream or of its key;
//! and who may consume at all.

use rheos_client::{Access, ConnectOptions, ErrorCode, KeyPolicy};

use super::*;

/// A client with a key of its own.
async fn client_of(ground: &Ground, name: &str, policy: KeyPolicy) -> (ConnectOptions, Client) {
    let key = within(ground.client.create_key(name, policy)).await.expect("there is room");
    let url = ground.broker.connect_options().url_with(&key.id, &key.secret).expect("the broker has a CA");
    let options = ConnectOptions::from_url(&url).expect("it is whole");
    let client = within(Client::connect(options.clone())).await.expect("the key is new");
    (options, client)
}

fn on(stream: &str, access: Access) -> KeyPolicy {
    KeyPolicy { everywhere: Access::None, streams: vec![(stream.to_owned(), access)] }
}

/// Waits for the last error of a consumer, after which there is nothing.
async fn last_error(consumer: &mut Consumer) -> Error {
    let ended = async {
        loop {
            if let Err(error) = consumer.next().await.map(|record| record.expect("it ends with an error")) {
                return error;
            }
        }
    };
    let error = within(ended).await;
    assert!(matches!(within(consumer.next()).await, Ok(None)), "{error} was the last");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_of_two_consumers_of_a_name_stays() {
    let ground = Ground::new(3, 6).await;
    put(&ground.client, "pushed", 0..60, 100).await;
    let mut older = ground.consumer("twice").await;
    assert!(take(&mut older, 60).await.into_iter().eq(0..60));
    let elsewhere = ground.broker.client().await;
    for from_the_same_client in [false, true] {
        let client = if from_the_same_client { &ground.client } else { &elsewhere };
        let mut newer = consumer(client, &ground.stream, "twice").await;
        let error = last_error(&mut older).await;
        assert!(matches!(&error, Error::Superseded { consumer, .. } if consumer == "twice"), "{error}");
        assert!(take(&mut newer, 60).await.into_iter().eq(0..60));
        older = newer;
    }
    assert_nothing_is_left(&ground, &mut older, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_of_two_consumers_stays_while_puts_go_on_and_the_broker_starts_again() {
    let mut random = random_of("two of a name");
    let mut ground = Ground::new(2, 4).await;
    let witness = Arc::new(Witness::default());
    let load = ground.load(&witness, 2, &mut random).await;
    let mut older = Following::start(&witness, &ground.stream, ground.consumer("twice").await);
    for round in 0..6 {
        older.follower.wait_pushed().await;
        let client = ground.broker.client().await;
        let newer = consumer(&client, &ground.stream, "twice").await;
        if round % 2 == 1 {
            ground.broker.begin_kill();
            ground.broker = ground.place.start();
        }
        let newer = Following::start(&witness, &ground.stream, newer);
        let ended = older.ended().await;
        assert!(matches!(ended, Err(Error::Superseded { .. })), "{ended:?}");
        older = newer;
    }
    load.end().await;
    ground.read_all(&witness).await;
    older.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_a_name_that_divide_the_shards_both_stay() {
    let ground = Ground::new(2, 4).await;
    put(&ground.client, "pushed", 0..200, 100).await;
    ground.client.register_consumer("pushed", "shared").await.expect("its name is free");
    let elsewhere = ground.broker.client().await;
    let mut halves = Vec::new();
    for (client, shards) in [(&ground.client, [0, 1]), (&elsewhere, [2, 3])] {
        let start = client.consumer("pushed", "shared").shards(shards).start();
        halves.push(within(start).await.expect("it is registered"));
    }
    let acked = put(&ground.client, "pushed", 200..400, 100).await;
    let of_first = |(shard, ..): &&(u32, u64, u64)| *shard < 2;
    let first = acked.iter().filter(of_first).count();
    assert!(first > 0 && first < acked.len());
    let mut taken = Vec::new();
    for half in &mut halves {
        let at_tip = |consumer: &Consumer| {
            let positions = consumer.positions();
            acked.iter().all(|(shard, sequence, _)| positions.next(*shard).is_none_or(|next| next > *sequence))
        };
        while !at_tip(half) {
            taken.extend(take(half, 1).await);
        }
    }
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..400), "every record came to one of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_deregistered_ends() {
    let ground = Ground::new(2, 4).await;
    let (mut gone, mut other) = (ground.consumer("gone").await, ground.consumer("other").await);
    put(&ground.client, "pushed", 0..40, 100).await;
    assert!(take(&mut gone, 40).await.into_iter().eq(0..40));
    ground.client.deregister_consumer("pushed", "gone").await.expect("it is there");
    let error = last_error(&mut gone).await;
    assert!(matches!(&error, Error::Deregistered { consumer, .. } if consumer == "gone"), "{error}");
    let again = within(ground.client.consumer("pushed", "gone").start()).await;
    let not_found = matches!(&again, Err(Error::ConsumerNotFound { consumer, .. }) if consumer == "gone");
    assert!(not_found, "{again:?}");
    // Its name is free, and positions are the program's.
    let again = ground.client.register_consumer("pushed", "gone").await.map(|_| ());
    again.expect("its name is free");
    let resume = ground.client.consumer("pushed", "gone").resume(&gone.positions()).start();
    let mut again = within(resume).await.expect("it is registered");
    assert_nothing_is_left(&ground, &mut again, 40).await;
    assert!(take(&mut other, 41).await.into_iter().eq(0..41));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_stream_is_deleted_ends() {
    let ground = Ground::new(2, 4).await;
    let mut consumer = ground.consumer("orphan").await;
    put(&ground.client, "pushed", 0..40, 100).await;
    assert!(take(&mut consumer, 40).await.into_iter().eq(0..40));
    ground.client.delete_stream("pushed").await.expect("it is there");
    let error = last_error(&mut consumer).await;
    assert!(matches!(&error, Error::Broker(error) if error.code == ErrorCode::StreamNotFound), "{error}");
    // Another life of the name is not taken for this one.
    ground.client.create_stream(StreamSpec::new("pushed", 4)).await.expect("its name is free");
    ground.client.register_consumer("pushed", "orphan").await.expect("its name is free");
    let resume = ground.client.consumer("pushed", "orphan").resume(&consumer.positions()).start();
    let other = within(resume).await;
    assert!(matches!(other, Err(Error::OtherIncarnation { .. })), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_key_is_revoked_ends_and_does_not_come_back() {
    let ground = Ground::new(3, 6).await;
    let (options, client) = client_of(&ground, "mayfly", on("pushed", Access::ReadWrite)).await;
    client.register_consumer("pushed", "mayfly").await.expect("it may");
    let mut consumer = consumer(&client, &ground.stream, "mayfly").await;
    put(&ground.client, "pushed", 0..60, 100).await;
    assert!(take(&mut consumer, 60).await.into_iter().eq(0..60));
    ground.client.revoke_key("mayfly").await.expect("it is there");
    let error = last_error(&mut consumer).await;
    assert!(matches!(error, Error::Credential { .. }), "{error}");
    let again = within(client.consumer("pushed", "mayfly").start()).await.map(|_| ());
    assert!(matches!(again, Err(Error::Credential { .. })), "{again:?}");
    let again = within(Client::connect(options)).await.map(|_| ());
    assert!(matches!(again, Err(Error::Credential { .. })), "{again:?}");
}

#[tokio::test]
async fn a_read_only_key_consumes_and_one_without_a_grant_is_denied() {
    let ground = Ground::new(1, 2).await;
    let denied = |error: &Error| matches!(error, Error::Broker(error) if error.code == ErrorCode::Denied);
    ground.client.register_consumer("pushed", "audit").await.expect("its name is free");
    let (_, reader) = client_of(&ground, "reader", on("pushed", Access::ReadOnly)).await;
    let error = within(reader.register_consumer("pushed", "mine")).await.expect_err("it may not");
    assert!(denied(&error), "{error}");
    put(&ground.client, "pushed", 0..10, 100).await;
    let mut audit = consumer(&reader, &ground.stream, "audit").await;
    assert!(take(&mut audit, 10).await.into_iter().eq(0..10));

    for (name, policy) in [("nobody", KeyPolicy::everywhere(Access::None)), ("other", on("other", Access::ReadWrite))] {
        let (_, stranger) = client_of(&ground, name, policy).await;
        let error = within(stranger.consumer("pushed", "audit").start()).await.expect_err("it may not");
        assert!(denied(&error), "{name}: {error}");
    }
    // Whoever was denied has superseded nobody.
    assert_nothing_is_left(&ground, &mut audit, 10).await;
}
