//! A path between clients and a broker that loses, doubles, delays and reorders datagrams, goes silent,
//! or comes from another address all of a sudden, as a NAT does.
//!
//! What must hold: it forwards to the broker alone, on loopback; what it holds is bounded; it ends with
//! its value.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::random::Random;

/// Longest that a datagram is held back.
const HELD_BACK_MS_MAX: u64 = 20;
/// Datagrams that are held back at once; beyond that they go at once.
const HELD_BACK_MAX: u64 = 256;
/// Large enough for any datagram.
const DATAGRAM_BYTES: usize = 65_536;
/// Most clients of one relay.
const CLIENTS_MAX: usize = 256;

/// What happens on the way, in thousandths of the datagrams, in each direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Are lost.
    pub loss: u64,
    /// Come twice.
    pub doubled: u64,
    /// Are held back for up to 20 ms, so that later ones overtake them.
    pub held_back: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Way {
    broker: SocketAddr,
    faults: Faults,
    random: Mutex<Random>,
    is_silent: AtomicBool,
    held_back: AtomicU64,
    clients: Mutex<HashMap<SocketAddr, Client>>,
}

#[derive(Debug)]
struct Client {
    upstream: Arc<UdpSocket>,
    back: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to a broker on loopback; clients connect to its [`address`](Self::address).
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start(broker: SocketAddr, faults: Faults, seed: u64) -> Relay {
        assert!(broker.ip().is_loopback(), "tests stay on this host");
        let socket = Arc::new(local().await);
        let address = socket.local_addr().expect("it is bound");
        let way = Arc::new(Way {
            broker,
            faults,
            random: Mutex::new(Random::new(seed)),
            is_silent: AtomicBool::new(false),
            held_back: AtomicU64::new(0),
            clients: Mutex::default(),
        });
        let task = tokio::spawn(forward(socket, Arc::clone(&way)));
        Relay { address, way, task }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses everything until told otherwise.
    pub fn set_silent(&self, silent: bool) {
        self.way.is_silent.store(silent, Ordering::Relaxed);
    }

    /// From now on every client comes from another address.
    pub fn rebind(&self) {
        self.way.clients().drain().for_each(|(_, client)| client.back.abort());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.rebind();
    }
}

impl Way {
    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Client>> {
        self.clients.lock().expect("nothing panics while it is locked")
    }

    /// Sends a datagram on, as chance has it.
    fn send(self: &Arc<Self>, socket: &Arc<UdpSocket>, to: SocketAddr, datagram: &[u8]) {
        let mut random = self.random.lock().expect("nothing panics while it is locked");
        if self.is_silent.load(Ordering::Relaxed) || random.per_mille(self.faults.loss) {
            return;
        }
        let times = 1 + u32::from(random.per_mille(self.faults.doubled));
        for _ in 0..times {
            let hold = random.per_mille(self.faults.held_back);
            if !hold || self.held_back.load(Ordering::Relaxed) >= HELD_BACK_MAX {
                // A full buffer loses it, as on any path.
                let _ = socket.try_send_to(datagram, to);
                continue;
            }
            self.held_back.fetch_add(1, Ordering::Relaxed);
            let wait = Duration::from_millis(random.within(1..HELD_BACK_MS_MAX + 1));
            let (way, socket, datagram) = (Arc::clone(self), Arc::clone(socket), datagram.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = socket.try_send_to(&datagram, to);
                way.held_back.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

async fn forward(socket: Arc<UdpSocket>, way: Arc<Way>) {
    let mut datagram = vec![0; DATAGRAM_BYTES];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut datagram).await else { continue };
        let known = way.clients().get(&from).map(|client| Arc::clone(&client.upstream));
        let upstream = match known {
            Some(upstream) => upstream,
            None if way.clients().len() >= CLIENTS_MAX => continue,
            None => {
                let upstream = Arc::new(local().await);
                let back = tokio::spawn(back(Arc::clone(&upstream), Arc::clone(&socket), from, Arc::clone(&way)));
                way.clients().insert(from, Client { upstream: Arc::clone(&upstream), back });
                upstream
            }
        };
        way.send(&upstream, way.broker, &datagram[..len]);
    }
}

async fn back(upstream: Arc<UdpSocket>, socket: Arc<UdpSocket>, client: SocketAddr, way: Arc<Way>) {
    let mut datagram = vec![0; DATAGRAM_BYTES];
    loop {
        let Ok((len, _)) = upstream.recv_from(&mut datagram).await else { continue };
        way.send(&socket, client, &datagram[..len]);
    }
}

async fn local() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports")
}
