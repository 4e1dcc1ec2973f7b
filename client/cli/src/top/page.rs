//! A page of a broker's metrics, by what it is about: the broker, its lanes, streams, shards and consumers.
//!
//! What it does not know it leaves out, so that a page of another release can be read; a number that is not
//! on the page is 0, or nothing where that differs.

use std::collections::BTreeMap;

use crate::exposition::{Sample, samples};

/// Everything that a page says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Page {
    pub(super) version: String,
    pub(super) broker: Broker,
    pub(super) lanes: BTreeMap<u16, Lane>,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) shards: BTreeMap<(String, u32), Shard>,
    pub(super) consumers: BTreeMap<(String, String), Consumer>,
}

/// The broker as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Broker {
    /// In seconds since 1970: another one is another life of the broker.
    pub(super) started: f64,
    pub(super) is_ready: f64,
    pub(super) cpu_seconds: f64,
    pub(super) memory_bytes: f64,
    pub(super) open_files: f64,
    pub(super) files_max: f64,
    pub(super) disk_free_bytes: f64,
    pub(super) disk_bytes: f64,
    pub(super) is_disk_low: f64,
    pub(super) streams: f64,
    pub(super) open_shards: f64,
    pub(super) closed_shards: f64,
    pub(super) consumers: f64,
    pub(super) read_only_logs: f64,
    pub(super) streams_left_out: f64,
    pub(super) shards_left_out: f64,
    pub(super) consumers_left_out: f64,
}

/// A lane.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lane {
    pub(super) busy_seconds: f64,
    pub(super) connections: f64,
    pub(super) logs: f64,
    pub(super) commits: f64,
    pub(super) commit_bytes: f64,
    pub(super) commit_seconds: Buckets,
    pub(super) put_ack_seconds: Buckets,
    /// What each use takes and may take, in bytes.
    pub(super) memory: BTreeMap<String, Memory>,
}

/// Memory of a lane for one use, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) bytes: f64,
    pub(super) limit_bytes: f64,
}

/// A histogram: how many took no longer than each bound, in seconds; by rising bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Buckets(pub(super) Vec<(f64, f64)>);

/// A stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stream {
    pub(super) incoming_records: f64,
    pub(super) incoming_bytes: f64,
    pub(super) refused_records: f64,
    pub(super) read_records: f64,
    pub(super) read_bytes: f64,
    /// Nothing while nobody reads.
    pub(super) read_behind_seconds: Option<f64>,
    pub(super) stored_bytes: f64,
}

/// A shard.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shard {
    pub(super) incoming_records: f64,
    pub(super) incoming_bytes: f64,
    pub(super) outgoing_records: f64,
    pub(super) outgoing_bytes: f64,
    pub(super) refused_records: f64,
    pub(super) tip_sequence: f64,
    /// Nothing while nobody reads.
    pub(super) read_behind_seconds: Option<f64>,
}

/// A registered consumer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Consumer {
    pub(super) pushed_records: f64,
    pub(super) pushed_bytes: f64,
    pub(super) subscriptions: f64,
    /// Nothing while it has no subscription.
    pub(super) behind_seconds: Option<f64>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// The first line that is no sample.
    pub(super) fn read(text: &str) -> Result<Page, String> {
        let mut page = Page::default();
        for sample in samples(text) {
            page.take(&sample?);
        }
        Ok(page)
    }

    /// Takes a number to where it belongs.
    fn take(&mut self, sample: &Sample<'_>) {
        let label = |name| sample.label(name).map(str::to_owned);
        if let Some(consumer) = label("consumer") {
            let consumer = self.consumers.entry((label("stream").unwrap_or_default(), consumer)).or_default();
            take(CONSUMER, consumer, sample);
        } else if let Some(shard) = sample.label("shard").and_then(|shard| shard.parse().ok()) {
            take(SHARD, self.shards.entry((label("stream").unwrap_or_default(), shard)).or_default(), sample);
        } else if let Some(stream) = label("stream") {
            take(STREAM, self.streams.entry(stream).or_default(), sample);
        } else if let Some(lane) = sample.label("lane").and_then(|lane| lane.parse().ok()) {
            self.lanes.entry(lane).or_default().take(sample);
        } else if sample.name == "rheos_build_info" {
            self.version = label("version").unwrap_or_default();
        } else if sample.name == "rheos_shards" {
            match sample.label("state") {
                Some("closed") => self.broker.closed_shards = sample.value,
                _ => self.broker.open_shards = sample.value,
            }
        } else {
            take(BROKER, &mut self.broker, sample);
        }
    }
}

