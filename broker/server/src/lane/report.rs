//! The report of a lane: what it and its logs have counted, gathered when somebody asks.
//!
//! What must hold: counting costs the way of a record an addition; what is dear is done here, and bounded.

use std::time::Duration;

use rheos_core::arrival::Now;
use rheos_core::counts::Amount;
use rheos_core::limits::{STAGED_BYTES_MAX, TAIL_BYTES_MAX};
use rheos_core::log::{Log, LogId, ShardCounted};
use rheos_core::readiness::LaneReadiness;
use rustix::time::{ClockId, clock_gettime};

use super::Lane;
use super::pushes::HELD_BYTES_MAX;
use crate::metrics::{LaneReport, LogReport, MemoryUse, SHARDS_MAX, ShardReport};

impl Lane {
    /// Whether it serves, and what of it.
    pub(super) fn readiness(&self) -> LaneReadiness {
        let (mut logs, mut read_only_logs) = (0, 0);
        for log in self.logs.logs() {
            logs += 1;
            read_only_logs += u64::from(log.read_only().is_some());
        }
        LaneReadiness { logs, read_only_logs, storage_low: self.budget.storage_low() }
    }

    /// What it has counted until now.
    pub(super) fn report(&self, now: Now) -> LaneReport {
        LaneReport {
            busy: busy(),
            counts: self.counts,
            put_ack: self.replies.acks(),
            connections: self.net_use.connections(),
            commits_in_flight: self.ring.in_flight() as u64,
            memory: self.memory(),
            readiness: self.readiness(),
            logs: self.log_reports(now),
            consumers: self.pushes.fan_out.consumers_counted(now, |log| self.logs.log(log)),
            turned_away: self.turned_away.all(),
        }
    }

    fn memory(&self) -> Vec<MemoryUse> {
        let memory_use = |name, bytes: usize, limit_bytes: usize| MemoryUse {
            name,
            bytes: bytes as u64,
            limit_bytes: limit_bytes as u64,
        };
        vec![
            memory_use("puts", self.budget.staged_bytes(), STAGED_BYTES_MAX),
            memory_use("tail", self.budget.tail_bytes(), TAIL_BYTES_MAX),
            memory_use("pushes", self.pushes.held_bytes(), HELD_BYTES_MAX),
            memory_use("reads", self.net_use.read_bytes(), crate::net::READ_MEMORY_KIB << 10),
        ]
    }

    fn log_reports(&self, now: Now) -> Vec<LogReport> {
        let pushed = |log, shard| self.pushes.fan_out.shard_pushed(log, shard);
        let (mut reports, mut room) = (Vec::new(), SHARDS_MAX);
        for of_stream in self.logs.by_stream() {
            // The first shards of a stream may lie in any of its logs, so each lists as many as there is room for.
            let begun = reports.len();
            reports.extend(of_stream.map(|log| log_report(now, log, room, pushed)));
            let listed: usize = reports[begun..].iter().map(|report| report.shards.len()).sum();
            room = room.saturating_sub(listed);
        }
        reports
    }
}

fn log_report(now: Now, log: &Log, shards_max: usize, pushed: impl Fn(LogId, u32) -> Amount) -> LogReport {
    let id = log.id();
    let shard_report = |it: ShardCounted| {
        let mut outgoing = it.counts.read;
        outgoing += pushed(id, it.shard);
        ShardReport {
            shard: it.shard,
            tip_sequence: it.tip.durable_sequence,
            incoming: it.counts.incoming,
            refused_records: it.counts.refused_records,
            outgoing,
            iterator_age_ms: it.counts.iterator_age_ms(now.boot_ms),
        }
    };
    LogReport {
        id,
        counts: *log.counts(),
        iterator_age_ms: log.shards_counted().filter_map(|it| it.counts.iterator_age_ms(now.boot_ms)).max(),
        shards: log.shards_counted().take(shards_max).map(shard_report).collect(),
    }
}

/// CPU time of the calling thread: everything that runs on a lane's thread is the lane.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
