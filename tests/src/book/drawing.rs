//! A layout drawn to the byte: an example, each of whose fields says its place, its bytes, its type and its value.
//!
//! ```text
//!     0  56 00 00 00              u32    payload length = 86
//!    16  0d 00 63 6c 69 63 6b 73  text   name = "clicks-1.eu_W"
//!    24  2d 31 2e 65 75 5f 57
//!    31  5b 1f 66 0e 5a 4e 9c 01  xxh3   checksum of 0..31, seed 7
//!    39  zeros 57
//!    96  again 0..96
//! ```
//!
//! What must hold: a drawing that is proved has no byte without its field, no field whose value is not what its bytes say,
//! and no checksum that does not hold.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A field, and the bytes that were drawn for it.
struct Field {
    at: usize,
    len: usize,
    kind: String,
    /// Its name and, after ` = `, its value.
    says: String,
}

/// The bytes of a drawing in which everything holds.
///
/// # Errors
/// Which line says what is not so.
pub fn prove(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        read_line(line, &mut bytes, &mut fields).map_err(|why| format!("{why}: {line}"))?;
    }
    for field in &fields {
        let ends = |at: usize| at == bytes.len() || fields.iter().any(|field| field.at == at);
        prove_field(field, &bytes, ends).map_err(|why| format!("{why}: {} {} {}", field.at, field.kind, field.says))?;
    }
    Ok(bytes)
}

fn read_line(line: &str, bytes: &mut Vec<u8>, fields: &mut Vec<Field>) -> Result<(), String> {
    let (offset, rest) = line.trim().split_once(' ').ok_or("a line has an offset and bytes")?;
    if offset.parse() != Ok(bytes.len()) {
        return Err(format!("this is offset {}", bytes.len()));
    }
    let mut rest = rest.trim_start();
    let at = bytes.len();
    if let Some(count) = rest.strip_prefix("zeros ") {
        let len: usize = count.trim().parse().map_err(|_| "zeros are counted")?;
        bytes.resize(at + len, 0);
        fields.push(Field { at, len, kind: "bytes".into(), says: "zeros".into() });
        return Ok(());
    }
    if let Some(span) = rest.strip_prefix("again ") {
        let (from, to) = read_span(span.trim())?;
        let again = bytes.get(from..to).ok_or("it is not drawn above")?.to_vec();
        fields.push(Field { at, len: again.len(), kind: "bytes".into(), says: "again".into() });
        bytes.extend(again);
        return Ok(());
    }
    while let Some(byte) =
        rest.split(' ').next().filter(|word| word.len() == 2).and_then(|word| u8::from_str_radix(word, 16).ok())
    {
        bytes.push(byte);
        rest = rest[2..].trim_start();
    }
    let (kind, says) = rest.split_once(' ').unwrap_or((rest, ""));
    match (kind, fields.last_mut()) {
        ("", Some(field)) => field.len = bytes.len() - field.at,
        ("", None) => return Err("these bytes belong to no field".into()),
        _ => fields.push(Field { at, len: bytes.len() - at, kind: kind.into(), says: says.trim().into() }),
    }
    Ok(())
}

fn prove_field(field: &Field, bytes: &[u8], ends: impl Fn(usize) -> bool) -> Result<(), String> {
    let own = &bytes[field.at..field.at + field.len];
    let width = |expected: usize| match own.len() == expected {
        true => Ok(own.iter().rev().fold(0u128, |number, byte| number << 8 | u128::from(*byte))),
        false => Err(format!("it has {} bytes and is drawn with {}", expected, own.len())),
    };
    match field.kind.as_str() {
        "u8" => number(field, width(1)?),
        "u16" => number(field, width(2)?),
        "u32" => number(field, width(4)?),
        "u64" => number(field, width(8)?),
        "u128" => number(field, width(16)?),
        "group" => {
            let len = width(2)?;
            number(field, len)?;
            let end = field.at + 2 + len as usize;
            if ends(end) { Ok(()) } else { Err(format!("a group ends at {end}, where no field does")) }
        }
        "text" => {
            let (len, text) = own.split_first_chunk::<2>().ok_or("a text has a length")?;
            if usize::from(u16::from_le_bytes(*len)) != text.len() {
                return Err("its length is not that of its text".into());
            }
            is_quoted(field, text)
        }
        "utf8" => is_quoted(field, own),
        "bytes" => Ok(()),
        "xxh3" => checksum(field, width(8)? as u64, bytes),
        _ => Err("there is no such type".into()),
    }
}

