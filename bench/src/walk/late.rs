//! What bad consumers do to a good one, and to puts: one that is gigabytes behind and catches up, and
//! ten that allowed pushes and never read them.
//!
//! The load is that of push_10k, once alone and once beside each of them. They run aside
//! ([`super::aside`]). The late one begins with the oldest record in each run, and is still behind when
//! the run ends, or the part fails. The silent ones have small windows, which are full of what
//! they do not read before the measured time begins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use quinn::VarInt;
use rheos_broker::transport;
use rheos_protocol::message::{Position, StreamDescription};

use super::Walk;
use super::aside::Aside;
use super::catchup::put_bytes;
use super::lines::{Goal, Lines, Names};
use super::push::{Run, push_broker, register, subscribe, wishes};
use super::put::require_room;
use crate::Failure;
use crate::broker::consumers::Subscriptions;
use crate::broker::process::Broker;
use crate::broker::puts::BrokerPuts;
use crate::broker::session::Dialer;
use crate::deliveries::{Answered, Consumer};
use crate::load::{Load, RECORD_BYTES};

/// The places of the consumers: one good, one late, ten silent.
const GOOD: usize = 1;
const LATE: usize = 1;
const SILENT: std::ops::Range<usize> = 2..12;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let backlog_bytes = (walk.arguments.seconds + walk.arguments.catchup_gib) << 30;
    require_room(walk.scratch.path(), backlog_bytes + (4 << 30))?;
    let data = walk.data("late");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("late", walk.arguments.streams.into()).await?;
    register(walk, &broker, &stream, SILENT.end).await?;
    let puts = Arc::new(BrokerPuts::open(walk.session(&broker).await?, std::slice::from_ref(&stream)).await?);
    put_bytes(&puts, backlog_bytes).await?;
    drop(puts);

    let good = || push_broker(walk, &broker, &stream, GOOD, LOAD, Answered::Acked);
    let (mut late, mut silent, mut caught_up) = (Vec::new(), Vec::new(), Vec::new());
    for _ in walk.pairs() {
        let alone = Arc::new(good().await?);
        let (aside, taken) = start_late(walk, &broker, &stream).await?;
        let before = taken.records.load(Ordering::Relaxed);
        let beside_late = good().await?;
        caught_up.push(taken.still_behind(before, backlog_bytes, walk)?);
        drop(aside);
        late.push((beside_late, Arc::clone(&alone)));
        let aside = start_silent(walk, &broker, &stream).await?;
        silent.push((good().await?, alone));
        drop(aside);
    }
    report("late", &late, lines);
    report("silent", &silent, lines);
    lines.absolute("late_catches_up_mb_s", &caught_up, Goal::None);
    lines.fact("late_behind_gib", backlog_bytes >> 30);
    broker.stop()
}

fn report(name: &str, pairs: &[(Run, Arc<Run>)], lines: &mut Lines) {
    for what in ["put", "push"] {
        let us = |run: &Run| if what == "put" { run.ack_us(99.0) } else { run.push_us(99.0) };
        let found: Vec<_> = pairs.iter().map(|(beside, alone)| (us(beside), us(alone))).collect();
        let names = Names {
            ratio: &format!("{name}_{what}_p99_ratio"),
            ours: &format!("{name}_{what}_p99_us"),
            yardstick: &format!("{name}_{what}_alone_p99_us"),
        };
        lines.compare(names, &found, Goal::AtMost(P99_RATIO_MAX));
    }
    lines.client_busy(name, name, pairs.iter().map(|(beside, _)| beside.acks().client_busy));
    lines.client_busy(name, &format!("{name}_alone"), pairs.iter().map(|(_, alone)| alone.acks().client_busy));
}

/// A consumer that begins with the oldest record.
async fn start_late(
    walk: &Walk<'_>,
    broker: &Broker,
    stream: &StreamDescription,
) -> Result<(Aside, Arc<Taken>), Failure> {
    let wishes = wishes(walk, broker, stream, LATE..LATE + 1, Position::TrimHorizon).await?;
    let (access, mtu_bound, taken) = (broker.access().clone(), walk.launch.mtu_bound, Arc::new(Taken::default()));
    let consumer = Arc::clone(&taken);
    let begin = async move { subscribe(&access, mtu_bound, &wishes[0], consumer).await };
    Ok((Aside::start(walk.spare_core(), begin).await?, taken))
}

/// Consumers that allow pushes and never read one.
async fn start_silent(walk: &Walk<'_>, broker: &Broker, stream: &StreamDescription) -> Result<Aside, Failure> {
    let wishes = wishes(walk, broker, stream, SILENT, Position::Latest).await?;
    let (access, mtu_bound) = (broker.access().clone(), walk.launch.mtu_bound);
    let begin = async move {
        let mut subscriptions = Vec::new();
        for wish in wishes {
            let mut transport = transport::client(mtu_bound);
            transport
                .receive_window(VarInt::from_u32(SILENT_WINDOW_BYTES))
                .stream_receive_window(VarInt::from_u32(SILENT_WINDOW_BYTES / 4));
            let session = Dialer::new(&access, transport, mtu_bound)?.connect().await?;
            subscriptions.push(Subscriptions::start(session, &wish).await?);
        }
        Ok(subscriptions)
    };
    Aside::start(walk.spare_core(), begin).await
}

/// What the late consumer has taken.
#[derive(Default)]
struct Taken {
    records: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

impl Consumer for Taken {
    fn take(&self, _: u64, records: u32) -> Result<(), Failure> {
        self.records.fetch_add(records.into(), Ordering::Relaxed);
        Ok(())
    }

    fn fail(&self, failure: Failure) {
        self.failure.lock().expect("no panic while held").get_or_insert(failure);
    }
}

impl Taken {
    /// How fast it caught up in a run, in MB/s; fails unless it was behind all the time.
    fn still_behind(&self, records_before: u64, backlog_bytes: u64, walk: &Walk<'_>) -> Result<f64, Failure> {
        if let Some(failure) = self.failure.lock().expect("no panic while held").take() {
            return Err(format!("the late consumer: {failure}").into());
        }
        let records = self.records.load(Ordering::Relaxed);
        if records * RECORD_BYTES as u64 >= backlog_bytes {
            let gib = backlog_bytes >> 30;
            return Err(format!("the late consumer caught up {gib} GiB within a run; give more --catchup-gib").into());
        }
        let window = walk.window();
        let bytes = (records - records_before) * RECORD_BYTES as u64;
        Ok(bytes as f64 / 1e6 / (window.warm_up + window.measured).as_secs_f64())
    }
}

const LOAD: Load = Load::Open { records_per_s: 10_000 };
const P99_RATIO_MAX: f64 = 1.2;
const SILENT_WINDOW_BYTES: u32 = 256 << 10;
