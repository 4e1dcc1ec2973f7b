//! The world of a run: its clock, what is due, and what chance has in store.

use std::collections::{BTreeMap, VecDeque};

use rheos_core::arrival::Now;
use rheos_core::catalog::StreamTerms;
use rheos_core::log::{Log, LogId, LogSettings};

use super::coverage::Coverage;
use super::disk::LogFiles;
use super::lanes::Lane;
use super::producer::Producer;
use super::reader::Follower;
use super::shrink::Scale;
use super::subscriber::{Seats, Subscriber};
use super::trace::{Met, Trace};
use crate::checker::{Checker, Seen, ShardOf};
use crate::random::Random;
use crate::rig::whole;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    WriteDone(usize),
    Making(usize),
    Ending(usize),
    Ghost(usize),
    Tick,
    Pace,
    Produce(usize),
    Reply { producer: usize, connection: u64, number: u64, said: super::producer::Said },
    Reconnect(usize),
    Read,
    Push(usize),
    Scanned { lane: usize, scan: u64 },
    Subscriber(usize),
    Take(usize),
    Vanish(usize),
    Deregister,
    Crash,
    Stop,
    StopDeadline(u64),
    Start,
    Reshard,
    ReshardStep(usize),
    ClockJump,
    ClockBack(i64),
    Terms,
    DiskFull,
    DiskLow(bool),
}

impl Due {
    /// Whether it goes with the broker when that dies.
    fn is_of_broker(&self) -> bool {
        matches!(
            self,
            Due::WriteDone(_)
                | Due::Making(_)
                | Due::Ending(_)
                | Due::Tick
                | Due::StopDeadline(_)
                | Due::Reply { .. }
                | Due::ReshardStep(_)
                | Due::Push(_)
                | Due::Scanned { .. }
                | Due::Take(_)
                | Due::Vanish(_)
        )
    }
}

/// How busy the producers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Puts come in, so many microseconds apart at most.
    Busy(u64),
    /// None do.
    Silent,
}

/// What chance may do in this run, in thousandths where nothing else is said.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub write_fails: u64,
    pub prepare_fails: u64,
    pub seal_fails: u64,
    pub connection_breaks: u64,
    pub recovery_crashes: u64,
    pub slow_prepare_us: u64,
    pub slow_write_us: u64,
    pub downtime_us: Option<u64>,
    pub clock: bool,
    pub disk_full: bool,
    pub disk_low: bool,
    pub reshards: bool,
    /// Writes of a dead broker may land after the next start. A shard that is closed meanwhile would end elsewhere
    /// than the catalog says, which the lock on the file prevents where there are reshards.
    pub ghosts: u64,
    pub terms: bool,
    pub bounds_bytes: bool,
    /// Nobody puts for hours, now and then.
    pub long_silences: bool,
    /// How often everything is read right after a start.
    pub sweeps: u64,
    /// How often it is tried what a start makes of damage.
    pub rots: u64,
    pub crashes: bool,
    pub stops: bool,
}

/// A log and all that the broker keeps beside it.
#[derive(Debug)]
pub(crate) struct Host {
    pub settings: LogSettings,
    pub files: LogFiles,
    pub log: Option<Log>,
    pub writing: Option<super::broker::Writing>,
    pub making: VecDeque<super::broker::Making>,
    pub ending: VecDeque<super::broker::Ending>,
    pub stopped: bool,
    pub resharding: Option<super::reshard::Resharding>,
    /// Next sequence of every shard at the last start.
    pub found: BTreeMap<u32, u64>,
    /// The last commit, while no other proves that it was there: segment, offset and bytes.
    pub unproved: Option<(u64, u64, u64)>,
    /// Writes of a broker that is dead which are still to land.
    pub ghosts: VecDeque<super::broker::Ghost>,
    /// What arrived before may have expired, by the right time, under the terms that there were.
    pub expired_ms: u64,
    /// Its bytes were bounded, so that anything may have gone.
    pub is_bounded: bool,
}

