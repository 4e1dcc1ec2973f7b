//! How a broker is doing: what its metrics say now, and what they have moved by since the page before.
//!
//! What must hold: a rate is of one life of the broker; after a restart there is none until there are two
//! pages again.

use std::collections::BTreeMap;

use super::page::{Broker, Buckets, Consumer, Lane, Memory, Page, Shard, Stream};

/// A shard is hot when so many times the mean of its stream is put to it.
const HOT_FACTOR: f64 = 2.0;
/// And not less than so many records a second.
const HOT_LEAST: f64 = 10.0;

/// Something in a second; nothing while it is not known.
pub(super) type Rate = Option<f64>;

/// The state of a broker.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) broker: Broker,
    /// Cores that it uses.
    pub(super) cpu: Rate,
    pub(super) connections: f64,
    pub(super) lanes: Vec<LaneStatus>,
    pub(super) streams: Vec<StreamStatus>,
    pub(super) shards: Vec<ShardStatus>,
    pub(super) consumers: Vec<ConsumerStatus>,
}

/// Records and their bytes that go one way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Flow {
    pub(super) records: Rate,
    pub(super) bytes: Rate,
}

#[derive(Debug, Clone)]
pub(super) struct LaneStatus {
    pub(super) lane: u16,
    /// The part of a core that it uses.
    pub(super) busy: Rate,
    pub(super) connections: f64,
    pub(super) logs: f64,
    /// Batches that were acknowledged.
    pub(super) puts: Rate,
    pub(super) commits: Rate,
    pub(super) written_bytes: Rate,
    pub(super) commit: Percentiles,
    pub(super) put_ack: Percentiles,
    pub(super) memory: BTreeMap<String, Memory>,
}

#[derive(Debug, Clone)]
pub(super) struct StreamStatus {
    pub(super) name: String,
    pub(super) incoming: Flow,
    /// Read and pushed.
    pub(super) outgoing: Flow,
    pub(super) refused: Rate,
    pub(super) read_behind_seconds: Option<f64>,
    pub(super) push_behind_seconds: Option<f64>,
    pub(super) shards: usize,
    pub(super) consumers: usize,
    pub(super) stored_bytes: f64,
}

#[derive(Debug, Clone)]
pub(super) struct ShardStatus {
    pub(super) stream: String,
    pub(super) shard: u32,
    pub(super) incoming: Flow,
    pub(super) outgoing: Flow,
    pub(super) refused: Rate,
    pub(super) read_behind_seconds: Option<f64>,
    pub(super) tip_sequence: f64,
    /// What is put to it, by the mean of its stream.
    pub(super) share: Option<f64>,
    pub(super) is_hot: bool,
}

#[derive(Debug, Clone)]
pub(super) struct ConsumerStatus {
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) pushed: Flow,
    pub(super) behind_seconds: Option<f64>,
    pub(super) subscriptions: f64,
}

/// Seconds that half and 99 of 100 did not exceed, as far as the buckets of a histogram tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Status {
    /// What a page says, by an earlier one that was made so many seconds before.
    pub(super) fn of(now: &Page, before: Option<(&Page, f64)>) -> Status {
        let since = Since(before.filter(|(before, _)| before.broker.started == now.broker.started));
        let mut shards: Vec<ShardStatus> = now.shards.iter().map(|(of, shard)| since.shard(of, shard)).collect();
        let consumers: Vec<ConsumerStatus> = now.consumers.iter().map(|(of, at)| since.consumer(of, at)).collect();
        let mut streams: Vec<StreamStatus> = now.streams.iter().map(|(name, at)| since.stream(name, at)).collect();
        streams.iter_mut().for_each(|stream| stream.take(&shards, &consumers));
        mark_hot(&mut shards, &streams);
        Status {
            version: now.version.clone(),
            broker: now.broker.clone(),
            cpu: since.rate(|page| Some(page.broker.cpu_seconds), now.broker.cpu_seconds),
            connections: now.lanes.values().map(|lane| lane.connections).sum(),
            lanes: now.lanes.iter().map(|(lane, at)| since.lane(*lane, at)).collect(),
            streams,
            shards,
            consumers,
        }
    }

    /// What goes into all streams, and out of them.
    pub(super) fn in_all(&self, of: fn(&StreamStatus) -> Flow) -> Flow {
        self.streams.iter().map(of).fold(Flow { records: Some(0.0), bytes: Some(0.0) }, Flow::plus)
    }

    /// Memory of all lanes for all uses.
    pub(super) fn memory(&self) -> Memory {
        self.lanes.iter().map(LaneStatus::memory).fold(Memory::default(), Memory::plus)
    }
}

