//! The HTTP face and the metrics, against a broker in a process of its own.

mod access;
mod counts;
mod faces;
mod hostile;
mod native;
mod promtool;
mod ready;

use std::time::Duration;

use rheos_tests::broker_process::Place;
use tokio::time::{Instant, sleep};

/// Far longer than anything takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(5);

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_test-broker"), env!("CARGO_TARGET_TMPDIR"))
}

/// Looks again and again until something is so; what was seen last is shown when it never is.
async fn until<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    look: impl Fn() -> F,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if is_so(&seen) {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{what} is not so: {seen:?}");
        sleep(LOOK).await;
    }
}
