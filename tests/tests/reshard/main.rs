//! Streams that are split, merged and scaled while they are used, on good days and bad ones: nothing acked is lost
//! or doubled, no key is out of order, and every moment has a shard for every hash key.
//!
//! Every test prints its seed; `RHEOS_SEED` sets it. The moments are those of the machine all the same.

mod expiry;
mod judge;
mod kills;
mod load;
mod moments;
mod refusals;

use std::time::Duration;

use rheos_client::{Client, StreamDescription, StreamSpec};
use rheos_tests::broker_process::{Broker, Place};
use rheos_tests::random::Random;
use tokio::time::timeout;

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}"))
}

/// A broker with a stream and a client of the administrator.
struct Ground {
    place: Place,
    broker: Broker,
    client: Client,
}

const STREAM: &str = "orders";

impl Ground {
    async fn new(lanes: u16, shards: u32) -> Ground {
        let place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        Ground::at(place, lanes, shards).await
    }

    /// The same, whose broker dies at a moment.
    async fn dying_at(moment: &str, lanes: u16, shards: u32) -> Ground {
        let mut place = Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"));
        place.set_flag("--die-at", Some(moment));
        Ground::at(place, lanes, shards).await
    }

    async fn at(mut place: Place, lanes: u16, shards: u32) -> Ground {
        place.set_lanes(lanes);
        let broker = place.start();
        let client = broker.client().await;
        client.create_stream(StreamSpec::new(STREAM, shards)).await.expect("the broker is new");
        Ground { place, broker, client }
    }

    /// The same after a stop and a start.
    async fn again(self) -> Ground {
        let Ground { mut place, broker, client } = self;
        let restarting = tokio::task::spawn_blocking(move || {
            broker.stop();
            let broker = place.start();
            (place, broker)
        });
        let (place, broker) = restarting.await.expect("it stops and starts");
        Ground { place, broker, client }
    }
}

/// What a stream may be asked to become.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Split(u32, Option<u128>),
    Merge(u32, u32),
    Scale(u32),
}

impl Asked {
    /// Something that can be done with the stream as it is described.
    fn any(stream: &StreamDescription, random: &mut Random) -> Asked {
        let mut open: Vec<_> = stream.shards.iter().filter(|shard| shard.open).collect();
        open.sort_by_key(|shard| shard.range.first);
        let at = random.below(open.len() as u64) as usize;
        let range = open[at].range;
        match random.below(5) {
            0 | 1 if open.len() < 12 => {
                let near = range.first + 1 + (range.last - range.first) / u128::from(random.within(2..9));
                Asked::Split(open[at].shard, random.per_mille(600).then_some(near))
            }
            2 | 3 if at + 1 < open.len() => {
                let pair = [open[at].shard, open[at + 1].shard];
                if random.per_mille(500) { Asked::Merge(pair[0], pair[1]) } else { Asked::Merge(pair[1], pair[0]) }
            }
            _ => {
                let target = random.within(1..10) as u32;
                Asked::Scale(if target == open.len() as u32 { target + 1 } else { target })
            }
        }
    }

    async fn perform(self, client: &Client) -> Result<StreamDescription, rheos_client::Error> {
        match self {
            Asked::Split(shard, at) => client.split_shard(STREAM, shard, at).await,
            Asked::Merge(shard, adjacent) => client.merge_shards(STREAM, shard, adjacent).await,
            Asked::Scale(target) => client.scale_stream(STREAM, target).await,
        }
    }
}

/// Proves that the open shards tile the hash space, and that every child has its parents.
fn assert_whole(stream: &StreamDescription) {
    assert_whole_but_for_expired(stream);
    for shard in &stream.shards {
        let parents: Vec<u32> = [shard.parent, shard.adjacent_parent].into_iter().flatten().collect();
        assert!(parents.iter().all(|parent| *parent < shard.shard), "{shard:?}");
        let closed = |parent: &u32| stream.shards.iter().any(|it| it.shard == *parent && !it.open);
        assert!(parents.iter().all(closed), "{shard:?} has open parents in {stream:?}");
    }
}

/// The same of a stream whose oldest shards have expired.
fn assert_whole_but_for_expired(stream: &StreamDescription) {
    let mut open: Vec<_> = stream.shards.iter().filter(|shard| shard.open).map(|shard| shard.range).collect();
    open.sort();
    assert_eq!(open.first().map(|range| range.first), Some(0), "{stream:?}");
    assert_eq!(open.last().map(|range| range.last), Some(u128::MAX), "{stream:?}");
    assert!(open.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{stream:?}");
    for shard in &stream.shards {
        let has_children = stream.shards.iter().any(|it| [it.parent, it.adjacent_parent].contains(&Some(shard.shard)));
        assert_eq!(has_children, !shard.open, "who is closed has children: {shard:?}");
    }
}