impl Lane {
    fn take(&mut self, sample: &Sample<'_>) {
        let bucket = sample
            .label("le")
            .map(|le| (if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap_or(f64::NAN) }, sample.value));
        match (sample.name, bucket, sample.label("use")) {
            ("rheos_commit_seconds_bucket", Some(bucket), _) => self.commit_seconds.0.push(bucket),
            ("rheos_put_ack_seconds_bucket", Some(bucket), _) => self.put_ack_seconds.0.push(bucket),
            (_, _, Some(used_for)) => take(MEMORY, self.memory.entry(used_for.to_owned()).or_default(), sample),
            _ => take(LANE, self, sample),
        }
    }
}

/// Where the number of a metric is kept.
type Field<T> = fn(&mut T, f64);

const BROKER: &[(&str, Field<Broker>)] = &[
    ("rheos_start_time_seconds", |broker, value| broker.started = value),
    ("rheos_ready", |broker, value| broker.is_ready = value),
    ("process_cpu_seconds_total", |broker, value| broker.cpu_seconds = value),
    ("process_resident_memory_bytes", |broker, value| broker.memory_bytes = value),
    ("process_open_fds", |broker, value| broker.open_files = value),
    ("process_max_fds", |broker, value| broker.files_max = value),
    ("rheos_disk_free_bytes", |broker, value| broker.disk_free_bytes = value),
    ("rheos_disk_size_bytes", |broker, value| broker.disk_bytes = value),
    ("rheos_disk_low", |broker, value| broker.is_disk_low = value),
    ("rheos_streams", |broker, value| broker.streams = value),
    ("rheos_consumers", |broker, value| broker.consumers = value),
    ("rheos_read_only_logs", |broker, value| broker.read_only_logs = value),
    ("rheos_metrics_streams_left_out", |broker, value| broker.streams_left_out = value),
    ("rheos_metrics_shards_left_out", |broker, value| broker.shards_left_out = value),
    ("rheos_metrics_consumers_left_out", |broker, value| broker.consumers_left_out = value),
];

const LANE: &[(&str, Field<Lane>)] = &[
    ("rheos_lane_busy_seconds_total", |lane, value| lane.busy_seconds = value),
    ("rheos_lane_connections", |lane, value| lane.connections = value),
    ("rheos_lane_logs", |lane, value| lane.logs = value),
    ("rheos_commits_total", |lane, value| lane.commits = value),
    ("rheos_commit_bytes_total", |lane, value| lane.commit_bytes = value),
];

const MEMORY: &[(&str, Field<Memory>)] = &[
    ("rheos_lane_memory_bytes", |memory, value| memory.bytes = value),
    ("rheos_lane_memory_limit_bytes", |memory, value| memory.limit_bytes = value),
];

const STREAM: &[(&str, Field<Stream>)] = &[
    ("rheos_incoming_records_total", |stream, value| stream.incoming_records = value),
    ("rheos_incoming_bytes_total", |stream, value| stream.incoming_bytes = value),
    // There is one for each reason.
    ("rheos_put_refused_records_total", |stream, value| stream.refused_records += value),
    ("rheos_read_records_total", |stream, value| stream.read_records = value),
    ("rheos_read_bytes_total", |stream, value| stream.read_bytes = value),
    ("rheos_read_behind_seconds", |stream, value| stream.read_behind_seconds = Some(value)),
    ("rheos_stored_bytes", |stream, value| stream.stored_bytes = value),
];

