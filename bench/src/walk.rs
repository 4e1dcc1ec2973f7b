//! `rheos-bench walk`: a real broker against the bare target, in one run; and `rheos-bench reshard`: streams
//! whose shards change, or are very many, measured the same way against streams at rest; and
//! `rheos-bench kinesis`: the Kinesis face, against its own bare target and others' servers.
//!
//! Both are processes on the server's core, driven from a client on another. They are measured in
//! turn, bare, broker, bare, broker ..., and what is reported is the median of the paired ratios with
//! the interval in which it lies ([`pairs`]), because on a shared machine tails are mostly the
//! host's. A line during which the client was over 90 % busy measures the client and is INVALID.
//!
//! Consumers whose latencies count share the client's thread with the puts, so that one clock and one
//! core measure both sides; those that are only a burden run aside ([`aside`]).
//!
//! A part that fails does not stop the others; the run then ends with a failure. Everything is written
//! below `--dir` and gone at the end; every process that is started ends with the run.

mod aside;
mod busy;
mod catchup;
mod egress;
mod idle;
mod kinesis;
mod lanes;
mod late;
mod lines;
mod metrics;
mod pairs;
mod push;
mod put;
mod reshard;
mod saturated;
mod seek;
mod shards;
mod start;
mod subscriptions;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rheos_broker::transport;
use rheos_client::{Client, ConnectOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::bare::client::Target;
use crate::broker::process::{Broker, Data, Launch};
use crate::broker::session::Session;
use crate::floor::LOADS;
use crate::load::{Load, Window};
use crate::machine::{Cores, pin_to_core};
use crate::report::Output;
use crate::scratch::Scratch;
use lines::Lines;

/// Options of `walk`.
#[derive(Debug, Args)]
pub(crate) struct WalkArguments {
    #[command(flatten)]
    rig: RigArguments,
    /// Only these parts; when left out, all but those of `reshard` and `kinesis`
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// Options of `reshard`.
#[derive(Debug, Args)]
pub(crate) struct ReshardArguments {
    #[command(flatten)]
    rig: RigArguments,
}

/// Options of `kinesis`.
#[derive(Debug, Args)]
pub(crate) struct KinesisArguments {
    #[command(flatten)]
    rig: RigArguments,
}

/// What every part may be told.
#[derive(Debug, Args)]
struct RigArguments {
    /// Directory for the files of the run, on the disk to be measured; removed at the end if it is new
    #[arg(long, default_value = "rheos-bench-data")]
    dir: PathBuf,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Pairs of runs for each line
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=99))]
    pairs: u16,
    /// Seconds of each measured run, after one second of warm-up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Core of the broker and of the bare target
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the client
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// Largest path MTU that all sides look for
    #[arg(long, default_value_t = transport::MTU_BOUND_DEFAULT,
          value_parser = clap::value_parser!(u16).range(1200..=transport::MTU_BOUND_MAX as i64))]
    mtu: u16,
    /// Put streams that a load is spread over; on the broker each has a shard of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    streams: u16,
    /// The broker's program; the one beside this program when left out, built if it is not there
    #[arg(long)]
    broker: Option<PathBuf>,
    /// GiB that are read back in a catch-up; a late consumer is so much behind, and one more for each second
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    catchup_gib: u64,
    /// GiB of sealed segments that a start is measured with
    #[arg(long, default_value_t = start::SEALED_GIB, value_parser = clap::value_parser!(u64).range(1..=1000))]
    start_gib: u64,
}

