//! Everything that a page says, as of one moment: the reports of the lanes, put together by stream.
//!
//! What must hold: what is listed is there now, so that a stream that was deleted and a consumer that was
//! deregistered are not; every list is bounded, those that were made first come first, and what is left out
//! is counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use rheos_core::catalog::{ConsumerRecord, StreamRecord};
use rheos_core::counts::{Amount, LogCounts};
use rheos_core::fanout::ConsumerCounted;

use super::report::{Away, LaneReport, LogReport, SHARDS_MAX, ShardReport};
use crate::directory::Space;
use crate::kinesis::OperationCounts;
use crate::scaling::StepCounts;
use crate::standing::Served;
use crate::streams::StreamCounts;

/// Most streams that a page lists.
const STREAMS_MAX: usize = 1_000;
/// Most registered consumers that a page lists.
const CONSUMERS_MAX: usize = 1_000;

/// What a page says.
pub(super) struct Snapshot {
    pub(super) started: SystemTime,
    pub(super) is_ready: bool,
    pub(super) space: Option<Space>,
    /// Nothing unless the broker serves.
    pub(super) served: Option<Everything>,
}

/// What there is to say of a broker that serves.
#[derive(Default)]
pub(super) struct Everything {
    pub(super) counts: StreamCounts,
    pub(super) consumers_count: u64,
    /// In their order; a lane that did not answer is not there.
    pub(super) lanes: Vec<(u16, LaneReport)>,
    pub(super) streams: Vec<Stream>,
    pub(super) shards: Vec<Shard>,
    pub(super) consumers: Vec<Consumer>,
    /// Operations of the Kinesis face that were asked for.
    pub(super) kinesis: Vec<(&'static str, OperationCounts)>,
}

/// A stream, all its logs together.
pub(super) struct Stream {
    pub(super) record: Arc<StreamRecord>,
    pub(super) counts: LogCounts,
    pub(super) reads_turned_away: u64,
    pub(super) iterator_age_ms: Option<u64>,
    pub(super) stored_bytes: u64,
    /// Steps of an on-demand stream since the broker was started.
    pub(super) steps: StepCounts,
}

/// A shard.
pub(super) struct Shard {
    /// Of which stream.
    pub(super) of: Arc<StreamRecord>,
    pub(super) report: ShardReport,
}

/// A registered consumer, all lanes together.
pub(super) struct Consumer {
    /// Of which stream.
    pub(super) of: Arc<StreamRecord>,
    pub(super) record: Arc<ConsumerRecord>,
    pub(super) subscriptions: u64,
    pub(super) subscribed: u64,
    pub(super) superseded: u64,
    pub(super) pushed: Amount,
    pub(super) missed_ms: u64,
    pub(super) behind_ms: Option<u64>,
}

/// What lanes have told, by incarnation.
#[derive(Default)]
struct Told {
    logs: HashMap<u64, Vec<LogReport>>,
    away: HashMap<u64, Vec<(u32, Away)>>,
    consumers: HashMap<(u64, Arc<str>), ConsumerCounted>,
}

impl Everything {
    /// What the broker has and its lanes have counted.
    pub(super) fn gather(
        served: &Served,
        reports: Vec<Option<Box<LaneReport>>>,
        stored: &BTreeMap<u64, u64>,
    ) -> Everything {
        let (records, counts) = served.streams.oldest(STREAMS_MAX);
        let (consumer_records, consumers_count) = served.consumers.first(CONSUMERS_MAX);
        let mut told = Told::default();
        let kinesis = served.kinesis.all();
        let mut everything = Everything { counts, consumers_count, kinesis, ..Everything::default() };
        for (lane, report) in (0..).zip(reports) {
            let Some(mut report) = report else { continue };
            told.take(&mut report);
            everything.lanes.push((lane, *report));
        }
        for record in records {
            let stored_bytes = stored.get(&record.incarnation).copied().unwrap_or(0);
            let steps = served.scaling.of(record.incarnation);
            everything.stream(record, &mut told, stored_bytes, steps);
        }
        for record in consumer_records {
            // Its stream may have been deleted just now.
            let Some(of) = served.streams.by_incarnation(record.incarnation) else { continue };
            everything.consumers.push(consumer(of, record, &told.consumers));
        }
        everything
    }

