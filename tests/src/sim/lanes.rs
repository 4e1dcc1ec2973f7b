//! The lanes of the simulated broker: each has a budget and a fan-out of its own, and the logs that
//! were dealt to it at the start.
//!
//! Scans are performed like reads, at their beginning or at their end, and end when chance says so: out
//! of order, with a segment gone, or after everybody has left.

use std::collections::BTreeMap;

use rheos_core::budget::LaneBudget;
use rheos_core::fanout::{FanOut, FanOutEffect};
use rheos_core::lanes::lane_of;
use rheos_core::limits::SCANS_MAX;
use rheos_core::reader::{ReadOutcome, ReadStep, ReadTask};
use rheos_protocol::error::WireError;

use super::reader::READ_STEPS_MAX;
use super::world::{Due, SECOND_US, World};

/// What the logs of one core share.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub budget: LaneBudget,
    pub fan_out: FanOut,
    pub scans: BTreeMap<u64, Scanning>,
    /// Its turn to push is due.
    push_is_due: bool,
}

/// A scan under way.
#[derive(Debug)]
pub(crate) struct Scanning {
    log: usize,
    task: Box<ReadTask>,
    /// What was read, when it was read at the beginning.
    outcome: Option<Result<ReadOutcome, WireError>>,
}

impl Scanning {
    pub(crate) fn is_of(&self, log: usize) -> bool {
        self.log == log
    }
}

impl World {
    /// Deals the logs to another number of lanes, perhaps.
    pub(crate) fn deal_lanes(&mut self) {
        let count = self.random.one_of(&[1, 1, 2, 3]);
        if self.dealt != 0 && self.dealt != count && self.hosts.len() > 1 {
            self.met.lanes_dealt_anew += 1;
        }
        self.dealt = count;
        self.lanes = (0..count).map(|_| Lane::default()).collect();
    }

    pub(crate) fn lane_of_log(&self, log: usize) -> usize {
        let id = self.hosts[log].settings.id;
        lane_of(id.incarnation, id.log, self.lanes.len() as u16).into()
    }

    pub(crate) fn set_storage_low(&mut self, low: bool) {
        self.lanes.iter_mut().for_each(|lane| lane.budget.set_storage_low(low));
    }

    pub(crate) fn tick_lanes(&mut self) {
        self.tick_promises();
        // Who waits for its bucket is looked at as time passes.
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].fan_out.waits_for_time() {
                self.met.paced += 1;
                self.wants_push(lane);
            }
        }
    }

    pub(crate) fn stop_lanes(&mut self) {
        self.expect_going_away();
        for lane in 0..self.lanes.len() {
            self.lanes[lane].fan_out.stop(500);
            self.wants_push(lane);
        }
    }

    pub(crate) fn advanced(&mut self, at: usize, shard: u32) {
        let lane = self.lane_of_log(at);
        let host = &mut self.hosts[at];
        if self.lanes[lane].fan_out.advanced(host.settings.id, shard) {
            self.wants_push(lane);
        } else if let Some(log) = &mut host.log {
            log.unwatch(shard);
        }
    }

    /// Something has changed for a lane's subscribers.
    pub(crate) fn wants_push(&mut self, lane: usize) {
        if !std::mem::replace(&mut self.lanes[lane].push_is_due, true) {
            let wait_us = self.random.within(1..100);
            self.after(wait_us, Due::Push(lane));
        }
    }

    /// A turn of a lane, which may end before everything is pushed.
    pub(crate) fn push(&mut self, lane: usize) {
        self.lanes[lane].push_is_due = false;
        for _ in 0..self.random.one_of(&[1, 4, 1_000]) {
            match self.poll(lane) {
                Some(effect) => self.perform_push(lane, effect),
                None => return self.look_whether_stuck(lane),
            }
        }
        self.wants_push(lane);
    }

    fn poll(&mut self, lane: usize) -> Option<FanOutEffect> {
        let now = self.now();
        let World { lanes, hosts, subscribers, met, .. } = self;
        let room = |peer| {
            let room = subscribers.iter().find(|it| it.is_peer(peer)).map_or(0, |it| it.room());
            met.peers_parked += u64::from(room == 0);
            room
        };
        lanes[lane].fan_out.poll(now, |log| hosts[log.log as usize].log.as_ref(), room)
    }

    fn perform_push(&mut self, lane: usize, effect: FanOutEffect) {
        match effect {
            FanOutEffect::Answer { id, outcome } => self.subscription_answered(id, outcome),
            FanOutEffect::Push { id, shard, behind_ms, tip_sequence, batches } => {
                self.pushed(lane, id, shard, behind_ms, tip_sequence, batches);
            }
            FanOutEffect::End { id, shard, end } => self.subscription_ended(id, shard, end),
            FanOutEffect::Scan { scan, log, task } => self.begin_scan(lane, scan, log.log as usize, task),
        }
    }

    fn begin_scan(&mut self, lane: usize, scan: u64, log: usize, mut task: Box<ReadTask>) {
        self.met.scans += 1;
        self.trace.note(self.now_us, format_args!("lane {lane}: scan {scan} of log {log}"));
        let at_once = self.random.per_mille(500);
        let outcome = if at_once { self.perform_scan(log, &mut task) } else { None };
        self.lanes[lane].scans.insert(scan, Scanning { log, task, outcome });
        if self.lanes[lane].scans.len() > SCANS_MAX {
            self.fail(format!("lane {lane} scans more than {SCANS_MAX} times at once"));
        }
        let most_us = self.random.one_of(&[50, 2_000, 300_000, 60 * SECOND_US]);
        let wait_us = self.random.within(1..most_us);
        self.after(wait_us, Due::Scanned { lane, scan });
        if !self.ending_run && self.random.per_mille(100) {
            let at = self.random.below(self.subscribers.len() as u64) as usize;
            let wait_us = self.random.within(1..wait_us + 1);
            self.after(wait_us, Due::Vanish(at));
        }
    }

    pub(crate) fn scanned(&mut self, lane: usize, scan: u64) {
        let Scanning { log, mut task, outcome } = self.lanes[lane].scans.remove(&scan).expect("it was begun");
        let is_gone = self.random.per_mille(20);
        let outcome = if is_gone { None } else { outcome.or_else(|| self.perform_scan(log, &mut task)) };
        self.met.scans_gone += u64::from(outcome.is_none());
        let now = self.now();
        self.lanes[lane].fan_out.scanned(now, scan, outcome);
        self.wants_push(lane);
    }

    /// Reads for a scan; `None` when a segment is gone.
    fn perform_scan(&mut self, log: usize, task: &mut ReadTask) -> Option<Result<ReadOutcome, WireError>> {
        let mut input = None;
        for _ in 0..READ_STEPS_MAX {
            match task.step(input.take()) {
                ReadStep::Read { segment, place, .. } => {
                    self.coverage.count("a read looks at", task.looks_at());
                    input = Some(Ok(self.hosts[log].files.read(segment, place).ok()?));
                }
                ReadStep::Done(outcome) => return Some(outcome),
            }
        }
        self.fail(format!("a scan of log {log} takes more than {READ_STEPS_MAX} steps"));
        None
    }
}
