//! The broker of the simulation: performs what logs ask for, dies, and starts again.

use bytes::Bytes;
use rheos_core::arrival::Now;
use rheos_core::commit::SegmentId;
use rheos_core::log::{Effect, Event, Expiry, Log, SegmentFacts};
use rheos_core::reader::ReadPlace;
use rheos_core::recovery::{Chore, LogOnDisk, Recovered, Recovery, RecoveryStep};
use rheos_core::segment::Label;

use super::coverage::effect_name;
use super::disk::Landing;
use super::world::{Due, HOUR_US, Pace, SECOND_US, World};
use crate::checker::Seen;

/// A commit on its way to the disk.
#[derive(Debug)]
pub(crate) struct Writing {
    segment: u64,
    offset: u64,
    bytes: Vec<u8>,
    /// Bytes of the last batch; 0 when it has none.
    last_batch: usize,
}

/// A write that the kernel still has, of a broker that is dead.
#[derive(Debug)]
pub(crate) struct Ghost {
    writing: Writing,
    /// The first block of its file: another file of the same number is not written to.
    label: Bytes,
}

/// Work on segments that come; in order.
#[derive(Debug)]
pub(crate) enum Making {
    Prepare { segment: u64, ask: u64, bytes: u64, salt: u64 },
    Discard { segment: u64 },
}

/// Work on segments that go; in order.
#[derive(Debug)]
pub(crate) enum Ending {
    Seal { segment: u64, offset: u64, footer: Bytes },
    Trim(Expiry),
    Measure(std::ops::Range<u64>),
}

impl World {
    /// Tells a log what happened, performs what it asks for, and begins what commits can begin.
    pub(crate) fn tell(&mut self, at: usize, event: Event) {
        self.trace.event(self.now_us, at, &event);
        self.step(at, event);
        let first = self.random.below(self.hosts.len() as u64) as usize;
        for turn in 0..self.hosts.len() {
            let at = (first + turn) % self.hosts.len();
            if self.hosts[at].log.as_ref().is_some_and(Log::wants_commit) {
                self.step(at, Event::Flush);
            }
        }
    }

