//! One frame of `rheos top` for a pipe or a script: what the screen shows, whole and without its keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Value, json};

use super::listing::{Listing, Look};
use super::page::Memory;
use super::screen::{HEAD_LINES, Picture};
use super::status::{ConsumerStatus, Flow, LaneStatus, Percentiles, ShardStatus, Status, StreamStatus};
use super::tables::Tab;
use super::watch::Seen;
use crate::screen::Paint;

/// Columns of a frame.
const WIDTH: u16 = 120;

/// The lines of a frame.
pub(super) fn as_lines(seen: &Seen, address: &str) -> Vec<String> {
    let mut lines = drawn(HEAD_LINES, |area, buffer| {
        Picture { seen, address, paint: Paint::plain() }.draw_head("", area, buffer);
    });
    for tab in [Tab::Lanes, Tab::Streams, Tab::Consumers] {
        let mut listing = tab.listing(&seen.status);
        if !listing.rows.is_empty() {
            listing.sort(0);
            listing.sort(tab.sorted_by());
            lines.push(String::new());
            lines.extend(drawn_listing(&listing, tab));
        }
        if listing.left_out > 0 {
            lines.push(format!("  and {} more {} that the broker does not list", listing.left_out, tab.name()));
        }
    }
    lines
}

fn drawn_listing(listing: &Listing, tab: Tab) -> Vec<String> {
    let height = u16::try_from(listing.rows.len() + 1).unwrap_or(u16::MAX);
    let look = Look { paint: Paint::plain(), sorted_by: tab.sorted_by(), chosen: None };
    drawn(height, |area, buffer| {
        listing.draw(area, buffer, look);
    })
}

fn drawn(height: u16, draw: impl FnOnce(Rect, &mut Buffer)) -> Vec<String> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, WIDTH, height));
    draw(buffer.area, &mut buffer);
    let rows = buffer.content.chunks(WIDTH.into());
    rows.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
}

/// The same for programs.
pub(super) fn as_json(seen: &Seen, address: &str) -> Value {
    let Status { version, broker, cpu, connections, lanes, streams, shards, consumers } = &seen.status;
    json!({
        "address": address,
        "version": version,
        "up_seconds": seen.up_seconds(),
        "ready": broker.is_ready > 0.0,
        "cpu_cores": cpu,
        "memory_bytes": broker.memory_bytes,
        "open_files": broker.open_files,
        "files_max": broker.files_max,
        "disk_free_bytes": broker.disk_free_bytes,
        "disk_bytes": broker.disk_bytes,
        "disk_low": broker.is_disk_low > 0.0,
        "connections": connections,
        "open_shards": broker.open_shards,
        "closed_shards": broker.closed_shards,
        "read_only_logs": broker.read_only_logs,
        "streams_left_out": broker.streams_left_out,
        "shards_left_out": broker.shards_left_out,
        "consumers_left_out": broker.consumers_left_out,
        "lanes": lanes.iter().map(LaneStatus::as_json).collect::<Vec<_>>(),
        "streams": streams.iter().map(StreamStatus::as_json).collect::<Vec<_>>(),
        "shards": shards.iter().map(ShardStatus::as_json).collect::<Vec<_>>(),
        "consumers": consumers.iter().map(ConsumerStatus::as_json).collect::<Vec<_>>(),
    })
}

impl Flow {
    fn as_json(self) -> Value {
        json!({ "records_per_second": self.records, "bytes_per_second": self.bytes })
    }
}

impl Percentiles {
    fn as_json(self) -> Value {
        json!({ "p50_seconds": self.p50, "p99_seconds": self.p99 })
    }
}

impl LaneStatus {
    fn as_json(&self) -> Value {
        let memory = |(name, of): (&String, &Memory)| {
            (name.clone(), json!({ "bytes": of.bytes, "limit_bytes": of.limit_bytes }))
        };
        json!({
            "lane": self.lane,
            "busy": self.busy,
            "connections": self.connections,
            "logs": self.logs,
            "puts_per_second": self.puts,
            "commits_per_second": self.commits,
            "written_bytes_per_second": self.written_bytes,
            "commit": self.commit.as_json(),
            "put_ack": self.put_ack.as_json(),
            "memory": self.memory.iter().map(memory).collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl StreamStatus {
    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.incoming.as_json(),
            "out": self.outgoing.as_json(),
            "refused_records_per_second": self.refused,
            "read_behind_seconds": self.read_behind_seconds,
            "push_behind_seconds": self.push_behind_seconds,
            "shards": self.shards,
            "consumers": self.consumers,
            "stored_bytes": self.stored_bytes,
        })
    }
}

impl ShardStatus {
    fn as_json(&self) -> Value {
        json!({
            "stream": self.stream,
            "shard": self.shard,
            "in": self.incoming.as_json(),
            "out": self.outgoing.as_json(),
            "refused_records_per_second": self.refused,
            "read_behind_seconds": self.read_behind_seconds,
            "next_sequence": self.tip_sequence,
            "of_mean": self.share,
            "hot": self.is_hot,
        })
    }
}

impl ConsumerStatus {
    fn as_json(&self) -> Value {
        json!({
            "stream": self.stream,
            "name": self.name,
            "pushed": self.pushed.as_json(),
            "behind_seconds": self.behind_seconds,
            "subscriptions": self.subscriptions,
        })
    }
}
