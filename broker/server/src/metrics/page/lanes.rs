//! What there is to say of each lane.

use std::fmt;

use crate::metrics::report::{LaneReport, MemoryUse};
use crate::metrics::text::{Family, Histograms, Kind, Subject, Text, Value};

/// Writes what there is to say of lanes.
pub(super) fn write(text: &mut Text<'_>, lanes: &[(u16, LaneReport)]) -> fmt::Result {
    let names: Vec<String> = lanes.iter().map(|(lane, _)| lane.to_string()).collect();
    let named = || names.iter().zip(lanes.iter().map(|(_, report)| report));
    let subjects: Vec<_> = named().map(|(name, of)| Subject { labels: vec![("lane", name.as_str())], of }).collect();
    text.families(LANES, &subjects)?;
    text.histograms(HISTOGRAMS, &subjects)?;
    let uses = named().flat_map(|(name, report)| {
        let labels = move |of: &MemoryUse| vec![("lane", name.as_str()), ("use", of.name)];
        report.memory.iter().map(move |of| Subject { labels: labels(of), of })
    });
    text.families(MEMORY, &uses.collect::<Vec<_>>())
}

const LANES: &[Family<LaneReport>] = &[
    Family {
        name: "rheos_lane_busy_seconds_total",
        kind: Kind::Counter,
        help: "CPU time of the lane's thread; its rate is the part of a core that the lane uses.",
        value: |lane| Some(Value::Seconds(lane.busy.as_secs_f64())),
    },
    Family {
        name: "rheos_lane_turns_total",
        kind: Kind::Counter,
        help: "Turns of the lane: how often it has looked for what there is to do.",
        value: |lane| Some(Value::Whole(lane.counts.turns)),
    },
    Family {
        name: "rheos_lane_connections",
        kind: Kind::Gauge,
        help: "Connections of clients that have proved who they are.",
        value: |lane| Some(Value::Whole(lane.connections)),
    },
    Family {
        name: "rheos_lane_logs",
        kind: Kind::Gauge,
        help: "Logs that the lane serves.",
        value: |lane| Some(Value::Whole(lane.readiness.logs)),
    },
    Family {
        name: "rheos_commits_total",
        kind: Kind::Counter,
        help: "Commits that have become durable, each one write; also those without records that prove the one before.",
        value: |lane| Some(Value::Whole(lane.counts.commits)),
    },
    Family {
        name: "rheos_commit_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of these commits as they were written, padding and heads of segments included.",
        value: |lane| Some(Value::Whole(lane.counts.commit_bytes)),
    },
    Family {
        name: "rheos_commit_payload_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of the batches in these commits.",
        value: |lane| Some(Value::Whole(lane.counts.commit_payload_bytes)),
    },
    Family {
        name: "rheos_commits_in_flight",
        kind: Kind::Gauge,
        help: "Commits that the kernel is writing.",
        value: |lane| Some(Value::Whole(lane.commits_in_flight)),
    },
    Family {
        name: "rheos_put_rejected_total",
        kind: Kind::Counter,
        help: "Puts (batches) that belong to no stream's count: malformed, not allowed, or to no stream or shard.",
        value: |lane| Some(Value::Whole(lane.counts.puts_rejected)),
    },
];

const HISTOGRAMS: &[Histograms<LaneReport>] = &[
    Histograms {
        name: "rheos_commit_seconds",
        help: "How long commits took, from their submission to the kernel to being durable.",
        value: |lane| &lane.counts.commit,
    },
    Histograms {
        name: "rheos_put_ack_seconds",
        help: "How long puts (batches) took that were acknowledged, from when the lane saw them to the reply.",
        value: |lane| &lane.put_ack,
    },
];

const MEMORY: &[Family<MemoryUse>] = &[
    Family {
        name: "rheos_lane_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory of the lane: puts that are not durable yet, the tail kept for readers, pushes that clients have \
               not acknowledged, and what reads hold.",
        value: |of| Some(Value::Whole(of.bytes)),
    },
    Family {
        name: "rheos_lane_memory_limit_bytes",
        kind: Kind::Gauge,
        help: "Most memory of the lane for this use: at it puts are refused, or pushes and reads wait.",
        value: |of| Some(Value::Whole(of.limit_bytes)),
    },
];
