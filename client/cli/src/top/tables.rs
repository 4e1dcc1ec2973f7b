//! The tables of the screen: which numbers of streams, shards, consumers and lanes are shown, the most
//! important first.

use super::listing::{Cell, Listing, Mark, Row};
use super::page::Memory;
use super::status::{ConsumerStatus, LaneStatus, Rate, ShardStatus, Status, StreamStatus};
use crate::units::{show_bytes, show_grouped, show_nanos, show_rate, show_span};

/// Which table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Streams,
    Consumers,
    Lanes,
}

impl Tab {
    pub(super) const ALL: [Tab; 3] = [Tab::Streams, Tab::Consumers, Tab::Lanes];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tab::Streams => "streams",
            Tab::Consumers => "consumers",
            Tab::Lanes => "lanes",
        }
    }

    /// The column by which its rows are in order at first.
    pub(super) fn sorted_by(self) -> usize {
        match self {
            Tab::Streams | Tab::Consumers => 1,
            Tab::Lanes => 0,
        }
    }

    pub(super) fn listing(self, status: &Status) -> Listing {
        match self {
            Tab::Streams => listing("STREAM", STREAMS, &status.streams, status.broker.streams_left_out),
            Tab::Consumers => listing("CONSUMER", CONSUMERS, &status.consumers, status.broker.consumers_left_out),
            Tab::Lanes => listing("LANE", LANES, &status.lanes, 0.0),
        }
    }
}

/// The shards of a stream.
pub(super) fn shards_of(stream: &str, status: &Status) -> Listing {
    let shards: Vec<ShardStatus> = status.shards.iter().filter(|shard| shard.stream == stream).cloned().collect();
    let left_out = if shards.is_empty() { status.broker.shards_left_out } else { 0.0 };
    listing("SHARD", SHARDS, &shards, left_out)
}

/// The column by which shards are in order at first.
pub(super) const SHARDS_SORTED_BY: usize = 0;

/// What a table has of each row.
trait Listed {
    fn name(&self) -> String;
    fn mark(&self) -> Mark;
}

