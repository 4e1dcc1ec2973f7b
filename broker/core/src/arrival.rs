//! The arrival clock of a log: when a record came, in wall-clock milliseconds that never go back.
//!
//! It runs on the machine's boot time plus an offset. The offset follows the wall clock at once while
//! they are at most a minute apart; a larger jump is followed only after it has lasted ten minutes,
//! so that a clock set wrong for a moment expires nothing.
//!
//! At a start the wall clock is all there is, and records are stamped with it. For what expires it is believed
//! at once only up to the newest record that is stored, and further when it has lasted ten minutes: a machine that
//! starts with its clock ten years ahead removes nothing before somebody can set it right. (A record that is stamped
//! meanwhile bears witness of that clock at the next start, if it is wrong then still.)

use crate::limits::{CLOCK_JUMP_BELIEVED_MS, CLOCK_JUMP_MS_MAX};

/// What the machine's clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since the machine started, suspension included; never goes back.
    pub boot_ms: u64,
    /// Milliseconds since 1970 as the wall clock has it; may jump.
    pub wall_ms: u64,
}

/// The clock of one log.
#[derive(Debug, Clone)]
pub struct ArrivalClock {
    offset_ms: i64,
    last_ms: u64,
    jumped_at_boot_ms: Option<u64>,
    /// Until the wall clock of the start is believed: a time that has been for sure, and when it was said.
    witnessed: Option<Witnessed>,
}

#[derive(Debug, Clone, Copy)]
struct Witnessed {
    arrival_ms: u64,
    since_boot_ms: u64,
}

impl ArrivalClock {
    /// A clock that begins at the wall clock, or at the last arrival that the log has stored when that is later.
    pub fn new(now: Now, last_arrival_ms: u64) -> ArrivalClock {
        ArrivalClock {
            offset_ms: now.wall_ms as i64 - now.boot_ms as i64,
            last_ms: last_arrival_ms,
            jumped_at_boot_ms: None,
            witnessed: (last_arrival_ms > 0)
                .then_some(Witnessed { arrival_ms: last_arrival_ms, since_boot_ms: now.boot_ms }),
        }
    }

    /// A record was stored at this time: the wall clock of the start is believed up to it.
    pub fn witness(&mut self, arrival_ms: u64) {
        if let Some(witnessed) = &mut self.witnessed {
            witnessed.arrival_ms = witnessed.arrival_ms.max(arrival_ms);
        }
    }

    /// The arrival time of a record that comes now; never earlier than one given before.
    pub fn arrival_ms(&mut self, now: Now) -> u64 {
        self.follow(now);
        self.last_ms = self.last_ms.max(self.now_ms(now));
        self.last_ms
    }

    /// The time by which records expire: the wall clock, unless that has jumped ahead, or is that of a start, and is
    /// not believed yet. When the wall clock goes back, fewer have expired at once.
    pub fn expiry_ms(&self, now: Now) -> u64 {
        let agreed_ms = self.now_ms(now).min(now.wall_ms);
        match self.witnessed {
            Some(Witnessed { arrival_ms, since_boot_ms }) => {
                let for_sure_ms = arrival_ms.saturating_add(now.boot_ms.saturating_sub(since_boot_ms));
                agreed_ms.min(for_sure_ms.saturating_add(CLOCK_JUMP_MS_MAX))
            }
            None => agreed_ms,
        }
    }

    /// The wall clock, unless that has jumped and is not believed yet.
    fn now_ms(&self, now: Now) -> u64 {
        let ahead_ms = self.ahead_ms(now);
        let believed_ms = if ahead_ms.unsigned_abs() <= CLOCK_JUMP_MS_MAX { ahead_ms } else { 0 };
        u64::try_from(now.boot_ms as i64 + self.offset_ms + believed_ms).unwrap_or(0)
    }

    /// Looks at the clocks, so that a jump that lasts is believed although nothing arrives.
    pub fn follow(&mut self, now: Now) {
        let ahead_ms = self.ahead_ms(now);
        if ahead_ms.unsigned_abs() <= CLOCK_JUMP_MS_MAX || self.jump_is_believed(now) {
            self.offset_ms += ahead_ms;
            self.jumped_at_boot_ms = None;
        }
        let is_over = |witnessed: &Witnessed| now.boot_ms - witnessed.since_boot_ms >= CLOCK_JUMP_BELIEVED_MS;
        self.witnessed = self.witnessed.filter(|witnessed| !is_over(witnessed));
    }

    fn ahead_ms(&self, now: Now) -> i64 {
        now.wall_ms as i64 - (now.boot_ms as i64 + self.offset_ms)
    }

    fn jump_is_believed(&mut self, now: Now) -> bool {
        let since = *self.jumped_at_boot_ms.get_or_insert(now.boot_ms);
        now.boot_ms - since >= CLOCK_JUMP_BELIEVED_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_ms: u64, wall_ms: u64) -> Now {
        Now { boot_ms, wall_ms }
    }

