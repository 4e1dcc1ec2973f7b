//! A segment file that may be damaged anywhere: what of it can be believed.
//!
//! What must hold: nothing is believed on the word of a record. The salt is the proof: it is the label's,
//! or where the label is damaged one that proves a header, whose place no record can reach.

use bytes::Bytes;

use crate::carry_over::CarryOver;
use crate::commit::SegmentId;
use crate::footer::Trailer;
use crate::limits::BLOCK_BYTES;
use crate::segment::{HEAD_BYTES, Header, Label};

/// What is whole of a segment file.
#[derive(Debug)]
pub(crate) struct Salvaged {
    pub(crate) salt: u64,
    pub(crate) header: Option<Header>,
    /// What it inherits.
    pub(crate) inherited: Option<CarryOver>,
    /// Its last block, when that is a trailer.
    pub(crate) trailer: Option<Trailer>,
    /// What it leaves behind.
    pub(crate) left: Option<CarryOver>,
}

/// Looks at a whole file; `None` when it cannot be told to be this segment.
pub(crate) fn salvage(segment: SegmentId, directory: u64, bytes: &Bytes) -> Option<Salvaged> {
    let last_block = bytes.get(bytes.len().saturating_sub(BLOCK_BYTES as usize)..)?;
    let trailer = Trailer::decode(last_block, segment).ok();
    let salt = match Label::decode(bytes) {
        Ok(label) => (label.segment == segment && label.directory == directory).then_some(label.salt)?,
        Err(_) => salt_of_head(segment, bytes, trailer.as_ref())?,
    };
    let header = Header::decode_either(bytes, segment, salt).ok();
    let inherited = header.as_ref().and_then(|header| {
        let carry_over = bytes.get(HEAD_BYTES as usize..)?;
        header.decode_carry_over(carry_over, salt).ok()
    });
    let trailer = trailer.filter(|trailer| trailer.salt == salt);
    let left = trailer.as_ref().and_then(|trailer| {
        let content = bytes.get(trailer.content().0 as usize..)?;
        trailer.decode_content(content).ok().map(|(_, left)| left)
    });
    Some(Salvaged { salt, header, inherited, trailer, left })
}

/// The salt of a file whose label is damaged: as it stands there, as its trailer has it, or with any one
/// bit of it flipped; whichever proves a header.
fn salt_of_head(segment: SegmentId, bytes: &[u8], trailer: Option<&Trailer>) -> Option<u64> {
    let stands = u64::from_le_bytes(bytes.get(SALT_AT..SALT_AT + 8)?.try_into().ok()?);
    let flipped = (0..u64::BITS).map(|bit| stands ^ (1 << bit));
    std::iter::once(stands)
        .chain(trailer.map(|trailer| trailer.salt))
        .chain(flipped)
        .find(|salt| Header::decode_either(bytes, segment, *salt).is_ok())
}

/// Where the salt stands in a label.
const SALT_AT: usize = 40;
