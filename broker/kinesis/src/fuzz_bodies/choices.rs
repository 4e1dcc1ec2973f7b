//! Inputs that are nearly right, made of any bytes.

use std::collections::BTreeMap;

use rheos_protocol::name::{ConsumerName, StreamName};

use super::{NOW_MS, PRINCIPAL};
use crate::page_token::{ConsumersPage, Page, PageFilter, ShardsPage, StreamsPage};
use crate::shapes::{Members, Shape};
use crate::shard_id::ShardId;
use crate::token::TokenKey;
use crate::value::{Structure, TimestampMs, Value};

/// Numbers from the front of the data, zeros after its end, and inputs made of them.
pub(super) struct Choices<'a>(pub(super) &'a [u8]);

impl Choices<'_> {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first) % end
    }

    /// A structure whose values are nearly right, with all members that it needs and some of the others.
    pub(super) fn structure(&mut self, members: Members) -> Structure {
        members.iter().fold(Structure::new(members), |structure, member| {
            let wanted = member.required || self.below(3) == 0;
            structure.with_some(member.name, wanted.then(|| self.value(member.name, member.shape)))
        })
    }

    fn value(&mut self, name: &str, shape: &'static Shape) -> Value {
        match shape {
            Shape::Boolean => (self.below(2) == 0).into(),
            Shape::Integer(_) | Shape::Long(_) => NUMBERS[self.below(NUMBERS.len())].into(),
            Shape::Timestamp => TimestampMs(NOW_MS as i64 - [10_000, 8_500, 0, -5_000, i64::MAX][self.below(5)]).into(),
            Shape::Text(text) if !text.values.is_empty() => text.values[self.below(text.values.len())].into(),
            Shape::Text(_) => self.text(name).into(),
            Shape::Blob(_) => bytes::Bytes::new().into(),
            Shape::List { item, .. } => (0..=self.below(3)).map(|_| self.value(name, item)).collect(),
            Shape::Map { value, .. } => {
                let entry = |choices: &mut Self| (choices.text(name), choices.value(name, value));
                Value::Map((0..=self.below(3)).map(|_| entry(self)).collect::<BTreeMap<_, _>>())
            }
            Shape::Structure { members, .. } => self.structure(members).into(),
        }
    }

    /// A text as the member wants it, mostly.
    fn text(&mut self, name: &str) -> String {
        let fitting: &[&str] = match name {
            "StreamName" | "ExclusiveStartStreamName" => &["orders", "orders", "other"],
            "ConsumerName" => &["board", "other"],
            "NextToken" => return self.token(),
            _ if name.ends_with("ARN") => &ARNS,
            _ if name.contains("Shard") => &["0", "1", "shardId-000000000002", "x-3", "4", "77"],
            "NewStartingHashKey" => &HASH_KEYS,
            _ => &["a", "team x", "a%", "a!", "aws:a", "{}", "[]", "ü"],
        };
        fitting[self.below(fitting.len())].to_owned()
    }

    fn token(&mut self) -> String {
        let (key, stream) = (TokenKey::new(&[7; 32]), StreamName::new("orders").expect("it is one"));
        let incarnation = 7 + self.below(2) as u64;
        match self.below(4) {
            0 => StreamsPage { after: stream }.seal(&key, PRINCIPAL, NOW_MS, 1),
            1 => {
                let after = ConsumerName::new("a").expect("it is one");
                ConsumersPage { stream, incarnation, after }.seal(&key, PRINCIPAL, NOW_MS, 1)
            }
            _ => {
                let filters = [PageFilter::FromTrimHorizon, PageFilter::AtTrimHorizon, PageFilter::AtTimestamp(NOW_MS)];
                let (after, filter) = (ShardId::new(1).expect("it is one"), filters[self.below(3)]);
                ShardsPage { stream, incarnation, after, filter }.seal(&key, PRINCIPAL, NOW_MS, 1)
            }
        }
    }
}

const NUMBERS: [i64; 17] = [0, 1, 2, 3, 4, 7, 8, 24, 25, 48, 100, 1_024, 2_048, 8_760, 10_000, 10_001, i32::MAX as i64];
const HASH_KEYS: [&str; 6] = [
    "0",
    "2",
    "8",
    "42535295865117307932921825928971026432",
    "340282366920938463463374607431768211455",
    "999999999999999999999999999999999999999",
];
const ARNS: [&str; 6] = [
    "arn:aws:kinesis:eu-west-1:000000000000:stream/orders",
    "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/board:1795590660",
    "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
    "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
    "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/board:7",
    "arn:aws:kinesis:eu-west-1:000000000000:queue/q",
];
