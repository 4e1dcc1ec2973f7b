//! Push: how a consumer subscribes to a shard, what it is sent, and why that ends.
//!
//! The requests stand on a long-lived stream of the client, the *subscription stream*, usually one for each
//! consumer: its first frame is a Subscribe, and each frame's id is that of the subscription, chosen by the
//! client and never used twice on a connection. Subscribe is answered there, with Subscribed or an error; Credit
//! and Unsubscribe are not; a Ping is answered with a Pong. When the stream ends, so do its
//! subscriptions, without a word.
//!
//! What is pushed comes on streams that the broker opens, one way: a few, at most
//! [`DATA_STREAMS_MAX`](crate::limits::DATA_STREAMS_MAX) on a connection; a shard keeps to one. A push
//! may arrive before the answer to its Subscribe. The last frame of a subscription is its PushEnd.

use bytes::{BufMut, Bytes, BytesMut};

use super::Position;
use crate::error::WireError;
use crate::limits::{CHILDREN_MAX, NAME_CHARS_MAX};
use crate::wire::{FieldReader, FieldWriter, Malformed, write_group};

/// A request to push a shard to a registered consumer.
///
/// ```text
///   u64 incarnation | u32 shard | text consumer | u64 epoch | position | u64 credit bytes
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Shard number.
    pub shard: u32,
    /// Name of the consumer.
    pub consumer: String,
    /// The newer epoch wins, and of two that are equal the later. From a description of the consumer.
    pub epoch: u64,
    /// Where to begin.
    pub position: Position,
    /// Bytes of batches that may be pushed; more is allowed with Credit. The last batch may exceed it.
    pub credit: u64,
}

/// Pushed batches.
///
/// ```text
///   group { u64 behind ms | u64 tip } | batches
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// How far the end of this push is behind the tip, in ms; 0 at the tip.
    pub behind_ms: u64,
    /// Next sequence of the shard when this was sent: everything before it is on the disk.
    pub tip_sequence: u64,
    /// Whole batches of the shard as stored, one after the other, at least one. The very first may begin
    /// before the position; from then on they are dense.
    pub batches: Bytes,
}

/// Why a subscription ended: exactly one of these.
///
/// ```text
///   u8 reason (1 shard end, 2 superseded, 3 deregistered, 4 trimmed, 5 going away, 6 error) | by reason:
///   u32 count, count x u32 child | - | - | u64 first kept | u32 wait ms | error
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEnd {
    /// The shard is closed and read to its end; its children follow.
    ShardEnd(Vec<u32>),
    /// A newer epoch took over.
    Superseded,
    /// The consumer was deregistered.
    Deregistered,
    /// The position is before the first kept sequence, which is carried.
    Trimmed(u64),
    /// The broker stops; connect again after this many ms.
    GoingAway(u32),
    /// Something failed.
    Error(WireError),
}

impl Subscribe {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u64_le(self.incarnation);
        out.put_u32_le(self.shard);
        FieldWriter::text(out, &self.consumer);
        out.put_u64_le(self.epoch);
        self.position.encode(out);
        out.put_u64_le(self.credit);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<Subscribe, Malformed> {
        Ok(Subscribe {
            incarnation: fields.u64()?,
            shard: fields.u32()?,
            consumer: fields.text(NAME_CHARS_MAX)?.to_owned(),
            epoch: fields.u64()?,
            position: Position::decode(fields)?,
            credit: fields.u64()?,
        })
    }
}

impl Push {
    /// Writes the fields that stand before the batches, for a sender that has the batches in pieces.
    pub fn encode_fields(&self, out: &mut BytesMut) {
        write_group(out, |out| {
            out.put_u64_le(self.behind_ms);
            out.put_u64_le(self.tip_sequence);
        });
    }
}

impl PushEnd {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            PushEnd::ShardEnd(children) => {
                out.put_u8(1);
                out.put_u32_le(children.len() as u32);
                children.iter().for_each(|child| out.put_u32_le(*child));
            }
            PushEnd::Superseded => out.put_u8(2),
            PushEnd::Deregistered => out.put_u8(3),
            PushEnd::Trimmed(first) => {
                out.put_u8(4);
                out.put_u64_le(*first);
            }
            PushEnd::GoingAway(wait_ms) => {
                out.put_u8(5);
                out.put_u32_le(*wait_ms);
            }
            PushEnd::Error(error) => {
                out.put_u8(6);
                error.encode(out);
            }
        }
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<PushEnd, Malformed> {
        Ok(match fields.u8()? {
            1 => {
                let count = fields.count(CHILDREN_MAX, 4)?;
                PushEnd::ShardEnd((0..count).map(|_| fields.u32()).collect::<Result<_, _>>()?)
            }
            2 => PushEnd::Superseded,
            3 => PushEnd::Deregistered,
            4 => PushEnd::Trimmed(fields.u64()?),
            5 => PushEnd::GoingAway(fields.u32()?),
            6 => PushEnd::Error(WireError::decode(fields)?),
            _ => return Err(fields.wrong("its reason is unknown")),
        })
    }
}
