//! Bytes as text that a person can read and compare: 16 a line, and beside them what is ASCII.
//!
//! A frame's header is one line, a batch's header five.

const LINE_BYTES: usize = 16;

/// The text of `bytes`.
pub(crate) fn write(bytes: &[u8]) -> String {
    bytes.chunks(LINE_BYTES).map(line).collect()
}

/// The bytes of a text; what stands from `|` on is for people.
pub(crate) fn read(text: &str) -> Result<Vec<u8>, String> {
    let words = text.lines().flat_map(|line| line.split('|').next().unwrap_or_default().split_whitespace());
    words.map(|word| u8::from_str_radix(word, 16).map_err(|_| format!("{word:?} is not a byte"))).collect()
}

fn line(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    format!("{:47}  |{}|\n", hex.join(" "), bytes.iter().map(shown).collect::<String>())
}

#[test]
fn what_is_written_is_read() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text = write(&bytes[..250]);
    assert_eq!(text.lines().next(), Some("00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  |................|"));
    assert_eq!(read(&text).as_deref(), Ok(&bytes[..250]));
    assert!(read("0g").is_err());
}