    fn stream(&mut self, record: Arc<StreamRecord>, told: &mut Told, stored_bytes: u64, steps: StepCounts) {
        let logs = told.logs.remove(&record.incarnation).unwrap_or_default();
        let away = told.away.remove(&record.incarnation).unwrap_or_default();
        let mut counts = LogCounts::default();
        for log in &logs {
            counts.incoming += log.counts.incoming;
            counts.refused += log.counts.refused;
            counts.read += log.counts.read;
            counts.reads += log.counts.reads;
        }
        away.iter().for_each(|(_, away)| counts.refused += away.refused);
        let stream = Stream {
            counts,
            reads_turned_away: away.iter().map(|(_, away)| away.reads).sum(),
            iterator_age_ms: logs.iter().filter_map(|log| log.iterator_age_ms).max(),
            stored_bytes,
            steps,
            record: Arc::clone(&record),
        };
        self.streams.push(stream);
        let mut shards: Vec<ShardReport> = logs.into_iter().flat_map(|log| log.shards).collect();
        shards.sort_unstable_by_key(|report| report.shard);
        for (shard, away) in away {
            if let Ok(at) = shards.binary_search_by_key(&shard, |report| report.shard) {
                shards[at].refused_records += away.refused.total();
            }
        }
        let room = SHARDS_MAX - self.shards.len();
        self.shards.extend(shards.into_iter().take(room).map(|report| Shard { of: Arc::clone(&record), report }));
    }

    /// Logs that take no puts.
    pub(super) fn read_only_logs(&self) -> u64 {
        self.lanes.iter().map(|(_, report)| report.readiness.read_only_logs).sum()
    }

    /// Whether a lane was told that the disk is nearly full.
    pub(super) fn storage_low(&self) -> bool {
        self.lanes.iter().any(|(_, report)| report.readiness.storage_low)
    }
}

impl Told {
    fn take(&mut self, report: &mut LaneReport) {
        for log in std::mem::take(&mut report.logs) {
            self.logs.entry(log.id.incarnation).or_default().push(log);
        }
        for ((incarnation, shard), away) in std::mem::take(&mut report.turned_away) {
            self.away.entry(incarnation).or_default().push((shard, away));
        }
        for of_lane in std::mem::take(&mut report.consumers) {
            match self.consumers.entry((of_lane.incarnation, Arc::clone(&of_lane.consumer))) {
                std::collections::hash_map::Entry::Vacant(vacant) => drop(vacant.insert(of_lane)),
                std::collections::hash_map::Entry::Occupied(mut occupied) => {
                    let all = occupied.get_mut();
                    all.subscriptions += of_lane.subscriptions;
                    all.subscribed += of_lane.subscribed;
                    all.superseded += of_lane.superseded;
                    all.pushed += of_lane.pushed;
                    all.missed_ms += of_lane.missed_ms;
                    all.behind_ms = all.behind_ms.max(of_lane.behind_ms);
                }
            }
        }
    }
}

fn consumer(
    of: Arc<StreamRecord>,
    record: Arc<ConsumerRecord>,
    told: &HashMap<(u64, Arc<str>), ConsumerCounted>,
) -> Consumer {
    let counted = told.get(&(record.incarnation, Arc::from(record.name.as_str())));
    Consumer {
        of,
        subscriptions: counted.map_or(0, |counted| counted.subscriptions),
        subscribed: counted.map_or(0, |counted| counted.subscribed),
        superseded: counted.map_or(0, |counted| counted.superseded),
        pushed: counted.map_or(Amount::default(), |counted| counted.pushed),
        missed_ms: counted.map_or(0, |counted| counted.missed_ms),
        behind_ms: counted.and_then(|counted| counted.behind_ms),
        record,
    }
}
