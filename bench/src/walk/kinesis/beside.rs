//! Native puts beside a face that is loaded at half of its capacity, against native puts alone.
//!
//! The capacity is that of PutRecords, found first. The load runs aside ([`super::super::aside`]) and goes to a stream
//! of its own; it is paced and open only so far as its connections are: what is late is sent late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rheos_protocol::message::StreamDescription;
use tokio::time::{MissedTickBehavior, interval};

use super::super::Walk;
use super::super::aside::Aside;
use super::super::lines::{Goal, Lines};
use super::super::put::drive_broker;
use super::super::{load, put};
use super::{CONNECTIONS, drive_many};
use crate::Failure;
use crate::broker::process::Broker;
use crate::drive::{Outcome, Puts};
use crate::http::endpoint::Endpoint;
use crate::http::puts::{ApiPuts, RECORDS_MAX};

pub(crate) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    put::require_room(walk.scratch.path(), ROOM_BYTES)?;
    let data = walk.data("beside");
    let broker = walk.start_broker(&data)?;
    let session = walk.session(&broker).await?;
    session.create_stream(FACE_STREAM, walk.arguments.streams.into()).await?;
    let stream = session.create_stream("native", walk.arguments.streams.into()).await?;
    drop(session);
    let endpoint = Endpoint::of(broker.access());
    let capacity = drive_many(walk, ApiPuts::many_at_once(endpoint, FACE_STREAM, CONNECTIONS).await?).await?;
    let asked_per_s = capacity.records_per_s / 2.0;
    let (mut pairs, mut held) = (Vec::new(), Vec::new());
    for _ in walk.pairs() {
        let alone = native(walk, &broker, &stream).await?;
        let beside = FaceLoad::start(walk, &broker, asked_per_s).await?;
        let loaded = native(walk, &broker, &stream).await?;
        held.push(beside.end()? / asked_per_s);
        pairs.push((loaded, alone));
    }
    let names = [NAME, "native_beside_face", "native_alone"];
    lines.compare_latencies(names, &pairs, Outcome::us, [Goal::None, Goal::AtMost(P99_RATIO_MAX)]);
    lines.client_busy(NAME, "native_beside_face", pairs.iter().map(|(loaded, _)| loaded.client_busy));
    lines.client_busy(NAME, "native_alone", pairs.iter().map(|(_, alone)| alone.client_busy));
    lines.absolute("native_face_capacity_records_per_s", &[capacity.records_per_s], Goal::None);
    // Below 1 the face had less than half of its capacity to do.
    lines.absolute("native_face_load_held", &held, Goal::None);
    lines.fact("native_http_cores_are_the_clients", walk.http_cores() == [walk.arguments.client_core]);
    broker.stop()
}

async fn native(walk: &Walk<'_>, broker: &Broker, stream: &StreamDescription) -> Result<Outcome, Failure> {
    drive_broker(walk, broker, std::slice::from_ref(stream), load("put_10k")).await
}

/// PutRecords at a rate, aside, until this value goes.
struct FaceLoad {
    _aside: Aside,
    taken: Arc<Taken>,
    begun: Instant,
}

/// What the face has taken of it.
#[derive(Default)]
struct Taken {
    records: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

impl FaceLoad {
    async fn start(walk: &Walk<'_>, broker: &Broker, records_per_s: f64) -> Result<Self, Failure> {
        let taken = Arc::new(Taken::default());
        let (endpoint, told) = (Endpoint::of(broker.access()), Arc::clone(&taken));
        let pause = Duration::from_secs_f64(f64::from(RECORDS_MAX) * CONNECTIONS as f64 / records_per_s.max(1.0));
        let aside = Aside::start(walk.spare_core(), async move {
            let puts = Arc::new(ApiPuts::many_at_once(endpoint, FACE_STREAM, CONNECTIONS).await?);
            for _ in 0..CONNECTIONS {
                tokio::spawn(paced(Arc::clone(&puts), pause, Arc::clone(&told)));
                // So that they take turns.
                tokio::time::sleep(pause / CONNECTIONS as u32).await;
            }
            Ok(puts)
        });
        Ok(Self { _aside: aside.await?, taken, begun: Instant::now() })
    }

    /// Ends it; the records a second that were taken.
    fn end(self) -> Result<f64, Failure> {
        let records = self.taken.records.load(Ordering::Relaxed);
        let failure = self.taken.failure.lock().expect("nobody panics while telling").take();
        let elapsed = self.begun.elapsed();
        failure.map_or(Ok(records as f64 / elapsed.as_secs_f64()), Err)
    }
}

/// A request after each pause, or when the one before is answered; ends with its thread.
async fn paced(puts: Arc<ApiPuts>, pause: Duration, taken: Arc<Taken>) {
    let mut due = interval(pause);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        due.tick().await;
        match puts.put(0, RECORDS_MAX).await {
            Ok(()) => taken.records.fetch_add(RECORDS_MAX.into(), Ordering::Relaxed),
            Err(failure) => {
                taken.failure.lock().expect("nobody panics while telling").get_or_insert(failure);
                return;
            }
        };
    }
}

const NAME: &str = "native";
const FACE_STREAM: &str = "face";
const P99_RATIO_MAX: f64 = 1.2;
/// What the runs of this part may write together, and room to spare.
const ROOM_BYTES: u64 = 16 << 30;
