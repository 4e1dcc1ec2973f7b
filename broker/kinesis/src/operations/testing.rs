//! What the tests of the operations have in common: a stream, a caller, inputs and outputs as JSON.

use std::sync::LazyLock;

use rheos_core::catalog::{Reshard, StreamRecord, plan_stream};
use rheos_protocol::message::{CreateStream, StreamMode};
use rheos_protocol::name::StreamName;

use super::status::StreamStatus;
use super::streams::StreamView;
use super::subject::Caller;
use crate::arn::{AccountId, Region, StreamArn};
use crate::codec::Encoding;
use crate::error::Error;
use crate::records::Issue;
use crate::shapes::operations::find;
use crate::token::TokenKey;
use crate::value::{Structure, Value};

pub(crate) const CREATED_MS: u64 = 1_700_000_000_123;

/// In eu-west-1, of the account of zeros.
pub(crate) fn caller() -> Caller {
    Caller { account: AccountId::new("000000000000").expect("it is one"), region: region() }
}

/// `orders` of that caller.
pub(crate) fn arn() -> StreamArn {
    StreamArn::new(region(), caller().account, StreamName::new("orders").expect("it is one"))
}

pub(crate) fn record(shards: u32) -> StreamRecord {
    record_of(CreateStream { shards, ..CreateStream::default() })
}

pub(crate) fn on_demand() -> StreamRecord {
    record_of(CreateStream { shards: 4, mode: StreamMode::on_demand(), ..CreateStream::default() })
}

pub(crate) fn record_of(create: CreateStream) -> StreamRecord {
    let create = CreateStream { name: "orders".to_owned(), ..create };
    plan_stream(&create, CREATED_MS, 7, 2, None).expect("it is in range")
}

/// The stream after a reshard at this time.
pub(crate) fn resharded(record: &StreamRecord, reshard: Reshard, now_ms: u64) -> StreamRecord {
    let (begun, plan) = record.begin_reshard(reshard, None).expect("it can be");
    let ends = plan.parents.iter().map(|shard| (*shard, 5)).collect();
    begun.finish_reshard(&ends, now_ms).expect("it can be").expect("it changes")
}

/// Has a view of a stream in this state looked at.
pub(crate) fn viewed<T>(record: &StreamRecord, status: StreamStatus, look: impl FnOnce(&StreamView<'_>) -> T) -> T {
    look(&StreamView { arn: &arn(), record, status })
}

/// An input with these texts.
pub(crate) fn input(operation: &str, members: &[(&str, &str)]) -> Structure {
    let input = Structure::new(find(operation).expect("it is one").input);
    members.iter().fold(input, |input, (name, value)| input.with(name, *value))
}

/// An input with these members.
pub(crate) fn input_of<const N: usize>(operation: &str, members: [(&str, Value); N]) -> Structure {
    members.into_iter().fold(input(operation, &[]), |input, (name, value)| input.with(name, value))
}

/// The one whom tokens are given to, a minute after the stream was made.
pub(crate) fn issue() -> Issue<'static> {
    static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::new(&[7; 32]));
    Issue { key: &KEY, principal: "RKALICE", now_ms: CREATED_MS + 60_000, nonce: 1 }
}

/// A structure as JSON.
pub(crate) fn json(structure: &Structure) -> String {
    assert_eq!(structure.missing(), None, "clients count on it");
    String::from_utf8(Encoding::Json.encode(structure)).expect("JSON is text")
}

/// The words of a refusal.
pub(crate) fn text_of<T: std::fmt::Debug>(refused: Result<T, Error>) -> String {
    refused.expect_err("it is refused").text().to_owned()
}

/// The name and the words of a refusal.
pub(crate) fn refusal_of<T: std::fmt::Debug>(refused: Result<T, Error>) -> String {
    refused.expect_err("it is refused").to_string()
}

fn region() -> Region {
    Region::new("eu-west-1").expect("it is one")
}
