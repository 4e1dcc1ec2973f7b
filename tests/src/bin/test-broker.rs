//! A broker to be tested and killed:
//! `test-broker DATA LISTEN [--dev] [--lanes=N] [--limits=kinesis] [--metrics-open] [--scaling-speed=N]
//! [--kinesis-state-delay-ms=N] [--deny-io-uring] [--die-at=MOMENT] [--clock-ahead-ms=N]`.
//!
//! It prints one line, `ready ADDRESS`, when clients can connect; everything else goes to stderr, and
//! the reason for which it does not start as its last line. With `--scaling-speed` on-demand streams
//! are scaled as if time went so many times as fast. With `--deny-io-uring` a filter makes the
//! three system calls fail as a container's does.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rheos_broker::{KinesisSettings, Ready, ScalerPace, ServeOptions, faults, serve};
use rheos_protocol::message::StreamLimits;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tracing_subscriber::filter::LevelFilter;

/// `io_uring_setup`, `io_uring_enter`, `io_uring_register`: the same numbers on every architecture.
const IO_URING_CALLS: [i64; 3] = [425, 426, 427];
/// `EPERM`.
const NOT_PERMITTED: u32 = 1;

#[allow(clippy::print_stderr, reason = "the tests read it")]
fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .init();
    let (flags, places): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|it| it.starts_with("--"));
    let [data, listen] = &places[..] else { panic!("give a data directory and an address") };
    let dev = flags.iter().any(|flag| flag == "--dev");
    let lanes = flags.iter().find_map(|flag| flag.strip_prefix("--lanes="));
    let lanes = lanes.map_or(1, |lanes| lanes.parse().expect("--lanes is a number"));
    let is_kinesis = flags.iter().any(|flag| flag == "--limits=kinesis");
    let limits = if is_kinesis { StreamLimits::kinesis() } else { StreamLimits::NONE };
    let scaling_speed = flags.iter().find_map(|flag| flag.strip_prefix("--scaling-speed="));
    let scaling_speed = scaling_speed.map_or(1, |speed| speed.parse().expect("--scaling-speed is a number"));
    let state_delay = flags.iter().find_map(|flag| flag.strip_prefix("--kinesis-state-delay-ms="));
    let state_delay = state_delay.map_or(0, |delay| delay.parse().expect("--kinesis-state-delay-ms is a number"));
    if flags.iter().any(|flag| flag == "--deny-io-uring") {
        deny_io_uring();
    }
    if let Some(name) = flags.iter().find_map(|flag| flag.strip_prefix("--die-at=")) {
        let (_, moment) = faults::ALL.into_iter().find(|(known, _)| *known == name).expect("it is a moment's name");
        faults::die_at(moment);
    }
    if let Some(ahead) = flags.iter().find_map(|flag| flag.strip_prefix("--clock-ahead-ms=")) {
        faults::advance_clock(ahead.parse().expect("--clock-ahead-ms is a number"));
    }
    let served = serve(ServeOptions {
        data: PathBuf::from(data),
        listen: listen.parse().expect("the second argument is an address"),
        dev,
        dev_anyone_on_the_network: false,
        certificate: None,
        lanes,
        metrics_open: flags.iter().any(|flag| flag == "--metrics-open"),
        mtu: 1452,
        limits,
        cores: Vec::new(),
        kinesis: KinesisSettings { state_delay: Duration::from_millis(state_delay), ..KinesisSettings::default() },
        scaling: ScalerPace::default().faster(scaling_speed),
        ready: Box::new(say_ready),
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The test may have gone meanwhile; the broker then goes on until it is killed.
fn say_ready(ready: &Ready) {
    let mut err = std::io::stderr().lock();
    ready.warnings.iter().for_each(|warning| drop(writeln!(err, "warning: {warning}")));
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "ready {}", ready.address).and_then(|()| out.flush()));
}

fn deny_io_uring() {
    let rules = IO_URING_CALLS.map(|call| (call, Vec::new())).into();
    let architecture = std::env::consts::ARCH.try_into().expect("the filter knows this architecture");
    let (otherwise, denied) = (SeccompAction::Allow, SeccompAction::Errno(NOT_PERMITTED));
    let filter = SeccompFilter::new(rules, otherwise, denied, architecture).expect("the rules are whole");
    let program: BpfProgram = filter.try_into().expect("the filter is small");
    seccompiler::apply_filter(&program).expect("a process may bind its own hands");
}
