//! The cursor that every message is read and written with.
//!
//! Little-endian, explicit widths. A length is compared with what is there before anything is
//! allocated, so a peer that declares 2^62 bytes costs nothing. Bytes that a reader does not know at
//! the end of a message are left alone: that is how messages grow.

use bytes::{BufMut, BytesMut};

/// Why bytes could not be read as what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The thing that was being read, for the message.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed {}: {}", self.what, self.why)
    }
}

impl std::error::Error for Malformed {}

/// Reads fields from the front of a slice.
#[derive(Debug)]
pub struct FieldReader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// A reader over `bytes`; `what` names the message in errors.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        FieldReader { what, rest: bytes }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.wrong("it ends early"))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` bytes.
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(self.wrong("a length exceeds what is there"))?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes.
    pub fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// A text of at most `limit` bytes, with its length in two bytes before it.
    pub fn text(&mut self, limit: usize) -> Result<&'a str, Malformed> {
        let len = usize::from(self.u16()?);
        if len > limit {
            return Err(self.wrong("a text is longer than allowed"));
        }
        std::str::from_utf8(self.slice(len)?).map_err(|_| self.wrong("a text is not UTF-8"))
    }

    /// A list item or group of fields with its length in two bytes before it; what it does not read is skipped.
    pub fn group(&mut self) -> Result<FieldReader<'a>, Malformed> {
        let len = usize::from(self.u16()?);
        Ok(FieldReader { what: self.what, rest: self.slice(len)? })
    }

    /// The number of items that follow, each of at least `item_bytes_least`, at most `limit`.
    pub fn count(&mut self, limit: u32, item_bytes_least: usize) -> Result<usize, Malformed> {
        let count = self.u32()?;
        if count > limit || (count as usize).saturating_mul(item_bytes_least) > self.rest.len() {
            return Err(self.wrong("a count exceeds what is there"));
        }
        Ok(count as usize)
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error about the thing being read.
    pub fn wrong(&self, why: &'static str) -> Malformed {
        Malformed { what: self.what, why }
    }
}

/// Writes fields; the mirror of [`FieldReader`].
pub trait FieldWriter: BufMut {
    /// A text with its length in two bytes before it. Our own texts are always short enough.
    fn text(&mut self, text: &str) {
        let len = u16::try_from(text.len()).expect("texts that travel are bounded by limits.rs");
        self.put_u16_le(len);
        self.put_slice(text.as_bytes());
    }
}

impl FieldWriter for BytesMut {}
impl FieldWriter for Vec<u8> {}

/// Writes a group of fields with its length in two bytes before it.
pub fn write_group(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u16_le(0);
    fill(out);
    let len = u16::try_from(out.len() - at - 2).expect("groups are bounded by limits.rs");
    out[at..at + 2].copy_from_slice(&len.to_le_bytes());
}
