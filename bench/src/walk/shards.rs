//! Many shards in one stream: puts by keys that are spread over ten thousand, against the same puts on one.

use std::sync::Arc;

use rheos_client::StreamSpec;
use rheos_protocol::hash::HashRange;

use super::Walk;
use super::lines::{Goal, Lines};
use crate::Failure;
use crate::broker::keyed::{KeyedPuts, keys_in};
use crate::broker::process::{Broker, Data};
use crate::drive::{Outcome, drive_scheduled};
use crate::load::Schedule;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("shards");
    let broker = walk.start_broker(&data)?;
    let client = walk.client(&data, &broker).await?;
    for (stream, shards) in [(MANY, SHARDS), (ONE, 1)] {
        client.create_stream(StreamSpec::new(stream, shards)).await?;
    }
    client.close().await;
    let keys = Arc::new(vec![keys_in(HashRange::even(1).next().expect("it is the whole"), KEYS)]);
    let mut pairs = Vec::new();
    for _ in walk.pairs() {
        let one = drive_keyed(walk, &data, &broker, ONE, &keys).await?;
        pairs.push((drive_keyed(walk, &data, &broker, MANY, &keys).await?, one));
    }
    let goals = [Goal::None, Goal::AtMost(P99_RATIO_MAX)];
    lines.compare_latencies(["shards_10k", "shards_10k", "shards_one"], &pairs, Outcome::us, goals);
    lines.client_busy("shards_10k", "shards_10k", pairs.iter().map(|(many, _)| many.client_busy));
    broker.stop()
}

async fn drive_keyed(
    walk: &Walk<'_>,
    data: &Data,
    broker: &Broker,
    stream: &str,
    keys: &Arc<Vec<Vec<String>>>,
) -> Result<Outcome, Failure> {
    let client = walk.client(data, broker).await?;
    let producer = client.producer(stream).await?;
    let schedule = Schedule::begin(super::load(LOAD), walk.window());
    let outcome = drive_scheduled(&Arc::new(KeyedPuts::new(producer, Arc::clone(keys), schedule)), schedule).await;
    client.close().await;
    outcome
}

const LOAD: &str = "put_10k";
const MANY: &str = "many";
const ONE: &str = "one";
const SHARDS: u32 = 10_000;
/// Most shards have one and more of them.
const KEYS: usize = 40_000;
const P99_RATIO_MAX: f64 = 1.2;
