//! Paired runs: the median of their ratios, and between which two of them it lies.
//!
//! The interval is the sign test's: of n ratios in order, the k-th from either end, with the largest k
//! for which the true median lies between them at least 95 times in 100, whatever their distribution.
//! Fewer than 6 pairs cannot promise that; then it is all of them, and [`coverage`] says how often.

/// The median of some numbers, and an interval around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Median {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Median {
    /// Of the first of each pair divided by the second; none of none, or where one is no number.
    pub(super) fn of_ratios(pairs: &[(f64, f64)]) -> Option<Median> {
        Median::of(pairs.iter().map(|(ours, yardstick)| ours / yardstick))
    }

    /// Of numbers; none of none, or where one is no number.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Median> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.is_empty() || sorted.iter().any(|number| !number.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let rank = rank(count);
        Some(Median {
            median: (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
            low: sorted[rank - 1],
            high: sorted[count - rank],
        })
    }
}

/// How often, 0 to 1, the interval of so many numbers holds the true median.
pub(super) fn coverage(count: usize) -> f64 {
    1.0 - 2.0 * chance_below(count, rank(count))
}

/// The largest place, from 1, that still covers enough.
fn rank(count: usize) -> usize {
    (1..=count.div_ceil(2)).rev().find(|k| 1.0 - 2.0 * chance_below(count, *k) >= COVERAGE_LEAST).unwrap_or(1)
}

/// How likely fewer than `k` of `count` coins show heads.
fn chance_below(count: usize, k: usize) -> f64 {
    let mut term = 0.5_f64.powi(count as i32);
    let mut sum = 0.0;
    for heads in 0..k {
        sum += term;
        term *= (count - heads) as f64 / (heads + 1) as f64;
    }
    sum
}

const COVERAGE_LEAST: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_pairs_lie_between_the_least_and_the_greatest() {
        let pairs = [3.0, 1.0, 2.0, 7.0, 6.0, 5.0, 4.0].map(|ours| (ours * 10.0, 10.0));
        assert_eq!(Median::of_ratios(&pairs), Some(Median { median: 4.0, low: 1.0, high: 7.0 }));
        assert!((coverage(7) - 0.984_375).abs() < 1e-12);
    }

    #[test]
    fn more_pairs_lie_closer_together() {
        let median = Median::of((1..=9).map(f64::from)).expect("there are nine");
        assert_eq!((median.low, median.median, median.high), (2.0, 5.0, 8.0));
        assert!((coverage(9) - 0.960_937_5).abs() < 1e-12);
        let median = Median::of((1..=20).map(f64::from)).expect("there are twenty");
        assert_eq!((median.low, median.median, median.high), (6.0, 10.5, 15.0));
        assert!(coverage(5) < COVERAGE_LEAST && coverage(1) < 1e-12);
    }

    #[test]
    fn what_cannot_be_divided_has_no_median() {
        assert_eq!(Median::of_ratios(&[]), None);
        assert_eq!(Median::of_ratios(&[(1.0, 1.0), (1.0, 0.0)]), None);
        assert_eq!(Median::of_ratios(&[(f64::NAN, 1.0)]), None);
        assert_eq!(Median::of([2.0]), Some(Median { median: 2.0, low: 2.0, high: 2.0 }));
    }
}
