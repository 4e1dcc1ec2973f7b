//! A rate at which records are put: an open-loop schedule.
//!
//! Record n is due n periods after the first, whatever became of those before it. One that is late goes at
//! once, and how late it was is told: a broker that is too slow cannot hide behind a schedule that waits
//! for it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Records per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate(f64);

const FACTORS: [(char, f64); 3] = [('k', 1e3), ('M', 1e6), ('G', 1e9)];
const PERIODS: [(&str, f64); 3] = [("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

impl Rate {
    /// Records in a second.
    pub(crate) fn per_second(self) -> f64 {
        self.0
    }
}

/// A rate such as `10k/s`, `250` (a second) or `30/m`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        format!(
            "{text:?} is no rate; write a number, with k or M for thousands or millions, and /s, /m or /h, such as 10k/s"
        )
    };
    let (count, period) = text.split_once('/').unwrap_or((text, "s"));
    let (_, seconds) = PERIODS.into_iter().find(|(name, _)| *name == period.trim()).ok_or_else(wrong)?;
    let count = count.trim();
    let with_letter = |(letter, factor)| Some((count.strip_suffix(letter)?, factor));
    let (digits, factor) = FACTORS.into_iter().find_map(with_letter).unwrap_or((count, 1.0));
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong());
    }
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let rate = number * factor / seconds;
    if !(LEAST..=MOST).contains(&rate) {
        return Err(format!("{text} is out of range; a rate is one record in 11 days to a billion in a second"));
    }
    Ok(Rate(rate))
}

const LEAST: f64 = 1e-6;
const MOST: f64 = 1e9;

/// When each record is due.
pub(super) struct Pace {
    rate: Rate,
    begun: Option<Instant>,
    records: u64,
    late_max: Duration,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Pace {
        Pace { rate, begun: None, records: 0, late_max: Duration::ZERO }
    }

    /// Waits until the next record is due. One whose wait is given up is still the next.
    pub(super) async fn due(&mut self) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let due = begun + Duration::from_secs_f64(self.records as f64 / self.rate.0);
        if Instant::now() < due {
            sleep_until(due).await;
        }
        self.late_max = self.late_max.max(due.elapsed());
        self.records += 1;
    }

    /// How late the latest record was.
    pub(super) fn late_max(&self) -> Duration {
        self.late_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        for (text, rate) in
            [("250", 250.0), ("10k/s", 10_000.0), ("1.5M/s", 1.5e6), ("30/m", 0.5), ("3.6k/h", 1.0), (" 5 / s ", 5.0)]
        {
            assert_eq!(parse_rate(text), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "k", "/s", "10/d", "-1", "1e3", "inf", "NaN", "10kk", "0", "99999G", "10 per second"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_late_does_not_delay_what_follows() {
        let mut pace = Pace::new(Rate(100.0));
        let begun = Instant::now();
        for _ in 0..5 {
            pace.due().await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(40));
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..4 {
            pace.due().await;
        }
        // The sixth was due at 50 ms and went after 140 at the earliest; the ninth is due at 80.
        assert!(pace.late_max() >= Duration::from_millis(90), "{:?}", pace.late_max());
        let behind = begun + Duration::from_millis(90);
        pace.due().await;
        assert_eq!((pace.records, pace.begun.unwrap() >= begun), (10, true));
        assert!(Instant::now() >= behind);
    }
}
