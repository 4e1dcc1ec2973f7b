//! `rheos-bench floor`: the machine's pieces and the bare target, in one run.
//!
//! The bare target is *honest* when it is hardly slower than the sum of its parts: put_1 p50 at most
//! 1.15 times bare QUIC echo p50 plus bare 4 KiB write p50. A yardstick that is not honest measures
//! itself. A load during which the client was over 90 % busy measures the client: its own
//! `..._client_saturated` says so, and `client_saturated` that there is one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rheos_broker::transport;

use crate::Failure;
use crate::bare::client::{BarePuts, Target, bulk_down, bulk_up, echo, read_file};
use crate::bare::push::drive_pushes;
use crate::deliveries::Answered;
use crate::drive::{Outcome, drive};
use crate::load::{BATCH_RECORDS_MAX, BATCHES_IN_FLIGHT_MAX, Load, RECORD_BYTES, Window};
use crate::machine::{ThreadTime, pin_to_core};
use crate::pieces;
use crate::report::{Output, Report};
use crate::scratch::Scratch;

/// Options of `floor`.
#[derive(Debug, Args)]
pub(crate) struct FloorArguments {
    /// Directory for the files of the run, on the disk to be measured; removed at the end if it is new
    #[arg(long, default_value = "rheos-bench-data")]
    dir: PathBuf,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Seconds that each load is measured, after a second of warm-up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Core of the target and of the disk's pieces
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the client
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// Largest path MTU that both sides look for
    #[arg(long, default_value_t = transport::MTU_BOUND_DEFAULT,
          value_parser = clap::value_parser!(u16).range(1200..=transport::MTU_BOUND_MAX as i64))]
    mtu: u16,
    /// Only these loads, by name; all when left out
    #[arg(long, value_delimiter = ',')]
    loads: Vec<String>,
    /// Put streams that the load is spread over
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    streams: u16,
}

/// The loads of the rig, by name; the same for every target.
pub(crate) const LOADS: [(&str, Load); 5] = [
    ("put_1", Load::Closed { batches: 1, records: 1 }),
    ("put_10k", Load::Open { records_per_s: 10_000 }),
    ("put_50k", Load::Open { records_per_s: 50_000 }),
    ("put_100k", Load::Open { records_per_s: 100_000 }),
    ("ingest", Load::Closed { batches: BATCHES_IN_FLIGHT_MAX, records: BATCH_RECORDS_MAX }),
];

/// Loads whose records are also pushed: name, load, consumers.
pub(crate) const PUSHES: [(&str, Load, usize); 3] = [
    ("push_1", Load::Closed { batches: 1, records: 1 }, 1),
    ("push_10k", Load::Open { records_per_s: 10_000 }, 1),
    ("push5_100k", Load::Open { records_per_s: 100_000 }, 5),
];

/// Measures, prints the report, and leaves nothing behind.
pub(crate) fn run(arguments: &FloorArguments) -> Result<(), Failure> {
    let scratch = Scratch::new(&arguments.dir)?;
    pin_to_core(arguments.client_core)?;
    let mut report = Report::default();
    report.set("server_core", arguments.server_core);
    report.set("client_core", arguments.client_core);
    report.set("mtu_bound", arguments.mtu);
    report.set("put_streams", arguments.streams);

    pieces::measure(scratch.path(), arguments.server_core, &mut report)?;

    let target = Target::start(scratch.path(), arguments.server_core, arguments.mtu, FILE_MIB)?;
    report.set("target_receive_buffer_kib", target.receive_buffer_bytes() >> 10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure_target(arguments, &target, &mut report))?;
    drop(target);

    judge(&mut report);
    report.print(arguments.output)
}