impl LaneStatus {
    /// Memory for all uses.
    pub(super) fn memory(&self) -> Memory {
        self.memory.values().copied().fold(Memory::default(), Memory::plus)
    }
}

impl Memory {
    fn plus(self, other: Memory) -> Memory {
        Memory { bytes: self.bytes + other.bytes, limit_bytes: self.limit_bytes + other.limit_bytes }
    }
}

impl Flow {
    fn plus(self, other: Flow) -> Flow {
        let plus = |a: Rate, b: Rate| Some(a? + b?);
        Flow { records: plus(self.records, other.records), bytes: plus(self.bytes, other.bytes) }
    }
}

impl StreamStatus {
    /// Takes what its shards and consumers add.
    fn take(&mut self, shards: &[ShardStatus], consumers: &[ConsumerStatus]) {
        // Both are in the order of their streams.
        let first = shards.partition_point(|shard| shard.stream < self.name);
        self.shards = shards[first..].iter().take_while(|shard| shard.stream == self.name).count();
        let first = consumers.partition_point(|consumer| consumer.stream < self.name);
        for consumer in consumers[first..].iter().take_while(|consumer| consumer.stream == self.name) {
            self.consumers += 1;
            self.outgoing = self.outgoing.plus(consumer.pushed);
            self.push_behind_seconds =
                [self.push_behind_seconds, consumer.behind_seconds].into_iter().flatten().reduce(f64::max);
        }
    }
}

/// What was before, and how many seconds ago.
struct Since<'a>(Option<(&'a Page, f64)>);

impl Since<'_> {
    /// How much a number has grown by the second. One that was not there before begins at 0.
    fn rate(&self, before: impl Fn(&Page) -> Option<f64>, now: f64) -> Rate {
        let (page, seconds) = self.0?;
        Some((now - before(page).unwrap_or(0.0)).max(0.0) / seconds)
    }

    fn lane(&self, lane: u16, now: &Lane) -> LaneStatus {
        let rate = |field: fn(&Lane) -> f64| self.rate(|page| page.lanes.get(&lane).map(field), field(now));
        let percentiles = |field: fn(&Lane) -> &Buckets| {
            self.0.map_or_else(Percentiles::default, |(page, _)| {
                Percentiles::of(field(now), page.lanes.get(&lane).map(field))
            })
        };
        LaneStatus {
            lane,
            busy: rate(|lane| lane.busy_seconds),
            connections: now.connections,
            logs: now.logs,
            puts: rate(|lane| lane.put_ack_seconds.count()),
            commits: rate(|lane| lane.commits),
            written_bytes: rate(|lane| lane.commit_bytes),
            commit: percentiles(|lane| &lane.commit_seconds),
            put_ack: percentiles(|lane| &lane.put_ack_seconds),
            memory: now.memory.clone(),
        }
    }

    fn stream(&self, name: &str, now: &Stream) -> StreamStatus {
        let rate = |field: fn(&Stream) -> f64| self.rate(|page| page.streams.get(name).map(field), field(now));
        StreamStatus {
            name: name.to_owned(),
            incoming: Flow {
                records: rate(|stream| stream.incoming_records),
                bytes: rate(|stream| stream.incoming_bytes),
            },
            outgoing: Flow { records: rate(|stream| stream.read_records), bytes: rate(|stream| stream.read_bytes) },
            refused: rate(|stream| stream.refused_records),
            read_behind_seconds: now.read_behind_seconds,
            push_behind_seconds: None,
            shards: 0,
            consumers: 0,
            stored_bytes: now.stored_bytes,
        }
    }

    fn shard(&self, of: &(String, u32), now: &Shard) -> ShardStatus {
        let rate = |field: fn(&Shard) -> f64| self.rate(|page| page.shards.get(of).map(field), field(now));
        ShardStatus {
            stream: of.0.clone(),
            shard: of.1,
            incoming: Flow { records: rate(|shard| shard.incoming_records), bytes: rate(|shard| shard.incoming_bytes) },
            outgoing: Flow { records: rate(|shard| shard.outgoing_records), bytes: rate(|shard| shard.outgoing_bytes) },
            refused: rate(|shard| shard.refused_records),
            read_behind_seconds: now.read_behind_seconds,
            tip_sequence: now.tip_sequence,
            share: None,
            is_hot: false,
        }
    }

    fn consumer(&self, of: &(String, String), now: &Consumer) -> ConsumerStatus {
        let rate = |field: fn(&Consumer) -> f64| self.rate(|page| page.consumers.get(of).map(field), field(now));
        ConsumerStatus {
            stream: of.0.clone(),
            name: of.1.clone(),
            pushed: Flow {
                records: rate(|consumer| consumer.pushed_records),
                bytes: rate(|consumer| consumer.pushed_bytes),
            },
            behind_seconds: now.behind_seconds,
            subscriptions: now.subscriptions,
        }
    }
}

