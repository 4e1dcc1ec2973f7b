//! Registered consumers: who has every shard of a stream pushed.

use bytes::{BufMut, BytesMut};

use crate::limits::{NAME_CHARS_MAX, STREAM_NAME_CHARS_MAX};
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

/// A consumer as it is to be registered, or changed.
///
/// ```text
///   text stream | text consumer | u64 reserved bytes a second
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerTerms {
    /// Name of the stream, not yet proved.
    pub stream: String,
    /// Name of the consumer, not yet proved.
    pub consumer: String,
    /// Bytes a second that are promised to it, of all shards together, at most
    /// [`RATE_MAX`](crate::limits::RATE_MAX); 0 for no promise.
    pub reserved_bytes: u64,
}

/// A registered consumer.
///
/// ```text
///   text name | u64 incarnation | u64 created ms | u64 epoch | u64 reserved bytes a second
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
    /// Bytes a second that are promised to it, of all shards together; 0 for no promise.
    pub reserved_bytes: u64,
}

impl ConsumerOf {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        FieldWriter::text(out, &self.consumer);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ConsumerOf, Malformed> {
        let stream = fields.text(STREAM_NAME_CHARS_MAX)?.to_owned();
        Ok(ConsumerOf { stream, consumer: fields.text(NAME_CHARS_MAX)?.to_owned() })
    }
}

impl ConsumerTerms {
    /// A consumer to which nothing is promised.
    pub fn of(stream: impl Into<String>, consumer: impl Into<String>) -> ConsumerTerms {
        ConsumerTerms { stream: stream.into(), consumer: consumer.into(), reserved_bytes: 0 }
    }

    /// The same with a promise of so many bytes a second; 0 takes it back.
    pub fn reserving(self, reserved_bytes: u64) -> ConsumerTerms {
        ConsumerTerms { reserved_bytes, ..self }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        FieldWriter::text(out, &self.consumer);
        out.put_u64_le(self.reserved_bytes);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ConsumerTerms, Malformed> {
        let ConsumerOf { stream, consumer } = ConsumerOf::decode(fields)?;
        Ok(ConsumerTerms { stream, consumer, reserved_bytes: fields.u64()? })
    }
}

impl From<ConsumerOf> for ConsumerTerms {
    fn from(of: ConsumerOf) -> ConsumerTerms {
        ConsumerTerms::of(of.stream, of.consumer)
    }
}

impl ConsumerDescription {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.name);
        out.put_u64_le(self.incarnation);
        out.put_u64_le(self.created_ms);
        out.put_u64_le(self.epoch);
        out.put_u64_le(self.reserved_bytes);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ConsumerDescription, Malformed> {
        Ok(ConsumerDescription {
            name: fields.text(NAME_CHARS_MAX)?.to_owned(),
            incarnation: fields.u64()?,
            created_ms: fields.u64()?,
            epoch: fields.u64()?,
            reserved_bytes: fields.u64()?,
        })
    }
}