const SHARD: &[(&str, Field<Shard>)] = &[
    ("rheos_shard_incoming_records_total", |shard, value| shard.incoming_records = value),
    ("rheos_shard_incoming_bytes_total", |shard, value| shard.incoming_bytes = value),
    ("rheos_shard_outgoing_records_total", |shard, value| shard.outgoing_records = value),
    ("rheos_shard_outgoing_bytes_total", |shard, value| shard.outgoing_bytes = value),
    ("rheos_shard_put_refused_records_total", |shard, value| shard.refused_records = value),
    ("rheos_shard_tip_sequence", |shard, value| shard.tip_sequence = value),
    ("rheos_shard_behind_seconds", |shard, value| shard.read_behind_seconds = Some(value)),
];

const CONSUMER: &[(&str, Field<Consumer>)] = &[
    ("rheos_push_records_total", |consumer, value| consumer.pushed_records = value),
    ("rheos_push_bytes_total", |consumer, value| consumer.pushed_bytes = value),
    ("rheos_push_subscriptions", |consumer, value| consumer.subscriptions = value),
    ("rheos_push_behind_seconds", |consumer, value| consumer.behind_seconds = Some(value)),
];

fn take<T>(fields: &[(&str, Field<T>)], of: &mut T, sample: &Sample<'_>) {
    if let Some((_, field)) = fields.iter().find(|(name, _)| *name == sample.name) {
        field(of, sample.value);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page that a broker has made, with a stream of two shards and one of one, and a consumer.
    pub(in super::super) const RECORDED: &str = include_str!("page/recorded.txt");

    #[test]
    fn a_recorded_page_is_read_whole() {
        let page = Page::read(RECORDED).unwrap();
        assert_eq!((page.version.as_str(), page.broker.is_ready, page.broker.streams), ("0.1.0", 1.0, 2.0));
        assert_eq!((page.broker.open_shards, page.broker.closed_shards, page.broker.consumers), (5.0, 0.0, 1.0));
        assert!(page.broker.memory_bytes > 1e6 && page.broker.disk_bytes > page.broker.disk_free_bytes);
        let lane = &page.lanes[&0];
        assert_eq!((lane.logs, lane.memory.len(), lane.commit_seconds.0.len()), (2.0, 4, lane.put_ack_seconds.0.len()));
        assert_eq!(lane.commit_seconds.0.last(), Some(&(f64::INFINITY, lane.commits)));
        assert!(lane.memory["tail"].limit_bytes > lane.memory["tail"].bytes);
        let (orders, logs) = (&page.streams["orders"], &page.streams["logs"]);
        assert_eq!((orders.incoming_records, orders.read_behind_seconds), (100_000.0, Some(0.0)));
        assert_eq!((logs.incoming_records, logs.read_behind_seconds), (0.0, None));
        let shards = (0..4).map(|shard| page.shards[&("orders".to_owned(), shard)].incoming_records);
        assert_eq!((shards.sum::<f64>(), page.shards.len()), (100_000.0, 5));
        let billing = &page.consumers[&("orders".to_owned(), "billing".to_owned())];
        assert_eq!(
            (billing.subscriptions, billing.pushed_records, billing.behind_seconds),
            (4.0, 100_000.0, Some(0.0))
        );
    }

    #[test]
    fn every_metric_that_is_known_is_one_of_the_brokers() {
        let names = [
            BROKER.iter().map(|field| field.0).collect::<Vec<_>>(),
            LANE.iter().map(|field| field.0).collect(),
            MEMORY.iter().map(|field| field.0).collect(),
            STREAM.iter().map(|field| field.0).collect(),
            SHARD.iter().map(|field| field.0).collect(),
            CONSUMER.iter().map(|field| field.0).collect(),
        ];
        for name in names.concat() {
            assert!(RECORDED.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }

    #[test]
    fn refusals_of_all_reasons_are_one_number() {
        let text = "rheos_put_refused_records_total{stream=\"a\",reason=\"throttled\"} 3\n\
                    rheos_put_refused_records_total{stream=\"a\",reason=\"busy\"} 4\n";
        assert_eq!(Page::read(text).unwrap().streams["a"].refused_records, 7.0);
        assert!(Page::read("what?").unwrap_err().contains("what?"));
    }
}
