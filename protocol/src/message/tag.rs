//! Tags of streams and of registered consumers, and listings that look for them.

use bytes::{BufMut, BytesMut};

use crate::error::{ErrorCode, WireError};
use crate::limits::{
    FILTER_TAGS_MAX, STREAM_NAME_CHARS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX, TEXT_BYTES_MAX,
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
    /// Whether the request can be sent: a client that asks before spares its user a broken connection.
    ///
    /// # Errors
    ///
    /// `BadRequest`, for more tags than there may be, texts that are longer than any may be, or, as not every 50 tags
    /// fit one request, more than `bytes_max` bytes.
    pub fn check(&self, bytes_max: usize) -> Result<(), WireError> {
        let long = |text: &str, chars: usize| text.chars().count() > chars;
        let keys = self.set.iter().map(|tag| &tag.key).chain(&self.remove);
        let is_long = keys.into_iter().any(|key| long(key, TAG_KEY_CHARS_MAX))
            || self.set.iter().any(|tag| long(&tag.value, TAG_VALUE_CHARS_MAX));
        let most = TAGS_MAX as usize;
        let message = if is_long {
            format!(
                "a tag has a key of up to {TAG_KEY_CHARS_MAX} and a value of up to {TAG_VALUE_CHARS_MAX} characters"
            )
        } else if self.set.len() > most || self.remove.len() > most {
            format!("there may be {most} tags, so more than that are not set or removed at once")
        } else {
            let mut out = BytesMut::new();
            self.encode(&mut out);
            if out.len() <= bytes_max {
                return Ok(());
            }
            format!(
                "these tags have {} bytes, and {bytes_max} can be sent at once; set some first, then the rest",
                out.len()
            )
        };
        Err(WireError::new(ErrorCode::BadRequest, message))
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
    /// Whether the filter can be sent.
    ///
    /// # Errors
    ///
    /// `BadRequest`, for more than 10 tags or texts longer than any name or tag.
    pub fn check(&self) -> Result<(), WireError> {
        let long = |text: &str, chars: usize| text.chars().count() > chars;
        let value_is_long = |value: &Option<String>| value.as_ref().is_some_and(|it| long(it, TAG_VALUE_CHARS_MAX));
        let is_long = |(key, value): &(String, Option<String>)| long(key, TAG_KEY_CHARS_MAX) || value_is_long(value);
        let message = if self.name_prefix.len() > STREAM_NAME_CHARS_MAX {
            format!("no name of a stream is longer than {STREAM_NAME_CHARS_MAX} characters, and so is no prefix")
        } else if self.tags.len() > FILTER_TAGS_MAX as usize {
            format!("streams are looked for by at most {FILTER_TAGS_MAX} tags, not {}", self.tags.len())
        } else if self.tags.iter().any(is_long) {
            format!(
                "a tag has a key of up to {TAG_KEY_CHARS_MAX} and a value of up to {TAG_VALUE_CHARS_MAX} characters"
            )
        } else {
            return Ok(());
        };
        Err(WireError::new(ErrorCode::BadRequest, message))
    }

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
        let name_prefix = fields.text(STREAM_NAME_CHARS_MAX)?.to_owned();
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
