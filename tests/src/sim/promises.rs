//! Bandwidth that is promised to consumers, more and less while the broker runs, on lanes that are short of time
//! now and then: puts are refused where a promise is late, and nobody is left out for it.

use std::num::NonZeroU64;

use super::world::World;

impl World {
    /// Time has passed on every lane: perhaps it was short, and perhaps something else is promised.
    pub(crate) fn tick_promises(&mut self) {
        let now = self.now();
        for lane in 0..self.lanes.len() {
            // What is not looked at now is looked at late.
            if !self.ending_run && self.random.per_mille(300) {
                continue;
            }
            let lane = &mut self.lanes[lane];
            lane.fan_out.tick(now);
            let is_late = lane.fan_out.is_late();
            lane.budget.set_pushes_late(is_late);
            self.met.late_with_promises += u64::from(is_late);
        }
        if self.random.per_mille(20) {
            self.change_promise();
        }
    }

    /// Something else is promised to a consumer that is subscribed, or nothing any more.
    fn change_promise(&mut self) {
        let count = self.seats.consumers().count() as u64;
        if count == 0 || !self.up {
            return;
        }
        let nth = self.random.below(count) as usize;
        let (log, consumer) = self.seats.consumers().nth(nth).expect("there are so many");
        let incarnation = self.hosts[log].settings.id.incarnation;
        let rate = NonZeroU64::new(self.random.one_of(&[0, 200, 20_000, 1 << 20]));
        self.met.promises_changed += 1;
        self.trace.note(self.now_us, format_args!("{rate:?} bytes a second are promised to {consumer} of log {log}"));
        self.lanes.iter_mut().for_each(|lane| lane.fan_out.promise(incarnation, &consumer, rate));
    }
}
