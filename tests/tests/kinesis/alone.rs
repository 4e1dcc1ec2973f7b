//! A test in a network of its own, which has nothing but loopback: clients of AWS's look for metadata at addresses of
//! clouds otherwise.
//!
//! The test runs itself again below `unshare -n`, broker and clients and all. It is not done, and says so, where no such
//! network can be made or a client is not installed; with `RHEOS_CLIENTS=required` that fails the test.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use crate::bounded::{Ended, run};
use crate::client::Client;

/// Set in the network of its own.
const ALONE: &str = "RHEOS_TEST_ALONE";
/// Says that a test which cannot be done has failed.
const REQUIRED: &str = "RHEOS_CLIENTS";
/// Far longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(180);
/// The test again, and what it does before and after.
const PATIENCE_OUTSIDE: Duration = PATIENCE.saturating_add(Duration::from_secs(60));

/// Does a test, named as the harness names it, alone.
pub(crate) fn alone(test: &str, clients: &[Client], body: impl Future<Output = ()>) {
    if env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are threads");
        return runtime.block_on(async { timeout(PATIENCE, body).await.expect("the test comes to its end") });
    }
    if let Some(missing) = clients.iter().find_map(|client| client.missing()) {
        return not_done(test, &missing);
    }
    match network() {
        Err(why) => not_done(test, &why),
        Ok(network) => again(network, test),
    }
}

fn again(mut network: Command, test: &str) {
    let program = env::current_exe().expect("the test knows where it is");
    network.arg(program).args(["--exact", test, "--nocapture"]).env(ALONE, "1");
    let Ended { status, said, complaint } = run(&mut network, PATIENCE_OUTSIDE).expect("it was started just now");
    let status = status.unwrap_or_else(|| panic!("{test}, alone, hangs after\n{said}\n{complaint}"));
    // A name that is mistyped matches no test, which passes.
    assert!(status.success() && said.contains("1 passed"), "{test}, alone: {status}\n{said}\n{complaint}");
}

/// What starts a program in a network of its own, tried with one that does nothing.
fn network() -> Result<Command, String> {
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/loopback.py");
    let command = || {
        let mut command = Command::new("unshare");
        // Who is not root may have networks of their own in users of their own.
        command.args((!rustix::process::geteuid().is_root()).then_some("--map-root-user"));
        command.args(["--net", "python3"]).arg(&launcher);
        command
    };
    let tried = run(command().arg("true"), PATIENCE).map_err(|error| format!("unshare cannot be started: {error}"))?;
    match tried.status.is_some_and(|status| status.success()) {
        true => Ok(command()),
        false => Err(format!("no network of its own: {}", tried.complaint)),
    }
}

#[allow(clippy::print_stderr, reason = "a test that is not done says so")]
fn not_done(test: &str, why: &str) {
    assert!(env::var_os(REQUIRED).is_none_or(|it| it != "required"), "{test} cannot be done: {why}");
    eprintln!("{test} is not done: {why}");
}
