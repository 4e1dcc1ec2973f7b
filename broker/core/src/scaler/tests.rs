//! Load shapes: simulated days of ticks over a stream that is really resharded. The driver proves at every tick what
//! must hold of all of them; each shape says how often the stream is scaled.

use std::collections::BTreeMap;

use rheos_protocol::message::{CreateStream, ScalingOutcome, ScalingStep, ShardBounds, StreamMode};

use super::*;
use crate::catalog::plan_stream;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;
/// The wall clock when a life begins.
const WALL_MS: u64 = 1_700_000_000_000;

/// What is put at a moment, in thousandths of a shard.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Evenly over all hash keys.
    even: u64,
    /// Within a stretch of hash keys.
    range: Option<(u128, u128, u64)>,
    /// By one key.
    key: Option<(u128, u64)>,
}

impl Load {
    fn even(even: u64) -> Load {
        Load { even, ..Load::default() }
    }

    /// What comes into a stretch of the hash space: evenly, in the range, of the key.
    fn within(&self, first: u128, last: u128) -> [u64; 3] {
        let part = |of: u64, whole: f64, within: f64| (of as f64 * within / whole) as u64;
        let even = part(self.even, u128::MAX as f64, (last - first) as f64);
        let range = self.range.map_or(0, |(low, high, load)| {
            let within = high.min(last).saturating_sub(low.max(first));
            let overlaps = low <= last && first <= high;
            if overlaps { part(load, (high - low) as f64, within as f64) } else { 0 }
        });
        let key = self.key.map_or(0, |(key, load)| if (first..=last).contains(&key) { load } else { 0 });
        [even, range, key]
    }

    /// Keys as they would come of it.
    fn keys(&self, first: u128, last: u128, seed: u64) -> KeyHistogram {
        let parts = self.within(first, last);
        let all: u64 = parts.iter().sum::<u64>().max(1);
        let (mut histogram, mut random) = (KeyHistogram::default(), seed | 1);
        let mut next = |below: u128| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wide = u128::from(random) << 64 | u128::from(random.rotate_left(29));
            wide % below.max(1)
        };
        for _ in 0..160 {
            let dice = next(all.into()) as u64;
            let key = if dice < parts[0] {
                first + next(last - first)
            } else if dice < parts[0] + parts[1] {
                let (low, high, _) = self.range.expect("it has a part");
                let (low, high) = (low.max(first), high.min(last));
                low + next(high - low)
            } else {
                self.key.map_or(first, |(key, _)| key)
            };
            histogram.add(key, 10_000);
        }
        histogram
    }
}

/// A stream with its scaler, and everything that came of it.
struct Life {
    pace: ScalerPace,
    stream: StreamRecord,
    scaler: Scaler,
    boot_ms: u64,
    taken: BTreeMap<u32, Amount>,
    /// When a reshard that is under way ends.
    ends_ms: Option<u64>,
    reshard_ms: u64,
    last_end_ms: Option<u64>,
    verdicts: Vec<(u64, Verdict)>,
    /// The most that a shard had to take at a tick, in thousandths.
    fullest: u64,
    /// What a shard takes at most, where a limit refuses the rest.
    limit: u64,
}

impl Life {
    fn new(shards: u32, bounds: ShardBounds) -> Life {
        let pace = ScalerPace::default();
        let create = CreateStream {
            name: "orders".to_owned(),
            shards,
            mode: StreamMode::OnDemand(bounds),
            ..CreateStream::default()
        };
        let stream = plan_stream(&create, WALL_MS, 7, 4, None).expect("it is in range");
        let scaler = Scaler::new(pace, now(0), &stream);
        Life {
            pace,
            stream,
            scaler,
            boot_ms: 0,
            taken: BTreeMap::new(),
            ends_ms: None,
            reshard_ms: 25_000,
            last_end_ms: None,
            verdicts: Vec::new(),
            fullest: 0,
            limit: u64::MAX,
        }
    }

