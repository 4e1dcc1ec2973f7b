//! aws-kinesis-agg for Python and for Node: what was aggregated comes back and is taken apart.

use serde_json::Value;

use crate::alone::alone;
use crate::client::Client;
use crate::face::{Face, Way};

#[test]
fn in_python() {
    alone("aggregated::in_python", &[Client::Aws], is_taken_apart(Client::Aws, "python/aggregated.py"));
}

#[test]
fn in_node() {
    alone("aggregated::in_node", &[Client::Node], is_taken_apart(Client::Node, "node/aggregated.js"));
}

async fn is_taken_apart(client: Client, script: &'static str) {
    let mut face = Face::start().await;
    let steps = face.run(client, script, &[], Way::Plain).await;
    let apart: Vec<(String, String)> = inner(steps.one("taken apart")).collect();
    let put = (0..100).map(|number| (format!("key-{}", number % 5), format!("record {number}")));
    assert_eq!(apart, put.collect::<Vec<_>>());
    face.end();
}

/// Keys and texts of the records in an aggregate.
pub(crate) fn inner(apart: &Value) -> impl Iterator<Item = (String, String)> {
    let records = apart["inner"].as_array().expect("it is a list");
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned();
    records.iter().map(move |record| (text(&record["key"]), text(&record["text"])))
}
