//! The Kinesis face and those who mean it no good, against a broker in a process of its own: each is told AWS's error,
//! costs a bounded memory, and harms nobody else.

mod bodies;
mod connections;
mod expired;
mod face;
mod hang_ups;
mod hostile_readers;
mod iterators;
mod kills;
mod limits;
mod page_tokens;
mod signatures;
mod strangers;
mod subscriptions;

use std::time::Duration;

use rheos_tests::broker_process::Place;
use rheos_tests::ground::Ground;

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a broker may grow by after small mischief.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

async fn ground() -> Ground {
    Ground::new(place()).await
}
