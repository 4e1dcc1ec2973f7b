//! The QUIC and UDP settings of rheos, in one place.
//!
//! The broker's lanes and the bare target that they are measured against take the same values from
//! here. The client functions are what the rig uses against the bare target; the client crate has
//! settings of its own, which must fit these.
//!
//! What must hold: everything a peer can make this side buffer has a bound, a small one until the
//! peer has proved who it is ([`broker`], then [`admit`]); and the largest datagram this side takes
//! is never smaller than the one that MTU discovery looks for.
//!
//! Connection ids, keys and certificates are not here; they belong to the lane.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use rheos_protocol::limits::{CONTROL_STREAMS_MAX, DATA_STREAMS_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX};
use rustix::net::sockopt;

use crate::finding::Finding;

/// How far MTU discovery looks where nothing else is set: what fits an Ethernet path, tunnels included.
pub const MTU_BOUND_DEFAULT: u16 = 1452;
/// The farthest it may look: ten segments of this size still fit the 64 KiB of one GSO call. Beyond
/// it quinn falls back to sending single datagrams, at a quarter of the speed.
pub const MTU_BOUND_MAX: u16 = 6500;
/// A silent client says something this often. The broker never does, so that an idle one costs one packet.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A connection on which nothing arrives for this long is gone.
pub const IDLE_MAX: Duration = Duration::from_secs(15);
/// Most bytes that one peer may have on the way to the broker, on all streams of a connection.
pub const RECEIVE_WINDOW_BYTES: u32 = 64 << 20;
/// Most bytes of that on a single stream.
pub const STREAM_RECEIVE_WINDOW_BYTES: u32 = 16 << 20;
/// Most bytes of a connection before the peer is authenticated, all streams together.
pub const UNAUTHENTICATED_WINDOW_BYTES: u32 = UNAUTHENTICATED_FRAME_BYTES_MAX;
/// Most bytes sent on a connection of the broker and not yet acknowledged by the peer's QUIC.
pub const SEND_WINDOW_BYTES_MAX: u64 = 8 << 20;
/// The same on the client, where the bytes are the client's own.
pub const CLIENT_SEND_WINDOW_BYTES: u64 = 64 << 20;
/// Most connection attempts of a lane that have not been looked at.
pub const INCOMING_MAX: usize = 1024;
/// Most bytes that those attempts may have sent ahead, for each lane.
pub const INCOMING_BYTES_MAX: u64 = 4 << 20;
/// Most bytes that one attempt may have sent ahead.
pub const INCOMING_BYTES_EACH_MAX: u64 = 32 << 10;
/// What a UDP socket asks for in each direction; the kernel may give less.
pub const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Settings of a broker's connections, until [`admit`] widens one.
pub fn broker(mtu_bound: u16) -> TransportConfig {
    let mut transport = common(mtu_bound);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(UNAUTHENTICATED_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES_MAX);
    transport
}

/// Settings of a client's connections.
pub fn client(mtu_bound: u16) -> TransportConfig {
    let mut transport = common(mtu_bound);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(DATA_STREAMS_MAX))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(CLIENT_SEND_WINDOW_BYTES)
        .keep_alive_interval(Some(KEEP_ALIVE));
    transport
}

/// Settings of an endpoint of either side. Both ends need them, or discovery stops at 1,472 bytes.
///
/// quinn keeps receive buffers of this size times 2,048 for each endpoint: 13 MB at the largest bound.
pub fn endpoint(mtu_bound: u16) -> EndpointConfig {
    let mut endpoint = EndpointConfig::default();
    let payload_max = mtu_bound.max(UDP_PAYLOAD_BYTES_LEAST);
    endpoint.max_udp_payload_size(payload_max).expect("the bound is above QUIC's least, 1,200");
    endpoint
}

/// Gives an authenticated connection its full windows, its put streams and its control requests.
pub fn admit(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(DATA_STREAMS_MAX + CONTROL_STREAMS_MAX));
}

