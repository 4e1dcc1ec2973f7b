//! A broker's life: started in an order in which every step may fail with one clear line, served
//! until it is told to stop, and stopped so that the next start has nothing to repair.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rheos_core::capacity::Capacity;
use rheos_core::catalog::LogRecord;
use rheos_core::limits::LANES_MAX;
use rheos_core::log::{Log, LogId};
use rheos_core::recovery::Chore;
use rheos_core::scaler::ScalerPace;
use rheos_protocol::message::StreamLimits;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::blocks::Blocks;
use crate::broker::Broker;
use crate::capacity::capacity_of;
use crate::catalog::{Catalog, CatalogAtStart};
use crate::clock;
use crate::consumers::Consumers;
use crate::cores::Cores;
use crate::directory::{DataDirectory, DirectoryOptions, check_machine};
use crate::files::{FileJob, FileThread, set_aside};
use crate::http::{HttpParts, HttpThreads};
use crate::identity::{BrokerIdentity, CertificateFiles};
use crate::kinesis::{Kinesis, KinesisCounts};
use crate::kinesis_settings::KinesisSettings;
use crate::lane::{Inboxes, RecoveredStream, name, settings_of};
use crate::lanes::{Lanes, LanesParts};
use crate::limits::raise_open_files;
use crate::mesh::Mesh;
use crate::net::Connections;
use crate::recover::{Found, on_disk, recover_log};
use crate::reservations::Reservations;
use crate::reshard::{EXPIRED_WAITING_MAX, Resharder};
use crate::scaling::{Scaling, ScalingCounts};
use crate::service;
use crate::signals::Signals;
use crate::sockets::Sockets;
use crate::standing::{Served, Standing};
use crate::start_error::StartError;
use crate::stopping::{Stopping, Unfinished};
use crate::streams::Streams;

/// How a broker is to be run.
pub struct ServeOptions {
    /// The data directory; made when it is missing or empty.
    pub data: PathBuf,
    /// Where to listen: for QUIC over UDP, and for HTTP over TCP. Port 0 takes any number that is free for both.
    pub listen: SocketAddr,
    /// Takes any credential and weaker file systems, on loopback only.
    pub dev: bool,
    /// With `dev`: on other addresses too. It is warned of for as long as it is so.
    pub dev_anyone_on_the_network: bool,
    /// A certificate of the operator's, in place of one under the broker's own CA.
    pub certificate: Option<CertificateFiles>,
    /// Lanes, 1 to 256: see [`default_lanes`](crate::default_lanes).
    pub lanes: u16,
    /// Lets whoever reaches the port read the metrics over HTTP, which name streams and consumers; otherwise
    /// only this host may.
    pub metrics_open: bool,
    /// Largest path MTU that is looked for, up to 6,500.
    pub mtu: u16,
    /// The core of each lane, in their order. When empty they take the last ones that the process may use.
    pub cores: Vec<usize>,
    /// The limits of streams that set nothing else.
    pub limits: StreamLimits,
    /// How the Kinesis face presents the broker.
    pub kinesis: KinesisSettings,
    /// How fast on-demand streams are scaled: its default, unless somebody tries it out in less time.
    pub scaling: ScalerPace,
    /// Called once, when clients can connect.
    pub ready: Box<dyn FnOnce(&Ready) + Send>,
}

/// What a broker says when clients can connect.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The address that is listened on, over UDP for QUIC and over TCP for HTTP.
    pub address: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Whether commits go to the disk past the page cache; false only with `dev`.
    pub direct: bool,
    /// Lanes that serve.
    pub lanes: u16,
    /// Streams that are served.
    pub streams: usize,
    /// How long the start took.
    pub took: Duration,
    /// What the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Why a broker did not serve, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was told to stop, and something has not ended in time: the process should end.
    #[error(transparent)]
    Stop(#[from] Unfinished),
}

