//! Reshards one after the other under load.

use super::judge::{Following, Load};
use super::*;
use rheos_client::{Outcome, Record};
use rheos_tests::witness::random_of;

async fn reshard_often(test: &str, lanes: u16, shards: u32, reshards: u32) {
    let mut random = random_of(test);
    let ground = Ground::new(lanes, shards).await;
    let mut members = Vec::new();
    for name in ["one", "two"] {
        let client = ground.broker.client().await;
        client.register_consumer(STREAM, name).await.expect("its name is free");
        let builder = client.consumer(STREAM, name);
        // What the second is late with comes from the disk.
        let builder = if name == "two" { builder.credit_bytes(20_000) } else { builder };
        members.push(Following::start(within(builder.start()).await.expect("it is registered")));
    }
    let load = Load::start(&ground.broker.client().await, 4, Duration::from_micros(300)).await;
    let mut stream = ground.client.describe_stream(STREAM).await.expect("it is there");
    for _ in 0..reshards {
        load.wait_acks(random.within(1..200)).await;
        let asked = Asked::any(&stream, &mut random);
        let after = within(asked.perform(&ground.client)).await.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        assert_whole(&after);
        assert!(after.shards.len() > stream.shards.len(), "{asked:?}");
        stream = ground.client.describe_stream(STREAM).await.expect("it is there");
        assert_eq!(stream, after);
        if random.per_mille(200) {
            // One of the consumers goes on in another life, from its positions.
            let (came, positions) = members.remove(0).interrupt().await;
            let client = ground.broker.client().await;
            let text = positions.to_string();
            let positions = text.parse().expect("it was just written");
            let resumed = within(client.consumer(STREAM, "one").resume(&positions).start()).await;
            members.insert(0, Following::resume(resumed.expect("it is registered"), came));
        }
    }
    load.wait_acks(200).await;
    let puts = load.end().await;
    assert!(puts.acks() > 1_000, "{} puts", puts.acks());
    puts.read_all(&ground.client, &stream).await;
    for member in members {
        member.end(&puts).await;
    }
    // Whoever comes later reads the same.
    let client = ground.broker.client().await;
    client.register_consumer(STREAM, "late").await.expect("its name is free");
    let late = within(client.consumer(STREAM, "late").start()).await.expect("it is registered");
    Following::start(late).end(&puts).await;
    assert!(puts.slowest() < Duration::from_secs(5), "a put waited {:?}", puts.slowest());
    let said = tokio::task::spawn_blocking(move || ground.broker.stop()).await.expect("it stops");
    assert!(!said.contains("panicked") && !said.contains("ERROR"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lane() {
    reshard_often("reshards on one lane", 1, 3, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_lanes() {
    reshard_often("reshards on three lanes", 3, 6, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_shard_becomes_many_and_one_again() {
    let ground = Ground::new(2, 1).await;
    let load = Load::start(&ground.client, 2, Duration::from_micros(200)).await;
    for target in [2, 5, 1, 64, 3] {
        load.wait_acks(50).await;
        let before = ground.client.describe_stream(STREAM).await.expect("it is there").shards.len();
        let after = within(ground.client.scale_stream(STREAM, target)).await.expect("it can be");
        assert_whole(&after);
        assert_eq!(after.shards.iter().filter(|shard| shard.open).count(), target as usize);
        assert!(before < after.shards.len());
    }
    let puts = load.end().await;
    let stream = ground.client.describe_stream(STREAM).await.expect("it is there");
    puts.read_all(&ground.client, &stream).await;
}

/// The answer to a subscription and its end come on streams that do not wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_begins_where_every_shard_has_ended_before_it() {
    let ground = Ground::new(2, 4).await;
    ground.client.register_consumer(STREAM, "late").await.expect("its name is free");
    for target in [8, 3, 5] {
        within(ground.client.scale_stream(STREAM, target)).await.expect("it can be");
        for _ in 0..20 {
            let client = ground.broker.client().await;
            let mut late = within(client.consumer(STREAM, "late").start()).await.expect("it is registered");
            let producer = client.producer(STREAM).await.expect("it is there");
            let ticket = producer.put(Record::new("key", "text")).await.expect("it is a record");
            assert!(matches!(within(ticket).await, Outcome::Acked { .. }));
            assert!(within(late.next()).await.expect("nothing ends it").is_some());
        }
    }
}