    /// Lets time pass, in ticks.
    fn run(&mut self, for_ms: u64, load: impl Fn(u64) -> Load) {
        let until_ms = self.boot_ms + for_ms;
        while self.boot_ms < until_ms {
            self.boot_ms += self.pace.tick_ms;
            self.end_reshard();
            let load = load(self.boot_ms);
            let loads = self.loads(load);
            let verdict = self.scaler.observe(now(self.boot_ms), &self.stream, loads);
            if let Some(verdict) = verdict {
                self.take(verdict);
            }
        }
    }

    fn loads(&mut self, load: Load) -> Vec<ShardLoad> {
        let tick_ms = self.pace.tick_ms;
        let mut loads = Vec::new();
        for shard in self.stream.open_shards() {
            let (first, last) = (shard.range.first, shard.range.last);
            let milli: u64 = load.within(first, last).iter().sum();
            self.fullest = self.fullest.max(milli);
            let milli = milli.min(self.limit);
            let bytes = milli * tick_ms * (1 << 20) / 1_000_000;
            let taken = self.taken.entry(shard.shard).or_default();
            *taken += Amount { records: bytes / 10_000, bytes };
            let seed = self.boot_ms ^ u64::from(shard.shard) << 40;
            let keys = (milli > HOT_MILLI).then(|| load.keys(first, last, seed));
            loads.push(ShardLoad { shard: shard.shard, incoming: *taken, keys });
        }
        loads.sort_unstable_by_key(|load| load.shard);
        loads
    }

    fn take(&mut self, verdict: Verdict) {
        self.verdicts.push((self.boot_ms, verdict));
        assert!(!verdict.reason.to_string().is_empty());
        let Some(step) = verdict.step else { return };
        assert_eq!((self.stream.resharding, self.ends_ms), (None, None), "a reshard is unfinished");
        let is_up = verdict.to > verdict.from;
        let cool_ms = if is_up { self.pace.cool_up_ms } else { self.pace.cool_down_ms };
        let cooled = self.last_end_ms.is_none_or(|end| self.boot_ms - end >= cool_ms);
        let is_bounds = matches!(verdict.reason, ScalingReason::BelowMin | ScalingReason::AboveMax);
        assert!(cooled || is_bounds, "{verdict:?} at {} after {:?}", self.boot_ms, self.last_end_ms);
        let bounds = self.stream.terms.mode.bounds().expect("it is on demand");
        assert!((bounds.min..=bounds.max).contains(&verdict.to), "{verdict:?}");
        if !is_up && !is_bounds {
            self.assert_no_flap(verdict);
        }
        let Verdict { from, to, reason, .. } = verdict;
        let begun_ms = WALL_MS + self.boot_ms;
        let as_step = ScalingStep { begun_ms, outcome: ScalingOutcome::UnderWay, from, to, reason };
        let begun = self.stream.begin_reshard(step, Some(&as_step));
        let (begun, plan) = begun.expect("what the scaler wants can be done");
        let open =
            begun.open_shards().len() + plan.made.iter().filter(|made| made.is_open).count() - plan.parents.len();
        assert_eq!(open, verdict.to as usize);
        self.stream = begun;
        self.ends_ms = Some(self.boot_ms + self.reshard_ms);
    }

    /// What goes down was not brought up lately: nothing of the stream, or, of two shards, neither of them.
    fn assert_no_flap(&self, verdict: Verdict) {
        let recently = |at_ms: u64| self.boot_ms - at_ms < self.pace.quiet_ms;
        match verdict.step {
            Some(Reshard::Merge { shard, adjacent }) => {
                for it in [shard, adjacent].map(|it| self.stream.shard(it).expect("it is open")) {
                    let is_split = it.parent.is_some() && it.adjacent_parent.is_none();
                    assert!(!(is_split && recently(it.opened_ms - WALL_MS)), "{verdict:?} of {it:?}");
                }
            }
            _ => assert!(!self.steps().any(|(at, it)| it.to > it.from && recently(at)), "{:?}", self.verdicts),
        }
    }

