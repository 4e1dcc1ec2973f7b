//! Bad paths between a consumer and its broker: loss, another order, another address, silence.

use rheos_tests::relay::{Faults, Relay};

use super::*;

/// What a bad path does to a datagram, in thousandths.
const BAD: Faults = Faults { loss: 50, doubled: 30, held_back: 100 };
/// Longer than the client waits before it tries anew.
const SILENCE: Duration = Duration::from_secs(4);
/// How much a broker may keep after a client has vanished, beyond what it had before.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

async fn client_over(ground: &Ground, relay: &Relay) -> Client {
    let options = ground.broker.connect_options().at(&relay.address().to_string()).expect("it is an address");
    within(Client::connect(options)).await.expect("some datagrams come through")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_path_leaves_out_nothing() {
    let mut random = random_of("a bad path");
    let ground = Ground::new(2, 4).await;
    let relay = Relay::start(ground.broker.address(), BAD, random.draw()).await;
    let witness = Arc::new(Witness::default());
    let client = client_over(&ground, &relay).await;
    ground.client.register_consumer("pushed", "far").await.expect("its name is free");
    let far = Following::start(&witness, &ground.stream, consumer(&client, &ground.stream, "far").await);
    let stream = std::slice::from_ref(&ground.stream);
    let load = Load::start(&witness, &client, stream, 2, &mut random);
    for _ in 0..10 {
        far.follower.wait_pushed().await;
        sleep(Duration::from_millis(random.below(300))).await;
        // In mid-push the client comes from elsewhere, as behind a NAT.
        relay.rebind();
    }
    load.end().await;
    ground.read_all(&witness).await;
    far.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_behind_a_path_that_was_silent_goes_on() {
    let mut random = random_of("silence");
    let ground = Ground::new(2, 4).await;
    let relay = Relay::start(ground.broker.address(), Faults::default(), random.draw()).await;
    let witness = Arc::new(Witness::default());
    let client = client_over(&ground, &relay).await;
    ground.client.register_consumer("pushed", "far").await.expect("its name is free");
    let far = Following::start(&witness, &ground.stream, consumer(&client, &ground.stream, "far").await);
    let load = ground.load(&witness, 2, &mut random).await;
    for silence in [SILENCE / 8, SILENCE] {
        far.follower.wait_pushed().await;
        relay.set_silent(true);
        sleep(silence).await;
        relay.set_silent(false);
    }
    far.follower.wait_pushed().await;
    load.end().await;
    ground.read_all(&witness).await;
    far.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_a_broker_that_was_held_goes_on() {
    let mut random = random_of("a held broker");
    let ground = Ground::new(2, 4).await;
    let witness = Arc::new(Witness::default());
    let held = Following::start(&witness, &ground.stream, ground.consumer("patient").await);
    let load = ground.load(&witness, 2, &mut random).await;
    for silence in [SILENCE / 8, SILENCE, SILENCE / 16] {
        held.follower.wait_pushed().await;
        // When it goes on, it still knows the connection that the client gave up meanwhile.
        ground.broker.pause();
        sleep(silence).await;
        ground.broker.resume();
    }
    held.follower.wait_pushed().await;
    load.end().await;
    ground.read_all(&witness).await;
    held.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_costs_nobody_anything() {
    let ground = Ground::new(1, 4).await;
    let relay = Relay::start(ground.broker.address(), Faults::default(), 1).await;
    let mut near = ground.consumer("near").await;
    put(&ground.client, "pushed", 0..2_000, 4_000).await;
    assert!(take(&mut near, 2_000).await.into_iter().eq(0..2_000));
    let memory_before = ground.broker.memory_bytes();
    let mut vanished = Vec::new();
    for at in 0..8 {
        let client = client_over(&ground, &relay).await;
        let name = format!("vanished-{at}");
        ground.client.register_consumer("pushed", &name).await.expect("its name is free");
        let start =
            client.consumer("pushed", &name).credit_bytes(16 << 20).from(rheos_client::Position::Latest).start();
        vanished.push((within(start).await.expect("it is registered"), client));
    }
    relay.set_silent(true);
    // 64 MB for each of the eight, none of which hears of it.
    for round in 1..9 {
        let numbers = round * 2_000..(round + 1) * 2_000;
        let putting = put(&ground.client, "pushed", numbers.clone(), 4_000);
        let (_, taken) = tokio::join!(putting, take(&mut near, 2_000));
        assert!(taken.into_iter().eq(numbers));
    }
    let grown = || ground.broker.memory_bytes().saturating_sub(memory_before);
    let back = async {
        while grown() > GROWTH_BYTES_MAX {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = timeout(PATIENCE, back).await;
    assert!(waited.is_ok(), "the broker keeps {} MiB for those who are gone", grown() >> 20);
    assert_nothing_is_left(&ground, &mut near, 18_000).await;
}
