//! The network: whose the port is, what a UDP socket is given, whether datagrams are sent and received many at a
//! time, and whether each lane gets its own.

use std::fs;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rheos_core::limits::LANES_MAX;

use super::DoctorOptions;
use crate::finding::Finding;
use crate::sockets::Sockets;
use crate::start_error::StartError;

pub(super) fn examine(options: &DoctorOptions, holder: Option<u32>, tell: &mut impl FnMut(Finding)) {
    let DoctorOptions { listen, .. } = *options;
    match user_of(listen) {
        // Asked of the kernel first: a start waits for a port, in case that its user is on its way out.
        Some(User { process: Some(process), .. }) if holder == Some(process) => {
            tell(Finding::ok(PORT, format!("{listen} is the broker's of this data directory, process {process}")));
        }
        Some(user) => {
            let error = StartError::AddressInUse { listen, over: user.over };
            let mut finding = Finding::problem(PORT, &error);
            finding.what = format!("{}, which is {}", finding.what, user.shown());
            tell(finding);
        }
        None => match Sockets::open(listen, 1) {
            Ok(_) => tell(Finding::ok(PORT, format!("{listen} is free over UDP and TCP"))),
            Err(error) => tell(Finding::problem(PORT, &error)),
        },
    }
    // With two at least there is something to be dealt; too many are the cores' finding, not the network's.
    let lanes = options.lanes.clamp(2, LANES_MAX);
    match Sockets::open(SocketAddr::new(listen.ip(), 0), lanes) {
        Ok(sockets) => {
            tell(sockets.buffers.finding());
            tell(Finding::ok(STEERING, format!("datagrams of one port reach the lane that they name, of {lanes}")));
        }
        Err(error) => tell(Finding::problem(STEERING, &error)),
    }
    offload(tell);
}

/// Sends many datagrams at once over loopback, as the broker does, and looks how they arrive.
fn offload(tell: &mut impl FnMut(Finding)) {
    let outcome = (|| {
        let [from, to] = [bound()?, bound()?];
        let (sending, receiving) = (UdpSocketState::new((&from).into())?, UdpSocketState::new((&to).into())?);
        let segments = sending.max_gso_segments();
        let sent = segments > 1 && send(&sending, &from, to.local_addr()?).is_ok() && sending.max_gso_segments() > 1;
        let together = sent && receive(&receiving, &to)?;
        Ok((sent.then_some(segments), together))
    })();
    match outcome {
        Ok((segments, together)) => {
            tell(match segments {
                Some(segments) => Finding::ok(GSO, format!("up to {segments} datagrams are sent at once")),
                None => Finding::warning(GSO, "datagrams are sent one by one, at a quarter of the speed", GSO_FIX),
            });
            tell(match together {
                true => Finding::ok(GRO, "datagrams that come together are received together"),
                false => Finding::warning(GRO, "datagrams are received one by one, which costs cores", GRO_FIX),
            });
        }
        Err::<_, io::Error>(error) => {
            tell(Finding::warning(GSO, format!("loopback does not take UDP: {error}"), "ip link set lo up"));
        }
    }
}

fn bound() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
}

fn send(state: &UdpSocketState, from: &UdpSocket, to: SocketAddr) -> io::Result<()> {
    let contents = [0x40; DATAGRAMS * DATAGRAM_BYTES];
    let segment_size = Some(DATAGRAM_BYTES);
    state.try_send(
        from.into(),
        &Transmit { destination: to, ecn: None, contents: &contents, segment_size, src_ip: None },
    )
}