    fn end_reshard(&mut self) {
        if self.ends_ms.is_some_and(|at| at <= self.boot_ms) {
            self.ends_ms = None;
            let reshard = self.stream.resharding.expect("it is under way");
            let plan = crate::catalog::plan_reshard(&self.stream, reshard).expect("it was begun");
            let ends = plan.parents.into_iter().map(|parent| (parent, 0)).collect();
            let done = self.stream.finish_reshard(&ends, WALL_MS + self.boot_ms).expect("it was begun");
            self.stream = done.expect("it changes");
            self.last_end_ms = Some(self.boot_ms);
            self.scaler.step_over(now(self.boot_ms));
        }
    }

    fn steps(&self) -> impl Iterator<Item = (u64, Verdict)> + '_ {
        self.verdicts.iter().copied().filter(|(_, verdict)| verdict.step.is_some())
    }

    /// Open shards after each step.
    fn counts(&self) -> Vec<u32> {
        self.steps().map(|(_, verdict)| verdict.to).collect()
    }

    fn open(&self) -> u32 {
        self.stream.open_shards().len() as u32
    }
}

fn now(boot_ms: u64) -> Now {
    Now { boot_ms, wall_ms: WALL_MS + boot_ms }
}

fn bounds(min: u32, max: u32) -> ShardBounds {
    ShardBounds { min, max }
}

#[test]
fn a_ramp_is_followed_and_no_shard_is_ever_full() {
    let mut life = Life::new(4, ShardBounds::default());
    let load = |ms: u64| Load::even((ms * 80_000 / (3 * HOUR_MS)).min(80_000) + 1_000);
    life.run(DAY_MS / 4, load);
    assert_eq!(life.counts(), [8, 16, 32, 64, 128]);
    assert!(life.steps().all(|(_, verdict)| matches!(verdict.reason, ScalingReason::Busy { .. })));
    assert!(life.fullest < 1_000, "{}", life.fullest);
    assert_eq!(life.verdicts.len(), 5, "and nothing else was said");
}

#[test]
fn a_leap_is_answered_with_one_step() {
    let mut life = Life::new(4, ShardBounds::default());
    life.run(DAY_MS / 4, |ms| Load::even(if ms < HOUR_MS { 100 } else { 40_000 }));
    assert_eq!(life.counts(), [128], "the first of 4, 8, 16 ... in which 40 fits twice");
    let (at, _) = life.steps().next().expect("there is one");
    assert!(at <= HOUR_MS + 2 * MINUTE_MS, "{at}");
}

#[test]
fn behind_limits_a_full_shard_is_a_busy_one() {
    let mut life = Life::new(4, ShardBounds::default());
    life.limit = 1_000;
    life.run(DAY_MS / 4, |ms| Load::even(if ms < HOUR_MS { 1_000 } else { 20_000 }));
    assert_eq!(life.counts(), [8, 16, 32], "more cannot be known than that all are full");
    let (at, _) = life.steps().last().expect("there are steps");
    assert!(at < HOUR_MS + 10 * MINUTE_MS, "{at}");
    // One key that is always refused is told, whatever the limit hides of it.
    let mut hot = Life::new(4, ShardBounds::default());
    hot.limit = 1_000;
    hot.run(DAY_MS, |_| Load { even: 200, key: Some((9, 10_000)), ..Load::default() });
    assert_eq!(hot.verdicts.iter().map(|(_, it)| it.reason.name()).collect::<Vec<_>>(), ["hot_key"]);
}