    fn step(&mut self, at: usize, event: Event) {
        let now = self.now();
        let lane = self.lane_of_log(at);
        let Some(log) = &mut self.hosts[at].log else { return };
        self.coverage.event(&event, log.state());
        let mut effects = Vec::new();
        log.step(now, event, &mut self.lanes[lane].budget, &mut effects);
        for effect in effects {
            self.trace.effect(self.now_us, at, &effect);
            self.coverage.count("effect", effect_name(&effect));
            self.perform(at, effect);
        }
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Reply { token, outcome } => self.reply(token, outcome),
            Effect::Write(write) => {
                let mut bytes = Vec::with_capacity(write.len);
                bytes.extend_from_slice(&write.head);
                bytes.extend_from_slice(&write.header);
                write.batches.iter().for_each(|batch| bytes.extend_from_slice(batch));
                assert!(bytes.len() <= write.len && write.len % 4096 == 0, "a write is whole blocks");
                bytes.resize(write.len, 0);
                self.prove_staged(at, &write);
                let last_batch = write.batches.last().map_or(0, Bytes::len);
                let writing = Writing { segment: write.segment, offset: write.offset, bytes, last_batch };
                assert!(self.hosts[at].writing.replace(writing).is_none(), "one commit is in flight at a time");
                if !write.head.is_empty() {
                    self.met.rolls += 1;
                }
                let slow = self.random.per_mille(20);
                let wait_us =
                    self.random.within(50..if slow { 2 * SECOND_US } else { self.faults.slow_write_us.max(100) });
                self.after(wait_us, Due::WriteDone(at));
                self.on_its_way(wait_us);
            }
            Effect::Prepare { segment, ask, bytes } => {
                let salt = self.random.draw();
                self.make(at, Making::Prepare { segment, ask, bytes: bytes.min(self.segment_bytes_max), salt });
            }
            Effect::Hurry { segment } => self.hurry(at, segment),
            Effect::Discard { segment } => {
                self.met.discards += 1;
                self.make(at, Making::Discard { segment });
            }
            Effect::Seal { segment, offset, footer } => self.end(at, Ending::Seal { segment, offset, footer }),
            Effect::Trim(expiry) => self.end(at, Ending::Trim(expiry)),
            Effect::Measure { segments } => self.end(at, Ending::Measure(segments)),
            Effect::ReadOnly { .. } => {
                self.met.read_only += 1;
                self.fault_met = true;
                let due = if self.random.per_mille(500) { Due::Crash } else { Due::Stop };
                let wait_us = self.random.within(1..5 * SECOND_US);
                self.after(wait_us, due);
            }
            Effect::Stopped => self.hosts[at].stopped = true,
            Effect::Drained { ends } => self.drained(at, ends),
            Effect::Advanced { shard } => self.advanced(at, shard),
        }
    }

    fn make(&mut self, at: usize, making: Making) {
        self.hosts[at].making.push_back(making);
        if self.hosts[at].making.len() == 1 {
            self.make_next(at);
        }
    }

    fn make_next(&mut self, at: usize) {
        let wait_us = match self.hosts[at].making.front() {
            Some(Making::Prepare { .. }) => self.random.within(100..self.faults.slow_prepare_us),
            Some(Making::Discard { .. }) => 200,
            None => return,
        };
        self.after(wait_us, Due::Making(at));
        self.on_its_way(wait_us);
    }

    fn hurry(&mut self, at: usize, wanted: u64) {
        self.met.hurries += 1;
        let is_made =
            matches!(self.hosts[at].making.front(), Some(Making::Prepare { segment, .. }) if *segment == wanted);
        if is_made {
            self.queue.retain(|_, due| *due != Due::Making(at));
            self.after(100, Due::Making(at));
        }
    }

    pub(crate) fn making_done(&mut self, at: usize) {
        let Some(making) = self.hosts[at].making.pop_front() else { return };
        self.make_next(at);
        match making {
            Making::Prepare { segment, ask, bytes, salt } => {
                let full = self.now_us < self.disk_full_until_us;
                let fails = full || self.random.per_mille(self.faults.prepare_fails);
                self.raise_prepared(at, segment);
                if fails {
                    self.met.prepare_failures += 1;
                    self.fault_met = true;
                    return self.tell(at, Event::SegmentFailed { ask, why: "no space left on device".into() });
                }
                self.make_file(at, segment, bytes, salt);
                self.tell(at, Event::SegmentReady { segment, ask, salt, bytes });
            }
            Making::Discard { segment } => {
                self.hosts[at].files.segments.remove(&segment);
            }
        }
        self.look_whether_stopped();
    }

    fn raise_prepared(&mut self, at: usize, segment: u64) {
        let files = &mut self.hosts[at].files;
        files.highest_prepared = files.highest_prepared.max(segment);
    }

    fn make_file(&mut self, at: usize, segment: u64, bytes: u64, salt: u64) {
        let label = Label { directory: DIRECTORY, segment: self.segment_id(at, segment), salt };
        let files = &mut self.hosts[at].files;
        assert!(!files.segments.contains_key(&segment), "a segment that is made does not exist");
        files.make(segment, &label.encode(), bytes);
    }

    pub(crate) fn segment_id(&self, at: usize, segment: u64) -> SegmentId {
        let id = self.hosts[at].settings.id;
        SegmentId { incarnation: id.incarnation, log: id.log, segment }
    }

    fn end(&mut self, at: usize, ending: Ending) {
        self.hosts[at].ending.push_back(ending);
        if self.hosts[at].ending.len() == 1 {
            self.end_next(at);
        }
    }

    fn end_next(&mut self, at: usize) {
        if self.hosts[at].ending.front().is_some() {
            let slow_us = self.random.one_of(&[500, 20_000, 3 * SECOND_US]);
            let wait_us = self.random.within(100..slow_us);
            self.after(wait_us, Due::Ending(at));
            self.on_its_way(wait_us);
        }
    }

    pub(crate) fn ending_done(&mut self, at: usize) {
        let Some(ending) = self.hosts[at].ending.pop_front() else { return };
        self.end_next(at);
        match ending {
            Ending::Seal { segment, offset, footer } => {
                if self.random.per_mille(self.faults.seal_fails) {
                    self.fault_met = true;
                    self.seal_partly(at, segment, offset, &footer);
                } else {
                    self.met.seals += 1;
                    self.write_footer(at, segment, offset, &footer);
                }
                self.tell(at, Event::Sealed { segment });
            }
            Ending::Trim(expiry) => {
                self.met.trims += 1;
                let lowest = expiry.lowest_kept(|segment| self.facts(at, segment));
                let files = &mut self.hosts[at].files;
                files.lowest_kept = lowest.segment;
                files.segments.retain(|number, _| *number >= lowest.segment);
                self.tell(at, Event::Trimmed { lowest });
            }
            Ending::Measure(segments) => {
                let files = self.hosts[at].files.segments.range(segments);
                let sizes = files.map(|(number, file)| (*number, file.len() as u64)).collect();
                self.tell(at, Event::Measured { sizes });
            }
        }
        self.look_whether_stopped();
    }

    fn facts(&self, at: usize, segment: u64) -> SegmentFacts {
        let read = |place| self.hosts[at].files.read(segment, place).unwrap_or_default();
        SegmentFacts::of(self.segment_id(at, segment), &read(ReadPlace::At(0, 4096)), &read(ReadPlace::LastBlock))
    }

    fn write_footer(&mut self, at: usize, segment: u64, offset: u64, footer: &[u8]) {
        let host = &mut self.hosts[at];
        host.files.write(segment, offset, footer);
        host.files.truncate(segment, offset + footer.len() as u64);
        // The footer proves every commit of its segment.
        host.unproved = host.unproved.filter(|(last, ..)| *last != segment);
    }

    /// A footer that is written and cut off anywhere.
    fn seal_partly(&mut self, at: usize, segment: u64, offset: u64, footer: &[u8]) {
        let landing = Landing::any(&mut self.random);
        self.hosts[at].files.land(segment, offset, footer, landing, &mut self.random);
    }

    pub(crate) fn write_done(&mut self, at: usize) {
        let Some(Writing { segment, offset, bytes, last_batch }) = self.hosts[at].writing.take() else { return };
        if self.random.per_mille(self.faults.write_fails) {
            let landing = Landing::any(&mut self.random);
            self.hosts[at].files.land(segment, offset, &bytes, landing, &mut self.random);
            self.met.write_failures += 1;
            self.fault_met = true;
            return self.tell(at, Event::WriteFailed { why: format!("{landing:?} of the write landed") });
        }
        self.hosts[at].files.write(segment, offset, &bytes);
        self.met.commits += 1;
        self.hosts[at].unproved = (last_batch > 0).then_some((segment, offset, bytes.len() as u64));
        self.tell(at, Event::Durable);
        if self.up {
            self.prove_tail(at, last_batch);
        }
        self.look_whether_stopped();
    }

    pub(crate) fn tick(&mut self) {
        self.tick_lanes();
        for at in 0..self.hosts.len() {
            let open = self.hosts[at].log.as_ref().is_some_and(Log::is_open);
            if open || self.random.per_mille(250) {
                self.tell(at, Event::Tick);
            }
        }
        self.look_whether_stopped();
        if !self.up {
            // The last of a stop was done in this tick; the next start has ticks of its own.
            return;
        }
        let idle = self.pace == Pace::Silent && self.stopping.is_none() && self.hosts.iter().all(is_quiet);
        let wait_us = if idle { self.random.one_of(&[250_000, 20 * SECOND_US, 300 * SECOND_US]) } else { 250_000 };
        self.after(wait_us, Due::Tick);
    }

    /// The machine or the broker dies: what was on its way lands in part, late, or not at all.
    pub(crate) fn crash(&mut self) {
        self.met.crashes += u64::from(self.up);
        self.trace.note(self.now_us, format_args!("crash"));
        for at in 0..self.hosts.len() {
            let landing = Landing::any(&mut self.random);
            if let Some(writing) = self.hosts[at].writing.take() {
                self.leave_write(at, writing, landing);
            }
            match self.hosts[at].making.pop_front() {
                Some(Making::Prepare { segment, bytes, salt, .. }) => self.prepare_partly(at, segment, bytes, salt),
                Some(Making::Discard { segment }) if self.random.per_mille(500) => {
                    self.hosts[at].files.segments.remove(&segment);
                }
                _ => {}
            }
            match self.hosts[at].ending.pop_front() {
                Some(Ending::Seal { segment, offset, footer }) => self.seal_partly(at, segment, offset, &footer),
                Some(Ending::Trim(expiry)) => self.trim_partly(at, expiry),
                Some(Ending::Measure(_)) | None => {}
            }
            self.hosts[at].making.clear();
            self.hosts[at].ending.clear();
        }
        self.stopped_cleanly = false;
        self.go_down();
        if self.random.per_mille(self.faults.rots) {
            self.rot();
        }
    }

    /// A write of a broker that dies lands in part, or later.
    fn leave_write(&mut self, at: usize, writing: Writing, landing: Landing) {
        if self.random.per_mille(self.faults.ghosts) {
            let label = self.hosts[at].files.read(writing.segment, ReadPlace::At(0, 4096)).unwrap_or_default();
            self.hosts[at].ghosts.push_back(Ghost { writing, label });
            let most_us = self.random.one_of(&[SECOND_US, 60 * SECOND_US]);
            let wait_us = self.random.within(1..most_us);
            return self.after(wait_us, Due::Ghost(at));
        }
        let Writing { segment, offset, bytes, .. } = writing;
        self.hosts[at].files.land(segment, offset, &bytes, landing, &mut self.random);
    }

    /// A write of a broker that is dead lands at last, in whole or in part.
    pub(crate) fn ghost_lands(&mut self, at: usize) {
        let Some(Ghost { writing: Writing { segment, offset, bytes, .. }, label }) = self.hosts[at].ghosts.pop_front()
        else {
            return;
        };
        if self.hosts[at].files.read(segment, ReadPlace::At(0, 4096)).is_ok_and(|now| now == label) {
            self.met.ghosts += 1;
            self.fault_met = true;
            self.trace.note(self.now_us, format_args!("log {at}: a late write lands at {offset} of {segment}"));
            let landing = Landing::any(&mut self.random);
            self.hosts[at].files.land(segment, offset, &bytes, landing, &mut self.random);
        }
    }

    fn prepare_partly(&mut self, at: usize, segment: u64, bytes: u64, salt: u64) {
        let stage = self.random.below(4);
        if stage > 0 {
            self.raise_prepared(at, segment);
        }
        if stage > 1 {
            // The file has its name after its label is on the disk; how long it is then is open.
            let bytes = self.random.below(bytes / 4096 + 1) * 4096;
            self.make_file(at, segment, bytes, salt);
        }
    }

    /// The catalog knows, or not; of the files, some have gone.
    fn trim_partly(&mut self, at: usize, expiry: Expiry) {
        if self.random.per_mille(700) {
            let lowest = expiry.lowest_kept(|segment| self.facts(at, segment)).segment;
            self.hosts[at].files.lowest_kept = lowest;
            let gone: Vec<u64> = (expiry.from..lowest).filter(|_| self.random.per_mille(500)).collect();
            gone.iter().for_each(|number| drop(self.hosts[at].files.segments.remove(number)));
        }
    }

    fn go_down(&mut self) {
        self.forget_broker();
        for host in &mut self.hosts {
            host.log = None;
            host.stopped = false;
        }
        (self.up, self.stopping) = (false, None);
        self.forget_drained();
        self.lanes.clear();
        for at in 0..self.subscribers.len() {
            self.lose_connection(at);
        }
        for at in 0..self.producers.len() {
            self.disconnect(at);
        }
        let wait_us = self.faults.downtime_us.map_or(1_000, |most_us| self.random.within(1_000..most_us));
        self.after(wait_us, Due::Start);
    }

    pub(crate) fn crash_and_plan(&mut self) {
        // A log that takes no puts has nothing on its way, and waits for its restart.
        let read_only = |host: &super::world::Host| host.log.as_ref().is_some_and(|log| log.read_only().is_some());
        let busy = self.hosts.iter().any(|host| !is_quiet(host) || read_only(host));
        if self.up && !busy && !self.ending_run && self.random.per_mille(800) {
            self.crash_is_near = true;
            return;
        }
        if self.up {
            self.crash();
        }
        self.plan(Due::Crash);
    }

    /// Something is on its way for so long; a crash that is near comes before it is there.
    pub(crate) fn on_its_way(&mut self, wait_us: u64) {
        if self.crash_is_near && self.random.per_mille(300) {
            self.crash_is_near = false;
            let wait_us = self.random.below(wait_us);
            self.after(wait_us, Due::Crash);
        }
    }

    pub(crate) fn stop_and_plan(&mut self) {
        if self.up && self.stopping.is_none() {
            let stop = self.now_us;
            self.trace.note(stop, format_args!("stop"));
            self.stopping = Some(stop);
            self.after(STOP_US_MAX, Due::StopDeadline(stop));
            self.stop_lanes();
            for at in 0..self.hosts.len() {
                self.tell(at, Event::Stop);
            }
            self.look_whether_stopped();
        }
        self.plan(Due::Stop);
    }

    fn plan(&mut self, due: Due) {
        if !self.ending_run && !self.queue.values().any(|planned| *planned == due) {
            let most_us = self.random.one_of(&[2 * SECOND_US, 60 * SECOND_US, 2 * HOUR_US, 30 * HOUR_US]);
            let wait_us = self.random.within(1..most_us);
            self.after(wait_us, due);
        }
    }

    fn look_whether_stopped(&mut self) {
        let is_done = |host: &super::world::Host| host.stopped && host.making.is_empty() && host.ending.is_empty();
        if self.stopping.is_some() && self.hosts.iter().all(is_done) {
            let idle = self.hosts.iter().all(|host| host.writing.is_none());
            if !idle {
                self.fail("a log says that it has stopped while its commit is in flight".into());
            }
            self.met.clean_stops += 1;
            self.stopped_cleanly = true;
            self.trace.note(self.now_us, format_args!("stopped"));
            self.go_down();
            if self.random.per_mille(self.faults.rots / 2) {
                self.rot();
            }
        }
    }

    /// Starts the broker: every log is recovered, and then all serve.
    pub(crate) fn start(&mut self) {
        if self.random.per_mille(300) {
            self.boot_us = self.now_us - self.random.below(1_000 * SECOND_US);
        }
        let is_wrong = self.skew_ms.unsigned_abs() > 60_000;
        // What was stamped by a wrong clock witnesses it when it is wrong once more.
        self.horizon_distrusted |= is_wrong && self.clock_distrusted;
        self.clock_distrusted |= is_wrong;
        let mut recovered = Vec::new();
        for at in 0..self.hosts.len() {
            match self.recover(at) {
                Some(one) => recovered.push(one),
                None => {
                    self.met.crashes_in_recovery += 1;
                    self.trace.note(self.now_us, format_args!("crash in the recovery of log {at}"));
                    return self.after(1_000, Due::Start);
                }
            }
        }
        self.deal_lanes();
        let now = self.now();
        for (at, one) in recovered.into_iter().enumerate() {
            self.serve(at, now, one);
        }
        (self.up, self.fault_met) = (true, false);
        (0..self.hosts.len()).for_each(|at| self.drain(at));
        self.after(250_000, Due::Tick);
        for at in 0..self.producers.len() {
            let wait_us = self.random.within(1..SECOND_US);
            self.after(wait_us, Due::Reconnect(at));
            self.queue.retain(|_, due| *due != Due::Produce(at));
            self.after(wait_us + 1, Due::Produce(at));
        }
        self.wake_subscribers();
        if self.random.per_mille(self.faults.sweeps) {
            self.met.sweeps += 1;
            self.sweep();
        }
    }

    /// Recovers one log; `None` when the machine dies in the middle.
    pub(crate) fn recover(&mut self, at: usize) -> Option<Recovered> {
        let host = &self.hosts[at];
        let mut recovery = Recovery::new(LogOnDisk {
            id: host.settings.id,
            directory: DIRECTORY,
            shards: host.settings.shard_numbers().collect(),
            ends: host.settings.ends(),
            lowest_kept: host.files.lowest_kept,
            highest_prepared: host.files.highest_prepared,
            files: host.files.numbers(),
        });
        let mut input = None;
        let recovered = loop {
            match recovery.step(input.take()) {
                RecoveryStep::Read { segment, place } => {
                    self.coverage.count("recovery looks at", recovery.looks_at());
                    self.trace.note(self.now_us, format_args!("recovery {at} reads {place:?} of {segment}"));
                    input = Some(self.hosts[at].files.read(segment, place));
                }
                RecoveryStep::Done(recovered) => break recovered,
            }
        };
        recovered.stops.iter().for_each(|stop| self.coverage.stop(stop));
        for chore in &recovered.chores {
            let dies = self.random.per_mille(self.faults.recovery_crashes);
            self.chore(at, chore, dies);
            if dies {
                return None;
            }
        }
        Some(*recovered)
    }

    fn chore(&mut self, at: usize, chore: &Chore, dies: bool) {
        match chore {
            Chore::Remove(segment) => {
                self.trace.note(self.now_us, format_args!("chore {at}: remove {segment}"));
                if !dies || self.random.per_mille(500) {
                    self.met.spares_removed += 1;
                    self.hosts[at].files.segments.remove(segment);
                }
            }
            Chore::SetAside(segment) => self.fail(format!("segment {segment} of log {at} is set aside")),
            Chore::Seal { segment, offset, footer } => {
                self.trace.note(self.now_us, format_args!("chore {at}: seal {segment} at {offset}"));
                if dies {
                    self.seal_partly(at, *segment, *offset, footer);
                } else {
                    self.write_footer(at, *segment, *offset, footer);
                }
            }
        }
    }

    fn serve(&mut self, at: usize, now: Now, recovered: Recovered) {
        if let Some(why) = &recovered.refused {
            self.fail(format!("log {at} is refused and nothing is damaged: {why}"));
        }
        if let Some(cut) = &recovered.cut {
            self.met.cuts += 1;
            self.trace.note(self.now_us, format_args!("log {at}: {cut}"));
            if self.stopped_cleanly && !self.fault_met {
                self.fail(format!("log {at} is cut after a clean stop: {cut}"));
            }
        }
        let log = Log::new(now, self.hosts[at].settings.clone(), recovered);
        for number in self.hosts[at].settings.shard_numbers().collect::<Vec<_>>() {
            let tip = log.tip(number).expect("the shard is of this log");
            let shard = self.hosts[at].shard(number);
            self.see(&Seen::Tip { shard, next_sequence: tip.durable_sequence });
            self.hosts[at].found.insert(shard.shard, tip.durable_sequence);
        }
        self.hosts[at].log = Some(log);
    }
}

fn is_quiet(host: &super::world::Host) -> bool {
    host.writing.is_none() && host.making.is_empty() && host.ending.is_empty()
}

/// Identity of the simulated data directory.
pub(crate) const DIRECTORY: u64 = 0xd1ec;
/// A stop takes no longer than this, whatever the disk does.
const STOP_US_MAX: u64 = 300 * SECOND_US;
