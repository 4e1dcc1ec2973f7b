//! The metrics, cut into the frames that answer a request for them.

use bytes::{BufMut, Bytes, BytesMut};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::limits::METRICS_PIECE_BYTES_MAX;
use rheos_protocol::message::MetricsPiece;

/// The frames that carry a page, in order: the text is not copied.
pub(super) fn frames(page: &Bytes, id: u64) -> Vec<Bytes> {
    let mut rest = page.clone();
    let mut frames = Vec::new();
    loop {
        let text = rest.split_to(piece_len(&rest));
        let piece = MetricsPiece { more: !rest.is_empty(), text };
        let mut payload = BytesMut::new();
        piece.encode_fields(&mut payload);
        let len = (payload.len() + piece.text.len()) as u32;
        let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
        FrameHeader { len, kind: kind::METRICS, id }.encode(&mut head);
        head.put_slice(&payload);
        frames.extend([head.freeze(), piece.text]);
        if rest.is_empty() {
            return frames;
        }
    }
}

/// Bytes of the whole lines that fit into one piece. No line is nearly as long.
fn piece_len(rest: &[u8]) -> usize {
    if rest.len() <= PIECE_BYTES_MAX {
        return rest.len();
    }
    let end = rest[..PIECE_BYTES_MAX].iter().rposition(|byte| *byte == b'\n');
    end.map_or(PIECE_BYTES_MAX, |end| end + 1)
}

const PIECE_BYTES_MAX: usize = METRICS_PIECE_BYTES_MAX as usize;

#[cfg(test)]
mod tests {
    use rheos_protocol::message::Reply;

    use super::*;

    /// The texts of the pieces, and what each says of those that follow.
    fn pieces(page: &Bytes) -> Vec<(Bytes, bool)> {
        let mut sent = Bytes::from(frames(page, 7).concat());
        let mut pieces = Vec::new();
        while !sent.is_empty() {
            let header = FrameHeader::decode(sent.first_chunk().expect("a frame has a header"));
            assert_eq!(header.id, 7);
            let payload = sent.split_to(FRAME_HEADER_BYTES + header.len as usize).split_off(FRAME_HEADER_BYTES);
            let Ok(Some(Reply::Metrics(piece))) = Reply::decode(header.kind, payload) else { panic!("it is a piece") };
            pieces.push((piece.text, piece.more));
        }
        pieces
    }

    #[test]
    fn a_page_arrives_whole_in_pieces_of_whole_lines() {
        for lines in [0, 1, 30_000, 300_000] {
            let page: String = (0..lines).map(|line| format!("rheos_metric{{line=\"{line}\"}} {line}\n")).collect();
            let page = Bytes::from(page);
            let pieces = pieces(&page);
            let (last, before) = pieces.split_last().expect("there is always one");
            assert!(!last.1 && before.iter().all(|(_, more)| *more), "{lines} lines");
            assert!(pieces.iter().all(|(text, _)| text.len() <= PIECE_BYTES_MAX));
            assert!(before.iter().all(|(text, _)| text.ends_with(b"\n")));
            let texts: Vec<Bytes> = pieces.into_iter().map(|(text, _)| text).collect();
            assert_eq!(texts.concat(), page);
        }
    }
}