#[test]
fn a_spike_of_less_than_a_minute_is_nothing_and_a_longer_one_is_unlearned_late() {
    let spike = |from: u64, for_ms: u64| {
        move |ms: u64| Load::even(if (from..from + for_ms).contains(&ms) { 10_000 } else { 1_000 })
    };
    let mut short = Life::new(4, ShardBounds::default());
    short.run(6 * DAY_MS, spike(DAY_MS, 50_000));
    assert_eq!(short.verdicts, []);

    let mut long = Life::new(4, ShardBounds::default());
    long.run(6 * DAY_MS, spike(DAY_MS, 10 * MINUTE_MS));
    assert_eq!(long.counts(), [32, 4], "once there, once back");
    let times: Vec<u64> = long.steps().map(|(at, _)| at).collect();
    assert!(times[1] - times[0] > long.pace.quiet_ms, "{times:?}");
}

#[test]
fn a_daily_wave_is_learned_on_its_first_day() {
    let mut life = Life::new(4, ShardBounds::default());
    let wave = |ms: u64| {
        let turn = (ms % DAY_MS) as f64 / DAY_MS as f64 * std::f64::consts::TAU;
        Load::even((6_000.0 - 5_900.0 * turn.cos()) as u64)
    };
    life.run(7 * DAY_MS, wave);
    assert_eq!(life.counts(), [8, 16, 32]);
    assert!(life.steps().all(|(at, _)| at < DAY_MS), "{:?}", life.verdicts);
    assert!(life.fullest < 1_000);
}

#[test]
fn a_weekend_does_not_undo_a_week() {
    let mut life = Life::new(4, ShardBounds::default());
    let working = |ms: u64| ms / DAY_MS % 7 < 5 && (8..18).contains(&(ms % DAY_MS / HOUR_MS));
    life.run(12 * DAY_MS, |ms| Load::even(if working(ms) { 9_000 } else { 50 }));
    assert_eq!(life.counts(), [32], "{:?}", life.verdicts);
}

#[test]
fn one_hot_key_is_told_and_never_split() {
    for (key_load, even) in [(3_000, 500), (20_000, 300), (1_000, 100)] {
        for shards in [1, 4] {
            let mut life = Life::new(shards, bounds(1, 200));
            let load = Load { even, key: Some((u128::MAX / 5, key_load)), ..Load::default() };
            life.run(DAY_MS / 2, |_| load);
            let notes: Vec<_> = life.verdicts.iter().map(|(_, verdict)| verdict.reason).collect();
            let [ScalingReason::HotKey { key, share_percent, .. }] = notes[..] else {
                panic!("{key_load} of {shards}: {:?}", life.verdicts)
            };
            assert_eq!(key, u128::MAX / 5);
            assert!(u64::from(share_percent) + 5 >= 100 * key_load / (key_load + even), "{share_percent}");
            assert_eq!(life.open(), shards);
        }
    }
}

#[test]
fn a_hot_range_is_split_where_it_is_hot_until_it_is_not() {
    let low = u128::MAX / 3;
    for width in [u128::MAX / 50, u128::MAX / 1_000_000, 1 << 40] {
        let mut life = Life::new(4, ShardBounds::default());
        let load = Load { even: 400, range: Some((low, low + width, 2_000)), ..Load::default() };
        life.run(DAY_MS / 2, |_| load);
        for (_, verdict) in life.steps() {
            let ScalingReason::HotShard { at, .. } = verdict.reason else { panic!("{verdict:?}") };
            assert!((low..=low + width).contains(&at), "{verdict:?}");
        }
        assert!((6..=9).contains(&life.open()), "{:?}", life.verdicts);
        let hottest =
            life.stream.open_shards().map(|it| load.within(it.range.first, it.range.last).iter().sum::<u64>());
        assert!(hottest.max().expect("there are shards") <= HOT_MILLI);
        let last = life.steps().map(|(at, _)| at).max().expect("there are steps");
        assert!(last < HOUR_MS, "it settles: {last}");
    }
}