/// A title and its number.
type Column<R> = (&'static str, fn(&R) -> Cell);

const STREAMS: &[Column<StreamStatus>] = &[
    ("IN/S", |stream| rate(stream.incoming.records)),
    ("BYTES/S", |stream| bytes(stream.incoming.bytes)),
    ("OUT/S", |stream| rate(stream.outgoing.records)),
    ("READ LAG", |stream| span(stream.read_behind_seconds)),
    ("PUSH LAG", |stream| span(stream.push_behind_seconds)),
    ("CONS", |stream| number(stream.consumers as f64)),
    ("SHARDS", |stream| number(stream.shards as f64)),
    ("REFUSED/S", |stream| rate(stream.refused)),
    ("OUT BYTES/S", |stream| bytes(stream.outgoing.bytes)),
    ("STORED", |stream| bytes(Some(stream.stored_bytes))),
];

const SHARDS: &[Column<ShardStatus>] = &[
    ("IN/S", |shard| rate(shard.incoming.records)),
    ("BYTES/S", |shard| bytes(shard.incoming.bytes)),
    ("OF MEAN", |shard| Cell {
        text: shard
            .share
            .map_or_else(nothing, |share| format!("{}{share:.1}x", if shard.is_hot { "HOT " } else { "" })),
        rank: ranked(shard.share),
    }),
    ("OUT/S", |shard| rate(shard.outgoing.records)),
    ("READ LAG", |shard| span(shard.read_behind_seconds)),
    ("NEXT", |shard| number(shard.tip_sequence)),
    ("REFUSED/S", |shard| rate(shard.refused)),
    ("OUT BYTES/S", |shard| bytes(shard.outgoing.bytes)),
];

const CONSUMERS: &[Column<ConsumerStatus>] = &[
    ("PUSHED/S", |consumer| rate(consumer.pushed.records)),
    ("BYTES/S", |consumer| bytes(consumer.pushed.bytes)),
    ("BEHIND", |consumer| span(consumer.behind_seconds)),
    ("SHARDS", |consumer| number(consumer.subscriptions)),
];

const LANES: &[Column<LaneStatus>] = &[
    ("BUSY", |lane| Cell { text: busy(lane.busy), rank: ranked(lane.busy) }),
    ("PUTS/S", |lane| rate(lane.puts)),
    ("COMMITS/S", |lane| rate(lane.commits)),
    ("COMMIT P50", |lane| latency(lane.commit.p50)),
    ("P99", |lane| latency(lane.commit.p99)),
    ("MEMORY", |lane| {
        let Memory { bytes, limit_bytes } = lane.memory();
        let part = bytes / limit_bytes.max(1.0);
        Cell { text: format!("{:.0} %", part * 100.0), rank: part }
    }),
    ("ACK P50", |lane| latency(lane.put_ack.p50)),
    ("P99", |lane| latency(lane.put_ack.p99)),
    ("CONNS", |lane| number(lane.connections)),
    ("LOGS", |lane| number(lane.logs)),
    ("HELD", |lane| bytes(Some(lane.memory().bytes))),
    ("WRITTEN/S", |lane| bytes(lane.written_bytes)),
];

impl Listed for StreamStatus {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn mark(&self) -> Mark {
        mark(self.refused, [self.incoming.records, self.outgoing.records])
    }
}

impl Listed for ShardStatus {
    fn name(&self) -> String {
        self.shard.to_string()
    }

    fn mark(&self) -> Mark {
        match mark(self.refused, [self.incoming.records, self.outgoing.records]) {
            Mark::Usual if self.is_hot => Mark::Hot,
            mark => mark,
        }
    }
}

impl Listed for ConsumerStatus {
    fn name(&self) -> String {
        format!("{} of {}", self.name, self.stream)
    }

    fn mark(&self) -> Mark {
        if self.subscriptions == 0.0 { Mark::Idle } else { Mark::Usual }
    }
}

impl Listed for LaneStatus {
    fn name(&self) -> String {
        self.lane.to_string()
    }

    fn mark(&self) -> Mark {
        if self.busy.is_some_and(|busy| busy >= BUSY_MUCH) { Mark::Hot } else { Mark::Usual }
    }
}

/// From this part of a core on, a lane is near its end.
const BUSY_MUCH: f64 = 0.9;
/// Columns of the bar that shows how busy a lane is.
const BAR_WIDTH: f64 = 8.0;

fn listing<R: Listed>(noun: &'static str, columns: &[Column<R>], of: &[R], left_out: f64) -> Listing {
    let row = |row: &R| Row {
        name: row.name(),
        cells: columns.iter().map(|(_, cell)| cell(row)).collect(),
        mark: row.mark(),
    };
    let titles = columns.iter().map(|(title, _)| *title).collect();
    Listing { noun, titles, rows: of.iter().map(row).collect(), left_out: left_out as u64 }
}

fn mark(refused: Rate, flows: [Rate; 2]) -> Mark {
    match (refused, flows) {
        (Some(0.0) | None, [Some(0.0), Some(0.0)]) => Mark::Idle,
        (Some(0.0) | None, _) => Mark::Usual,
        (Some(_), _) => Mark::Wrong,
    }
}

fn rate(rate: Rate) -> Cell {
    Cell { text: rate.map_or_else(nothing, show_rate), rank: ranked(rate) }
}

fn bytes(bytes: Rate) -> Cell {
    Cell { text: bytes.map_or_else(nothing, |bytes| show_bytes(bytes as u64)), rank: ranked(bytes) }
}

fn number(number: f64) -> Cell {
    Cell { text: show_grouped(number as u64), rank: number }
}

fn span(seconds: Option<f64>) -> Cell {
    Cell { text: seconds.map_or_else(nothing, show_span), rank: ranked(seconds) }
}

fn latency(seconds: Option<f64>) -> Cell {
    Cell { text: seconds.map_or_else(nothing, |seconds| show_nanos((seconds * 1e9) as u64)), rank: ranked(seconds) }
}

fn busy(busy: Rate) -> String {
    let Some(busy) = busy else { return nothing() };
    let full = (busy * BAR_WIDTH).round().clamp(0.0, BAR_WIDTH) as usize;
    format!("{}{} {:>3.0} %", "█".repeat(full), "░".repeat(BAR_WIDTH as usize - full), busy * 100.0)
}

/// What is shown where nothing is known.
pub(super) fn nothing() -> String {
    "-".to_owned()
}

/// What is not known comes last.
fn ranked(number: Option<f64>) -> f64 {
    number.unwrap_or(-1.0)
}
