//! A broker's life: started in an order in which every step may fail with one clear line, served
//! until it is told to stop, and stopped so that the next start has nothing to repair.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;
use rheos_core::catalog::LogRecord;
use rheos_core::log::{Log, LogId};
use rheos_core::recovery::Chore;
use rheos_protocol::error::ErrorCode;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::blocks::Blocks;
use crate::catalog::{Catalog, CatalogAtStart};
use crate::clock;
use crate::consumers::Consumers;
use crate::directory::{DataDirectory, DirectoryOptions, check_machine};
use crate::files::{FileJob, FileThread, set_aside};
use crate::identity::{BrokerIdentity, CertificateFiles};
use crate::lane::{Arrival, Inbox, Lane, RecoveredStream, name, settings_of};
use crate::net::{self, Connections, Door, Net, READ_MEMORY_KIB};
use crate::recover::{Found, recover_log};
use crate::start_error::StartError;
use crate::streams::Streams;
use crate::transport::{self, SocketBuffers};

/// How a broker is to be run.
pub struct ServeOptions {
    /// The data directory; made when it is missing or empty.
    pub data: PathBuf,
    /// Where to listen for QUIC; port 0 takes any.
    pub listen: SocketAddr,
    /// Takes any credential and weaker file systems, on loopback only.
    pub dev: bool,
    /// With `dev`: on other addresses too. It is warned of for as long as it is so.
    pub dev_anyone_on_the_network: bool,
    /// A certificate of the operator's, in place of one under the broker's own CA.
    pub certificate: Option<CertificateFiles>,
    /// Lanes; this release runs one.
    pub lanes: u16,
    /// Largest path MTU that is looked for, up to 6,500.
    pub mtu: u16,
    /// The core that the lane is pinned to; the last one that the process may use when not given.
    pub core: Option<usize>,
    /// Called once, when clients can connect.
    pub ready: Box<dyn FnOnce(&Ready) + Send>,
}

/// What a broker says when clients can connect.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The address that is listened on.
    pub address: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Streams that are served.
    pub streams: usize,
    /// How long the start took.
    pub took: Duration,
    /// What the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Runs a broker until SIGTERM or SIGINT.
///
/// # Errors
///
/// Why it does not start, in one line. Once it serves it stops only when it is told to.
pub fn serve(options: ServeOptions) -> Result<(), StartError> {
    let began = Instant::now();
    if options.lanes != 1 {
        return Err(StartError::LanesUnsupported { lanes: options.lanes });
    }
    let open_to_anyone = options.dev && !options.listen.ip().is_loopback();
    if open_to_anyone && !options.dev_anyone_on_the_network {
        return Err(StartError::DevNotLoopback { listen: options.listen });
    }
    check_machine()?;
    let mut warnings = raise_open_files();
    warnings.extend(open_to_anyone.then(|| OPEN_TO_ANYONE.to_owned()));
    let directory = DataDirectory::open(&options.data, DirectoryOptions { dev: options.dev })?;
    warnings.extend(directory.warnings().iter().cloned());
    let mut identity = BrokerIdentity::load_or_create(&directory)?;
    if let Some(files) = &options.certificate {
        identity = identity.with_certificate(files)?;
        warnings.extend(identity.warning());
    }
    let (socket, buffers) = open_socket(options.listen)?;
    warnings.extend(buffers.warning());
    let address = socket.local_addr().map_err(StartError::socket(options.listen))?;
    let directory = Arc::new(directory);
    let (catalog, at_start) = Catalog::open(&directory)?;
    let mut recovered = recover(&directory, &at_start)?;
    identity.write_admin_url(&directory, address)?;

    let inbox = Inbox::default();
    let (files, file_thread) = FileThread::start(Arc::clone(&directory), catalog.clone(), inbox.clone())?;
    let (streams, consumers) = (Streams::new(&at_start.streams), Consumers::new(&at_start.consumers));
    at_start.keys.iter().for_each(|key| identity.add_key(key));
    let ready = Ready { address, data: options.data, streams: at_start.streams.len(), took: Duration::ZERO, warnings };
    recovered.unfinished.drain(..).for_each(|path| files.push(FileJob::RemoveUnfinished { path }));
    start_chores(&files, recovered.chores, &at_start.condemned);

    let (serving, told) = oneshot::channel();
    let plan = LanePlan {
        socket,
        mtu: options.mtu,
        dev: options.dev,
        core: options.core,
        identity,
        catalog: catalog.clone(),
        streams,
        consumers,
        connections: Connections::default(),
        inbox: inbox.clone(),
        files,
        directory,
        recovered: recovered.streams,
        serving,
    };
    let lane = thread::Builder::new()
        .name("lane-0".to_owned())
        .spawn(move || run_lane(plan))
        .map_err(StartError::io("start the lane's thread for", "lane-0"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::io("make a runtime for", "the main thread"))?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        match told.await {
            Ok(Ok(())) => (options.ready)(&Ready { took: began.elapsed(), ..ready }),
            Ok(Err(error)) => return Err(error),
            // The lane has said why on its way out.
            Err(_) => process::abort(),
        }
        tokio::select! {
            () = stop => {}
            () = warn_again(), if open_to_anyone => {}
        }
        info!("stopping: sealing every log");
        inbox.push(Arrival::Stop);
        Ok(())
    })?;
    lane.join().unwrap_or_else(|_| process::abort());
    // The last sender went with the lane: what it asked for is done when the thread ends.
    drop(file_thread.join());
    catalog.close();
    Ok(())
}

