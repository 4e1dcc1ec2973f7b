//! The lanes' threads: each with its runtime, its endpoint, its rings and the logs that were dealt to it.
//!
//! What must hold: what a lane owns is made on its own thread; a lane that panics takes the process with
//! it, because the kernel may still be writing from its buffers; a lane that does not come to serve says
//! why and counts as stopped, so that the others can stop.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, process};

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use rheos_core::lanes::lane_of;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task;

use crate::blocks::BlocksAsked;
use crate::broker::Broker;
use crate::connection_ids::LaneConnectionIds;
use crate::cores::Cores;
use crate::identity::BrokerIdentity;
use crate::lane::{Arrival, Inboxes, Lane, LaneNumber, LaneParts, RecoveredStream};
use crate::mesh::{Mesh, MeshEnd};
use crate::net::{self, Door, Net, NetUse, READ_MEMORY_KIB};
use crate::reshard::Expired;
use crate::start_error::StartError;
use crate::stopping::going_away;
use crate::transport;

/// What lanes are made of beside their sockets and streams.
#[derive(Clone)]
pub(crate) struct LanesParts {
    pub(crate) broker: Arc<Broker>,
    pub(crate) cores: Cores,
    /// Where lanes report closed shards whose records have expired.
    pub(crate) expired: mpsc::Sender<Expired>,
    pub(crate) mtu: u16,
}

/// The threads of all lanes.
pub(crate) struct Lanes {
    threads: Vec<JoinHandle<()>>,
    serving: Vec<oneshot::Receiver<Result<(), StartError>>>,
    inboxes: Inboxes,
}

impl Lanes {
    /// Starts a lane on each of these sockets, in their order, and deals the streams' logs to them.
    ///
    /// # Errors
    ///
    /// When the system gives no descriptor or no thread.
    pub(crate) fn start(
        parts: &LanesParts,
        sockets: Vec<UdpSocket>,
        asked: Vec<BlocksAsked>,
        streams: Vec<RecoveredStream>,
    ) -> Result<Lanes, StartError> {
        let lanes = parts.broker.lanes;
        let mut started = Lanes { threads: Vec::new(), serving: Vec::new(), inboxes: parts.broker.inboxes.clone() };
        for (((lane, socket), asked), streams) in (0..).zip(sockets).zip(asked).zip(deal(streams, lanes)) {
            let (serving, told) = oneshot::channel();
            let plan = LanePlan { number: LaneNumber { lane, lanes }, socket, parts: parts.clone(), asked, streams };
            let name = format!("lane-{lane}");
            let thread = thread::Builder::new()
                .name(name.clone())
                .spawn(move || run_lane(plan, serving))
                .map_err(StartError::io("start the thread of", name))?;
            started.threads.push(thread);
            started.serving.push(told);
        }
        Ok(started)
    }

    /// Waits until every lane serves.
    ///
    /// # Errors
    ///
    /// Why one of them does not.
    pub(crate) async fn serving(&mut self) -> Result<(), StartError> {
        for told in self.serving.drain(..) {
            // The lane has said why on its way out.
            told.await.unwrap_or_else(|_| process::abort())?;
        }
        Ok(())
    }

    /// Has every lane seal its logs and stop.
    pub(crate) fn stop(&self) {
        self.inboxes.all().for_each(|inbox| inbox.push(Arrival::Stop));
    }

    /// Waits until every lane has stopped.
    pub(crate) fn join(self) {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap_or_else(|_| process::abort()));
    }
}

/// The streams of each lane, with those of their logs that it serves.
fn deal(streams: Vec<RecoveredStream>, lanes: u16) -> Vec<Vec<RecoveredStream>> {
    let mut dealt: Vec<Vec<RecoveredStream>> = (0..lanes).map(|_| Vec::new()).collect();
    for RecoveredStream { record, logs } in streams {
        for log in logs {
            let id = log.id();
            let of_lane = &mut dealt[usize::from(lane_of(id.incarnation, id.log, lanes))];
            match of_lane.last_mut().filter(|last| last.record.incarnation == id.incarnation) {
                Some(last) => last.logs.push(log),
                None => of_lane.push(RecoveredStream { record: Arc::clone(&record), logs: vec![log] }),
            }
        }
    }
    dealt
}

