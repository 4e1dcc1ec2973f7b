//! For how long a signature is taken: 5 minutes either way, or what the query form asks for, up to a week.

use super::presented::Presented;
use super::{incomplete, invalid};
use crate::error::Error;
use crate::moment;

/// What clocks may differ by, in seconds.
const SKEW_S: u64 = 300;
/// A week.
const EXPIRES_S_MAX: u64 = 604_800;

/// When a signature was made, and for how long it is good.
pub(super) struct Freshness {
    signed_s: u64,
    life_s: u64,
}

impl Freshness {
    pub(super) fn of(presented: &Presented) -> Result<Freshness, Error> {
        let signed_s = moment::read_basic(&presented.date).expect("it was written by us");
        let life_s = match presented.expires.as_deref() {
            None => SKEW_S,
            Some(expires) => match expires.parse::<u64>() {
                Ok(seconds) if seconds <= EXPIRES_S_MAX => seconds,
                Ok(_) => return Err(incomplete("X-Amz-Expires must be less than a week (in seconds); that is 604800")),
                Err(_) => return Err(incomplete("X-Amz-Expires should be a number")),
            },
        };
        Ok(Freshness { signed_s, life_s })
    }

    pub(super) fn check(&self, now_s: u64) -> Result<(), Error> {
        let (earliest, latest) = (now_s.saturating_sub(self.life_s), now_s.saturating_add(SKEW_S));
        let [signed, now] = [self.signed_s, now_s].map(moment::basic);
        if self.signed_s < earliest {
            let before = format!("{} ({now} - {}.)", moment::basic(earliest), spoken(self.life_s));
            return Err(invalid(format!("Signature expired: {signed} is now earlier than {before}")));
        }
        if self.signed_s > latest {
            let after = format!("{} ({now} + {}.)", moment::basic(latest), spoken(SKEW_S));
            return Err(invalid(format!("Signature not yet current: {signed} is still later than {after}")));
        }
        Ok(())
    }
}

fn spoken(seconds: u64) -> String {
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} sec") }
}
