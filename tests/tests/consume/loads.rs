//! Many shards, many consumers, large records.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_shards_are_pushed_while_puts_go_on() {
    let ground = Ground::new(2, 1_000).await;
    let mut consumer = ground.consumer("wide").await;
    assert_eq!(consumer.positions().shards().count(), 1_000);
    let putting = put(&ground.client, "pushed", 0..4_000, 100);
    let (_, taken) = tokio::join!(putting, take(&mut consumer, 4_000));
    assert!(taken.into_iter().eq(0..4_000), "every record came once");
    assert_nothing_is_left(&ground, &mut consumer, 4_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_consumers_at_once_get_everything_once() {
    let mut random = random_of("ten consumers");
    let ground = Ground::new(2, 8).await;
    let witness = Arc::new(Witness::default());
    let mut members = Vec::new();
    let shared = ground.broker.client().await;
    for at in 0..10 {
        // Five of them share the connections of one client.
        let client = if at < 5 { shared.clone() } else { ground.broker.client().await };
        let name = format!("member-{at}");
        client.register_consumer("pushed", &name).await.expect("its name is free");
        let consumer = consumer(&client, &ground.stream, &name).await;
        members.push(Following::start(&witness, &ground.stream, consumer));
    }
    let load = ground.load(&witness, 3, &mut random).await;
    for member in &members {
        while member.follower.records() < 2_000 {
            member.follower.wait_pushed().await;
        }
    }
    load.end().await;
    ground.read_all(&witness).await;
    for member in members {
        member.end().await;
    }
}

/// Puts large records while a consumer with little credit takes them.
async fn push_large(record_bytes: usize, records: u64, credit_bytes: u64) {
    let spec = StreamSpec { record_bytes_max: 10 << 20, ..StreamSpec::new("large", 2) };
    let ground = Ground::with(2, spec).await;
    ground.client.register_consumer("large", "patient").await.expect("its name is free");
    let start = ground.client.consumer("large", "patient").credit_bytes(credit_bytes).start();
    let mut consumer = within(start).await.expect("it is registered");
    // The key counts too.
    let putting = put(&ground.client, "large", 0..records, record_bytes - 16);
    let (_, taken) = tokio::join!(putting, take(&mut consumer, records as usize));
    assert!(taken.into_iter().eq(0..records), "every record came once");
    // From the disk, too.
    drop(consumer);
    let start = ground.client.consumer("large", "patient").credit_bytes(credit_bytes).start();
    let mut consumer = within(start).await.expect("it is registered");
    assert!(take(&mut consumer, records as usize).await.into_iter().eq(0..records), "every record came once");
    assert_nothing_is_left(&ground, &mut consumer, records).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_mebibyte_pass_a_small_credit() {
    push_large(1 << 20, 24, 1).await;
    push_large(1 << 20, 24, 64 << 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_records_pass_a_small_credit() {
    push_large(10 << 20, 5, 4 << 10).await;
}
