//! The QUIC and UDP settings of a client, in one place.
//!
//! They fit the broker's: the client keeps a silent connection alive, and its windows are large, so
//! that it always drains what the broker sends and never holds up others there. The largest datagram
//! that is taken is never smaller than the one that MTU discovery looks for.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use rheos_protocol::limits::PUSH_STREAMS_MAX;

/// How far MTU discovery looks where nothing else is set: what fits an Ethernet path, tunnels included.
pub(crate) const MTU_BOUND_DEFAULT: u16 = 1452;
/// What every QUIC path carries.
pub(crate) const MTU_BOUND_LEAST: u16 = 1200;
/// The farthest it may look: ten segments of this size still fit the 64 KiB of one GSO call.
pub(crate) const MTU_BOUND_MAX: u16 = 6500;
/// A silent client says something this often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A connection on which nothing arrives for this long is gone.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Most bytes on their way from the broker, all streams together.
const RECEIVE_WINDOW_BYTES: u32 = 64 << 20;
/// Most bytes of that on a single stream: two replies of the largest read.
const STREAM_RECEIVE_WINDOW_BYTES: u32 = 16 << 20;
/// Most bytes sent and not yet acknowledged by the broker's QUIC.
const SEND_WINDOW_BYTES: u64 = 64 << 20;
/// What the UDP socket asks for in each direction; the kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// quinn's own default: one Ethernet frame over IPv4.
const UDP_PAYLOAD_BYTES_LEAST: u16 = 1472;

/// Settings of a connection.
pub(crate) fn connection(mtu_bound: u16) -> TransportConfig {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu_bound);
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_MAX).expect("15 s fit")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PUSH_STREAMS_MAX))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .mtu_discovery_config(Some(discovery))
        .datagram_receive_buffer_size(None);
    transport
}

/// Settings of the endpoint. Both ends need them, or discovery stops at 1,472 bytes.
pub(crate) fn endpoint(mtu_bound: u16) -> EndpointConfig {
    let mut endpoint = EndpointConfig::default();
    let payload_max = mtu_bound.max(UDP_PAYLOAD_BYTES_LEAST);
    endpoint.max_udp_payload_size(payload_max).expect("the bound is above QUIC's least, 1,200");
    endpoint
}

/// A UDP socket from which `peer` can be reached, with as large buffers as the kernel gives.
pub(crate) fn socket(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    let reference = socket2::SockRef::from(&socket);
    // Small buffers cost speed, not correctness: QUIC sends again what they lose.
    let _ = reference.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = reference.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    Ok(socket)
}

const _: () = assert!(STREAM_RECEIVE_WINDOW_BYTES <= RECEIVE_WINDOW_BYTES);
const _: () = assert!(MTU_BOUND_MAX as u32 * 10 <= 65_535 && MTU_BOUND_DEFAULT <= MTU_BOUND_MAX);
const _: () = assert!(KEEP_ALIVE.as_secs() * 2 < IDLE_MAX.as_secs());
