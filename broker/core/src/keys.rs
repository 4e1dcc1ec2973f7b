//! Which hash keys a shard's load comes from: a histogram of equal depth, and the one key that may have it all.
//!
//! The histogram is a sample: every so many units of weight the hash key that has just come is kept. When the
//! places are full every second sample goes and the next ones are taken twice as far apart, so that all of them
//! stand for the same weight however much there was, and where the keys are dense the samples are too. A key
//! with more than half of the weight is found by a vote (Boyer and Moore's, weighted) that needs one counter.
//!
//! What must hold: its memory is bounded whatever comes; what it says depends on nothing but what it was given,
//! in that order. It is a sample: shares are right within a tenth or so.

/// Samples that are kept: a median of so many is within a few percent of the true one.
const SAMPLES_MAX: usize = 64;
/// Weight between two samples at first, about one record: of few records all are known.
const APART_FIRST: u64 = 1 << 10;

/// What is known of a shard's hash keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyHistogram {
    /// Hash keys in the order in which they came.
    samples: Vec<u128>,
    /// Weight between two samples, on average.
    apart: u64,
    /// Weight until the next one.
    until_next: u64,
    /// Weight of everything.
    weight: u64,
    /// Who leads the vote, and by how much.
    leader: (u128, u64),
    /// Scatters the samples, so that no rhythm of keys hides from them.
    scatter: u64,
}

/// Where a shard is best split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// First hash key of the second child.
    pub at: u128,
    /// How much of the shard's load the busier child takes, in percent.
    pub share_percent: u8,
}

impl KeyHistogram {
    /// A record of this hash key and weight has come.
    pub fn add(&mut self, hash_key: u128, weight: u64) {
        self.weight = self.weight.saturating_add(weight);
        self.vote(hash_key, weight);
        if self.apart == 0 {
            self.apart = APART_FIRST;
            self.scatter();
        }
        let mut left = weight;
        while left >= self.until_next {
            left -= self.until_next;
            self.keep(hash_key);
            self.scatter();
        }
        self.until_next -= left;
    }

    /// Weight of all that has come.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The key that has more of the load than all others together, with its share in percent; `None` where there
    /// is surely none. The share is never told too small.
    pub fn leader(&self) -> Option<(u128, u8)> {
        let (key, lead) = self.leader;
        // Of a key that leads by so much the others have at most half of the rest.
        let share = (u128::from(self.weight) + u128::from(lead)) * 100 / (2 * u128::from(self.weight.max(1)));
        (lead > 0).then_some((key, share.min(100) as u8))
    }

    /// The split strictly inside `first..=last` that makes the busier child least busy; `None` where there is no
    /// such place or nothing is known.
    pub fn cut(&self, first: u128, last: u128) -> Option<Cut> {
        let mut sorted: Vec<u128> = self.samples.iter().copied().filter(|key| (first..=last).contains(key)).collect();
        sorted.sort_unstable();
        let busier = |at: u128| {
            let below = sorted.partition_point(|key| *key < at);
            below.max(sorted.len() - below)
        };
        // Between two keys that follow each other the middle is as good as any place; beside a key that has
        // much, only its very edge parts it from what is near it.
        let middles = sorted.windows(2).map(|pair| pair[0] + (pair[1] - pair[0]).div_ceil(2));
        let edges = sorted.iter().flat_map(|key| [*key, key.saturating_add(1)]);
        let inside = middles.chain(edges).filter(|at| first < *at && *at < last);
        let at = inside.min_by_key(|at| (busier(*at), *at))?;
        let share_percent = (busier(at) * 100 / sorted.len()) as u8;
        Some(Cut { at, share_percent })
    }

    fn vote(&mut self, hash_key: u128, weight: u64) {
        let (key, lead) = &mut self.leader;
        if *key == hash_key {
            *lead = lead.saturating_add(weight);
        } else if *lead >= weight {
            *lead -= weight;
        } else {
            (*key, *lead) = (hash_key, weight - *lead);
        }
    }

