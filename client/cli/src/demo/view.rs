//! What a screen shows of the demo: a copy of the board's numbers, made ten times a second, so that drawing
//! never holds up what is measured.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::board::{Behind, Board, Event, Health, Phase, SharedBoard};
use super::consumers::{NAMES, SLOW};
use super::course::Plan;
use super::timing::Percentiles;

/// How often a view is made.
const EVERY: Duration = Duration::from_millis(100);
/// Rates are over the last so many views.
const RATE_VIEWS: usize = 10;
/// Columns of the history that the whole time fills.
const COLUMNS: u64 = 50;
/// Most columns that are kept, if the demo takes longer than planned.
const COLUMNS_MAX: usize = 400;

/// The demo at one moment.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) elapsed: Duration,
    /// How long it is to take in all, and how much is put a second.
    pub(super) plan: Plan,
    pub(super) phase: Phase,
    pub(super) health: Health,
    pub(super) pid: u32,
    pub(super) put: Flow,
    pub(super) acked: u64,
    pub(super) in_flight: u64,
    pub(super) consumers: Vec<ConsumerView>,
    /// What was put and pushed in each stretch of time, in records a second.
    pub(super) history: Vec<Column>,
    pub(super) events: Vec<Event>,
}

/// Records that flow one way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    pub(super) count: u64,
    pub(super) per_second: u64,
    pub(super) latency: Option<Percentiles>,
}

/// One of the consumers.
#[derive(Debug, Clone)]
pub(super) struct ConsumerView {
    pub(super) name: &'static str,
    pub(super) is_slow: bool,
    pub(super) pushed: Flow,
    pub(super) behind: Behind,
}

/// A stretch of time: records a second that were acknowledged, and pushed to each consumer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Column {
    pub(super) acked: u64,
    pub(super) pushed: [u64; NAMES.len()],
}

/// Counts at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    at_ns: u64,
    put: u64,
    acked: u64,
    pushed: [u64; NAMES.len()],
}

/// Makes views of a board.
#[derive(Debug)]
pub(super) struct Sampler {
    board: SharedBoard,
    plan: Plan,
    recent: VecDeque<Counts>,
    history: Vec<Column>,
    column_begun: Counts,
}

impl Sampler {
    pub(super) fn new(board: &SharedBoard, plan: Plan) -> Sampler {
        let (recent, history) = (VecDeque::from([Counts::default()]), Vec::new());
        Sampler { board: board.clone(), plan, recent, history, column_begun: Counts::default() }
    }

    /// Makes views for as long as it is polled.
    pub(super) async fn run(&mut self, views: &watch::Sender<View>) -> Infallible {
        let mut due = interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            views.send_replace(self.sample());
        }
    }

    /// The view of this moment.
    pub(super) fn sample(&mut self) -> View {
        let shared = self.board.clone();
        let mut board = shared.lock();
        let behind = board.measure();
        let counts = Counts::of(&board);
        self.recent.push_back(counts);
        if self.recent.len() > RATE_VIEWS + 1 {
            self.recent.pop_front();
        }
        self.lengthen(counts);
        let rates = counts.since(self.recent[0]);
        let consumers =
            board.consumers.iter().zip(behind).enumerate().map(|(index, (consumer, behind))| ConsumerView {
                name: consumer.witness.name,
                is_slow: consumer.witness.name == SLOW,
                pushed: Flow {
                    count: consumer.witness.count(),
                    per_second: rates.pushed[index],
                    latency: consumer.put_to_push.usual(),
                },
                behind,
            });
        let puts = board.ledger.counts();
        View {
            elapsed: Duration::from_nanos(counts.at_ns),
            plan: self.plan,
            phase: board.phase,
            health: board.health,
            pid: board.pid,
            put: Flow { count: puts.put, per_second: rates.put, latency: board.put_to_ack.usual() },
            acked: puts.acked,
            in_flight: puts.open(),
            consumers: consumers.collect(),
            history: self.history.clone(),
            events: board.events.clone(),
        }
    }

    /// Ends a column of the history when its time is over.
    fn lengthen(&mut self, counts: Counts) {
        let column_ns = (self.plan.total.as_nanos() as u64 / COLUMNS).max(1);
        if counts.at_ns - self.column_begun.at_ns >= column_ns && self.history.len() < COLUMNS_MAX {
            let rates = counts.since(self.column_begun);
            self.history.push(Column { acked: rates.acked, pushed: rates.pushed });
            self.column_begun = counts;
        }
    }
}

impl Counts {
    fn of(board: &Board) -> Counts {
        let puts = board.ledger.counts();
        let mut pushed = [0; NAMES.len()];
        for (pushed, consumer) in pushed.iter_mut().zip(&board.consumers) {
            *pushed = consumer.witness.count();
        }
        Counts { at_ns: board.clock.now_ns(), put: puts.put, acked: puts.acked, pushed }
    }

    /// How much more it is than `before`, a second.
    fn since(self, before: Counts) -> Counts {
        let ns = (self.at_ns - before.at_ns).max(1);
        let per_second = |now: u64, before: u64| (u128::from(now - before) * 1_000_000_000 / u128::from(ns)) as u64;
        let mut pushed = self.pushed;
        for (now, before) in pushed.iter_mut().zip(before.pushed) {
            *now = per_second(*now, before);
        }
        Counts { at_ns: ns, put: per_second(self.put, before.put), acked: per_second(self.acked, before.acked), pushed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_by_the_second() {
        let before = Counts { at_ns: 1_000_000_000, put: 10, acked: 5, pushed: [4, 0] };
        let now = Counts { at_ns: 1_500_000_000, put: 60, acked: 30, pushed: [4, 7] };
        let rates = now.since(before);
        assert_eq!((rates.put, rates.acked, rates.pushed), (100, 50, [0, 14]));
    }

    #[test]
    fn a_view_is_of_what_stands_on_the_board() {
        let board = SharedBoard::new(Board::new(1, &NAMES));
        let mut sampler = Sampler::new(&board, Plan { rate: 10, total: Duration::from_secs(20) });
        {
            let mut board = board.lock();
            board.put(0, 7, 100, 0);
            let outcome = rheos_client::Outcome::Acked { shard: 0, sequence: 0, arrival_ms: 1 };
            board.settle(0, 0, &outcome);
            board.put(0, 8, 100, 0);
            board.tell("something");
        }
        let view = sampler.sample();
        assert_eq!((view.put.count, view.acked, view.in_flight), (2, 1, 1));
        assert_eq!(view.put.latency.map(|latency| latency.count), Some(1));
        let behind: Vec<u64> = view.consumers.iter().map(|consumer| consumer.behind.records).collect();
        assert_eq!((behind, view.consumers[0].is_slow, view.consumers[1].is_slow), (vec![1, 1], false, true));
        assert!(view.consumers[0].behind.ns > 0 && view.events[0].text == "something");
    }
}
