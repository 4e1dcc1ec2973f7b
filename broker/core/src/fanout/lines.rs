//! The two lines in which subscriptions stand: those with a promise that is not used up, and everybody else.
//!
//! What is promised to a subscription fills a bucket. While there is something in it the subscription stands in
//! the first line, which is served before the second; what it is given there is taken from the bucket. What it is
//! given in the second is beyond the promise, and costs it nothing.
//!
//! What must hold: who has no promise is served whenever nobody of the first line is, or has room; a subscription
//! is late only with what it could take, where it was this lane that did not come to it: not the disk, not its
//! credit, and, unless the lane had no time at all, not its path.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::SubscriptionId;
use super::turns::Turns;
use crate::arrival::Now;
use crate::bucket::Bucket;
use crate::limits::LATE_MS;

#[derive(Debug, Default)]
pub(super) struct Lines {
    promised: Turns,
    open: Turns,
    promises: BTreeMap<SubscriptionId, Promise>,
}

/// In which line a subscription has stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Promised,
    Open,
}

/// What is promised to a subscription.
#[derive(Debug)]
struct Promise {
    /// Bytes a second.
    rate: NonZeroU64,
    bucket: Option<Bucket>,
    /// Since when it was seen to stand in line for what was promised.
    owed_since_ms: Option<u64>,
}

impl Lines {
    /// A peer has one subscription more.
    pub(super) fn enter(&mut self, peer: u64) {
        self.promised.enter(peer);
        self.open.enter(peer);
    }

    /// Subscriptions of a peer.
    pub(super) fn subscriptions(&self, peer: u64) -> usize {
        self.open.subscriptions(peer)
    }

    /// So many bytes a second are promised to a subscription, or nothing.
    pub(super) fn promise(&mut self, id: SubscriptionId, rate: Option<NonZeroU64>) {
        match (rate, self.promises.get_mut(&id)) {
            (Some(rate), Some(promise)) => promise.rate = rate,
            (Some(rate), None) => {
                self.promises.insert(id, Promise { rate, bucket: None, owed_since_ms: None });
            }
            (None, _) => drop(self.promises.remove(&id)),
        }
    }

    /// A subscription has ended.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.promises.remove(&id);
        self.promised.forget(id);
        self.open.forget(id);
    }

    /// A peer has gone.
    pub(super) fn leave(&mut self, peer: u64) {
        self.promised.leave(peer);
        self.open.leave(peer);
    }

    /// A subscription may have something to be given.
    pub(super) fn line_up(&mut self, id: SubscriptionId) {
        match self.promises.contains_key(&id) {
            true => self.promised.line_up(id),
            false => self.open.line_up(id),
        }
    }

    /// A peer has room again.
    pub(super) fn unpark(&mut self, peer: u64) {
        self.promised.unpark(peer);
        self.open.unpark(peer);
    }

    /// Whether a peer has no room.
    pub(super) fn is_parked(&self, peer: u64) -> bool {
        self.promised.is_parked(peer) || self.open.is_parked(peer)
    }

    /// Takes the next subscription out of its line.
    pub(super) fn next(&mut self, now: Now, room: &mut impl FnMut(u64) -> usize) -> Option<(SubscriptionId, Line)> {
        while let Some(id) = self.promised.next(room) {
            if self.promises.get_mut(&id).is_some_and(|promise| promise.is_owed_something(now.boot_ms)) {
                return Some((id, Line::Promised));
            }
            self.open.line_up(id);
        }
        self.open.next(room).map(|id| (id, Line::Open))
    }

    /// A subscription of a line was given so many bytes, of which those of records count for its promise.
    pub(super) fn spend(&mut self, now: Now, (id, line): (SubscriptionId, Line), bytes: usize, record_bytes: u64) {
        match line {
            Line::Promised => {
                self.promised.spend(id.peer, bytes);
                if let Some(promise) = self.promises.get_mut(&id) {
                    promise.spend(record_bytes, now.boot_ms);
                }
            }
            Line::Open => self.open.spend(id.peer, bytes),
        }
    }

    /// Time has passed: those of the second line stand in the first again when they may. Returns who is late.
    /// `may_be_given` says whether a subscription waits for nothing but its turn, `was_away` whether the lane had no
    /// time since the last look: then it may be why a path is full.
    pub(super) fn tick(
        &mut self,
        now: Now,
        was_away: bool,
        may_be_given: impl Fn(SubscriptionId) -> bool,
    ) -> Vec<SubscriptionId> {
        let Lines { promised, open, promises } = self;
        let mut late = Vec::new();
        for (id, promise) in promises {
            let is_owed = promise.is_owed_something(now.boot_ms) && may_be_given(*id);
            if is_owed && open.stands_in_line(*id) {
                promised.line_up(*id);
            }
            let is_passed_over = was_away || !promised.is_parked(id.peer);
            if !(is_owed && is_passed_over && promised.stands_in_line(*id)) {
                promise.owed_since_ms = None;
                continue;
            }
            let since_ms = *promise.owed_since_ms.get_or_insert(now.boot_ms);
            if now.boot_ms.saturating_sub(since_ms) >= LATE_MS {
                late.push(*id);
            }
        }
        late
    }
}

impl Promise {
    fn is_owed_something(&mut self, now_ms: u64) -> bool {
        let rate = self.rate;
        self.bucket.get_or_insert_with(|| Bucket::full(rate, now_ms)).wait_ms(rate, 1, now_ms).is_none()
    }

