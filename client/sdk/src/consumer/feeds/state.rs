//! What is under the lock of the feeds: who has something to take, who has something to send.
//!
//! What must hold: a shard stands in `ready`, and in the line of its lane, at most once, and does so whenever
//! it has something for it; [`settle`](State::settle) sees to that after every change of a feed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Bounds;
use crate::consumer::feed::Feed;
use crate::error::Error;

/// Shortest and longest wait that a broker may ask for.
const WAIT_LEAST: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) feeds: BTreeMap<u32, Feed>,
    /// Those that are not ended.
    pub(super) living: u64,
    pub(super) lanes: BTreeMap<u16, Lane>,
    /// Shards with something to take, in turn.
    pub(super) ready: VecDeque<u32>,
    /// Children that a shard has named and no description yet.
    pub(super) children: BTreeSet<u32>,
    pub(super) over: Over,
    pub(super) waker: Option<Waker>,
}

/// The shards of one lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) line: VecDeque<u32>,
    pub(super) later: BTreeSet<(Instant, u32)>,
    pub(super) changed: Arc<Notify>,
    pub(super) is_carried: bool,
}

#[derive(Debug, Default)]
pub(super) enum Over {
    #[default]
    No,
    /// The program is to hear of it.
    With(Error),
    Yes,
}

impl State {
    pub(super) fn add(&mut self, feeds: Vec<Feed>, lanes: u16, bounds: Bounds) {
        for mut feed in feeds {
            feed.lane %= lanes;
            self.lanes.entry(feed.lane).or_default();
            self.living += u64::from(!feed.is_ended());
            self.feeds.insert(feed.shard, feed);
        }
        self.release(bounds);
    }

    /// A shard was read to its end.
    pub(super) fn ended(&mut self, children: Vec<u32>, bounds: Bounds) {
        self.living -= 1;
        let unknown = children.into_iter().filter(|child| !self.feeds.contains_key(child));
        self.children.extend(unknown);
        self.release(bounds);
    }

    /// Lets the shards begin whose parents have ended.
    pub(super) fn release(&mut self, bounds: Bounds) {
        let has_ended = |parent: &u32| self.feeds.get(parent).is_none_or(Feed::is_ended);
        let waiting = self.feeds.values().filter(|feed| feed.is_waiting());
        let free: Vec<u32> = waiting.filter(|feed| feed.parents.iter().all(has_ended)).map(|feed| feed.shard).collect();
        for shard in free {
            self.feeds.get_mut(&shard).expect("it was just there").release();
            self.settle(shard, bounds);
        }
    }

    /// Puts a shard where it belongs after something happened to it.
    pub(super) fn settle(&mut self, shard: u32, bounds: Bounds) {
        let credit = self.credit(bounds);
        let feed = self.feeds.get_mut(&shard).expect("it was just there");
        if feed.has_items() && !feed.is_ready {
            feed.is_ready = true;
            self.ready.push_back(shard);
            self.waker.take().into_iter().for_each(Waker::wake);
        }
        if !feed.in_line && feed.want(credit).is_some() {
            feed.in_line = true;
            let lane = self.lanes.entry(feed.lane).or_default();
            lane.line.push_back(shard);
            lane.changed.notify_one();
        }
    }

    /// Lets a shard subscribe again after a wait.
    pub(super) fn settle_later(&mut self, shard: u32, wait_ms: u32, bounds: Bounds) {
        let wait = Duration::from_millis(u64::from(wait_ms)).clamp(WAIT_LEAST, WAIT_MAX);
        let feed = self.feeds.get_mut(&shard).expect("it was just there");
        // It counts as in line, so that nothing else puts it there before its time.
        if !std::mem::replace(&mut feed.in_line, true) {
            let lane = self.lanes.entry(feed.lane).or_default();
            lane.later.insert((Instant::now() + wait, shard));
            lane.changed.notify_one();
        }
        self.settle(shard, bounds);
    }

    /// Bytes that each shard may hold.
    pub(super) fn credit(&self, bounds: Bounds) -> u64 {
        (bounds.in_all / self.living.max(1)).clamp(1, bounds.of_shard)
    }

    /// The first end counts. What was not taken is let go: nobody will have been given it.
    pub(super) fn end(&mut self, over: Over) {
        if matches!(self.over, Over::No) {
            self.over = over;
            self.ready.clear();
            self.feeds.values_mut().for_each(Feed::lost);
            self.lanes.values().for_each(|lane| lane.changed.notify_one());
            self.wake();
        }
    }

    pub(super) fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}