#[test]
fn a_hot_range_that_moves_every_day_leaves_no_shards_behind_for_good() {
    let mut life = Life::new(4, ShardBounds::default());
    life.run(8 * DAY_MS, |ms| {
        let low = u128::MAX / 17 * u128::from(ms / DAY_MS * 7 % 16);
        Load { even: 400, range: Some((low, low + u128::MAX / 1_000, 1_500)), ..Load::default() }
    });
    let most = life.counts().into_iter().max().expect("there are steps");
    assert!(most <= 30, "{most}");
    let (ups, downs): (Vec<_>, Vec<_>) = life.steps().partition(|(_, it)| it.to > it.from);
    assert!(ups.len() <= 4 * 8 && downs.len() <= ups.len(), "{} and {}", ups.len(), downs.len());
}

#[test]
fn what_is_idle_comes_down_to_its_least_and_stays() {
    let mut life = Life::new(100, bounds(3, 200));
    life.run(5 * DAY_MS, |_| Load::default());
    assert_eq!(life.counts(), [4, 3], "halved, then two neighbours");
    assert!(life.steps().all(|(at, _)| at >= life.pace.quiet_ms));
    let mut default = Life::new(4, ShardBounds::default());
    default.run(5 * DAY_MS, |_| Load::default());
    assert_eq!(default.verdicts, []);
}

