//! Rows of the raw format, in which any bytes can be records.

use std::io::{BufReader, Read};

use super::{Content, Pending, READ_BYTES, Row};
use crate::raw;

pub(super) fn read(input: impl Read, source: usize, pending: &Pending) -> Result<(), String> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    for number in 1.. {
        let record = raw::read(&mut input).map_err(|why| format!("record {number}: {why}"))?;
        let Some(raw::RawRecord { key, explicit_hash_key, data, bytes }) = record else { return Ok(()) };
        let content = Ok(Content { key, explicit_hash_key, data });
        pending.add(Row { source, line: number, read_bytes: bytes, content });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use crate::put::Format;

    #[test]
    fn records_are_read_until_one_is_not_whole() {
        let whole = b"\0\0\0\x01k\0\0\0\x04a\nb\0\0\0\0\0\0\0\0\0";
        let (rows, end) = rows_of(whole, Format::Raw, None);
        assert_eq!((rows, end), (vec![r#"1 k "a\nb\0""#.to_owned(), r#"2 - """#.to_owned()], None));
        let (rows, end) = rows_of(&whole[..17], Format::Raw, None);
        assert_eq!((rows.len(), end.as_deref()), (1, Some("input record 2: the input ends within it")));
    }
}
