//! Frames on a QUIC stream, as a client reads and writes them.
//!
//! What must hold: a declared length is compared with its limit before anything is allocated for it.
//! A read may be given up at any await without losing bytes.

use bytes::{Bytes, BytesMut};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::limits::METRICS_BYTES_MAX;
use rheos_protocol::message::{Batches, Reply, Request};

use crate::client::unexpected;
use crate::error::Error;

/// Most bytes taken from QUIC at once.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes of a group's length.
const GROUP_LEN_BYTES: usize = 2;

/// Reads the frames of one stream.
#[derive(Debug)]
pub(crate) struct FrameReader {
    stream: RecvStream,
    buffer: BytesMut,
    payload_max: u32,
}

impl FrameReader {
    pub(crate) fn new(stream: RecvStream, payload_max: u32) -> FrameReader {
        FrameReader { stream, buffer: BytesMut::new(), payload_max }
    }

    /// The next frame; `None` when the stream ended after the last one.
    pub(crate) async fn frame(&mut self) -> Result<Option<(FrameHeader, Bytes)>, Error> {
        let Some(header) = self.header().await? else { return Ok(None) };
        self.fill(FRAME_HEADER_BYTES + header.len as usize).await?;
        let mut frame = self.buffer.split_to(FRAME_HEADER_BYTES + header.len as usize).freeze();
        Ok(Some((header, frame.split_off(FRAME_HEADER_BYTES))))
    }

    /// The next frame of a stream, which answers request `id`; mostly the only one.
    pub(crate) async fn reply(&mut self, id: u64) -> Result<Reply, Error> {
        let frame = self.frame().await?;
        let (header, payload) = frame.ok_or_else(|| Error::protocol("a request was closed without a reply"))?;
        decode(header, payload, id)
    }

    /// The text whose pieces answer request `id`.
    pub(crate) async fn metrics(&mut self, id: u64) -> Result<String, Error> {
        let mut text = Vec::new();
        loop {
            let piece = match self.reply(id).await? {
                Reply::Metrics(piece) => piece,
                other => return Err(unexpected("read metrics", &other)),
            };
            if text.len() + piece.text.len() > METRICS_BYTES_MAX {
                return Err(Error::protocol(format!("its metrics are longer than {METRICS_BYTES_MAX} bytes")));
            }
            text.extend_from_slice(&piece.text);
            if !piece.more {
                return String::from_utf8(text).map_err(|_| Error::protocol("its metrics are not UTF-8"));
            }
        }
    }

    /// The fields of a reply to a read, as soon as they are here; the batches may still be on their way.
    /// `None` when the reply is another one. [`reply`](Self::reply) gives the whole of it afterwards.
    pub(crate) async fn batches_fields(&mut self) -> Result<Option<Batches>, Error> {
        let Some(header) = self.header().await? else { return Ok(None) };
        if header.kind != kind::BATCHES || (header.len as usize) < GROUP_LEN_BYTES {
            return Ok(None);
        }
        self.fill(FRAME_HEADER_BYTES + GROUP_LEN_BYTES).await?;
        let len = self.buffer[FRAME_HEADER_BYTES..].first_chunk().map_or(0, |len| u16::from_le_bytes(*len));
        let fields_len = (GROUP_LEN_BYTES + usize::from(len)).min(header.len as usize);
        self.fill(FRAME_HEADER_BYTES + fields_len).await?;
        let fields = Bytes::copy_from_slice(&self.buffer[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + fields_len]);
        match Reply::decode(header.kind, fields)? {
            Some(Reply::Batches(batches)) => Ok(Some(batches)),
            _ => Ok(None),
        }
    }

    async fn header(&mut self) -> Result<Option<FrameHeader>, Error> {
        if self.buffer.is_empty() && !self.more().await? {
            return Ok(None);
        }
        self.fill(FRAME_HEADER_BYTES).await?;
        let header = FrameHeader::decode(self.buffer.first_chunk().expect("it was filled"));
        if header.len > self.payload_max {
            return Err(Error::protocol(format!(
                "a frame of kind {} declares {} bytes, where {} are allowed",
                header.kind, header.len, self.payload_max
            )));
        }
        Ok(Some(header))
    }

