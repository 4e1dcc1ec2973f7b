//! The raw format: records one after the other, each with its lengths, so that any bytes can be in them.
//!
//! ```text
//!   0  4  key length k, big endian; its highest bit says that an explicit hash key follows the key
//!   4  k  partition key, UTF-8; none lets put choose one
//!     16  explicit hash key, big endian, only with that bit
//!      4  data length d, big endian
//!      d  data
//! ```
//!
//! What must hold: what was written is read back, byte for byte; no length is believed beyond what a
//! record can have.

use std::io::{self, Read, Write};

use bytes::Bytes;
use rheos_client::RecordView;
use rheos_client::protocol::limits::{PARTITION_KEY_BYTES_MAX, RECORD_BYTES_MAX};

/// How the format is made, for the pages of `--help`.
pub(crate) const FORMAT: &str = "\
Raw format: for each record a key length and a data length, 4 bytes each in network byte order, each \
before what it is the length of. In Python: pack('>I', len(key)) + key + pack('>I', len(data)) + data. A \
key length of 0 lets put choose the key. Where the highest bit of the key length is set, 16 bytes with the \
explicit hash key follow the key.";

const HAS_HASH_KEY: u32 = 1 << 31;

/// A record as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawRecord {
    /// `None` where put chooses.
    pub(crate) key: Option<String>,
    pub(crate) explicit_hash_key: Option<u128>,
    pub(crate) data: Bytes,
    /// What it took of the input.
    pub(crate) bytes: u64,
}

/// Writes a record.
pub(crate) fn write(out: &mut impl Write, record: &RecordView<'_>) -> io::Result<()> {
    let key = record.partition_key.as_bytes();
    let flag = record.explicit_hash_key.map_or(0, |_| HAS_HASH_KEY);
    out.write_all(&(key.len() as u32 | flag).to_be_bytes())?;
    out.write_all(key)?;
    record.explicit_hash_key.map_or(Ok(()), |hash_key| out.write_all(&hash_key.to_be_bytes()))?;
    out.write_all(&(record.data.len() as u32).to_be_bytes())?;
    out.write_all(record.data)
}

/// Reads a record; `None` at the end of the input.
pub(crate) fn read(input: &mut impl Read) -> Result<Option<RawRecord>, String> {
    let mut head = [0; 4];
    match input.by_ref().take(4).read(&mut head).map_err(|error| error.to_string())? {
        0 => return Ok(None),
        read => fill(input, &mut head[read..])?,
    }
    let head = u32::from_be_bytes(head);
    let key_len = length(head & !HAS_HASH_KEY, PARTITION_KEY_BYTES_MAX as u32, "key")?;
    let mut key = vec![0; key_len];
    fill(input, &mut key)?;
    let key = String::from_utf8(key).map_err(|_| "its key is not UTF-8".to_owned())?;
    let hash_key = (head & HAS_HASH_KEY != 0).then(|| array(input).map(u128::from_be_bytes)).transpose()?;
    let data_len = length(u32::from_be_bytes(array(input)?), RECORD_BYTES_MAX, "data")?;
    let mut data = vec![0; data_len];
    fill(input, &mut data)?;
    let bytes = 8 + key_len + data_len + hash_key.map_or(0, |_| 16);
    Ok(Some(RawRecord {
        key: Some(key).filter(|key| !key.is_empty()),
        explicit_hash_key: hash_key,
        data: data.into(),
        bytes: bytes as u64,
    }))
}

fn length(declared: u32, most: u32, what: &str) -> Result<usize, String> {
    match declared <= most {
        true => Ok(declared as usize),
        false => Err(format!(
            "its {what} would have {declared} bytes, and {most} are the most: this is not the raw format (see rheos put \
             --help)"
        )),
    }
}

fn array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], String> {
    let mut array = [0; N];
    fill(input, &mut array).map(|()| array)
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), String> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "the input ends within it".to_owned(),
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: &str, hash_key: Option<u128>, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, &RecordView { partition_key: key, explicit_hash_key: hash_key, data }).unwrap();
        bytes
    }

    #[test]
    fn the_drawing_is_true() {
        assert_eq!(written("ab", None, b"xyz"), b"\0\0\0\x02ab\0\0\0\x03xyz");
        let hashed = [&b"\x80\0\0\x01k"[..], &[0; 15], &[7], &[0; 4]].concat();
        assert_eq!(written("k", Some(7), b""), hashed);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let records = [("a", None, &b"one\n"[..]), ("é", Some(u128::MAX), &[0, 255]), ("k", Some(0), b"")];
        let bytes: Vec<u8> = records.iter().flat_map(|(key, hash, data)| written(key, *hash, data)).collect();
        let mut input = &bytes[..];
        for (key, explicit_hash_key, data) in records {
            let read = read(&mut input).unwrap().unwrap();
            assert_eq!(
                (read.key.as_deref(), read.explicit_hash_key, &read.data[..]),
                (Some(key), explicit_hash_key, data)
            );
            assert_eq!(read.bytes, written(key, explicit_hash_key, data).len() as u64);
        }
        assert_eq!(read(&mut input), Ok(None));
        assert_eq!(read(&mut &b"\0\0\0\0\0\0\0\x01x"[..]).unwrap().unwrap().key, None);
    }

    #[test]
    fn what_is_not_whole_or_too_long_is_refused() {
        let whole = written("key", Some(1), b"data");
        for end in 1..whole.len() {
            assert_eq!(read(&mut &whole[..end]), Err("the input ends within it".to_owned()), "{end}");
        }
        for (bytes, why) in [
            (&b"carrier,note\n"[..], "this is not the raw format"),
            (b"\0\0\0\x01k\0\xff\0\0", "its data would have 16711680 bytes"),
            (b"\0\0\0\x01\xff\0\0\0\0", "its key is not UTF-8"),
        ] {
            assert!(read(&mut &bytes[..]).is_err_and(|said| said.contains(why)));
        }
    }
}
