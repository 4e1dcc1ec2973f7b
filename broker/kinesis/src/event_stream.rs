//! Messages of `application/vnd.amazon.eventstream`: the body of SubscribeToShard's answer.
//!
//! ```text
//!   total u32 │ headers u32 │ CRC-32 of these 8 │ headers │ payload │ CRC-32 of all before
//!   a header: name length u8 │ name │ 7 (a string) │ value length u16 │ value             all big-endian
//! ```
//!
//! What must hold: `initial-response` comes first, because some clients refuse a stream that begins
//! otherwise; an exception or an error is the last message.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};

use crate::codec::Encoding;
use crate::error::Error;
use crate::limits::EVENT_BYTES_MAX;

/// The content type of the answer.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The first message. The output of SubscribeToShard has no members besides the stream itself.
pub fn initial_response(encoding: Encoding) -> Bytes {
    event("initial-response", encoding, encoding.encode_pairs(&[]).into())
}

/// An event of a type of the model, such as `SubscribeToShardEvent`, with its members in an encoding.
///
/// # Panics
/// If the payload is longer than [`EVENT_BYTES_MAX`]: whoever makes events cuts them.
pub fn event(event_type: &'static str, encoding: Encoding, payload: Bytes) -> Bytes {
    let headers = [(MESSAGE_TYPE, "event"), (":event-type", event_type), (":content-type", encoding.content_type())];
    message(&headers, payload)
}

/// An error that the model knows of; the stream ends with it.
pub fn exception(encoding: Encoding, error: &Error) -> Bytes {
    let headers = [
        (MESSAGE_TYPE, "exception"),
        (":exception-type", error.kind.name()),
        (":content-type", encoding.content_type()),
    ];
    let text = error.message.as_deref().map(|text| ("message", text));
    message(&headers, encoding.encode_pairs(text.as_slice()).into())
}

/// An error that the model does not know of; the stream ends with it. A text that no header can hold is cut.
pub fn error(code: &'static str, text: &str) -> Bytes {
    let text = &text[..text.floor_char_boundary(HEADER_VALUE_BYTES_MAX)];
    message(&[(MESSAGE_TYPE, "error"), (":error-code", code), (":error-message", text)], Bytes::new())
}

fn message(headers: &[(&'static str, &str)], payload: Bytes) -> Bytes {
    assert!(payload.len() <= EVENT_BYTES_MAX, "an event of {} bytes", payload.len());
    let headers =
        headers.iter().map(|(name, value)| Header::new(*name, HeaderValue::String((*value).to_owned().into())));
    let headers: Vec<Header> = headers.collect();
    let mut bytes = BytesMut::with_capacity(payload.len() + FRAME_BYTES_USUAL);
    let message = Message::new_from_parts(headers, payload);
    write_message_to(&message, &mut bytes).expect("headers and payload are within the format's bounds");
    bytes.freeze()
}

const MESSAGE_TYPE: &str = ":message-type";
/// The format counts them in 16 bits, of which the crate takes half.
const HEADER_VALUE_BYTES_MAX: usize = i16::MAX as usize;
/// The fixed parts and the headers of an event.
const FRAME_BYTES_USUAL: usize = 160;

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, read_message_from};

    use super::*;
    use crate::error::ErrorKind;

    fn headers(message: &Message) -> Vec<(&str, &str)> {
        let text = |header| Header::value(header).as_string().expect("it is a string").as_str();
        message.headers().iter().map(|header| (header.name().as_str(), text(header))).collect()
    }

    #[test]
    fn every_message_is_read_back() {
        let payload = Bytes::from(vec![7; 1 << 20]);
        let refused = Error::new(ErrorKind::ResourceNotFound, "no such shard");
        let (json, cbor) = ("application/x-amz-json-1.1", "application/x-amz-cbor-1.1");
        let cases = [
            (
                initial_response(Encoding::Json),
                vec![(":message-type", "event"), (":event-type", "initial-response"), (":content-type", json)],
                Bytes::from_static(b"{}"),
            ),
            (
                initial_response(Encoding::Cbor),
                vec![(":message-type", "event"), (":event-type", "initial-response"), (":content-type", cbor)],
                Encoding::Cbor.encode_pairs(&[]).into(),
            ),
            (
                event("SubscribeToShardEvent", Encoding::Cbor, payload.clone()),
                vec![(":message-type", "event"), (":event-type", "SubscribeToShardEvent"), (":content-type", cbor)],
                payload,
            ),
            (
                exception(Encoding::Json, &refused),
                vec![
                    (":message-type", "exception"),
                    (":exception-type", "ResourceNotFoundException"),
                    (":content-type", json),
                ],
                Bytes::from_static(br#"{"message":"no such shard"}"#),
            ),
            (
                error("InternalFailure", "it failed"),
                vec![(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "it failed")],
                Bytes::new(),
            ),
        ];
        for (bytes, expected, payload) in cases {
            let message = read_message_from(bytes).expect("it is a message");
            assert_eq!(headers(&message), expected);
            assert_eq!(message.payload(), &payload);
        }
    }

    #[test]
    fn the_bytes_are_the_formats() {
        let bytes = event("E", Encoding::Json, Bytes::from_static(b"{}"));
        let golden = concat!(
            "00000063",
            "00000051",
            "a7dcb396",
            "0d3a6d6573736167652d747970650700056576656e74",
            "0b3a6576656e742d7479706507000145",
            "0d3a636f6e74656e742d7479706507001a6170706c69636174696f6e2f782d616d7a2d6a736f6e2d312e31",
            "7b7d",
            "34fb74cb",
        );
        assert_eq!(hex::encode(&bytes), golden);
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let bytes = initial_response(Encoding::Json);
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            let mut decoder = MessageFrameDecoder::new();
            assert!(!matches!(decoder.decode_frame(&flipped[..]), Ok(DecodedFrame::Complete(_))), "bit {at}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let message = read_message_from(error("InternalFailure", &"ä".repeat(70_000))).expect("it is a message");
        let said = message.headers()[2].value().as_string().expect("it is a string").as_str().to_owned();
        assert_eq!(said, "ä".repeat(HEADER_VALUE_BYTES_MAX / 2));
    }
}