/// Runs a broker until SIGTERM or SIGINT. Before it serves a signal ends the process, and so does a second one:
/// with 128 and the signal's number, which is 143 or 130.
///
/// # Errors
///
/// Why it does not start, in one line; or what a stop has left, which takes less than 5 s.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let began = Instant::now();
    if !(1..=LANES_MAX).contains(&options.lanes) {
        return Err(StartError::LanesOutOfRange { lanes: options.lanes }.into());
    }
    let open_to_anyone = options.dev && !options.listen.ip().is_loopback();
    if open_to_anyone && !options.dev_anyone_on_the_network {
        return Err(StartError::DevNotLoopback { listen: options.listen }.into());
    }
    let cores = Cores::deal(options.lanes, &options.cores)?;
    check_machine()?;
    // This thread, and every one that is started before the lanes' own.
    let _kept_off = cores.keep_off_lanes();
    let mut signals = Signals::listen()?;
    let mut warnings: Vec<String> = raise_open_files().said_at_start().into_iter().collect();
    warnings.extend(open_to_anyone.then(|| OPEN_TO_ANYONE.to_owned()));
    let directory = DataDirectory::open(&options.data, DirectoryOptions { dev: options.dev })?;
    let catalog = Catalog::begin_to_open(&directory)?;
    warnings.extend(directory.warnings().iter().cloned());
    warnings.extend(cores.finding(options.lanes).said_at_start());
    let mut identity = BrokerIdentity::load_or_create(&directory)?;
    if let Some(files) = &options.certificate {
        identity = identity.with_certificate(files)?;
        warnings.extend(identity.warning());
    }
    // The places outlive the lanes: see there.
    let Sockets { lanes: sockets, http: listener, address, buffers, places: _places } =
        Sockets::open(options.listen, options.lanes)?;
    warnings.extend(buffers.finding().said_at_start());
    let directory = Arc::new(directory);
    let (http, metrics) = HttpThreads::start(HttpParts {
        listener,
        tls: identity.http_crypto(),
        directory: Arc::clone(&directory),
        metrics_open: options.metrics_open,
        cores: cores.beside_lanes(),
    })?;
    let (catalog, at_start) = catalog.opened()?;
    let mut recovered = recover(&directory, &at_start, options.limits)?;
    identity.write_admin_url(&directory, address)?;

    let (inboxes, stopping) = (Inboxes::new(options.lanes), Stopping::new(options.lanes));
    let (files, file_thread) =
        FileThread::start(Arc::clone(&directory), catalog.clone(), inboxes.clone(), stopping.clone())?;
    let (streams, consumers) = (Streams::new(&at_start.streams), Consumers::new(&at_start.consumers));
    at_start.keys.iter().for_each(|key| identity.add_key(key));
    let mut ready = Ready {
        address,
        data: options.data,
        direct: directory.is_direct(),
        lanes: options.lanes,
        streams: at_start.streams.len(),
        took: Duration::ZERO,
        warnings,
    };
    recovered.unfinished.drain(..).for_each(|path| files.push(FileJob::RemoveUnfinished { path }));
    start_chores(&files, recovered.chores, &at_start.condemned);

    let (catalog_at_end, mtu, dev) = (catalog.clone(), options.mtu, options.dev);
    let (identity, connections) = (Arc::new(identity), Connections::default());
    let (expired, reported) = mpsc::channel(EXPIRED_WAITING_MAX);
    let (capacity, unknown) = capacity_at_start(&directory);
    let reservations = Reservations {
        streams: streams.clone(),
        consumers: consumers.clone(),
        limits: options.limits,
        lanes: options.lanes,
        capacity,
    };
    ready.warnings.extend(unknown.into_iter().chain(reservations.warnings()));
    let resharder = Resharder {
        catalog: catalog.clone(),
        streams: streams.clone(),
        inboxes: inboxes.clone(),
        changes: Arc::default(),
        lanes: options.lanes,
        reservations,
    };
    let (all_lanes, ending) = (inboxes.clone(), stopping.clone());
    let served = Arc::new(Served {
        streams: streams.clone(),
        consumers: consumers.clone(),
        inboxes: inboxes.clone(),
        scaling: ScalingCounts::default(),
        kinesis: KinesisCounts::default(),
    });
    let counts = served.kinesis.clone();
    let scaling = Scaling::new(Arc::clone(&served), resharder.clone(), options.scaling);
    let (blocks, asked): (Vec<_>, Vec<_>) = (0..options.lanes).map(|_| Blocks::new(Arc::clone(&directory))).unzip();
    let mesh = (options.lanes > 1).then(|| Mesh::new(options.lanes)).transpose();
    let broker = Arc::new(Broker {
        identity,
        catalog,
        streams,
        consumers,
        connections,
        inboxes,
        stopping,
        mesh: mesh.map_err(StartError::io("make the way between", "the lanes"))?,
        blocks: blocks.into(),
        files,
        directory_id: directory.id(),
        limits: options.limits,
        lanes: options.lanes,
        dev,
        resharder: resharder.clone(),
        metrics,
        kinesis: options.kinesis,
    });
    let parts = LanesParts { broker, cores, expired, mtu };
    let mut lanes = Lanes::start(&parts, sockets, asked, recovered.streams)?;
    let face = Kinesis::face(&parts.broker, counts);
    drop(parts);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::io("make a runtime for", "the main thread"))?;
    let outcome: Result<(), StartError> = runtime.block_on(async {
        lanes.serving().await?;
        signals.serving();
        tokio::spawn(resharder.clone().forget_expired(reported));
        tokio::spawn(async move { resharder.finish_all(at_start.streams).await });
        tokio::spawn(scaling.run());
        http.stands(Standing::Serving(served));
        http.carries(face);
        let ready = Ready { took: began.elapsed(), ..ready };
        service::serving(&format!("serves {} streams at {address}", ready.streams));
        (options.ready)(&ready);
        let beside = async { tokio::join!(service::watch(&all_lanes), warn_again(open_to_anyone)) };
        tokio::select! {
            signal = signals.told() => info!("{signal}: stops; what was put is committed, every log is sealed"),
            _ = beside => {}
        }
        Ok(())
    });
    service::stopping("stops: seals every log");
    let stops = Instant::now();
    http.stands(Standing::Stopping);
    ending.begin();
    lanes.stop();
    let finished = ending.finish(lanes, file_thread, catalog_at_end);
    http.end();
    outcome?;
    finished?;
    info!(took_ms = stops.elapsed().as_millis() as u64, "stopped: every log is sealed");
    Ok(())
}

