//! The HTTP face and the metrics, against a broker in a process of its own.

mod native;

use rheos_tests::broker_process::Place;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}
