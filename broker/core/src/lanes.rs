//! Which lane serves a log in a run with so many lanes. Nothing on disk names a lane: it is dealt anew
//! at each start, by everybody with the same function.

use crate::limits::LANES_MAX;

/// The lane of a log: a stream's logs are dealt in turn, beginning at a lane that follows from its
/// incarnation. Incarnations are counted up, so streams of one log are dealt in turn too.
///
/// # Panics
///
/// When `lanes` is not from 1 to [`LANES_MAX`].
pub fn lane_of(incarnation: u64, log: u32, lanes: u16) -> u16 {
    assert!((1..=LANES_MAX).contains(&lanes), "a broker has 1 to {LANES_MAX} lanes, not {lanes}");
    let lanes = u64::from(lanes);
    ((incarnation % lanes + u64::from(log) % lanes) % lanes) as u16
}

/// The lanes that serve a stream with so many logs, each once.
///
/// # Panics
///
/// As [`lane_of`].
pub fn lanes_of(incarnation: u64, log_count: u32, lanes: u16) -> impl Iterator<Item = u16> {
    (0..log_count.min(lanes.into())).map(move |log| lane_of(incarnation, log, lanes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn with_one_lane_everything_is_its_own() {
        for (incarnation, log) in [(0, 0), (7, 255), (u64::MAX, u32::MAX)] {
            assert_eq!(lane_of(incarnation, log, 1), 0);
        }
    }

    #[test]
    fn the_logs_of_a_stream_are_dealt_evenly() {
        for lanes in [1, 2, 3, 7, 8, 255, 256] {
            for incarnation in [0, 1, 5, u64::MAX - 1, u64::MAX] {
                for log_count in [1, 2, 8, 256] {
                    let mut counts = vec![0u32; lanes.into()];
                    (0..log_count).for_each(|log| counts[usize::from(lane_of(incarnation, log, lanes))] += 1);
                    let least = log_count / u32::from(lanes);
                    assert!(counts.iter().all(|count| (least..=least + 1).contains(count)), "{counts:?}");
                    let serving: BTreeSet<u16> = lanes_of(incarnation, log_count, lanes).collect();
                    assert_eq!(serving.len(), log_count.min(lanes.into()) as usize, "each once");
                    assert!((0..log_count).all(|log| serving.contains(&lane_of(incarnation, log, lanes))));
                }
            }
        }
    }

    #[test]
    fn streams_of_one_log_are_spread() {
        for lanes in [2, 3, 8, 256] {
            let serving: BTreeSet<u16> = (40..40 + u64::from(lanes)).map(|life| lane_of(life, 0, lanes)).collect();
            assert_eq!(serving.len(), usize::from(lanes), "as many streams as lanes come to as many lanes");
        }
    }
}
