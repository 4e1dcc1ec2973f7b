//! The sockets of the broker: one UDP port with a socket of it for each lane, and the same number over TCP for
//! HTTP.
//!
//! What must hold: the lanes' sockets are bound in the order of the lanes, because [`steering`](crate::steering)
//! counts them so; no socket of another process is among them, because the port is first bound for this
//! process alone; none of them is closed before the process ends, because the kernel then moves another
//! into its place. So a duplicate of each is kept, and each lane is proved to be reached before clients
//! are let in.
//!
//! Nothing here reads what clients send. What they send while the lanes are proved is lost, as any
//! datagram may be, and comes again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::directory::random_bytes;
use crate::start_error::StartError;
use crate::steering::steer;
use crate::transport::{self, SocketBuffers};

/// A socket for each lane, and one for HTTP, bound to one address.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// In the order of the lanes.
    pub(crate) lanes: Vec<UdpSocket>,
    pub(crate) http: TcpListener,
    /// Where they listen.
    pub(crate) address: SocketAddr,
    /// What the kernel gave each of them.
    pub(crate) buffers: SocketBuffers,
    pub(crate) places: Places,
}

/// Duplicates that keep every socket in its place; to be dropped last of all.
#[derive(Debug)]
pub(crate) struct Places {
    _duplicates: Vec<UdpSocket>,
}

impl Sockets {
    /// Opens the sockets of so many lanes. Takes the port for this process alone; one that is just
    /// dying may still hold it for a moment. Blocks.
    ///
    /// # Errors
    ///
    /// When the address is another process's or cannot be listened on, or a lane is not reached.
    pub(crate) fn open(listen: SocketAddr, lanes: u16) -> Result<Sockets, StartError> {
        let (alone, buffers, http) = bind_both(listen)?;
        let address = alone.local_addr().map_err(StartError::socket(listen))?;
        if lanes == 1 {
            let places = Places { _duplicates: Vec::new() };
            return Ok(Sockets { lanes: vec![alone], http, address, buffers, places });
        }
        // A socket outside the group would keep it from being made.
        drop(alone);
        let (lanes, buffers) = bind_together(address, lanes).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::AddressInUse { listen: address, over: UDP },
            _ => StartError::Socket { listen: address, source: error },
        })?;
        prove(&lanes, address)?;
        let duplicates = lanes.iter().map(UdpSocket::try_clone).collect::<io::Result<_>>();
        let places = Places { _duplicates: duplicates.map_err(StartError::socket(address))? };
        Ok(Sockets { lanes, http, address, buffers, places })
    }
}

/// Binds one port number over UDP and TCP, for this process alone; of port 0, the first that is free for both.
fn bind_both(listen: SocketAddr) -> Result<(UdpSocket, SocketBuffers, TcpListener), StartError> {
    let mut tried = 0;
    loop {
        let (alone, buffers) = bind_alone(listen, UDP, || transport::bind_udp(listen))?;
        let address = alone.local_addr().map_err(StartError::socket(listen))?;
        tried += 1;
        let http = if listen.port() == 0 && tried < NUMBERS_TRIED_MAX {
            match TcpListener::bind(address) {
                // Somebody has it over TCP alone: the kernel is asked for another.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                bound => bound.map_err(StartError::socket(address))?,
            }
        } else {
            bind_alone(address, TCP, || TcpListener::bind(address))?
        };
        return Ok((alone, buffers, http));
    }
}

/// Binds an address, for which a process that is just dying is waited for.
fn bind_alone<T>(address: SocketAddr, over: &'static str, bind: impl Fn() -> io::Result<T>) -> Result<T, StartError> {
    let began = Instant::now();
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < PORT_WAIT_MAX => {
                thread::sleep(PORT_POLL);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(StartError::AddressInUse { listen: address, over });
            }
            bound => return bound.map_err(StartError::socket(address)),
        }
    }
}

fn bind_together(address: SocketAddr, lanes: u16) -> io::Result<(Vec<UdpSocket>, SocketBuffers)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut sockets = Vec::with_capacity(lanes.into());
    let mut least: Option<SocketBuffers> = None;
    for lane in 0..lanes {
        let socket = UdpSocket::from(socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?);
        sockopt::set_socket_reuseport(&socket, true)?;
        bind(&socket, &address)?;
        if lane == 0 {
            steer(&socket, lanes)?;
        }
        let given = transport::size_socket_buffers(&socket)?;
        let least = least.get_or_insert(given);
        least.receive_bytes = least.receive_bytes.min(given.receive_bytes);
        least.send_bytes = least.send_bytes.min(given.send_bytes);
        sockets.push(socket);
    }
    Ok((sockets, least.expect("there is at least one lane")))
}

/// Sends each lane a datagram of its own and looks whether it comes to it, with either kind of header.
fn prove(lanes: &[UdpSocket], address: SocketAddr) -> Result<(), StartError> {
    let token = random_bytes("a probe")?;
    let reached = SocketAddr::new(reachable(address.ip()), address.port());
    let asking = (|| {
        let asking = UdpSocket::bind(SocketAddr::new(reached.ip(), 0))?;
        asking.connect(reached)?;
        lanes.iter().try_for_each(|lane| lane.set_read_timeout(Some(PROBE_AGAIN)))?;
        Ok(asking)
    })()
    .map_err(StartError::socket(address))?;
    for (lane, socket) in lanes.iter().enumerate() {
        for probe in probes(lane as u8, &token) {
            let arrived = arrives(&asking, socket, &probe);
            if !arrived.map_err(StartError::socket(address))? {
                return Err(StartError::LaneNotReached { listen: address, lane });
            }
        }
    }
    lanes.iter().try_for_each(|lane| lane.set_read_timeout(None)).map_err(StartError::socket(address))
}