/// A part of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Acknowledgements, one in flight and at constant rates
    Put,
    /// As many records as go in
    Ingest,
    /// Reading from the disk what was put long ago
    Catchup,
    /// From a start to being ready
    Start,
    /// A thousand streams against one
    Busy,
    /// What shards cost that nobody uses
    Idle,
    /// From a put to its arrival at registered consumers
    Push,
    /// As many bytes to registered consumers as go out
    Egress,
    /// More consumers than can be fed
    Saturated,
    /// A consumer that is far behind, and consumers that never read, beside a good one
    Late,
    /// What subscriptions cost that nothing is pushed to
    Subscriptions,
    /// Two lanes against one
    Lanes,
    /// What a scrape of a thousand shards does to puts
    Metrics,
    /// Puts while shards are split and merged, on these and on the others
    Reshard,
    /// Ten thousand shards in one stream against one
    Shards,
    /// Finding a moment in a long log
    Seek,
    /// PutRecords against others' servers
    FacePutRecords,
    /// PutRecord against a bare HTTP server with the same durable write
    FacePutRecord,
    /// SubscribeToShard against native push
    FacePush,
    /// Native puts beside a face that is half loaded
    FaceBeside,
}

/// The parts of `reshard`: the memory of shards is the idle ones'.
const OF_RESHARD: [Part; 4] = [Part::Reshard, Part::Shards, Part::Idle, Part::Seek];
/// The parts of `kinesis`.
const OF_KINESIS: [Part; 4] = [Part::FacePutRecords, Part::FacePutRecord, Part::FacePush, Part::FaceBeside];

/// What every part needs.
struct Walk<'a> {
    arguments: &'a RigArguments,
    scratch: Scratch,
    launch: Launch,
}

/// Measures a walk, prints the report, and leaves nothing behind.
pub(crate) fn run(arguments: &WalkArguments) -> Result<(), Failure> {
    let all = Part::value_variants().iter().copied().filter(Part::is_in_walk);
    let parts = if arguments.only.is_empty() { all.collect() } else { arguments.only.clone() };
    measure_all(&arguments.rig, &parts)
}

/// The same for streams that change.
pub(crate) fn run_reshard(arguments: &ReshardArguments) -> Result<(), Failure> {
    measure_all(&arguments.rig, &OF_RESHARD)
}

/// The same for the Kinesis face.
pub(crate) fn run_kinesis(arguments: &KinesisArguments) -> Result<(), Failure> {
    measure_all(&arguments.rig, &OF_KINESIS)
}

impl Part {
    /// Whether `walk` does it unasked: not what has a command of its own.
    fn is_in_walk(&self) -> bool {
        ![Part::Reshard, Part::Shards, Part::Seek].contains(self) && !OF_KINESIS.contains(self)
    }
}

fn measure_all(arguments: &RigArguments, parts: &[Part]) -> Result<(), Failure> {
    let launch = Launch {
        program: program(arguments)?,
        lane_cores: vec![arguments.server_core],
        mtu_bound: arguments.mtu,
        cores: Cores::now()?,
    };
    let walk = Walk { arguments, scratch: Scratch::new(&arguments.dir)?, launch };
    pin_to_core(arguments.client_core)?;
    let mut lines = Lines::new(usize::from(arguments.pairs));
    lines.fact("server_core", arguments.server_core);
    lines.fact("client_core", arguments.client_core);
    lines.fact("mtu_bound", arguments.mtu);
    lines.fact("put_streams", arguments.streams);
    lines.fact("seconds", arguments.seconds);
    for part in parts {
        let name = part.to_possible_value().expect("no part is hidden").get_name().to_owned();
        if arguments.output == Output::Text {
            eprintln!("rheos-bench: measuring {name}");
        }
        // A runtime of its own, so that nothing of a part goes on in the next one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let measured = runtime.block_on(async {
            tokio::select! {
                measured = measure(&walk, *part, &mut lines) => Ok(measured),
                asked = asked_to_end() => Err(asked),
            }
        });
        match measured {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => lines.failed(&name, &failure),
            Err(asked) => return asked.and_then(|()| Err("ended by a signal; nothing stays behind".into())),
        }
    }
    drop(walk);
    lines.print(arguments.output)
}

