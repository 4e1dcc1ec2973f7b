//! The text of a page: families of samples in the Prometheus exposition format, version 0.0.4.
//!
//! A family is a name, what it means, and how its value is read from each of the things it is about. The
//! families of one kind of thing are a table.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, GaugeValueEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::histogram::Histogram;

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// A number of things, bytes or places; or 0 and 1 for no and yes.
    Whole(u64),
    /// Seconds.
    Seconds(f64),
}

/// Whether a value only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It grows until the broker starts again; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A family of samples about things of type `T`.
pub(super) struct Family<T> {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    /// None where there is nothing to be said of a thing.
    pub(super) value: fn(&T) -> Option<Value>,
}

/// A family of histograms of durations in seconds, about things of type `T`.
pub(super) struct Histograms<T> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) value: fn(&T) -> &Histogram,
}

/// A thing that samples are about, with its labels.
pub(super) struct Subject<'a, T> {
    pub(super) labels: Vec<(&'static str, &'a str)>,
    pub(super) of: &'a T,
}

/// Where samples are written.
pub(super) struct Text<'a>(DescriptorEncoder<'a>);

/// The page that `write` writes.
pub(super) fn page(write: impl Fn(&mut Text<'_>) -> fmt::Result + Send + Sync + 'static) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Writer(write)));
    let mut page = String::new();
    encode_registry(&mut page, &registry).expect("a string takes everything");
    page
}

impl Text<'_> {
    /// Writes a table of families about the same things.
    pub(super) fn families<T>(&mut self, families: &[Family<T>], subjects: &[Subject<'_, T>]) -> fmt::Result {
        families.iter().try_for_each(|family| self.family(family, subjects))
    }

    /// Writes a table of histograms about the same things.
    pub(super) fn histograms<T>(&mut self, families: &[Histograms<T>], subjects: &[Subject<'_, T>]) -> fmt::Result {
        for family in families.iter().filter(|_| !subjects.is_empty()) {
            let mut encoder = self.0.encode_descriptor(family.name, family.help, None, MetricType::Histogram)?;
            for Subject { labels, of } in subjects {
                let histogram = (family.value)(of);
                let (sum, count, buckets) = (histogram.sum_seconds(), histogram.count(), histogram.buckets());
                encoder.encode_family(&&labels[..])?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn family<T>(&mut self, family: &Family<T>, subjects: &[Subject<'_, T>]) -> fmt::Result {
        let mut samples = subjects.iter().filter_map(|it| Some((&it.labels[..], (family.value)(it.of)?))).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(family.name, family.help, None, family.kind.into())?;
        // The library would give a counter its `_total` by itself, and leave it out of the lines above the
        // samples, as OpenMetrics has it; the older format, which everything reads, has it there too.
        samples.try_for_each(|(labels, value)| match labels {
            [] => encoder.encode_gauge(&value),
            labels => encoder.encode_family(&labels)?.encode_gauge(&value),
        })
    }
}

struct Writer<W>(W);

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl<W: Fn(&mut Text<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Writer<W> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Text(encoder))
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> MetricType {
        match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        }
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Value::Whole(number) => number.encode(encoder),
            Value::Seconds(seconds) => seconds.encode(encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_meaning_and_its_samples() {
        const FAMILIES: &[Family<(u64, Option<f64>)>] = &[
            Family { name: "a_bytes_total", kind: Kind::Counter, help: "Bytes.", value: |it| Some(Value::Whole(it.0)) },
            Family { name: "b_seconds", kind: Kind::Gauge, help: "How long.", value: |it| it.1.map(Value::Seconds) },
            Family { name: "nothing", kind: Kind::Gauge, help: "Nothing has it.", value: |_| None },
        ];
        let page = page(|text| {
            let subject = |name, of| Subject { labels: vec![("stream", name), ("shard", "0")], of };
            text.families(FAMILIES, &[subject("x", &(7, None)), subject("y\"", &(u64::MAX, Some(0.25)))])
        });
        let expected = "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\n\
                        a_bytes_total{stream=\"x\",shard=\"0\"} 7\n\
                        a_bytes_total{stream=\"y\\\"\",shard=\"0\"} 18446744073709551615\n\
                        # HELP b_seconds How long.\n# TYPE b_seconds gauge\n\
                        b_seconds{stream=\"y\\\"\",shard=\"0\"} 0.25\n";
        assert_eq!(page, expected);
    }
}