/// Whether a datagram comes to `lane`. One that is lost in a full buffer is sent again.
fn arrives(asking: &UdpSocket, lane: &UdpSocket, probe: &[u8]) -> io::Result<bool> {
    let mut buffer = [0; PROBE_BYTES + 1];
    let began = Instant::now();
    let mut sent_at: Option<Instant> = None;
    while began.elapsed() < PROBE_WAIT_MAX {
        if sent_at.is_none_or(|at| at.elapsed() >= PROBE_AGAIN) {
            asking.send(probe)?;
            sent_at = Some(Instant::now());
        }
        match lane.recv(&mut buffer) {
            Ok(len) if &buffer[..len] == probe => return Ok(true),
            // What clients of a broker before send, or an earlier probe that was sent twice.
            Ok(_) => {}
            Err(error) if is_passing(error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A probe with a long header and one with a short header: neither is a packet that QUIC would take.
fn probes(lane: u8, token: &[u8; TOKEN_BYTES]) -> [[u8; PROBE_BYTES]; 2] {
    let mut long = [0; PROBE_BYTES];
    (long[0], long[6]) = (0xc0, lane);
    let mut short = [0; PROBE_BYTES];
    (short[0], short[1]) = (0x40, lane);
    for probe in [&mut long, &mut short] {
        probe[PROBE_BYTES - TOKEN_BYTES..].copy_from_slice(token);
    }
    [long, short]
}

/// Where something that listens on `ip` is reached from this host.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

const TOKEN_BYTES: usize = 16;
const PROBE_BYTES: usize = 7 + TOKEN_BYTES;
/// How long a lane may take to be reached.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long one probe is waited for before it is sent again.
const PROBE_AGAIN: Duration = Duration::from_millis(200);
/// How long a port that is in use is tried.
const PORT_WAIT_MAX: Duration = Duration::from_secs(5);
const PORT_POLL: Duration = Duration::from_millis(50);
/// How many numbers of the kernel's choice are tried.
const NUMBERS_TRIED_MAX: usize = 32;
const UDP: &str = "UDP";
const TCP: &str = "TCP";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_gets_its_own_whatever_the_number_of_lanes() {
        for (listen, lanes) in [("127.0.0.1:0", 1), ("127.0.0.1:0", 2), ("127.0.0.1:0", 5), ("127.0.0.1:0", 256)] {
            let listen = listen.parse().expect("it is an address");
            let sockets = Sockets::open(listen, lanes).unwrap_or_else(|error| panic!("{lanes}: {error}"));
            assert_eq!(sockets.lanes.len(), usize::from(lanes));
            let address = sockets.address;
            assert!(sockets.lanes.iter().all(|lane| lane.local_addr().expect("it is bound") == address));
        }
    }

    #[test]
    fn what_others_send_does_not_disturb_the_proof() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (lanes, _) = bind_together(listen, 1).expect("loopback has free ports");
        let address = lanes[0].local_addr().expect("it is bound");
        drop(lanes);
        let (lanes, _) = bind_together(address, 3).expect("the port was just free");
        let stranger = UdpSocket::bind(listen).expect("loopback has free ports");
        for byte in 0..100 {
            stranger.send_to(&[0x40, byte, 1, 2, 3], address).expect("loopback takes it");
        }
        prove(&lanes, address).expect("all are there");
    }

    #[test]
    fn a_lane_that_is_not_reached_is_named() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (lanes, _) = bind_together(listen, 1).expect("loopback has free ports");
        let address = lanes[0].local_addr().expect("it is bound");
        let (mut others, _) = bind_together(address, 2).expect("a group takes more");
        // The program deals to the first two of the three.
        let asked = [lanes.into_iter().next().expect("there is one"), others.remove(1)];
        let error = prove(&asked, address).expect_err("lane 1 gets nothing").to_string();
        assert!(error.contains("lane 1") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_port_that_is_shared_is_not_joined() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_lanes, _) = bind_together(listen, 1).expect("loopback has free ports");
        let address = _lanes[0].local_addr().expect("it is bound");
        assert!(matches!(Sockets::open(address, 2), Err(StartError::AddressInUse { .. })));
    }

    #[test]
    fn http_has_the_same_number_and_a_number_that_is_taken_is_named() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for lanes in [1, 3] {
            let sockets = Sockets::open(any, lanes).expect("loopback has free ports");
            assert_eq!(sockets.http.local_addr().expect("it is bound"), sockets.address);
        }
        // Somebody has the number over TCP alone.
        let taken = TcpListener::bind(any).expect("loopback has free ports");
        let address = taken.local_addr().expect("it is bound");
        let error = Sockets::open(address, 1).expect_err("it is taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("TCP") && !error.contains('\n'), "{error}");
        // Of any number one is found that is free for both.
        let many: Vec<_> = (0..200).map(|_| TcpListener::bind(any).expect("loopback has free ports")).collect();
        let opened: Vec<_> = (0..20).map(|_| Sockets::open(any, 1).expect("some are free for both")).collect();
        drop((many, opened));
    }

    #[test]
    fn loopback_stands_for_everywhere() {
        for (listens, asked) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3"), ("::1", "::1")] {
            let listens: IpAddr = listens.parse().expect("it is an address");
            assert_eq!(reachable(listens), asked.parse::<IpAddr>().expect("it is an address"));
        }
    }
}