struct LanePlan {
    socket: UdpSocket,
    mtu: u16,
    dev: bool,
    core: Option<usize>,
    identity: BrokerIdentity,
    catalog: Catalog,
    streams: Streams,
    consumers: Consumers,
    connections: Connections,
    inbox: Inbox,
    files: FileThread,
    directory: Arc<DataDirectory>,
    recovered: Vec<RecoveredStream>,
    serving: oneshot::Sender<Result<(), StartError>>,
}

/// Aborts the process when its thread panics: the kernel may still be writing from the lane's buffers.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

fn run_lane(plan: LanePlan) {
    let _guard = AbortOnPanic;
    if let Err(error) = pin(plan.core) {
        warn!("the lane runs on any core: {error}");
    }
    tokio_uring::start(async move {
        let (serving, started) = start_lane(plan).await;
        match started {
            Ok((endpoint, lane)) => {
                drop(serving.send(Ok(())));
                // A panic in it has been printed; it must not be outlived by writes that are in flight.
                lane.await.unwrap_or_else(|_| process::abort());
                // The last acks are with QUIC; closing would take those back that have not left yet.
                tokio::time::sleep(LAST_ACKS).await;
                endpoint.close(net::close_code(ErrorCode::GoingAway), b"the broker is stopping; connect again");
                drop(tokio::time::timeout(GOODBYE_MAX, endpoint.wait_idle()).await);
            }
            Err(error) => drop(serving.send(Err(error))),
        }
    });
}

type Serving = oneshot::Sender<Result<(), StartError>>;

async fn start_lane(plan: LanePlan) -> (Serving, Result<(Endpoint, JoinHandle<()>), StartError>) {
    let LanePlan { socket, mtu, dev, identity, catalog, inbox, files, directory, recovered, serving, .. } = plan;
    let (streams, consumers, connections) = (plan.streams, plan.consumers, plan.connections);
    let started = async {
        let ring = StartError::ring;
        let directory_id = directory.id();
        let (blocks, reader) = Blocks::new(directory).map_err(ring)?;
        let lane = Lane::new(inbox.clone(), files, blocks.clone(), directory_id, consumers.clone(), recovered)
            .map_err(ring)?;
        let endpoint = endpoint(socket, mtu, &identity)?;
        let net = Net {
            identity,
            catalog,
            streams,
            consumers,
            connections,
            door: Door::default(),
            inbox,
            blocks,
            directory_id,
            lanes: 1,
            dev,
            put_streams: AtomicU64::new(0),
            peers: AtomicU64::new(0),
            changes: Mutex::new(()),
            read_memory: Semaphore::new(READ_MEMORY_KIB),
        };
        // Tasks like quinn's own, in the same queue: what `tokio_uring::spawn` takes has its turn too seldom.
        tokio::spawn(reader);
        tokio::spawn(net::accept(endpoint.clone(), Arc::new(net)));
        Ok((endpoint, tokio::spawn(lane.run())))
    };
    (serving, started.await)
}