/// Applies the broker's transport and its bounds on unanswered connection attempts to `server`.
pub fn configure_server(server: &mut ServerConfig, mtu_bound: u16) {
    server
        .transport_config(Arc::new(broker(mtu_bound)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_EACH_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
}

/// The buffer sizes that the kernel gave a socket, in bytes of payload it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketBuffers {
    /// For datagrams that have arrived and were not read yet.
    pub receive_bytes: usize,
    /// For datagrams on their way out.
    pub send_bytes: usize,
}

impl SocketBuffers {
    /// Whether the kernel gave [`SOCKET_BUFFER_BYTES`].
    pub(crate) fn finding(&self) -> Finding {
        let (least, sysctl) = if self.receive_bytes <= self.send_bytes {
            (self.receive_bytes, "net.core.rmem_max")
        } else {
            (self.send_bytes, "net.core.wmem_max")
        };
        if least >= SOCKET_BUFFER_BYTES {
            return Finding::ok(UDP_BUFFERS, format!("{} KiB in each direction", least >> 10));
        }
        let what = format!(
            "the kernel gives a UDP socket {} KiB of buffer where {} KiB were asked for; bursts may lose packets",
            least >> 10,
            SOCKET_BUFFER_BYTES >> 10,
        );
        Finding::warning(UDP_BUFFERS, what, format!("raise it with: sysctl -w {sysctl}={SOCKET_BUFFER_BYTES}"))
    }
}

const UDP_BUFFERS: &str = "UDP buffers";

/// Asks for large buffers, past the system's limit where the process may, and reads back what it got.
///
/// # Errors
///
/// When the descriptor is no socket.
pub fn size_socket_buffers(socket: impl AsFd) -> io::Result<SocketBuffers> {
    let socket = socket.as_fd();
    if sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER_BYTES).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, SOCKET_BUFFER_BYTES)?;
    }
    if sockopt::set_socket_send_buffer_size_force(socket, SOCKET_BUFFER_BYTES).is_err() {
        sockopt::set_socket_send_buffer_size(socket, SOCKET_BUFFER_BYTES)?;
    }
    // Linux doubles what it is asked for, to pay for its own bookkeeping, and says the double.
    Ok(SocketBuffers {
        receive_bytes: sockopt::socket_recv_buffer_size(socket)? / 2,
        send_bytes: sockopt::socket_send_buffer_size(socket)? / 2,
    })
}

/// A UDP socket on `address` with large buffers. A lane's socket, which shares its port with other
/// lanes, is opened elsewhere and sized with [`size_socket_buffers`].
///
/// # Errors
///
/// When the address cannot be bound; the message names it.
pub fn bind_udp(address: SocketAddr) -> io::Result<(UdpSocket, SocketBuffers)> {
    let socket = UdpSocket::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot bind UDP {address}: {error}")))?;
    let buffers = size_socket_buffers(&socket)?;
    Ok((socket, buffers))
}

fn common(mtu_bound: u16) -> TransportConfig {
    assert!((1200..=MTU_BOUND_MAX).contains(&mtu_bound), "an MTU bound of {mtu_bound}");
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu_bound);
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_MAX).expect("15 s fit")))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW_BYTES))
        .mtu_discovery_config(Some(discovery))
        .datagram_receive_buffer_size(None);
    transport
}

/// quinn's own default: one Ethernet frame over IPv4.
const UDP_PAYLOAD_BYTES_LEAST: u16 = 1472;

const _: () = assert!(STREAM_RECEIVE_WINDOW_BYTES <= RECEIVE_WINDOW_BYTES);
const _: () = assert!(MTU_BOUND_MAX as u32 * 10 <= 65_535 && MTU_BOUND_DEFAULT <= MTU_BOUND_MAX);
const _: () = assert!(KEEP_ALIVE.as_secs() * 2 < IDLE_MAX.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_bound_makes_settings() {
        for bound in [1200, MTU_BOUND_DEFAULT, MTU_BOUND_MAX] {
            broker(bound);
            client(bound);
            assert!(endpoint(bound).get_max_udp_payload_size() >= u64::from(bound.max(1472)));
        }
    }

    #[test]
    fn a_socket_is_told_what_it_got() {
        let (socket, buffers) = bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has free ports");
        assert!(buffers.receive_bytes > 0 && buffers.send_bytes > 0);
        let taken = socket.local_addr().expect("it is bound");
        let error = bind_udp(taken).expect_err("the port is taken").to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
    }

    #[test]
    fn small_buffers_name_the_sysctl() {
        let small = SocketBuffers { receive_bytes: 212_992, send_bytes: SOCKET_BUFFER_BYTES };
        assert!(small.finding().said_at_start().expect("it is small").contains("net.core.rmem_max"));
        let full = SocketBuffers { receive_bytes: SOCKET_BUFFER_BYTES, send_bytes: SOCKET_BUFFER_BYTES };
        assert_eq!(full.finding().said_at_start(), None);
    }
}
