//! Enhanced monitoring: which metrics of its shards a stream is asked to tell.
//!
//! ```text
//!   u8: bit 0 IncomingBytes, 1 IncomingRecords, 2 OutgoingBytes, 3 OutgoingRecords,
//!       4 WriteProvisionedThroughputExceeded, 5 ReadProvisionedThroughputExceeded, 6 IteratorAgeMilliseconds
//! ```
//!
//! What is enabled is kept and told, as the Kinesis API wants it. It counts nothing more or less: the broker has these
//! numbers of every shard whatever is enabled.

use super::StreamRecord;

/// A metric of a shard, as Kinesis names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardMetric {
    /// Bytes of records that were put.
    IncomingBytes,
    /// Records that were put.
    IncomingRecords,
    /// Bytes of records that were read or pushed.
    OutgoingBytes,
    /// Records that were read or pushed.
    OutgoingRecords,
    /// Puts refused because of the shard's limit.
    WriteProvisionedThroughputExceeded,
    /// Reads refused because of the shard's limit.
    ReadProvisionedThroughputExceeded,
    /// How far the last read was behind.
    IteratorAgeMilliseconds,
}

impl ShardMetric {
    /// Every metric, in the API's order.
    pub const ALL: [ShardMetric; 7] = [
        ShardMetric::IncomingBytes,
        ShardMetric::IncomingRecords,
        ShardMetric::OutgoingBytes,
        ShardMetric::OutgoingRecords,
        ShardMetric::WriteProvisionedThroughputExceeded,
        ShardMetric::ReadProvisionedThroughputExceeded,
        ShardMetric::IteratorAgeMilliseconds,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ShardMetric::IncomingBytes => "IncomingBytes",
            ShardMetric::IncomingRecords => "IncomingRecords",
            ShardMetric::OutgoingBytes => "OutgoingBytes",
            ShardMetric::OutgoingRecords => "OutgoingRecords",
            ShardMetric::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            ShardMetric::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            ShardMetric::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<ShardMetric> {
        ShardMetric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardMetrics(u8);

impl ShardMetrics {
    /// None of them.
    pub const NONE: ShardMetrics = ShardMetrics(0);
    /// All of them.
    pub const ALL: ShardMetrics = ShardMetrics((1 << ShardMetric::ALL.len()) - 1);

    /// Whether the metric is in the set.
    pub fn has(self, metric: ShardMetric) -> bool {
        self.0 & metric.bit() != 0
    }

    /// Those of either set.
    pub fn with(self, more: ShardMetrics) -> ShardMetrics {
        ShardMetrics(self.0 | more.0)
    }

    /// Those that are not of the other set.
    pub fn without(self, less: ShardMetrics) -> ShardMetrics {
        ShardMetrics(self.0 & !less.0)
    }

    /// Its metrics, in the API's order.
    pub fn iter(self) -> impl Iterator<Item = ShardMetric> {
        ShardMetric::ALL.into_iter().filter(move |metric| self.has(*metric))
    }

    pub(super) fn to_bits(self) -> u8 {
        self.0
    }

    /// The mirror of [`to_bits`](Self::to_bits); `None` for bits that no metric has.
    pub(super) fn from_bits(bits: u8) -> Option<ShardMetrics> {
        (bits & !ShardMetrics::ALL.0 == 0).then_some(ShardMetrics(bits))
    }
}

impl FromIterator<ShardMetric> for ShardMetrics {
    fn from_iter<I: IntoIterator<Item = ShardMetric>>(metrics: I) -> ShardMetrics {
        ShardMetrics(metrics.into_iter().fold(0, |bits, metric| bits | metric.bit()))
    }
}

impl StreamRecord {
    /// The stream with these metrics enabled and no others; `None` when it is so already.
    pub fn monitoring(&self, shard_metrics: ShardMetrics) -> Option<StreamRecord> {
        (shard_metrics != self.shard_metrics).then(|| StreamRecord { shard_metrics, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for bits in 0..=u8::MAX {
            let Some(set) = ShardMetrics::from_bits(bits) else {
                assert_ne!(bits & 0x80, 0, "only one bit is nobody's");
                continue;
            };
            assert_eq!(set.to_bits(), bits);
            assert_eq!(set.iter().collect::<ShardMetrics>(), set);
            assert_eq!(set.iter().count(), bits.count_ones() as usize);
            assert_eq!(set.with(ShardMetrics::ALL), ShardMetrics::ALL);
            assert_eq!(set.without(ShardMetrics::ALL), ShardMetrics::NONE);
            assert_eq!(ShardMetrics::ALL.without(set).with(set), ShardMetrics::ALL);
        }
    }

    #[test]
    fn every_metric_has_a_name_and_a_bit_of_its_own() {
        for (place, metric) in ShardMetric::ALL.into_iter().enumerate() {
            assert_eq!(ShardMetric::named(metric.name()), Some(metric));
            assert_eq!(usize::from(metric.bit()), 1 << place);
        }
        assert_eq!((ShardMetric::named("ALL"), ShardMetric::named("incomingbytes")), (None, None));
    }
}