    #[test]
    fn follows_small_corrections_and_never_goes_back() {
        let mut clock = ArrivalClock::new(at(0, 1_000_000), 0);
        assert_eq!(clock.arrival_ms(at(10, 1_000_010)), 1_000_010);
        assert_eq!(clock.arrival_ms(at(20, 1_030_000)), 1_030_000);
        assert_eq!(clock.arrival_ms(at(30, 1_000_030)), 1_030_000);
        assert_eq!(clock.arrival_ms(at(40, 1_030_001)), 1_030_001);
    }

    #[test]
    fn a_jump_must_last_ten_minutes() {
        let mut clock = ArrivalClock::new(at(0, 1_000_000), 0);
        let year = 31_536_000_000;
        assert_eq!(clock.arrival_ms(at(1_000, 1_001_000 + year)), 1_001_000);
        assert_eq!(clock.arrival_ms(at(600_999, 1_600_999 + year)), 1_600_999);
        assert_eq!(clock.arrival_ms(at(601_000, 1_601_000 + year)), 1_601_000 + year);
        // The jump was wrong after all: the clock waits where it is.
        assert_eq!(clock.arrival_ms(at(601_001, 1_601_001)), 1_601_001 + year);
    }

    #[test]
    fn a_jump_that_ends_is_forgotten() {
        let mut clock = ArrivalClock::new(at(0, 1_000_000), 0);
        assert_eq!(clock.arrival_ms(at(1_000, 9_000_000)), 1_001_000);
        assert_eq!(clock.arrival_ms(at(2_000, 1_002_000)), 1_002_000);
        assert_eq!(clock.arrival_ms(at(601_500, 9_600_000)), 1_601_500);
    }

    #[test]
    fn nothing_expires_by_a_jump_that_does_not_last() {
        let mut clock = ArrivalClock::new(at(0, 1_000_000), 0);
        let year = 31_536_000_000;
        clock.follow(at(1_000, 1_001_000 + year));
        assert_eq!(clock.expiry_ms(at(1_000, 1_001_000 + year)), 1_001_000);
        assert_eq!(clock.expiry_ms(at(2_000, 1_030_000)), 1_030_000);
        // It has lasted, and nothing arrived meanwhile.
        clock.follow(at(601_000, 1_601_000 + year));
        assert_eq!(clock.expiry_ms(at(601_000, 1_601_000 + year)), 1_601_000 + year);
        // It was wrong after all: what has not expired by the right time is kept.
        assert_eq!(clock.expiry_ms(at(602_000, 1_602_000)), 1_602_000);
    }

    #[test]
    fn a_start_with_a_clock_that_is_ahead_expires_nothing_for_ten_minutes() {
        let (stored, ten_years, minute) = (1_700_000_000_000, 315_360_000_000, 60_000);
        let mut clock = ArrivalClock::new(at(0, stored + ten_years), stored);
        assert_eq!(clock.expiry_ms(at(1_000, stored + ten_years + 1_000)), stored + 1_000 + minute);
        // Another log has stored something later: that much is sure.
        clock.witness(stored + 3_600_000);
        clock.follow(at(599_000, stored + ten_years + 599_000));
        assert_eq!(clock.expiry_ms(at(599_000, stored + ten_years)), stored + 3_600_000 + 599_000 + minute);
        clock.follow(at(600_000, stored + ten_years + 600_000));
        assert_eq!(clock.expiry_ms(at(600_000, stored + ten_years + 600_000)), stored + ten_years + 600_000);
    }

    #[test]
    fn a_start_that_is_set_right_in_time_has_expired_nothing() {
        let (stored, ten_years, hour) = (1_700_000_000_000, 315_360_000_000, 3_600_000);
        for wrong in [ten_years, hour, -hour, -ten_years] {
            let wall = |boot_ms: u64| (stored as i64 + wrong + boot_ms as i64) as u64;
            let mut clock = ArrivalClock::new(at(0, wall(0)), stored);
            for boot_ms in (0..300_000).step_by(1_000) {
                clock.follow(at(boot_ms, wall(boot_ms)));
                assert!(clock.expiry_ms(at(boot_ms, wall(boot_ms))) <= stored + boot_ms + 60_000);
            }
            for boot_ms in (300_000..2_000_000).step_by(1_000) {
                let now = at(boot_ms, stored + boot_ms);
                clock.follow(now);
                assert!(clock.expiry_ms(now) <= stored + boot_ms + 60_000, "{wrong} at {boot_ms}");
            }
        }
    }

    #[test]
    fn begins_after_what_is_stored() {
        let mut clock = ArrivalClock::new(at(0, 1_000), 5_000);
        assert_eq!(clock.arrival_ms(at(1, 1_001)), 5_000);
    }
}