    fn spend(&mut self, bytes: u64, now_ms: u64) {
        let rate = self.rate;
        self.bucket.get_or_insert_with(|| Bucket::full(rate, now_ms)).take(rate, bytes, now_ms);
        self.owed_since_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SubscriptionId = SubscriptionId { peer: 1, id: 1 };
    const TWO: SubscriptionId = SubscriptionId { peer: 2, id: 1 };

    fn at(boot_ms: u64) -> Now {
        Now { boot_ms, wall_ms: boot_ms }
    }

    /// Two subscriptions of two peers; the second has a promise.
    fn lines(rate: u64) -> Lines {
        let mut lines = Lines::default();
        [ONE, TWO].into_iter().for_each(|id| lines.enter(id.peer));
        lines.promise(TWO, NonZeroU64::new(rate));
        [ONE, TWO].into_iter().for_each(|id| lines.line_up(id));
        lines
    }

    fn next(lines: &mut Lines, now_ms: u64) -> Option<(SubscriptionId, Line)> {
        lines.next(at(now_ms), &mut |_| usize::MAX)
    }

    #[test]
    fn a_promise_goes_before_and_beyond_it_nobody_does() {
        let mut lines = lines(1_000);
        assert_eq!(next(&mut lines, 0), Some((TWO, Line::Promised)), "though it came last");
        lines.spend(at(0), (TWO, Line::Promised), 1_500, 1_500);
        lines.line_up(TWO);
        // Its second's worth is used up, and half a second more is owed.
        assert_eq!(next(&mut lines, 0), Some((ONE, Line::Open)));
        assert_eq!(next(&mut lines, 0), Some((TWO, Line::Open)), "what it is given beyond the promise");
        lines.spend(at(0), (TWO, Line::Open), 1 << 20, 1 << 20);
        [TWO, ONE].into_iter().for_each(|id| lines.line_up(id));
        assert_eq!(next(&mut lines, 500), Some((ONE, Line::Open)));
        lines.line_up(TWO);
        assert_eq!(next(&mut lines, 502), Some((TWO, Line::Promised)), "costs the promise nothing");
    }

    #[test]
    fn who_waits_in_the_second_line_comes_into_the_first_with_time() {
        let mut lines = lines(1_000);
        assert_eq!(next(&mut lines, 0), Some((TWO, Line::Promised)));
        lines.spend(at(0), (TWO, Line::Promised), 1_000, 1_000);
        lines.line_up(TWO);
        assert_eq!(next(&mut lines, 0), Some((ONE, Line::Open)));
        lines.line_up(ONE);
        assert!(lines.tick(at(100), false, |_| true).is_empty());
        assert_eq!(next(&mut lines, 100), Some((TWO, Line::Promised)), "a tenth of a second's worth is there");
    }

    #[test]
    fn late_is_who_is_passed_over() {
        let all = |_| true;
        let mut lines = lines(1_000);
        assert!(lines.tick(at(0), false, all).is_empty(), "it has only come");
        assert!(lines.tick(at(LATE_MS - 1), false, all).is_empty());
        assert_eq!(lines.tick(at(LATE_MS), false, all), [TWO]);
        assert_eq!(lines.tick(at(LATE_MS + 1), false, all), [TWO], "and still");
        assert!(lines.tick(at(LATE_MS + 2), false, |id| id != TWO).is_empty(), "not without credit");
        assert!(lines.tick(at(LATE_MS + 3), false, all).is_empty(), "it begins anew");
        assert_eq!(next(&mut lines, LATE_MS + 4), Some((TWO, Line::Promised)));
        lines.spend(at(LATE_MS + 4), (TWO, Line::Promised), 10, 10);
        lines.line_up(TWO);
        assert!(lines.tick(at(2 * LATE_MS), false, all).is_empty(), "it was given something");
        // One that has used up its promise is owed nothing, however much there is.
        lines.spend(at(2 * LATE_MS), (TWO, Line::Promised), 5_000, 5_000);
        assert!(lines.tick(at(2 * LATE_MS), false, all).is_empty());
        assert!(lines.tick(at(3 * LATE_MS + 1), false, all).is_empty());
    }

    #[test]
    fn a_path_that_is_full_is_the_lanes_fault_only_where_the_lane_had_no_time() {
        for (was_away, expected) in [(false, vec![]), (true, vec![TWO])] {
            let mut lines = lines(1_000);
            assert_eq!(lines.next(at(0), &mut |_| 0), None, "nobody has room");
            assert!(lines.is_parked(TWO.peer) && lines.is_parked(ONE.peer));
            lines.tick(at(0), was_away, |_| true);
            assert_eq!(lines.tick(at(LATE_MS), was_away, |_| true), expected);
            [ONE, TWO].into_iter().for_each(|id| lines.unpark(id.peer));
            assert_eq!(next(&mut lines, LATE_MS), Some((TWO, Line::Promised)));
        }
    }

    #[test]
    fn a_promise_that_is_taken_back_leaves_its_place() {
        let mut lines = lines(1_000);
        lines.promise(TWO, None);
        assert_eq!(next(&mut lines, 0), Some((ONE, Line::Open)));
        assert_eq!(next(&mut lines, 0), Some((TWO, Line::Open)));
        assert_eq!(next(&mut lines, 0), None);
        lines.promise(TWO, NonZeroU64::new(5));
        lines.forget(TWO);
        lines.forget(ONE);
        assert!(lines.promises.is_empty() && lines.subscriptions(TWO.peer) == 0);
        assert!(lines.tick(at(1_000), true, |_| true).is_empty());
    }
}
