//! What comes back on a put stream: a frame for each put, an ACK or an ERROR.

use bytes::{Buf, Bytes, BytesMut};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader};
use rheos_protocol::limits::CONTROL_FRAME_BYTES_MAX;
use rheos_protocol::message::Reply;

use crate::Failure;
use crate::put_stream::{Answers, Waiting};

/// Reads frames from pieces that end anywhere.
#[derive(Default)]
pub(crate) struct FrameAnswers {
    /// What has come of a frame that is not whole.
    part: BytesMut,
}

impl Answers for FrameAnswers {
    fn take(&mut self, mut piece: Bytes, waiting: &mut Waiting) -> Result<(), Failure> {
        if !self.part.is_empty() {
            self.part.extend_from_slice(&piece);
            piece = std::mem::take(&mut self.part).freeze();
        }
        while let Some(header) = piece.first_chunk().map(FrameHeader::decode) {
            if header.len > CONTROL_FRAME_BYTES_MAX {
                return Err(format!("the broker answers a put with {} bytes", header.len).into());
            }
            let whole = FRAME_HEADER_BYTES + header.len as usize;
            if piece.len() < whole {
                break;
            }
            let payload = piece.split_to(whole).split_off(FRAME_HEADER_BYTES);
            waiting.answer(header.id, answer(Reply::decode(header.kind, payload)?))?;
        }
        self.part.extend_from_slice(&piece);
        piece.advance(piece.len());
        Ok(())
    }
}

fn answer(reply: Option<Reply>) -> Result<(), Failure> {
    match reply {
        Some(Reply::Ack { .. }) => Ok(()),
        Some(Reply::Error(error)) => Err(format!("the broker refused a put: {error}").into()),
        _ => Err("the broker answered a put with something else".into()),
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::error::{ErrorCode, WireError};

    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let mut bytes = BytesMut::new();
        for id in 0..4 {
            Reply::Ack { first_sequence: id, arrival_ms: 5 }.write(id, &mut bytes);
        }
        Reply::Error(WireError::new(ErrorCode::Busy, "later")).write(9, &mut bytes);
        for size in 1..bytes.len() {
            let mut answers = FrameAnswers::default();
            let mut waiting = Waiting::default();
            let mut receivers: Vec<_> = [0, 1, 2, 3, 9].map(|id| waiting.wait_for(id)).into();
            for piece in bytes.chunks(size) {
                answers.take(Bytes::copy_from_slice(piece), &mut waiting).expect("all are waited for");
            }
            let refused = receivers.pop().expect("there are five").try_recv().expect("it is answered");
            assert!(refused.expect_err("it is refused").to_string().contains("later"));
            assert!(receivers.into_iter().all(|mut acked| acked.try_recv().expect("it is answered").is_ok()));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let mut waiting = Waiting::default();
        let mut bytes = BytesMut::new();
        Reply::Pong.write(0, &mut bytes);
        assert!(FrameAnswers::default().take(bytes.freeze(), &mut waiting).is_err(), "nobody waits");
        let mut bytes = BytesMut::new();
        FrameHeader { len: u32::MAX, kind: 17, id: 0 }.encode(&mut bytes);
        assert!(FrameAnswers::default().take(bytes.freeze(), &mut waiting).is_err(), "it is too long");
    }
}
