//! Brokers that are killed, stopped and dealt to other lanes while clients live on: no record is left out,
//! repeated or out of order, and every one that was acked comes.

use super::*;

const SHARDS: u32 = 6;
const KILLS: usize = 10;
const STOPS: usize = 4;

/// Consumers of a stream, and producers, that live through everything that befalls their broker.
struct Company {
    witness: Arc<Witness>,
    load: Load,
    members: Vec<Following>,
}

impl Company {
    /// Two consumers of all shards with a client each, one of a single shard, and three producers.
    async fn start(ground: &Ground, random: &mut Random) -> Company {
        let witness = Arc::new(Witness::default());
        let mut members = Vec::new();
        for (name, shards) in [("one", None), ("two", None), ("of-a-shard", Some([3]))] {
            let client = ground.broker.client().await;
            client.register_consumer(&ground.stream.name, name).await.expect("its name is free");
            let mut builder = client.consumer(&ground.stream.name, name);
            if let Some(shards) = shards {
                // What it is late with comes from the disk.
                builder = builder.shards(shards).credit_bytes(10_000);
            }
            let consumer = within(builder.start()).await.expect("it is registered");
            members.push(Following::start(&witness, &ground.stream, consumer));
        }
        let load = ground.load(&witness, 3, random).await;
        Company { witness, load, members }
    }

    async fn go_on(&self) {
        self.witness.wait_ack().await;
        for member in &self.members {
            member.follower.wait_pushed().await;
        }
    }

    async fn end(self, ground: &Ground) {
        self.go_on().await;
        self.load.end().await;
        ground.read_all(&self.witness).await;
        for member in self.members {
            member.end().await;
        }
    }
}

async fn kill_often(test: &str, lanes: u16) {
    let mut random = random_of(test);
    let mut ground = Ground::new(lanes, SHARDS).await;
    let company = Company::start(&ground, &mut random).await;
    for _ in 0..KILLS {
        if random.per_mille(500) {
            company.go_on().await;
        }
        sleep(Duration::from_millis(random.below(200))).await;
        ground.broker.begin_kill();
        ground.broker = ground.place.start();
    }
    company.end(&ground).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_of_one_lane_live_across_kills() {
    kill_often("kills of one lane", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_of_three_lanes_live_across_kills() {
    kill_often("kills of three lanes", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_live_across_stops() {
    let mut random = random_of("stops");
    let mut ground = Ground::new(2, SHARDS).await;
    let company = Company::start(&ground, &mut random).await;
    for _ in 0..STOPS {
        company.go_on().await;
        let Ground { place, broker, client, stream } = ground;
        let said = tokio::task::spawn_blocking(move || broker.stop()).await.expect("it stops");
        assert!(!said.contains("panicked"), "{said}");
        let mut place = place;
        let broker = place.start();
        ground = Ground { place, broker, client, stream };
    }
    company.end(&ground).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_live_on_while_lanes_come_and_go() {
    let mut random = random_of("lanes that come and go");
    let mut ground = Ground::new(4, SHARDS).await;
    let company = Company::start(&ground, &mut random).await;
    for lanes in [1, 8, 3] {
        company.go_on().await;
        ground.place.set_lanes(lanes);
        ground.broker.begin_kill();
        ground.broker = ground.place.start();
    }
    company.end(&ground).await;
}