fn endpoint(socket: UdpSocket, mtu: u16, identity: &BrokerIdentity) -> Result<Endpoint, StartError> {
    let address = socket.local_addr().map_err(StartError::socket(([0, 0, 0, 0], 0).into()))?;
    let mut server = identity.quic_server();
    transport::configure_server(&mut server, mtu);
    let mut config: EndpointConfig = transport::endpoint(mtu);
    // Clients of a broker that was killed hear at once from the next one that their connections are gone.
    config.reset_key(identity.endpoint_reset_key());
    let id_key = identity.connection_id_key();
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime)).map_err(StartError::socket(address))
}

/// Opens the port for this process alone. One that is just dying may still hold it for a moment.
fn open_socket(listen: SocketAddr) -> Result<(UdpSocket, SocketBuffers), StartError> {
    let began = Instant::now();
    loop {
        match transport::bind_udp(listen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < PORT_WAIT_MAX => {
                thread::sleep(PORT_POLL);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(StartError::AddressInUse { listen }),
            opened => return opened.map_err(StartError::socket(listen)),
        }
    }
}

/// The streams with their logs, and what is to be done with their files.
struct RecoveredBroker {
    streams: Vec<RecoveredStream>,
    chores: Vec<(LogId, Chore)>,
    unfinished: Vec<PathBuf>,
}

fn recover(directory: &DataDirectory, at_start: &CatalogAtStart) -> Result<RecoveredBroker, StartError> {
    let mut found = Found::list(directory.layout())?;
    let mut recovered = RecoveredBroker { streams: Vec::new(), chores: Vec::new(), unfinished: Vec::new() };
    for stream in &at_start.streams {
        found.incarnations.remove(&stream.incarnation);
        let mut logs = Vec::new();
        for log in 0..stream.log_count {
            let id = LogId { incarnation: stream.incarnation, log };
            let record = at_start.logs.get(&(id.incarnation, log)).copied().unwrap_or(LogRecord::NEW);
            let files = found.segments.remove(&id).unwrap_or_default();
            let mut state = recover_log(directory, stream, log, record, files)?;
            if let Some(cut) = &state.cut {
                warn!(stream = %stream.name, log = %name(id), "{cut}");
            }
            if let Some(why) = &state.refused {
                warn!(stream = %stream.name, log = %name(id), "takes no puts, reads go on: {why}");
            }
            recovered.chores.extend(state.chores.drain(..).map(|chore| (id, chore)));
            logs.push(Log::new(clock::now(), settings_of(stream, log), state));
        }
        recovered.streams.push(RecoveredStream { record: Arc::clone(stream), logs });
    }
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

/// A log that is written holds two files open: as many as the system allows are asked for.
fn raise_open_files() -> Vec<String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if open_files >= OPEN_FILES_WANTED {
        return Vec::new();
    }
    vec![format!(
        "this process may open {open_files} files, enough for about {} busy streams (raise it with: ulimit -Hn, or LimitNOFILE= of the unit)",
        open_files / 3
    )]
}

fn pin(core: Option<usize>) -> rustix::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core));
    let Some(core) = core.or(last) else { return Ok(()) };
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
}

/// Says it again and again, for as long as the broker runs.
async fn warn_again() {
    loop {
        tokio::time::sleep(WARNED_EVERY).await;
        warn!("{OPEN_TO_ANYONE}");
    }
}

fn stop_signal() -> Result<impl Future<Output = ()>, StartError> {
    let on = |kind| signal(kind).map_err(StartError::io("listen for signals as", "the main thread"));
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

const OPEN_TO_ANYONE: &str =
    "in development mode on the network: whoever reaches this port may read and change everything";
/// How often that is said.
const WARNED_EVERY: Duration = Duration::from_secs(60);
/// How long a port that is in use is tried.
const PORT_WAIT_MAX: Duration = Duration::from_secs(5);
const PORT_POLL: Duration = Duration::from_millis(50);
/// How long the last acks are given to leave.
const LAST_ACKS: Duration = Duration::from_millis(20);
/// How long clients are given to hear that the broker has gone.
const GOODBYE_MAX: Duration = Duration::from_millis(300);
/// Enough for a thousand busy streams and their readers.
const OPEN_FILES_WANTED: u64 = 4_096;