#[test]
fn a_load_that_trembles_at_an_edge_is_scaled_once() {
    for edge in [700, 500, 250, 175] {
        let mut life = Life::new(8, bounds(1, 200));
        life.run(5 * DAY_MS, |ms| {
            let noise = (ms / 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            Load::even(8 * edge * 9 / 10 + noise % (8 * edge / 5))
        });
        assert!(life.counts().len() <= 1, "{edge}: {:?}", life.verdicts);
    }
}

#[test]
fn nothing_is_done_while_a_reshard_is_unfinished() {
    let mut life = Life::new(4, ShardBounds::default());
    life.reshard_ms = 3 * HOUR_MS;
    life.run(3 * HOUR_MS, |_| Load::even(4_000));
    assert_eq!(life.counts(), [8]);
    assert!(life.stream.resharding.is_some());
    // It is busy again by then, and waits for the cool-off.
    life.reshard_ms = 25_000;
    life.run(HOUR_MS, |_| Load::even(7_000));
    assert_eq!(life.counts(), [8, 16]);
    let (at, _) = life.steps().last().expect("there are two");
    let ended = life.stream.shard(4).expect("it is a child of the first").opened_ms - WALL_MS;
    assert!(at - ended >= life.pace.cool_up_ms);
}

#[test]
fn a_step_that_failed_is_tried_again_after_the_cool_off() {
    let mut life = Life::new(4, ShardBounds::default());
    life.reshard_ms = u64::MAX / 2;
    life.run(10 * MINUTE_MS, |_| Load::even(4_000));
    life.stream = life.stream.abandon_reshard().expect("one was begun");
    (life.ends_ms, life.last_end_ms, life.reshard_ms) = (None, Some(life.boot_ms), 25_000);
    life.scaler.step_over(now(life.boot_ms));
    life.run(10 * MINUTE_MS, |_| Load::even(4_000));
    assert_eq!(life.counts(), [8, 8]);
}

#[test]
fn the_cool_off_survives_a_restart() {
    let mut life = Life::new(4, ShardBounds::default());
    life.run(5 * MINUTE_MS, |_| Load::even(4_000));
    assert_eq!(life.open(), 8);
    let ended = life.last_end_ms.expect("it was scaled");
    for (restarted_ms, cooled) in [(ended, false), (ended + life.pace.cool_up_ms, true), (ended + DAY_MS, true)] {
        // The machine was booted again, too: its boot clock says nothing of before.
        let at = Now { boot_ms: 10, wall_ms: WALL_MS + restarted_ms };
        let scaler = Scaler::new(life.pace, at, &life.stream);
        assert_eq!(
            scaler.has_cooled(at, life.pace.cool_up_ms),
            cooled || restarted_ms - ended > at.boot_ms,
            "{restarted_ms}"
        );
    }
    // A clock that was set back does not hold it up for longer than the cool-off.
    let back = Now { boot_ms: HOUR_MS, wall_ms: WALL_MS - DAY_MS };
    let scaler = Scaler::new(life.pace, back, &life.stream);
    assert!(!scaler.has_cooled(back, life.pace.cool_up_ms));
    let later = Now { boot_ms: HOUR_MS + life.pace.cool_up_ms, ..back };
    assert!(scaler.has_cooled(later, life.pace.cool_up_ms));
}

#[test]
fn bounds_are_kept_and_what_is_at_its_most_says_so_once() {
    let mut life = Life::new(4, bounds(4, 6));
    life.run(DAY_MS, |_| Load::even(20_000));
    assert_eq!(life.counts(), [6]);
    let told: Vec<_> = life.verdicts.iter().filter(|(_, it)| it.step.is_none()).collect();
    assert!(matches!(told[..], [(_, Verdict { reason: ScalingReason::AtMax { .. }, .. })]), "{told:?}");
    // Hot at its most is the same.
    let mut hot = Life::new(4, bounds(4, 4));
    hot.run(DAY_MS, |_| Load { even: 400, range: Some((0, 1 << 100, 2_000)), ..Load::default() });
    let reasons: Vec<_> = hot.verdicts.iter().map(|(_, it)| it.reason.name()).collect();
    assert_eq!(reasons, ["at_max"]);
    // Other bounds are gone to at once.
    for (shards, min, max, to) in [(2, 1, 200, 8), (20, 1, 200, 5)] {
        let mut life = Life::new(shards, bounds(min, max));
        life.stream.terms.mode = StreamMode::OnDemand(bounds(5.min(to).max(to.min(8)), to.max(5)));
        life.run(HOUR_MS, |_| Load::even(100));
        assert_eq!(life.counts(), [to]);
    }
}

#[test]
fn ticks_that_are_late_or_lack_a_shard_are_stood_for_by_the_next() {
    let mut life = Life::new(4, ShardBounds::default());
    life.run(HOUR_MS, |_| Load::even(1_000));
    let loads = |life: &mut Life| life.loads(Load::even(1_000));
    let mut some = loads(&mut life);
    some.pop();
    assert_eq!(life.scaler.observe(now(HOUR_MS + 10_000), &life.stream.clone(), some), None);
    // Thrice as much in thrice the time.
    loads(&mut life);
    let all = loads(&mut life);
    life.scaler.observe(now(HOUR_MS + 30_000), &life.stream.clone(), all);
    let load = life.scaler.recent.mean().expect("it is watched");
    assert!((990..=1_010).contains(&load), "{load}");
}

#[test]
fn a_provisioned_stream_is_left_alone() {
    let mut life = Life::new(4, ShardBounds::default());
    life.stream.terms.mode = StreamMode::Provisioned;
    life.run(DAY_MS, |_| Load::even(40_000));
    assert_eq!(life.verdicts, []);
}

#[test]
fn time_may_go_faster_for_who_tries_it() {
    let pace = ScalerPace::default().faster(100);
    assert_eq!((pace.tick_ms, pace.cool_up_ms), (100, 1_200));
    let fastest = ScalerPace::default().faster(u32::MAX);
    assert_eq!(fastest.tick_ms, 10);
    assert!(fastest.cool_up_ms > 0 && fastest.quiet_ms > fastest.cool_down_ms);
    assert_eq!(ScalerPace::default().faster(0), ScalerPace::default());
}

#[test]
fn load_is_the_greater_of_bytes_and_records() {
    for (records, bytes, passed_ms, load) in [
        (1_000, 0, 1_000, 1_000),
        (1, 1 << 20, 1_000, 1_000),
        (5_000, 1 << 20, 10_000, 500),
        (0, 0, 0, 0),
        (u64::MAX, u64::MAX, 1, u32::MAX.into()),
    ] {
        assert_eq!(load_milli(records, bytes, passed_ms), load);
    }
    assert_eq!((record_weight(0), record_weight(5_000)), (1_049, 5_000));
}
