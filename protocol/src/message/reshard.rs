//! Requests that change the shards of a stream. Each is answered with the stream as it is then.

use bytes::{BufMut, BytesMut};

use crate::limits::STREAM_NAME_CHARS_MAX;
use crate::wire::{FieldReader, FieldWriter, Malformed};

/// A request to split a shard into two.
///
/// ```text
///   text stream | u32 shard | u8 0: in the middle, 1: at the hash key | u128 hash key, else 0
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitShard {
    /// Name of the stream, not yet proved.
    pub stream: String,
    /// The shard.
    pub shard: u32,
    /// First hash key of the second child, strictly inside the shard's stretch; its middle when there is none.
    pub at: Option<u128>,
}

/// A request to merge two shards whose stretches lie side by side.
///
/// ```text
///   text stream | u32 shard | u32 adjacent shard
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeShards {
    /// Name of the stream, not yet proved.
    pub stream: String,
    /// One of the two: the child's parent.
    pub shard: u32,
    /// The other: the child's adjacent parent.
    pub adjacent: u32,
}

/// A request to have another number of open shards.
///
/// ```text
///   text stream | u32 open shards
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateShardCount {
    /// Name of the stream, not yet proved.
    pub stream: String,
    /// 1 to 10,000.
    pub target: u32,
}

impl SplitShard {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        out.put_u32_le(self.shard);
        out.put_u8(u8::from(self.at.is_some()));
        out.put_u128_le(self.at.unwrap_or(0));
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<SplitShard, Malformed> {
        let (stream, shard) = (fields.text(STREAM_NAME_CHARS_MAX)?.to_owned(), fields.u32()?);
        let at = match (fields.u8()?, fields.u128()?) {
            (0, _) => None,
            (1, at) => Some(at),
            _ => return Err(fields.wrong("where it splits a shard is unknown")),
        };
        Ok(SplitShard { stream, shard, at })
    }
}

impl MergeShards {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        out.put_u32_le(self.shard);
        out.put_u32_le(self.adjacent);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<MergeShards, Malformed> {
        let stream = fields.text(STREAM_NAME_CHARS_MAX)?.to_owned();
        Ok(MergeShards { stream, shard: fields.u32()?, adjacent: fields.u32()? })
    }
}

impl UpdateShardCount {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        out.put_u32_le(self.target);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<UpdateShardCount, Malformed> {
        Ok(UpdateShardCount { stream: fields.text(STREAM_NAME_CHARS_MAX)?.to_owned(), target: fields.u32()? })
    }
}
