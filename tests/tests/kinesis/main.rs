//! Unmodified clients of AWS's against a broker in a process of its own. A script in tests/clients does something and
//! says what it sees; what must be seen is here. tests/clients/install installs the clients.
//!
//! Every call is signed with an access key that the broker has made; nothing is accepted unseen.

mod accounts;
mod aggregated;
mod alone;
mod asyncio;
mod book;
mod boto;
mod boto_errors;
mod boto_reshard;
mod bounded;
mod cli;
mod client;
mod control;
mod face;
mod javascript;
mod limits;
mod lineage;
mod listing;
mod mixed;
mod rust_sdk;
mod states;

/// The last position of a stream's hash keys, and the last of its first half.
const HASH_KEY_MAX: &str = "340282366920938463463374607431768211455";
const HASH_KEY_HALF: &str = "170141183460469231731687303715884105727";

/// `record 0`, `record 1`, and so on.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("record {number}")).collect()
}

/// Whether decimal numbers of any length rise strictly.
fn rise(numbers: &[&str]) -> bool {
    numbers.is_sorted_by(|one, next| (one.len(), one) < (next.len(), next))
}