fn value(field: &Field) -> Result<&str, String> {
    field.says.split_once(" = ").map(|(_, value)| value).ok_or_else(|| "it has no value".to_owned())
}

fn number(field: &Field, drawn: u128) -> Result<(), String> {
    let word = value(field)?.split_whitespace().next().unwrap_or_default();
    match read_number(word) == Some(drawn) {
        true => Ok(()),
        false => Err(format!("its bytes are {drawn}, {drawn:#x}")),
    }
}

fn is_quoted(field: &Field, drawn: &[u8]) -> Result<(), String> {
    let said = value(field)?.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match said.map(|text| text.replace("\\n", "\n").into_bytes()).as_deref() == Some(drawn) {
        true => Ok(()),
        false => Err(format!("its bytes are {:?}", String::from_utf8_lossy(drawn))),
    }
}

/// `... of A..B`, and `, seed N` where there is one.
fn checksum(field: &Field, drawn: u64, bytes: &[u8]) -> Result<(), String> {
    let (_, of) = field.says.rsplit_once(" of ").ok_or("a checksum says of what it is")?;
    let (span, seed) = of.split_once(", seed ").unwrap_or((of, "0"));
    let (from, to) = read_span(span)?;
    let covered = bytes.get(from..to).ok_or("it covers what is not drawn")?;
    let seed = read_number(seed).ok_or("its seed is a number")? as u64;
    match xxh3_64_with_seed(covered, seed) == drawn {
        true => Ok(()),
        false => Err("the checksum does not hold".into()),
    }
}

fn read_span(text: &str) -> Result<(usize, usize), String> {
    let (from, to) = text.split_once("..").ok_or("a span is written A..B")?;
    Ok((from.parse().map_err(|_| "a span has numbers")?, to.parse().map_err(|_| "a span has numbers")?))
}

fn read_number(word: &str) -> Option<u128> {
    match word.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16).ok(),
        None => word.replace(',', "").parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
   0  52 48                    utf8   magic = \"RH\"
   2  03 00                    u16    count = 3 (of them)
   4  05 00                    group  length = 5
   6  03 00 61 62 63           text   name = \"abc\"
  11  zeros 3
  14  again 0..2
";

    #[test]
    fn a_good_drawing_is_its_bytes() {
        assert_eq!(prove(GOOD).as_deref(), Ok(b"RH\x03\0\x05\0\x03\0abc\0\0\0RH".as_slice()));
        let checksum = xxh3_64_with_seed(b"RH", 7).to_le_bytes().map(|byte| format!("{byte:02x}")).join(" ");
        let sealed = format!("0 52 48 bytes two\n2 {checksum} xxh3 checksum of 0..2, seed 7");
        assert_eq!(prove(&sealed).map(|bytes| bytes.len()), Ok(10));
        assert!(prove(&sealed.replace("seed 7", "seed 8")).is_err());
    }

    #[test]
    fn what_is_not_so_is_found() {
        for (was, is) in [
            ("\"RH\"", "\"RX\""),
            ("= 3", "= 4"),
            ("u16 ", "u32 "),
            ("length = 5", "length = 6"),
            ("group  length = 5\n   6  03 00 61 62 63 ", "group  length = 5\n   6  02 00 61 62 63 "),
            ("   4  05 00 ", "   5  05 00 "),
            ("again 0..2", "again 0..99"),
            ("text ", "word "),
        ] {
            let bad = GOOD.replace(was, is);
            assert_ne!(bad, GOOD, "{was}");
            assert!(prove(&bad).is_err(), "{bad}");
        }
        assert!(prove("0 05 00 group length = 5\n2 61 62 63 64 65 66 bytes more than it holds").is_err());
    }
}
