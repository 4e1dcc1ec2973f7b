//! The broker's metrics, as they travel: text in pieces.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::METRICS_PIECE_BYTES_MAX;
use crate::wire::{FieldReader, Malformed, write_group};

/// A piece of the broker's metrics. One after the other they are one text in the Prometheus exposition
/// format (version 0.0.4), all of it of the same moment.
///
/// ```text
///   group { u8 whether more follow } | u32 bytes | text
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPiece {
    /// Whether another piece follows on the same stream.
    pub more: bool,
    /// UTF-8, whole lines.
    pub text: Bytes,
}

impl MetricsPiece {
    /// Writes the fields that stand before the text, for a sender that has the text elsewhere.
    pub fn encode_fields(&self, out: &mut BytesMut) {
        write_group(out, |out| out.put_u8(u8::from(self.more)));
        out.put_u32_le(self.text.len() as u32);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>, payload: &Bytes) -> Result<MetricsPiece, Malformed> {
        let more = fields.group()?.u8()? != 0;
        let len = fields.count(METRICS_PIECE_BYTES_MAX, 1)?;
        Ok(MetricsPiece { more, text: payload.slice_ref(fields.slice(len)?) })
    }
}