/// The streams with their logs, and what is to be done with their files.
struct RecoveredBroker {
    streams: Vec<RecoveredStream>,
    chores: Vec<(LogId, Chore)>,
    unfinished: Vec<PathBuf>,
}

fn recover(
    directory: &DataDirectory,
    at_start: &CatalogAtStart,
    limits: StreamLimits,
) -> Result<RecoveredBroker, StartError> {
    let mut found = Found::list(directory.layout())?;
    let mut recovered = RecoveredBroker { streams: Vec::new(), chores: Vec::new(), unfinished: Vec::new() };
    for stream in &at_start.streams {
        found.incarnations.remove(&stream.incarnation);
        let mut logs = Vec::new();
        for log in 0..stream.log_count {
            let id = LogId { incarnation: stream.incarnation, log };
            let record = at_start.logs.get(&(id.incarnation, log)).copied().unwrap_or(LogRecord::NEW);
            let files = found.segments.remove(&id).unwrap_or_default();
            let mut state = recover_log(directory, on_disk(directory, stream, log, record, files))?;
            if let Some(cut) = &state.cut {
                warn!(stream = %stream.name, log = %name(id), "{cut}");
            }
            if let Some(why) = &state.refused {
                warn!(stream = %stream.name, log = %name(id), "takes no puts, reads go on: {why}");
            }
            recovered.chores.extend(state.chores.drain(..).map(|chore| (id, chore)));
            logs.push(Log::new(clock::now(), settings_of(stream, log, limits), state));
        }
        recovered.streams.push(RecoveredStream { record: Arc::clone(stream), logs });
    }
    witness_newest(&mut recovered.streams);
    let known = |path: &PathBuf| {
        at_start.streams.iter().any(|stream| path.starts_with(directory.layout().incarnation_dir(stream.incarnation)))
    };
    recovered.unfinished = found.unfinished.into_iter().filter(known).collect();
    for incarnation in found.incarnations.iter().filter(|incarnation| !at_start.condemned.contains(incarnation)) {
        let path = directory.layout().incarnation_dir(*incarnation);
        set_aside(directory, &path, &format!("{incarnation:016x}"));
    }
    Ok(recovered)
}

/// What a lane can push, and what is wrong with what is kept of that.
fn capacity_at_start(directory: &DataDirectory) -> (Capacity, Option<String>) {
    match capacity_of(directory.layout().root()) {
        Ok(capacity) => (capacity, None),
        Err(error) => (Capacity::ASSUMED, Some(format!("{error}; until then what is assumed counts"))),
    }
}

/// Every log believes the wall clock up to the newest record of the broker, whichever log that is in.
fn witness_newest(streams: &mut [RecoveredStream]) {
    let newest_ms = streams.iter().flat_map(|stream| &stream.logs).map(Log::last_arrival_ms).max().unwrap_or(0);
    streams.iter_mut().flat_map(|stream| &mut stream.logs).for_each(|log| log.witness(newest_ms));
}

fn start_chores(files: &FileThread, chores: Vec<(LogId, Chore)>, condemned: &[u64]) {
    for (log, chore) in chores {
        files.push(match chore {
            Chore::Remove(segment) => FileJob::Discard { log, segment },
            Chore::SetAside(segment) => FileJob::SetAside { log, segment },
            Chore::Seal { segment, offset, footer } => FileJob::Seal { log, segment, offset, footer },
        });
    }
    for incarnation in condemned {
        files.push(FileJob::RemoveStream { incarnation: *incarnation });
    }
}

/// Says it again and again, for as long as the broker runs; where it is so.
async fn warn_again(open_to_anyone: bool) {
    if !open_to_anyone {
        std::future::pending().await
    }
    loop {
        tokio::time::sleep(WARNED_EVERY).await;
        warn!("{OPEN_TO_ANYONE}");
    }
}

const OPEN_TO_ANYONE: &str =
    "in development mode on the network: whoever reaches this port may read and change everything";
/// How often that is said.
const WARNED_EVERY: Duration = Duration::from_secs(60);