impl Host {
    pub(crate) fn shard(&self, number: u32) -> ShardOf {
        ShardOf { stream: self.settings.id.incarnation, shard: number }
    }
}

/// A run.
#[derive(Debug)]
pub(crate) struct World {
    pub random: Random,
    pub now_us: u64,
    /// When the machine started.
    pub boot_us: u64,
    /// How far the wall clock is off, ms.
    pub skew_ms: i64,
    /// A start has stamped records by a wrong clock.
    pub clock_distrusted: bool,
    /// One after that has too, so anything may have expired.
    pub horizon_distrusted: bool,
    pub queue: BTreeMap<(u64, u64), Due>,
    pub ties: u64,
    pub turns: u64,
    pub pace: Pace,
    pub faults: Faults,
    pub hosts: Vec<Host>,
    /// None while the broker is down.
    pub lanes: Vec<Lane>,
    /// How many there were last.
    pub dealt: u64,
    pub up: bool,
    pub stopping: Option<u64>,
    pub fault_met: bool,
    pub stopped_cleanly: bool,
    /// The next time that something is on its way to the disk, the machine dies.
    pub crash_is_near: bool,
    pub disk_full_until_us: u64,
    pub segment_bytes_max: u64,
    pub producers: Vec<Producer>,
    pub followers: Vec<Follower>,
    pub subscribers: Vec<Subscriber>,
    pub seats: Seats,
    pub next_peer: u64,
    pub tokens: BTreeMap<u64, super::producer::Asked>,
    pub next_token: u64,
    pub next_put: u64,
    pub puts_left: u64,
    pub ending_run: bool,
    pub checker: Checker,
    pub trace: Trace,
    pub met: Met,
    pub coverage: Coverage,
    /// The first thing that did not hold.
    pub broken: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, scale: &Scale) -> World {
        let mut random = Random::new(seed);
        let log_count = random.one_of(&[1, 1, 1, 2, 3, 12]).min(scale.logs_max) as usize;
        let shard_count = random.one_of(&[1, 2, 5, 40]).min(scale.shards_max) as u32;
        let calm = random.per_mille(150);
        let reshards = random.per_mille(500);
        let mut faults = Faults {
            write_fails: if calm { 0 } else { random.one_of(&[0, 0, 5, 30]) },
            prepare_fails: if calm { 0 } else { random.one_of(&[0, 0, 50, 300]) },
            seal_fails: if calm { 0 } else { random.one_of(&[0, 200, 1_000]) },
            connection_breaks: random.one_of(&[0, 5, 30]),
            recovery_crashes: random.one_of(&[0, 50, 200]),
            slow_prepare_us: random.one_of(&[5_000, 200_000, 20_000_000]),
            slow_write_us: random.one_of(&[300, 3_000, 400_000]),
            downtime_us: random.one_of(&[None, Some(SECOND_US), Some(40 * HOUR_US)]),
            clock: random.per_mille(400),
            disk_full: !calm && random.per_mille(300),
            disk_low: !calm && random.per_mille(200),
            reshards,
            ghosts: if reshards { 0 } else { random.one_of(&[0, 300]) },
            terms: random.per_mille(400),
            bounds_bytes: random.per_mille(300),
            long_silences: random.per_mille(500),
            sweeps: random.one_of(&[0, 100, 500]),
            rots: random.one_of(&[0, 500]),
            crashes: true,
            stops: random.per_mille(600),
        };
        scale.without.iter().for_each(|kind| kind.leave_out(&mut faults));
        let hosts = (0..log_count).map(|at| Host {
            settings: LogSettings {
                id: LogId { incarnation: 0x5eed_0000 + at as u64, log: at as u32 },
                shards: (0..shard_count).map(|shard| whole(3 * shard + 1)).collect(),
                terms: StreamTerms::new(RETENTION_MS, 10 << 20),
            },
            files: LogFiles::default(),
            log: None,
            writing: None,
            making: VecDeque::new(),
            ending: VecDeque::new(),
            stopped: false,
            resharding: None,
            found: BTreeMap::new(),
            unproved: None,
            ghosts: VecDeque::new(),
            expired_ms: 0,
            is_bounded: false,
        });
        let mut world = World {
            hosts: hosts.collect(),
            now_us: HOUR_US,
            boot_us: 0,
            skew_ms: 0,
            clock_distrusted: false,
            horizon_distrusted: false,
            queue: BTreeMap::new(),
            ties: 0,
            turns: 0,
            pace: Pace::Silent,
            faults,
            lanes: Vec::new(),
            dealt: 0,
            up: false,
            stopping: None,
            fault_met: false,
            stopped_cleanly: true,
            crash_is_near: false,
            disk_full_until_us: 0,
            segment_bytes_max: random.one_of(&[48 << 10, 256 << 10, 1 << 20, 4 << 20]),
            producers: Vec::new(),
            followers: Vec::new(),
            subscribers: Vec::new(),
            seats: Seats::default(),
            next_peer: 1,
            tokens: BTreeMap::new(),
            next_token: 1,
            next_put: 1,
            puts_left: random.one_of(&[40, 120, 300]).min(scale.puts_max),
            ending_run: false,
            checker: Checker::default(),
            trace: Trace::default(),
            met: Met::default(),
            coverage: Coverage::default(),
            broken: None,
            random,
        };
        world.populate(log_count, shard_count, scale);
        world
    }

    fn populate(&mut self, log_count: usize, shard_count: u32, scale: &Scale) {
        let count = self.random.within(1..7).min(scale.producers_max);
        for at in 0..count as usize {
            let numbered = self.random.per_mille(750);
            let producer = Producer::new(at, numbered, log_count, shard_count, &mut self.random);
            self.producers.push(producer);
        }
        for _ in 0..self.random.within(1..4) {
            let log = self.random.below(log_count as u64) as usize;
            let shard = 3 * self.random.below(u64::from(shard_count)) as u32 + 1;
            self.followers.push(Follower { log, shard, cursor: None });
        }
        self.people(shard_count, scale);
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        self.after(0, Due::Start);
        self.after(1, Due::Pace);
        self.after(2, Due::Read);
        let crash_us = self.random.one_of(&[SECOND_US, 20 * SECOND_US, 600 * SECOND_US, 30 * HOUR_US]);
        for (wanted, due) in [
            (self.faults.crashes, Due::Crash),
            (self.faults.stops, Due::Stop),
            (self.faults.clock, Due::ClockJump),
            (self.faults.terms, Due::Terms),
            (self.faults.disk_full, Due::DiskFull),
            (self.faults.disk_low, Due::DiskLow(true)),
            (self.faults.reshards, Due::Reshard),
        ] {
            let most_us = if due == Due::Reshard { self.random.one_of(&[SECOND_US, crash_us]) } else { crash_us };
            let wait_us = self.random.within(1..most_us * 2);
            if wanted {
                self.after(wait_us, due);
            }
        }
        for at in 0..self.producers.len() {
            self.after(10 + at as u64, Due::Produce(at));
        }
        for at in 0..self.subscribers.len() {
            self.after(20 + at as u64, Due::Subscriber(at));
        }
        self.after(30, Due::Deregister);
        self.turn_until(|world| world.puts_left == 0, 200 * 24 * HOUR_US)?;
        self.heal();
        self.turn_until(World::is_settled, 60 * HOUR_US)?;
        // Half of the subscribers catch up before the last restart, half after it.
        if self.random.per_mille(500) {
            self.turn_until(World::all_have_all, 60 * HOUR_US)?;
        }
        self.last_restart()?;
        self.turn_until(World::all_have_all, 60 * HOUR_US)?;
        self.see_who_caught_up();
        self.sweep();
        self.prove_nothing_staged();
        self.met.sim_hours = self.now_us / HOUR_US;
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Everything that was put is answered and the broker is up.
    fn is_settled(&self) -> bool {
        self.up && self.stopping.is_none() && self.producers.iter().all(Producer::is_answered)
    }

    /// No more faults: from here on everything must be answered.
    fn heal(&mut self) {
        self.ending_run = true;
        self.crash_is_near = false;
        self.queue.retain(|_, due| {
            !matches!(
                due,
                Due::Crash | Due::Stop | Due::ClockJump | Due::Terms | Due::DiskFull | Due::DiskLow(_) | Due::Reshard
            )
        });
        self.faults.write_fails = 0;
        self.faults.prepare_fails = 0;
        self.faults.connection_breaks = 0;
        self.disk_full_until_us = 0;
        self.set_storage_low(false);
        self.lift_limits();
        self.pace = Pace::Busy(5_000);
        self.wake_subscribers();
        if self.hosts.iter().filter_map(|host| host.log.as_ref()).any(|log| log.read_only().is_some()) {
            self.after(1, Due::Stop);
        }
    }

    fn last_restart(&mut self) -> Result<(), String> {
        self.faults.recovery_crashes = 0;
        let due = if self.random.per_mille(500) { Due::Crash } else { Due::Stop };
        self.after(self.faults.slow_write_us, due);
        self.turn_until(|world| !world.up, HOUR_US)?;
        self.turn_until(|world| world.up, 60 * HOUR_US)
    }

    fn turn_until(&mut self, done: impl Fn(&World) -> bool, limit_us: u64) -> Result<(), String> {
        let deadline_us = self.now_us + limit_us;
        while !done(self) {
            let Some(((at_us, _), due)) = self.queue.pop_first() else { return Err("nothing is due any more".into()) };
            if at_us > deadline_us {
                return Err(format!("not done after {} s: {}", limit_us / SECOND_US, self.unanswered()));
            }
            self.now_us = at_us;
            self.turns += 1;
            if self.turns > TURNS_MAX {
                return Err(format!("the run does not end: {}", self.unanswered()));
            }
            self.turn(due);
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        Ok(())
    }

    fn unanswered(&self) -> String {
        let open: Vec<_> =
            self.producers.iter().filter(|producer| !producer.is_answered()).map(Producer::state).collect();
        let behind: Vec<_> = self.subscribers.iter().filter(|it| !it.is_done()).take(2).collect();
        format!("{} puts are still to be made, {open:?}; {behind:?}", self.puts_left)
    }

    fn turn(&mut self, due: Due) {
        match due {
            Due::WriteDone(at) => self.write_done(at),
            Due::Making(at) => self.making_done(at),
            Due::Ending(at) => self.ending_done(at),
            Due::Ghost(at) => self.ghost_lands(at),
            Due::Tick => self.tick(),
            Due::Pace => self.change_pace(),
            Due::Produce(at) => self.produce(at),
            Due::Reply { producer, connection, number, said } => self.replied(producer, connection, number, said),
            Due::Reconnect(at) => self.reconnect(at),
            Due::Read => self.read_something(),
            Due::Push(lane) => self.push(lane),
            Due::Scanned { lane, scan } => self.scanned(lane, scan),
            Due::Subscriber(at) => self.subscriber_turn(at),
            Due::Take(at) => self.take(at),
            Due::Vanish(at) => self.vanish(at),
            Due::Deregister => self.deregister_someone(),
            Due::Crash => self.crash_and_plan(),
            Due::Stop => self.stop_and_plan(),
            Due::StopDeadline(stop) if self.stopping == Some(stop) => self.fail("the stop does not end".into()),
            Due::StopDeadline(_) => {}
            Due::Start => self.start(),
            Due::Reshard => self.reshard_something(),
            Due::ReshardStep(at) => self.reshard_step(at),
            Due::ClockJump => self.clock_jump(),
            Due::ClockBack(by_ms) => self.skew_ms -= by_ms,
            Due::Terms => self.change_terms(),
            Due::DiskFull => self.disk_full(),
            Due::DiskLow(low) => self.disk_low(low),
        }
    }

    /// What the machine's clocks say.
    pub(crate) fn now(&self) -> Now {
        let boot_ms = (self.now_us - self.boot_us) / 1000;
        Now { boot_ms, wall_ms: (self.true_wall_ms() as i64 + self.skew_ms) as u64 }
    }

    /// What the wall clock would say if it were right.
    pub(crate) fn true_wall_ms(&self) -> u64 {
        WALL_BASE_MS + self.now_us / 1000
    }

    pub(crate) fn after(&mut self, wait_us: u64, due: Due) {
        self.ties += 1;
        self.queue.insert((self.now_us + wait_us, self.ties), due);
    }

    /// Forgets what was due of the broker, which is no more.
    pub(crate) fn forget_broker(&mut self) {
        self.queue.retain(|_, due| !due.is_of_broker());
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    pub(crate) fn see(&mut self, seen: &Seen) {
        if let Err(why) = self.checker.see(seen) {
            self.fail(why);
        }
    }

    fn change_pace(&mut self) {
        let gap_us = self.random.one_of(&[50, 2_000, 50_000, 1_000_000]);
        let (pace, lasts_us) = match self.random.below(10) {
            0..6 => (Pace::Busy(gap_us), gap_us * self.random.within(5..60)),
            6 => (Pace::Silent, self.random.within(SECOND_US / 2..4 * SECOND_US)),
            7 => (Pace::Silent, self.random.within(5..60) * SECOND_US),
            8 => (Pace::Silent, self.random.within(590..700) * SECOND_US),
            _ if !self.faults.long_silences => (Pace::Silent, self.random.within(60..240) * SECOND_US),
            _ => (Pace::Silent, self.random.within(HOUR_US..40 * HOUR_US)),
        };
        if !self.ending_run {
            self.pace = pace;
        }
        if let Pace::Busy(gap_us) = self.pace {
            // Who was silent begins at once, or a short spell would pass unused.
            self.queue.retain(|_, due| !matches!(due, Due::Produce(_)));
            for at in 0..self.producers.len() {
                let wait_us = self.random.below(gap_us + 1);
                self.after(wait_us, Due::Produce(at));
            }
        }
        self.trace.note(self.now_us, format_args!("{pace:?} for {lasts_us} us"));
        self.after(lasts_us, Due::Pace);
    }

    fn clock_jump(&mut self) {
        let by_ms = self.random.one_of(&[-3_600_000, 3_600_000, 315_576_000_000, 20_000, -20_000, -40 * 3_600_000]);
        self.met.clock_jumps += 1;
        self.skew_ms += by_ms;
        self.trace.note(self.now_us, format_args!("the wall clock jumps by {by_ms} ms"));
        let lasts_us = self.random.within(SECOND_US..590 * SECOND_US);
        self.after(lasts_us, Due::ClockBack(by_ms));
        let wait_us = lasts_us + self.random.within(SECOND_US..20 * HOUR_US);
        self.after(wait_us, Due::ClockJump);
    }

    fn disk_full(&mut self) {
        let lasts_us = self.random.within(SECOND_US / 2..30 * SECOND_US);
        self.disk_full_until_us = self.now_us + lasts_us;
        self.trace.note(self.now_us, format_args!("the disk is full for {lasts_us} us"));
        let wait_us = lasts_us + self.random.within(SECOND_US..600 * SECOND_US);
        self.after(wait_us, Due::DiskFull);
    }

    fn disk_low(&mut self, low: bool) {
        self.set_storage_low(low);
        let wait_us = self.random.within(SECOND_US / 2..100 * SECOND_US);
        self.after(wait_us, Due::DiskLow(!low));
    }
}

pub(crate) const SECOND_US: u64 = 1_000_000;
pub(crate) const HOUR_US: u64 = 3_600 * SECOND_US;
pub(crate) const RETENTION_MS: u64 = 24 * 3_600_000;
/// Far more than a run takes that gets anywhere.
const TURNS_MAX: u64 = 1_000_000;
const WALL_BASE_MS: u64 = 1_700_000_000_000;