async fn measure_target(arguments: &FloorArguments, target: &Target, report: &mut Report) -> Result<(), Failure> {
    let measured = Duration::from_secs(arguments.seconds);
    let mut saturated = false;

    let latencies = echo(target.connect().await?, WARM_UP, measured).await?;
    report.set_latencies("quic_echo_128", &latencies);
    // The first transfer finds the path's MTU and its bandwidth; only the second is reported.
    let connection = target.connect().await?;
    bulk_up(connection.clone(), BULK_BYTES / 8).await?;
    report.set_number("quic_bulk_up_mb_s", bulk_up(connection.clone(), BULK_BYTES).await?);
    bulk_down(connection.clone(), BULK_BYTES / 8).await?;
    let before = ThreadTime::now();
    report.set_number("quic_bulk_down_mb_s", bulk_down(connection.clone(), BULK_BYTES).await?);
    report.set_number("quic_bulk_down_client_busy", before.busy_since());
    report.set_number("bare_read_mb_s", read_file(connection, FILE_MIB << 20).await?);

    let window = Window { warm_up: WARM_UP, measured };
    let is_asked = |name: &str| arguments.loads.is_empty() || arguments.loads.iter().any(|asked| asked == name);
    for (name, load) in LOADS.into_iter().filter(|(name, _)| is_asked(name)) {
        let puts = Arc::new(BarePuts::open(target.connect().await?, arguments.streams.into()).await?);
        let outcome = drive(&puts, load, window).await?;
        saturated |= outcome.client_busy > CLIENT_BUSY_MAX;
        report_load(report, &format!("bare_{name}"), load, &outcome);
    }
    for (name, load, consumers) in PUSHES.into_iter().filter(|(name, ..)| is_asked(name)) {
        let streams = arguments.streams.into();
        let delivered = drive_pushes(target, streams, consumers, load, window, Answered::Acked).await?;
        saturated |= delivered.acks.client_busy > CLIENT_BUSY_MAX;
        report_load(report, &format!("bare_{name}_ack"), load, &delivered.acks);
        report.set_latencies(&format!("bare_{name}"), &delivered.pushes);
    }
    report.set("client_saturated", saturated);
    Ok(())
}

/// Adds what a load met; an open loop also says whether its rate was held.
pub(crate) fn report_load(report: &mut Report, name: &str, load: Load, outcome: &Outcome) {
    report.set_latencies(name, &outcome.latencies);
    report.set_number(format!("{name}_records_per_s"), outcome.records_per_s);
    report.set_number(format!("{name}_client_busy"), outcome.client_busy);
    report.set(format!("{name}_client_saturated"), outcome.client_busy > CLIENT_BUSY_MAX);
    match load {
        Load::Open { records_per_s } => {
            let records = outcome.latencies.count() as f64;
            report.set_number(format!("{name}_records_per_batch"), records / outcome.batches.max(1) as f64);
            report.set(format!("{name}_held"), outcome.records_per_s >= HELD_LEAST * f64::from(records_per_s));
        }
        Load::Closed { .. } => {
            report.set_number(format!("{name}_mb_s"), outcome.records_per_s * RECORD_BYTES as f64 / 1e6);
        }
    }
}

/// Whether the bare target of this report is near the sum of its parts.
fn judge(report: &mut Report) {
    let value = |name: &str| report.value(name).and_then(serde_json::Value::as_f64);
    let (Some(put), Some(echo), Some(write)) =
        (value("bare_put_1_p50_us"), value("quic_echo_128_p50_us"), value("write_4k_ring_idle_p50_us"))
    else {
        report.set("honest", false);
        return;
    };
    let ratio = put / (echo + write);
    report.set_number("put_1_to_sum_of_parts", ratio);
    report.set("honest", ratio <= HONEST_RATIO_MAX);
}

const WARM_UP: Duration = Duration::from_secs(1);
/// Size of the target's file, which it writes round and round.
const FILE_MIB: u64 = 1024;
const BULK_BYTES: u64 = 2 << 30;
const HONEST_RATIO_MAX: f64 = 1.15;
const CLIENT_BUSY_MAX: f64 = 0.9;
/// The share of the asked rate that counts as held.
const HELD_LEAST: f64 = 0.99;
