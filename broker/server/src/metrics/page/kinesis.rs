//! What there is to say of the Kinesis face, by operation.

use std::fmt;

use crate::kinesis::OperationCounts;
use crate::metrics::text::{Family, Histograms, Kind, Subject, Text, Value};

/// Writes what there is to say of operations that were asked for.
pub(super) fn write(text: &mut Text<'_>, operations: &[(&'static str, OperationCounts)]) -> fmt::Result {
    let subjects = operations.iter().map(|(name, of)| Subject { labels: vec![("operation", *name)], of });
    text.histograms(TOOK, &subjects.collect::<Vec<_>>())?;
    let outcomes = operations.iter().flat_map(|(name, counts)| {
        counts.outcomes.iter().map(move |(outcome, of)| {
            let labels = vec![("operation", *name), ("outcome", *outcome)];
            Subject { labels, of }
        })
    });
    text.families(OUTCOMES, &outcomes.collect::<Vec<_>>())
}

const TOOK: &[Histograms<OperationCounts>] = &[Histograms {
    name: "rheos_kinesis_request_seconds",
    help: "How long requests of the Kinesis face took, from when they had come whole to when the answer was made, or its \
           events could begin.",
    value: |counts| &counts.took,
}];

const OUTCOMES: &[Family<u64>] = &[Family {
    name: "rheos_kinesis_requests_total",
    kind: Kind::Counter,
    help: "Requests of the Kinesis face by operation and by what they were answered: ok, or the name of the error. A \
           PutRecords of which some records were refused is ok; see rheos_put_refused_records_total.",
    value: |count| Some(Value::Whole(*count)),
}];