async fn measure(walk: &Walk<'_>, part: Part, lines: &mut Lines) -> Result<(), Failure> {
    match part {
        Part::Put => put::measure_puts(walk, lines).await,
        Part::Ingest => put::measure_ingest(walk, lines).await,
        Part::Catchup => catchup::measure(walk, lines).await,
        Part::Start => start::measure(walk, lines).await,
        Part::Busy => busy::measure(walk, lines).await,
        Part::Idle => idle::measure(walk, lines).await,
        Part::Push => push::measure(walk, lines).await,
        Part::Egress => egress::measure(walk, lines).await,
        Part::Saturated => saturated::measure(walk, lines).await,
        Part::Late => late::measure(walk, lines).await,
        Part::Subscriptions => subscriptions::measure(walk, lines).await,
        Part::Lanes => lanes::measure(walk, lines).await,
        Part::Metrics => metrics::measure(walk, lines).await,
        Part::Reshard => reshard::measure(walk, lines).await,
        Part::Shards => shards::measure(walk, lines).await,
        Part::Seek => seek::measure(walk, lines).await,
        Part::FacePutRecords => kinesis::putrecords::measure(walk, lines).await,
        Part::FacePutRecord => kinesis::putrecord::measure(walk, lines).await,
        Part::FacePush => kinesis::push::measure(walk, lines).await,
        Part::FaceBeside => kinesis::beside::measure(walk, lines).await,
    }
}

impl Walk<'_> {
    fn window(&self) -> Window {
        Window { warm_up: WARM_UP, measured: Duration::from_secs(self.arguments.seconds) }
    }

    fn data(&self, name: &str) -> Data {
        Data::new(self.scratch.path(), name)
    }

    fn start_broker(&self, data: &Data) -> Result<Broker, Failure> {
        Broker::start(&self.launch, data)
    }

    fn start_target(&self) -> Result<Target, Failure> {
        Target::start(self.scratch.path(), self.arguments.server_core, self.launch.mtu_bound, TARGET_FILE_MIB)
    }

    async fn session(&self, broker: &Broker) -> Result<Session, Failure> {
        Session::open(broker.access(), self.launch.mtu_bound).await
    }

    /// A client as programs have it, that follows resharding.
    async fn client(&self, data: &Data, broker: &Broker) -> Result<Client, Failure> {
        let url = ConnectOptions::from_file(data.path().join("admin.url"))?;
        let options = url.at(&broker.access().address.to_string())?.mtu_bound(self.launch.mtu_bound);
        Ok(Client::connect(options).await?)
    }

    /// Cores that neither a server nor the measuring client has.
    fn spare_cores(&self) -> Vec<usize> {
        let taken = [self.arguments.server_core, self.arguments.client_core];
        self.launch.cores.numbers().into_iter().filter(|core| !taken.contains(core)).collect()
    }

    fn spare_core(&self) -> Option<usize> {
        self.spare_cores().first().copied()
    }

    fn pairs(&self) -> std::ops::Range<u16> {
        0..self.arguments.pairs
    }
}

/// Ready when the rig is told to end, so that what it started ends and what it wrote goes.
async fn asked_to_end() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// The broker's program, built when it is not there.
fn program(arguments: &RigArguments) -> Result<PathBuf, Failure> {
    if let Some(given) = &arguments.broker {
        return Ok(given.canonicalize().map_err(|error| format!("there is no {}: {error}", given.display()))?);
    }
    let beside = std::env::current_exe()?.with_file_name("rheos");
    if !beside.exists() {
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let build = ["build", "--release", "-p", "rheos", "--manifest-path", &format!("{workspace}/Cargo.toml")];
        let status = Command::new("cargo").args(build).status();
        let built = status.is_ok_and(|status| status.success()) && beside.exists();
        if !built {
            let command = "cargo build --release -p rheos";
            return Err(format!("there is no {}: run `{command}`, or give --broker", beside.display()).into());
        }
    }
    Ok(beside)
}

/// The load of this name.
fn load(name: &str) -> Load {
    LOADS.iter().find(|(known, _)| *known == name).expect("the rig has a load of this name").1
}

const WARM_UP: Duration = Duration::from_secs(1);
/// Size of the bare target's file, which it writes round and round.
const TARGET_FILE_MIB: u64 = 1024;