/// Whether more than one datagram comes at once.
fn receive(state: &UdpSocketState, to: &UdpSocket) -> io::Result<bool> {
    let began = Instant::now();
    let mut bytes = [0; 64 << 10];
    while began.elapsed() < RECEIVED_WITHIN {
        let mut meta = [RecvMeta::default()];
        match state.recv(to.into(), &mut [IoSliceMut::new(&mut bytes)], &mut meta) {
            Ok(_) => return Ok(meta[0].len > meta[0].stride),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Who has a port.
struct User {
    over: &'static str,
    process: Option<u32>,
    name: Option<String>,
}

impl User {
    fn shown(&self) -> String {
        match (self.process, &self.name) {
            (Some(process), Some(name)) => format!("{name}, process {process}"),
            (Some(process), None) => format!("process {process}"),
            (None, _) => "another user's; as root this says whose".to_owned(),
        }
    }
}

/// Who listens there now, as far as the kernel tells this user.
fn user_of(listen: SocketAddr) -> Option<User> {
    let tables = [("UDP", "udp"), ("UDP", "udp6"), ("TCP", "tcp"), ("TCP", "tcp6")];
    let (over, inode) = tables.into_iter().find_map(|(over, table)| {
        let text = fs::read_to_string(format!("/proc/net/{table}")).ok()?;
        Some((over, socket_at(&text, over, listen)?))
    })?;
    let process = process_with(inode);
    let name = process.and_then(|process| fs::read_to_string(format!("/proc/{process}/comm")).ok());
    Some(User { over, process, name: name.map(|name| name.trim().to_owned()) })
}

/// The inode of the socket that stands in the way of `listen`, from a table of `/proc/net`: the second field is
/// address:port in hex, the fourth the state (0A: listening), the tenth the inode.
fn socket_at(table: &str, over: &str, listen: SocketAddr) -> Option<u64> {
    if listen.port() == 0 {
        return None;
    }
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.rsplit_once(':')?;
        let is_there = u16::from_str_radix(port, 16) == Ok(listen.port());
        let is_taken = over == "UDP" || fields.get(3) == Some(&"0A");
        (is_there && is_taken && overlaps(address, listen)).then(|| fields.get(9)?.parse().ok())?
    })
}

/// Whether an address of such a table, 32-bit words in the machine's order, is the one that is asked about, or
/// one of them is every address.
fn overlaps(address: &str, listen: SocketAddr) -> bool {
    let is_every = address.bytes().all(|digit| digit == b'0') || listen.ip().is_unspecified();
    let octets = match listen {
        SocketAddr::V4(listen) => listen.ip().octets().to_vec(),
        SocketAddr::V6(listen) => listen.ip().octets().to_vec(),
    };
    let word = |octets: &[u8]| u32::from_ne_bytes(octets.try_into().expect("words have four bytes"));
    let shown: String = octets.chunks(4).map(|octets| format!("{:08X}", word(octets))).collect();
    is_every || address == shown
}

/// The process that holds a socket open; none when it is another user's.
fn process_with(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.into_iter().find(|process| {
        let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.to_str() == Some(&wanted)))
    })
}

const PORT: &str = "port";
const STEERING: &str = "lane steering";
const GSO: &str = "UDP send offload";
const GRO: &str = "UDP receive offload";
const GSO_FIX: &str = "the kernel or the sandbox has no UDP_SEGMENT: run it outside gVisor, on Linux 4.18 or newer";
const GRO_FIX: &str = "the kernel or the sandbox has no UDP_GRO: run it outside gVisor, on Linux 5.0 or newer";
const DATAGRAMS: usize = 4;
const DATAGRAM_BYTES: usize = 1_200;
/// Loopback needs microseconds.
const RECEIVED_WITHIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_port_is_found() {
        let socket = bound().expect("loopback has free ports");
        let listen = socket.local_addr().expect("it is bound");
        let user = user_of(listen).expect("it is in use");
        assert_eq!((user.over, user.process), ("UDP", Some(std::process::id())));
        assert!(user.shown().contains("process"), "{}", user.shown());
        let everywhere = SocketAddr::from(([0, 0, 0, 0], listen.port()));
        assert!(user_of(everywhere).is_some(), "one of every address is in the way, too");
        drop(socket);
        assert!(user_of(listen).is_none());

        let tcp = std::net::TcpListener::bind(("::1", 0)).expect("loopback has free ports");
        assert_eq!(user_of(tcp.local_addr().expect("it is bound")).map(|user| user.over), Some("TCP"));
    }

    #[test]
    fn datagrams_are_tried_over_loopback() {
        let mut findings = Vec::new();
        offload(&mut |finding| findings.push(finding));
        assert_eq!(findings.iter().map(|finding| finding.topic).collect::<Vec<_>>(), [GSO, GRO]);
    }
}
