//! Bytes as text that a person can read and compare: 16 a line, and beside them what is ASCII. Lines
//! of zeros that follow a line of zeros are left out and counted.

const LINE_BYTES: usize = 16;

/// The text of `bytes`.
pub(crate) fn write(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut zeros = 0;
    for chunk in bytes.chunks(LINE_BYTES) {
        if chunk.len() == LINE_BYTES && chunk.iter().all(|byte| *byte == 0) {
            zeros += 1;
            continue;
        }
        push_zeros(&mut text, std::mem::take(&mut zeros));
        text += &line(chunk);
    }
    push_zeros(&mut text, zeros);
    text
}

/// The bytes of a text; what stands from `|` on is for people.
pub(crate) fn read(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("zeros ") {
            let count: usize = count.parse().map_err(|_| format!("{count:?} is no number of lines"))?;
            bytes.resize(bytes.len() + count * LINE_BYTES, 0);
            continue;
        }
        for word in line.split('|').next().unwrap_or_default().split_whitespace() {
            bytes.push(u8::from_str_radix(word, 16).map_err(|_| format!("{word:?} is not a byte"))?);
        }
    }
    Ok(bytes)
}

fn push_zeros(text: &mut String, lines: usize) {
    if lines > 0 {
        *text += &format!("zeros {lines}\n");
    }
}

fn line(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    format!("{:47}  |{}|\n", hex.join(" "), bytes.iter().map(shown).collect::<String>())
}

#[test]
fn what_is_written_is_read() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(&[0; 100]);
    bytes.extend_from_slice(b"end");
    let text = write(&bytes);
    assert_eq!(text.lines().next(), Some("00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  |................|"));
    assert!(text.contains("\nzeros 6\n"), "{text}");
    assert_eq!(read(&text).as_deref(), Ok(&bytes[..]));
    assert!(read("0g").is_err() && read("zeros many").is_err());
}
