//! Random numbers from the operating system: identities of producers and connections, the jitter of waits.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// A random number that is never 0: 0 stands for a producer that does not number its puts.
pub(crate) fn producer_id() -> u64 {
    number().max(1)
}

/// Between half of `wait` and one and a half of it, so that clients do not come back all at once.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait / 2 + wait.mul_f64((number() >> 11) as f64 / (1u64 << 53) as f64)
}

/// Eight bytes that nobody guesses.
pub(crate) fn bytes() -> [u8; 8] {
    number().to_le_bytes()
}

fn number() -> u64 {
    let mut bytes = [0u8; 8];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has random numbers");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds() {
        let wait = Duration::from_millis(100);
        for _ in 0..1_000 {
            let jittered = jittered(wait);
            assert!(jittered >= wait / 2 && jittered <= wait * 3 / 2, "{jittered:?}");
        }
        assert_ne!(producer_id(), producer_id());
    }
}