    /// Waits until `len` bytes are in the buffer. The caller has checked `len`.
    async fn fill(&mut self, len: usize) -> Result<(), Error> {
        self.buffer.reserve(len.saturating_sub(self.buffer.len()));
        while self.buffer.len() < len {
            if !self.more().await? {
                // As when a broker stops in the middle of it.
                return Err(Error::lost("the broker ended a stream within a frame"));
            }
        }
        Ok(())
    }

    /// Takes what has arrived; `false` at the end of the stream.
    async fn more(&mut self) -> Result<bool, Error> {
        match self.stream.read_chunk(CHUNK_BYTES_MAX, true).await.map_err(read_failed)? {
            Some(chunk) => {
                self.buffer.extend_from_slice(&chunk.bytes);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Sends one request on a stream of its own and ends that side of it.
pub(crate) async fn send_request(stream: &mut SendStream, request: &Request, id: u64) -> Result<(), Error> {
    let mut bytes = BytesMut::new();
    request.write(id, &mut bytes);
    match stream.write_all(&bytes).await {
        // Whoever stops reading a request still answers it.
        Ok(()) | Err(WriteError::Stopped(_)) => {}
        Err(error) => return Err(write_failed(error)),
    }
    let _ = stream.finish();
    Ok(())
}

/// The reply in a frame that answers request `id`; an error from the broker is an `Err`.
fn decode(header: FrameHeader, payload: Bytes, id: u64) -> Result<Reply, Error> {
    if header.id != id {
        return Err(Error::protocol(format!("a reply names request {} instead of {id}", header.id)));
    }
    match Reply::decode(header.kind, payload)? {
        Some(Reply::Error(error)) => Err(Error::Broker(error)),
        Some(reply) => Ok(reply),
        None => Err(Error::protocol(format!("a reply is of the unknown kind {}", header.kind))),
    }
}

/// Why a connection ended, for the one whose request was open.
pub(crate) fn connection_lost(error: ConnectionError) -> Error {
    match error {
        // Whoever asks for the next session is told whether the client was closed.
        ConnectionError::LocallyClosed => Error::lost("this client ended it"),
        ConnectionError::TimedOut => Error::lost("nothing came from the broker for 15 s"),
        ConnectionError::Reset => Error::lost("the broker does not know the connection any more, as after a restart"),
        ConnectionError::ApplicationClosed(close) => {
            let code = u16::try_from(close.error_code.into_inner()).map(ErrorCode::from_number);
            let reason = String::from_utf8_lossy(&close.reason).into_owned();
            match (code, reason.as_str()) {
                (Ok(code), "") => Error::lost(format!("the broker closed it with error {} ({code:?})", code.number())),
                (Ok(code), reason) => Error::lost(format!("the broker closed it: {reason} (error {})", code.number())),
                (Err(_), reason) => Error::lost(format!("the broker closed it: {reason}")),
            }
        }
        other => Error::lost(other),
    }
}

pub(crate) fn write_failed(error: WriteError) -> Error {
    match error {
        WriteError::ConnectionLost(error) => connection_lost(error),
        WriteError::Stopped(code) => stream_refused(code.into_inner()),
        other => Error::lost(other),
    }
}

fn read_failed(error: ReadError) -> Error {
    match error {
        ReadError::ConnectionLost(error) => connection_lost(error),
        ReadError::Reset(code) => stream_refused(code.into_inner()),
        other => Error::lost(other),
    }
}

fn stream_refused(code: u64) -> Error {
    let code = ErrorCode::from_number(u16::try_from(code).unwrap_or(u16::MAX));
    Error::Broker(WireError::new(code, format!("the broker gave up a stream with code {code:?}")))
}
