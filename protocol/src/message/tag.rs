//! Tags of streams and of registered consumers, and listings that look for them.

use bytes::{BufMut, BytesMut};

use crate::limits::{
    FILTER_TAGS_MAX, NAME_CHARS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX, TEXT_BYTES_MAX,
};
use crate::wire::{FieldReader, FieldWriter, Malformed, write_group};

/// A tag, not yet proved.
///
/// ```text
///   text key | text value
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// 1 to 128 characters.
    pub key: String,
    /// Up to 256 characters.
    pub value: String,
}

/// A stream, or one of its registered consumers; neither is proved yet.
///
/// ```text
///   text stream | text consumer, empty for the stream itself
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// Name of the stream.
    pub stream: String,
    /// Name of the consumer; `None` for the stream itself.
    pub consumer: Option<String>,
}

/// A request to change tags: those that are set replace what has their key, those that are removed need not
/// be there. All are changed together.
///
/// ```text
///   tagged | u32 count | count x group { tag } | u32 count | count x group { text key }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeTags {
    /// Of what.
    pub of: Tagged,
    /// To be there afterwards.
    pub set: Vec<Tag>,
    /// Keys not to be there afterwards.
    pub remove: Vec<String>,
}

/// Which streams a listing is about: those that all of this is true of.
///
/// ```text
///   text prefix | u32 count | count x group { text key | u8 whether a value is asked for | text value }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamFilter {
    /// How their names begin.
    pub name_prefix: String,
    /// Tags that they have: a key, and its value where that matters. At most 10.
    pub tags: Vec<(String, Option<String>)>,
}

impl Tag {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.key);
        FieldWriter::text(out, &self.value);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<Tag, Malformed> {
        Ok(Tag { key: key(fields)?, value: fields.text(4 * TAG_VALUE_CHARS_MAX)?.to_owned() })
    }
}

impl Tagged {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        FieldWriter::text(out, self.consumer.as_deref().unwrap_or_default());
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<Tagged, Malformed> {
        let stream = fields.text(TEXT_BYTES_MAX)?.to_owned();
        let consumer = fields.text(TEXT_BYTES_MAX)?;
        Ok(Tagged { stream, consumer: (!consumer.is_empty()).then(|| consumer.to_owned()) })
    }
}

impl ChangeTags {
    /// Bytes of the request's payload, to be compared with
    /// [`CONTROL_FRAME_BYTES_MAX`](crate::limits::CONTROL_FRAME_BYTES_MAX): not every 50 tags fit one request.
    pub fn encoded_len(&self) -> usize {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.len()
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        self.of.encode(out);
        encode_tags(&self.set, out);
        out.put_u32_le(self.remove.len() as u32);
        self.remove.iter().for_each(|key| write_group(out, |out| FieldWriter::text(out, key)));
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<ChangeTags, Malformed> {
        let of = Tagged::decode(fields)?;
        let set = decode_tags(fields)?;
        let count = fields.count(TAGS_MAX, 2)?;
        let remove = (0..count).map(|_| key(&mut fields.group()?)).collect::<Result<_, _>>()?;
        Ok(ChangeTags { of, set, remove })
    }
}

impl StreamFilter {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.name_prefix);
        out.put_u32_le(self.tags.len() as u32);
        for (key, value) in &self.tags {
            write_group(out, |out| {
                FieldWriter::text(out, key);
                out.put_u8(u8::from(value.is_some()));
                FieldWriter::text(out, value.as_deref().unwrap_or_default());
            });
        }
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<StreamFilter, Malformed> {
        let name_prefix = fields.text(NAME_CHARS_MAX)?.to_owned();
        let count = fields.count(FILTER_TAGS_MAX, 2)?;
        let tag = |mut group: FieldReader<'_>| {
            let (key, has_value) = (key(&mut group)?, group.u8()? != 0);
            let value = group.text(4 * TAG_VALUE_CHARS_MAX)?.to_owned();
            Ok((key, has_value.then_some(value)))
        };
        let tags = (0..count).map(|_| tag(fields.group()?)).collect::<Result<_, Malformed>>()?;
        Ok(StreamFilter { name_prefix, tags })
    }
}

pub(super) fn encode_tags(tags: &[Tag], out: &mut BytesMut) {
    out.put_u32_le(tags.len() as u32);
    tags.iter().for_each(|tag| write_group(out, |out| tag.encode(out)));
}

pub(super) fn decode_tags(fields: &mut FieldReader<'_>) -> Result<Vec<Tag>, Malformed> {
    let count = fields.count(TAGS_MAX, 2)?;
    (0..count).map(|_| Tag::decode(&mut fields.group()?)).collect()
}

fn key(fields: &mut FieldReader<'_>) -> Result<String, Malformed> {
    Ok(fields.text(4 * TAG_KEY_CHARS_MAX)?.to_owned())
}
