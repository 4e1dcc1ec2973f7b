//! Registered consumers: who has every shard of a stream pushed.

use bytes::{BufMut, BytesMut};

use crate::limits::NAME_CHARS_MAX;
use crate::wire::{FieldReader, FieldWriter, Malformed};

/// Names a consumer of a stream; neither is proved yet.
///
/// ```text
///   text stream | text consumer
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerOf {
    /// Name of the stream.
    pub stream: String,
    /// Name of the consumer.
    pub consumer: String,
}

/// A registered consumer.
///
/// ```text
///   text name | u64 incarnation | u64 created ms | u64 epoch
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// Name.
    pub name: String,
    /// Identity of the life of the stream that it is registered with.
    pub incarnation: u64,
    /// Registration, ms since 1970.
    pub created_ms: u64,
    /// For whoever is going to subscribe as this consumer: newer than every epoch that was given before.
    /// 0 in a listing.
    pub epoch: u64,
}

impl ConsumerOf {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        FieldWriter::text(out, &self.consumer);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ConsumerOf, Malformed> {
        let mut name = || Ok::<_, Malformed>(fields.text(NAME_CHARS_MAX)?.to_owned());
        Ok(ConsumerOf { stream: name()?, consumer: name()? })
    }
}

impl ConsumerDescription {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.name);
        out.put_u64_le(self.incarnation);
        out.put_u64_le(self.created_ms);
        out.put_u64_le(self.epoch);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ConsumerDescription, Malformed> {
        Ok(ConsumerDescription {
            name: fields.text(NAME_CHARS_MAX)?.to_owned(),
            incarnation: fields.u64()?,
            created_ms: fields.u64()?,
            epoch: fields.u64()?,
        })
    }
}
