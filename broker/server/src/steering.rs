//! Steering: the kernel gives each datagram of the port to the lane that its connection id names.
//!
//! ```text
//!   long header    1 t t t t t t t | version 4 | id length 1 | id: LANE ...      LANE at byte 6
//!   short header   0 t t t t t t t | id: LANE ...                                LANE at byte 1
//! ```
//!
//! A classic BPF program on a group of SO_REUSEPORT sockets returns the index of a socket, counted in
//! the order in which they were bound. What is too short to have the byte goes to lane 0: the kernel
//! ends a program that reads beyond a datagram with 0.
//!
//! It must be attached before the second socket of the group is bound; see [`crate::sockets`].

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_JA, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_MOD, BPF_RET,
    SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET, sock_filter, sock_fprog,
};

/// Has the datagrams for the group of `socket` dealt to `lanes` sockets.
///
/// # Errors
///
/// When the kernel refuses the program, or the socket is in no group.
pub(crate) fn steer(socket: &UdpSocket, lanes: u16) -> io::Result<()> {
    let mut instructions = program(lanes);
    let program = sock_fprog { len: instructions.len() as u16, filter: instructions.as_mut_ptr() };
    // SAFETY: the descriptor is open for as long as the borrow of `socket`. The option's value is a
    // `sock_fprog` that lies on this stack with its true size, and `filter` points to `len` initialised
    // instructions beside it; the kernel copies both before the call returns and writes to neither.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn program(lanes: u16) -> [sock_filter; 7] {
    [
        instruction(BPF_LD | BPF_B | BPF_ABS, 0),
        // Only a long header goes on with the next two.
        sock_filter { jf: 2, ..instruction(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER) },
        instruction(BPF_LD | BPF_B | BPF_ABS, 6),
        instruction(BPF_JMP | BPF_JA, 1),
        instruction(BPF_LD | BPF_B | BPF_ABS, 1),
        instruction(BPF_ALU | BPF_MOD | BPF_K, lanes.into()),
        instruction(BPF_RET | BPF_A, 0),
    ]
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// The bit of the first byte that tells a long header from a short one.
const LONG_HEADER: u32 = 0x80;