/// Holds each shard against the mean of its stream.
fn mark_hot(shards: &mut [ShardStatus], streams: &[StreamStatus]) {
    for shard in shards {
        let Ok(at) = streams.binary_search_by(|stream| stream.name.cmp(&shard.stream)) else { continue };
        let stream = &streams[at];
        let (Some(of_shard), Some(of_stream)) = (shard.incoming.records, stream.incoming.records) else { continue };
        let mean = of_stream / stream.shards.max(1) as f64;
        shard.share = (mean > 0.0).then(|| of_shard / mean);
        shard.is_hot = stream.shards > 1 && of_shard >= HOT_LEAST && of_shard >= HOT_FACTOR * mean;
    }
}

impl Buckets {
    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }
}

impl Percentiles {
    /// Of what has come between two states of a histogram.
    fn of(now: &Buckets, before: Option<&Buckets>) -> Percentiles {
        let earlier = |bound: f64| {
            let found = before.and_then(|before| before.0.iter().find(|(earlier, _)| *earlier == bound));
            found.map_or(0.0, |(_, count)| *count)
        };
        let buckets: Vec<(f64, f64)> = now.0.iter().map(|(bound, count)| (*bound, count - earlier(*bound))).collect();
        Percentiles { p50: quantile(&buckets, 0.5), p99: quantile(&buckets, 0.99) }
    }
}