    fn keep(&mut self, hash_key: u128) {
        if self.samples.len() == SAMPLES_MAX {
            let mut is_kept = false;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.apart = self.apart.saturating_mul(2);
        }
        self.samples.push(hash_key);
    }

    /// Half to one and a half times the distance, by a linear congruence.
    fn scatter(&mut self) {
        self.scatter = self.scatter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.until_next = self.apart / 2 + (self.scatter >> 33) % self.apart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hash keys that lie everywhere, always the same ones.
    fn spread(at: u64) -> u128 {
        let low = u128::from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (low << 64) | low
    }

    fn of(keys: impl IntoIterator<Item = u128>) -> KeyHistogram {
        let mut histogram = KeyHistogram::default();
        keys.into_iter().for_each(|key| histogram.add(key, 4_096));
        histogram
    }

    #[test]
    fn the_median_of_many_keys_is_found() {
        let even = of((0..10_000).map(spread));
        let cut = even.cut(0, u128::MAX).expect("there are keys");
        let middle = u128::MAX / 2;
        assert!(cut.at.abs_diff(middle) < u128::MAX / 8, "{:x}", cut.at);
        assert!(cut.share_percent <= 52 && even.leader().is_none_or(|(_, share)| share < 60), "{cut:?}");
        assert!(even.samples.len() <= SAMPLES_MAX && even.weight() == 10_000 * 4_096);
    }

    #[test]
    fn a_hot_range_is_split_inside_however_narrow_it_is() {
        // Nine of ten records lie in a millionth of the shard.
        let (low, width) = (u128::MAX / 3, u128::MAX / 1_000_000);
        let keys = (0..20_000).map(|at| if at % 10 == 0 { spread(at) } else { low + spread(at) % width });
        let cut = of(keys).cut(0, u128::MAX).expect("there are keys");
        assert!((low..low + width).contains(&cut.at) && cut.share_percent <= 60, "{cut:?}");
    }

    #[test]
    fn one_hot_key_is_known_and_no_split_is_said_to_divide_it() {
        let hot = u128::MAX / 3;
        for (percent, order) in [(60, 7), (80, 3), (95, 11)] {
            let keys = (0..20_000u64).map(|at| if at * order % 100 < percent { hot } else { spread(at) });
            let histogram = of(keys);
            let (key, share) = histogram.leader().expect("it has more than half");
            assert_eq!(key, hot);
            assert!(u64::from(share).abs_diff(percent) <= 3, "{share} for {percent}");
            let cut = histogram.cut(0, u128::MAX).expect("there are others");
            assert!(u64::from(cut.share_percent) + 15 >= percent, "{cut:?} for {percent}");
        }
        let alone = of(std::iter::repeat_n(hot, 1_000));
        assert_eq!(alone.leader(), Some((hot, 100)));
        assert_eq!(alone.cut(0, u128::MAX).expect("it can be parted").share_percent, 100);
    }

    #[test]
    fn a_rhythm_of_keys_does_not_hide_from_the_samples() {
        for period in [2u64, 4, 8, 16] {
            let histogram = of((0..50_000).map(|at| u128::from(at % period) << 120));
            let mut seen: Vec<u128> = histogram.samples.clone();
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() as u64 >= period.min(8), "{} of {period}", seen.len());
        }
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let none = KeyHistogram::default();
        assert_eq!((none.cut(0, u128::MAX), none.leader()), (None, None));
        let outside = of([7; 100]);
        assert_eq!(outside.cut(100, 200), None);
        // A shard of two keys has no place strictly inside.
        assert_eq!(of([7; 100]).cut(7, 8), None);
        let mut large = KeyHistogram::default();
        large.add(1, u64::MAX);
        large.add(2, u64::MAX);
        assert!(large.samples.len() <= SAMPLES_MAX);
    }
}