struct LanePlan {
    number: LaneNumber,
    socket: UdpSocket,
    parts: LanesParts,
    asked: BlocksAsked,
    streams: Vec<RecoveredStream>,
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

fn run_lane(plan: LanePlan, serving: oneshot::Sender<Result<(), StartError>>) {
    let _guard = AbortOnPanic;
    plan.parts.cores.keep_to_lane(plan.number.lane);
    let (mesh, stopping) = (plan.parts.broker.mesh.clone(), plan.parts.broker.stopping.clone());
    tokio_uring::start(async move {
        match start_lane(plan) {
            Ok((endpoint, mut lane)) => {
                drop(serving.send(Ok(())));
                // A panic in it has been printed; it must not be outlived by writes that are in flight.
                let ended = |ended: Result<(), task::JoinError>| ended.unwrap_or_else(|_| process::abort());
                tokio::select! {
                    how = &mut lane => {
                        ended(how);
                        say_goodbye(&endpoint).await;
                    }
                    () = stopping.goodbye_is_due() => {
                        say_goodbye(&endpoint).await;
                        ended(lane.await);
                    }
                }
            }
            Err(error) => {
                mesh.iter().for_each(Mesh::lane_has_stopped);
                drop(serving.send(Err(error)));
            }
        }
    });
}

async fn say_goodbye(endpoint: &Endpoint) {
    // The last acks are with QUIC; closing would take those back that have not left yet.
    tokio::time::sleep(LAST_ACKS).await;
    let going = going_away();
    endpoint.close(net::close_code(going.code), going.message.as_bytes());
    drop(tokio::time::timeout(GOODBYE_MAX, endpoint.wait_idle()).await);
}

/// To be called in the lane's runtime.
fn start_lane(plan: LanePlan) -> Result<(Endpoint, task::JoinHandle<()>), StartError> {
    let LanePlan { number, socket, parts: LanesParts { broker, expired, mtu, .. }, asked, streams } = plan;
    let lane = number.lane;
    let inbox = broker.inboxes.of_lane(lane).clone();
    let reader = asked.reader().map_err(StartError::ring)?;
    let end = broker.mesh.clone().map(|mesh| MeshEnd::new(mesh, lane)).transpose();
    let end = end.map_err(StartError::io("make the way between", "the lanes"))?;
    let (door, read_memory) = (Door::default(), Arc::new(Semaphore::new(READ_MEMORY_KIB)));
    let parts = LaneParts {
        number,
        directory_id: broker.directory_id,
        inbox: inbox.clone(),
        files: broker.files.clone(),
        blocks: broker.blocks[usize::from(lane)].clone(),
        consumers: broker.consumers.clone(),
        limits: broker.limits,
        expired,
        streams: broker.streams.clone(),
        net_use: NetUse::new(&door, &read_memory),
        mesh: end,
        stopping: broker.stopping.clone(),
    };
    let lane_task = Lane::new(parts, streams).map_err(StartError::ring)?;
    let endpoint = endpoint(socket, number, mtu, &broker.identity)?;
    let (put_streams, peers) = (AtomicU64::new(0), AtomicU64::new(0));
    let net = Net { broker, door, inbox, lane, put_streams, peers, read_memory };
    // Tasks like quinn's own, in the same queue: what `tokio_uring::spawn` takes has its turn too seldom.
    tokio::spawn(reader);
    tokio::spawn(net::accept(endpoint.clone(), Arc::new(net)));
    Ok((endpoint, tokio::spawn(lane_task.run())))
}

/// The least time between two stateless resets of a lane: thousands of clients of a broker that was killed
/// hear of it within seconds (quinn's own 20 ms would be 50 of them a second). A reset is shorter than the
/// datagram that it answers, so that a flood is not made larger by it.
const RESETS_EVERY: Duration = Duration::from_millis(1);

fn endpoint(
    socket: UdpSocket,
    number: LaneNumber,
    mtu: u16,
    identity: &BrokerIdentity,
) -> Result<Endpoint, StartError> {
    let mut server = identity.quic_server();
    transport::configure_server(&mut server, mtu);
    let mut config: EndpointConfig = transport::endpoint(mtu);
    // Clients of a broker that was killed hear at once from the next one that their connections are gone.
    config.reset_key(identity.endpoint_reset_key());
    config.min_reset_interval(RESETS_EVERY);
    let ids = LaneConnectionIds::new(number.lane, number.lanes, identity.connection_id_key());
    config.cid_generator(move || Box::new(ids.clone()));
    let address = socket.local_addr();
    let made: io::Result<Endpoint> = Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime));
    made.map_err(StartError::socket(address.unwrap_or_else(|_| ([0, 0, 0, 0], 0).into())))
}

/// How long the last acks are given to leave.
const LAST_ACKS: Duration = Duration::from_millis(20);
/// How long clients are given to hear that the broker has gone.
const GOODBYE_MAX: Duration = Duration::from_millis(300);