/// The place of a quantile within its bucket, as if what is in it were spread evenly. What is beyond the last
/// bound counts as at it.
fn quantile(buckets: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let rank = quantile * all;
    let at = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = buckets[at];
    let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| buckets[before]);
    match bound.is_infinite() {
        true => Some(lower),
        false => Some(lower + (bound - lower) * (rank - below) / (count - below).max(f64::MIN_POSITIVE)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::RECORDED;
    use super::*;

    fn between(before: &str, now: &str, seconds: f64) -> Status {
        let [before, now] = [before, now].map(|text| Page::read(text).unwrap());
        Status::of(&now, Some((&before, seconds)))
    }

    #[test]
    fn rates_are_what_has_moved_by_the_second() {
        let now = RECORDED
            .replace(
                "rheos_incoming_records_total{stream=\"orders\"} 100000",
                "rheos_incoming_records_total{stream=\"orders\"} 103000",
            )
            .replace(
                "rheos_push_records_total{stream=\"orders\",consumer=\"billing\"} 100000",
                "rheos_push_records_total{stream=\"orders\",consumer=\"billing\"} 105000",
            );
        let status = between(RECORDED, &now, 2.0);
        let orders = status.streams.iter().find(|stream| stream.name == "orders").unwrap();
        assert_eq!((orders.incoming.records, orders.outgoing.records), (Some(1_500.0), Some(2_500.0)));
        assert_eq!((orders.shards, orders.consumers, orders.push_behind_seconds), (4, 1, Some(0.0)));
        assert_eq!(status.in_all(|stream| stream.incoming).records, Some(1_500.0));
        assert_eq!((status.consumers[0].pushed.records, status.cpu), (Some(2_500.0), Some(0.0)));
        assert!(status.memory().limit_bytes > status.memory().bytes && status.memory().bytes > 0.0);
    }

    #[test]
    fn there_is_no_rate_over_a_restart() {
        let started = RECORDED.lines().find(|line| line.starts_with("rheos_start_time_seconds")).unwrap();
        let now = RECORDED.replace(started, "rheos_start_time_seconds 1");
        let status = between(RECORDED, &now, 2.0);
        assert_eq!((status.cpu, status.streams[0].incoming.records, status.lanes[0].commit.p50), (None, None, None));
        assert_eq!(Status::of(&Page::read(RECORDED).unwrap(), None).cpu, None);
        assert!(between(RECORDED, RECORDED, 2.0).cpu.is_some());
    }

    #[test]
    fn what_is_new_begins_at_nothing() {
        let stream = |records: u32| format!("rheos_incoming_records_total{{stream=\"new\"}} {records}\n");
        assert_eq!(between("", &stream(10), 2.0).streams[0].incoming.records, Some(5.0));
        // It was deleted and made again.
        assert_eq!(between(&stream(10), &stream(4), 2.0).streams[0].incoming.records, Some(0.0));
        assert!(between(&stream(10), "", 2.0).streams.is_empty());
    }

    #[test]
    fn a_shard_that_takes_most_is_hot() {
        let page = |counts: [u32; 4]| {
            let shards = (0..4).map(|shard| {
                format!("rheos_shard_incoming_records_total{{stream=\"a\",shard=\"{shard}\"}} {}\n", counts[shard])
            });
            shards.collect::<String>()
                + &format!("rheos_incoming_records_total{{stream=\"a\"}} {}\n", counts.iter().sum::<u32>())
        };
        let hot = |counts| {
            let status = between(&page([0; 4]), &page(counts), 1.0);
            status.shards.iter().map(|shard| shard.is_hot).collect::<Vec<_>>()
        };
        assert_eq!(hot([900, 100, 100, 100]), [true, false, false, false]);
        assert_eq!(hot([300, 300, 300, 301]), [false; 4]);
        assert_eq!(hot([9, 1, 1, 1]), [false; 4], "that is too little to matter");
        let status = between(&page([0; 4]), &page([900, 100, 100, 100]), 1.0);
        assert_eq!(status.shards[0].share, Some(3.0));
    }

    #[test]
    fn percentiles_are_of_what_has_come_since() {
        let buckets =
            |counts: [f64; 4]| Buckets([0.001, 0.002, 0.004, f64::INFINITY].into_iter().zip(counts).collect());
        let of = |now, before: Option<[f64; 4]>| Percentiles::of(&buckets(now), before.map(buckets).as_ref());
        assert_eq!(of([0.0, 100.0, 100.0, 100.0], None).p50, Some(0.0015));
        // The hundred before were slow; those since then were not.
        let since = of([100.0, 100.0, 200.0, 200.0], Some([0.0, 0.0, 100.0, 100.0]));
        assert_eq!((since.p50, since.p99), (Some(0.0005), Some(0.00099)));
        assert_eq!(of([0.0, 0.0, 0.0, 5.0], None).p50, Some(0.004), "beyond the last bound");
        assert_eq!(of([1.0; 4], Some([1.0; 4])), Percentiles::default());
    }
}
