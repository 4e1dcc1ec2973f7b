//! A frame: the envelope of everything that travels.
//!
//! A frame assumes an ordered byte stream and nothing else of QUIC. Little-endian.
//!
//! ```text
//!   0  4  payload length in bytes
//!   4  2  kind
//!   6  2  flags = 0 (ignored by a receiver that does not know them)
//!   8  8  id: of the request, echoed by its reply; of the subscription for pushes and credit
//!  16  n  payload
//! ```
//!
//! A receiver compares the length with its limit for the kind before it allocates anything.

use bytes::{BufMut, BytesMut};

use crate::limits::{
    CONTROL_FRAME_BYTES_MAX, PUT_FRAME_BYTES_MAX, REPLY_FRAME_BYTES_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX,
};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 16;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload that follow.
    pub len: u32,
    /// What the payload is; see [`kind`].
    pub kind: u16,
    /// Of the request or subscription.
    pub id: u64,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// The kinds of frames. Requests are even, what answers them or is pushed is odd.
        pub mod kind {
            $($(#[doc = $doc])+ pub const $name: u16 = $number;)+

            /// Every kind of this version with its name, so that a test can ask for the bytes of each.
            pub const ALL: &[(&str, u16)] = &[$((stringify!($name), $name)),+];
        }
    };
}

kinds! {
    /// Request: who the client is. The first frame of a connection.
    HELLO = 2,
    /// Reply to [`HELLO`].
    WELCOME = 3,
    /// Reply to any request that failed.
    ERROR = 5,
    /// Request: answer at once.
    PING = 6,
    /// Reply to [`PING`].
    PONG = 7,
    /// Request: store one batch. Its payload is the batch.
    PUT = 16,
    /// Reply to [`PUT`]: it is on the disk.
    ACK = 17,
    /// Request: batches of a shard from a position.
    READ = 18,
    /// Reply to [`READ`].
    BATCHES = 19,
    /// Request: make a stream.
    CREATE_STREAM = 32,
    /// Request: describe a stream.
    DESCRIBE_STREAM = 34,
    /// Reply to [`CREATE_STREAM`] and [`DESCRIBE_STREAM`].
    STREAM = 35,
    /// Request: list streams.
    LIST_STREAMS = 36,
    /// Reply to [`LIST_STREAMS`].
    STREAMS = 37,
    /// Request: delete a stream.
    DELETE_STREAM = 38,
    /// Reply to a request that has nothing to say but that it was done.
    DONE = 39,
    /// Request: register a consumer of a stream.
    REGISTER_CONSUMER = 40,
    /// Reply to [`REGISTER_CONSUMER`], [`DESCRIBE_CONSUMER`] and [`UPDATE_CONSUMER`].
    CONSUMER = 41,
    /// Request: describe a registered consumer, and give it an epoch that is newer than all before.
    DESCRIBE_CONSUMER = 42,
    /// Request: list the registered consumers of a stream.
    LIST_CONSUMERS = 44,
    /// Reply to [`LIST_CONSUMERS`].
    CONSUMERS = 45,
    /// Request: deregister a consumer; its subscriptions end.
    DEREGISTER_CONSUMER = 46,
    /// Request: push a shard to a registered consumer.
    SUBSCRIBE = 48,
    /// Reply to [`SUBSCRIBE`].
    SUBSCRIBED = 49,
    /// Request without reply: allow more bytes to be pushed.
    CREDIT = 50,
    /// Pushed batches.
    PUSH = 51,
    /// Request without reply: end a subscription.
    UNSUBSCRIBE = 52,
    /// The end of a subscription, with exactly one reason.
    PUSH_END = 53,
    /// Request: change what is promised to a registered consumer; answered with [`CONSUMER`].
    UPDATE_CONSUMER = 54,
    /// Request: split a shard; answered with [`STREAM`], as are the next two.
    SPLIT_SHARD = 56,
    /// Request: merge two shards.
    MERGE_SHARDS = 58,
    /// Request: have another number of open shards.
    UPDATE_SHARD_COUNT = 60,
    /// Request: make an access key.
    CREATE_KEY = 64,
    /// Reply to [`CREATE_KEY`].
    KEY = 65,
    /// Request: list access keys.
    LIST_KEYS = 66,
    /// Reply to [`LIST_KEYS`].
    KEYS = 67,
    /// Request: revoke an access key; its connections are closed.
    REVOKE_KEY = 68,
    /// Request: the broker's metrics.
    READ_METRICS = 80,
    /// Reply to [`READ_METRICS`]: one of as many as it takes.
    METRICS = 81,
    /// Request: change retention, largest record, limits or mode of a stream; answered with [`STREAM`].
    UPDATE_STREAM = 96,
    /// Request: change tags of a stream or a registered consumer.
    CHANGE_TAGS = 98,
    /// Request: the tags of a stream or a registered consumer.
    LIST_TAGS = 100,
    /// Reply to [`LIST_TAGS`].
    TAGS = 101,
    /// Request: the steps of an on-demand stream.
    LIST_SCALING_STEPS = 102,
    /// Reply to [`LIST_SCALING_STEPS`].
    SCALING_STEPS = 103,
}

impl FrameHeader {
    /// Reads a header. Every value is possible; the length is judged by [`payload_limit`].
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> FrameHeader {
        let (len, rest) = bytes.split_first_chunk::<4>().expect("16 bytes");
        let (kind, rest) = rest.split_first_chunk::<2>().expect("12 bytes");
        let (_flags, id) = rest.split_first_chunk::<2>().expect("10 bytes");
        FrameHeader {
            len: u32::from_le_bytes(*len),
            kind: u16::from_le_bytes(*kind),
            id: u64::from_le_bytes(*id.first_chunk().expect("8 bytes")),
        }
    }

    /// Appends the header.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.len);
        out.put_u16_le(self.kind);
        out.put_u16_le(0);
        out.put_u64_le(self.id);
    }
}

/// Largest payload that a broker accepts for a frame of `kind`.
pub fn payload_limit(kind: u16, authenticated: bool) -> u32 {
    match (authenticated, kind) {
        (false, _) => UNAUTHENTICATED_FRAME_BYTES_MAX,
        (true, kind::PUT) => PUT_FRAME_BYTES_MAX,
        (true, _) => CONTROL_FRAME_BYTES_MAX,
    }
}

/// Largest payload that a client accepts.
pub const fn reply_limit() -> u32 {
    REPLY_FRAME_BYTES_MAX
}

/// Appends a frame whose payload `fill` writes.
pub fn write_frame(out: &mut BytesMut, kind: u16, id: u64, fill: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    FrameHeader { len: 0, kind, id }.encode(out);
    fill(out);
    let len = u32::try_from(out.len() - at - FRAME_HEADER_BYTES).expect("payloads are bounded by limits.rs");
    assert!(len <= REPLY_FRAME_BYTES_MAX, "a frame of {len} bytes exceeds the limit");
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}
