//! The `FORMAT` file: whose directory this is.
//!
//! ```text
//! rheos data directory
//! format 1
//! id 0123456789abcdef
//! history 1
//! checksum 0123456789abcdef      xxh3-64 of the lines above, line ends included
//! ```
//!
//! What must hold: the first two lines stay as they are in every format to come, so that an older
//! release recognises a newer directory; of a format known here every byte is covered by the
//! checksum. A file that begins with anything else belongs to somebody else.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use xxhash_rust::xxh3::xxh3_64;

use super::layout::Layout;
use crate::start_error::StartError;

/// The newest format that this release reads and writes.
const VERSION: u32 = 1;
/// What the first line says.
const TITLE: &str = "rheos data directory\n";
/// More than any format will need; the rest of a foreign file is not read.
const BYTES_MAX: u64 = 64 << 10;
/// What a crash leaves of the file's first writing.
pub(super) const UNFINISHED_NAME: &str = ".FORMAT.tmp";

/// What `FORMAT` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) id: u64,
    pub(super) history: u64,
}

impl Format {
    /// Reads the directory's `FORMAT`; `None` when there is none.
    pub(super) fn read(layout: &Layout) -> Result<Option<Format>, StartError> {
        let path = layout.format_path();
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StartError::io("read", path)(error)),
        }
        match parse(&bytes) {
            Ok(format) => Ok(Some(format)),
            Err(Unusable::Foreign) => {
                Err(StartError::Foreign { path: layout.root().to_owned(), found: "FORMAT".to_owned() })
            }
            Err(Unusable::Newer(found)) => {
                Err(StartError::FormatNewer { path: layout.root().to_owned(), found, known: VERSION })
            }
            Err(Unusable::Damaged(why)) => Err(StartError::FormatDamaged { path, why }),
        }
    }

    fn covered(&self) -> String {
        format!("{TITLE}format {VERSION}\nid {:016x}\nhistory {}\n", self.id, self.history)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let covered = self.covered();
        writeln!(f, "{covered}checksum {:016x}", xxh3_64(covered.as_bytes()))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Foreign,
    Newer(u32),
    Damaged(&'static str),
}

fn parse(bytes: &[u8]) -> Result<Format, Unusable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unusable::Foreign)?;
    let rest = text.strip_prefix(TITLE).ok_or(Unusable::Foreign)?;
    let mut lines = rest.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');

    let version = field("format").and_then(|text| text.parse().ok()).ok_or(Unusable::Damaged("no format number"))?;
    match version {
        0 => return Err(Unusable::Damaged("format 0 never was")),
        VERSION => {}
        newer => return Err(Unusable::Newer(newer)),
    }
    let id = field("id").and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Unusable::Damaged("no id"))?;
    let history = field("history").and_then(|text| text.parse().ok()).ok_or(Unusable::Damaged("no history"))?;
    let format = Format { id, history };
    // Written anew and compared whole: that covers the checksum and every way to misspell a line.
    if format.to_string() == text { Ok(format) } else { Err(Unusable::Damaged("its checksum does not fit")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "rheos data directory\nformat 1\nid 00c0ffee00c0ffee\nhistory 3\nchecksum dfe382458cf38403\n";

    #[test]
    fn the_first_format_stays_as_it_is() {
        let format = Format { id: 0x00c0_ffee_00c0_ffee, history: 3 };
        assert_eq!(format.to_string(), GOLDEN);
        assert_eq!(parse(GOLDEN.as_bytes()), Ok(format));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        for place in 0..GOLDEN.len() * 8 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[place / 8] ^= 1 << (place % 8);
            assert!(parse(&bytes).is_err(), "bit {place}");
        }
        for length in 0..GOLDEN.len() {
            assert!(parse(&GOLDEN.as_bytes()[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_newer_format_is_recognised_whatever_follows() {
        assert_eq!(parse(b"rheos data directory\nformat 7\nanything else\n"), Err(Unusable::Newer(7)));
        assert_eq!(parse(b"somebody's\nformat 1\n"), Err(Unusable::Foreign));
        assert_eq!(parse(b"rheos data directory\nformat x\n"), Err(Unusable::Damaged("no format number")));
        assert_eq!(parse(b"rheos data directory\nformat 0\n"), Err(Unusable::Damaged("format 0 never was")));
        assert_eq!(parse(&[0xff; 9]), Err(Unusable::Foreign));
    }
}
