//! A batch: records of one shard, the unit of put and push.
//!
//! The same bytes travel, lie in memory and lie on disk, so the header says nothing of where it is
//! stored. Little-endian.
//!
//! ```text
//!   0  4  magic "RHB1"
//!   4  1  version = 1
//!   5  1  codec: 0 = plain
//!   6  2  flags = 0
//!   8  4  record count, 1 to 16,384
//!  12  4  body length in bytes
//!  16  8  body checksum: xxh3-64 of the body, made by the producer
//!  24  8  producer id, 0 = puts are not numbered
//!  32  4  producer epoch
//!  36  4  shard
//!  40  8  number of this put at (producer, epoch, shard): 0, 1, 2 ...
//!  48  8  incarnation of the stream
//!  56  8  sequence of the first record   (stamped by the broker, 0 before)
//!  64  8  arrival, ms since 1970         (stamped by the broker, 0 before)
//!  72  8  header checksum: xxh3-64 of bytes 0 .. 72
//!  80  n  body: records, see [`crate::record`]
//! ```
//!
//! What must hold: nobody holds a [`PutBatch`] or [`Batch`] whose checksums or records are wrong.

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{BATCH_BODY_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use crate::record::{BadRecord, RECORD_HEAD_BYTES, RecordView};
use crate::wire::{FieldReader, Malformed};

/// Bytes of a batch header.
pub const HEADER_BYTES: usize = 80;
/// First bytes of every batch.
pub const MAGIC: [u8; 4] = *b"RHB1";
/// The only version so far.
pub const VERSION: u8 = 1;

/// The numbers of a batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Records in the body.
    pub record_count: u32,
    /// Bytes of the body.
    pub body_len: u32,
    /// xxh3-64 of the body.
    pub body_checksum: u64,
    /// Who put it and as which of its puts.
    pub producer: ProducerStamp,
    /// Identity of the stream's life.
    pub incarnation: u64,
    /// Shard number within the stream.
    pub shard: u32,
    /// Sequence of the first record; 0 until the broker stamps it.
    pub first_sequence: u64,
    /// Milliseconds since 1970; 0 until the broker stamps it.
    pub arrival_ms: u64,
}

/// Who put a batch and as which of its puts: what makes a resend harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerStamp {
    /// Random identity of a producer; 0 means that its puts are not numbered.
    pub id: u64,
    /// Raised by a producer that takes over an identity; the older one is fenced.
    pub epoch: u32,
    /// 0, 1, 2 ... at this (producer, epoch, shard).
    pub number: u64,
}

impl ProducerStamp {
    /// Whether the puts of this producer are numbered.
    pub fn is_numbered(&self) -> bool {
        self.id != 0
    }
}

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBatch {
    /// The structure is wrong.
    Malformed(Malformed),
    /// The header does not match its checksum.
    HeaderChecksum,
    /// The body does not match its checksum.
    BodyChecksum,
    /// A record breaks a limit; its place in the batch is carried.
    Record(u32, BadRecord),
}

impl std::fmt::Display for BadBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadBatch::Malformed(malformed) => malformed.fmt(f),
            BadBatch::HeaderChecksum => write!(f, "the batch header does not match its checksum"),
            BadBatch::BodyChecksum => write!(f, "the batch body does not match its checksum"),
            BadBatch::Record(index, bad) => write!(f, "record {index} of the batch: {bad}"),
        }
    }
}

impl std::error::Error for BadBatch {}

impl From<Malformed> for BadBatch {
    fn from(malformed: Malformed) -> Self {
        BadBatch::Malformed(malformed)
    }
}

impl BatchHeader {
    /// Reads a header and proves its checksum. Lengths are within limits; the body is not looked at.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, BadBatch> {
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(Malformed { what: "batch", why: "it ends early" })?;
        let mut fields = FieldReader::new("batch", head);
        if fields.array::<4>()? != MAGIC {
            return Err(fields.wrong("it does not begin with RHB1").into());
        }
        let (version, codec, flags) = (fields.u8()?, fields.u8()?, fields.u16()?);
        let header = BatchHeader {
            record_count: fields.u32()?,
            body_len: fields.u32()?,
            body_checksum: fields.u64()?,
            producer: ProducerStamp { id: fields.u64()?, epoch: fields.u32()?, number: 0 },
            shard: fields.u32()?,
            incarnation: 0,
            first_sequence: 0,
            arrival_ms: 0,
        };
        let number = fields.u64()?;
        let header = BatchHeader {
            producer: ProducerStamp { number, ..header.producer },
            incarnation: fields.u64()?,
            first_sequence: fields.u64()?,
            arrival_ms: fields.u64()?,
            ..header
        };
        if fields.u64()? != xxh3_64(&head[..HEADER_BYTES - 8]) {
            return Err(BadBatch::HeaderChecksum);
        }
        if version != VERSION || codec != 0 || flags != 0 {
            return Err(fields.wrong("its version, codec or flags are unknown").into());
        }
        if header.body_len > BATCH_BODY_BYTES_MAX || header.record_count == 0 || header.record_count > BATCH_RECORDS_MAX
        {
            return Err(fields.wrong("its body length or record count is out of bounds").into());
        }
        if header.first_sequence.checked_add(u64::from(header.record_count)).is_none() {
            return Err(fields.wrong("its sequences go beyond the last one").into());
        }
        Ok(header)
    }

    /// Bytes of header and body together.
    pub fn total_len(&self) -> usize {
        HEADER_BYTES + self.body_len as usize
    }

    /// Bytes of the keys and data of all records, explicit hash keys included.
    pub fn record_bytes(&self) -> u64 {
        // A header alone does not prove that so many records fit into the body.
        u64::from(self.body_len).saturating_sub(u64::from(self.record_count) * RECORD_HEAD_BYTES as u64)
    }

    /// The header's bytes with their checksum.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0u8; HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        out[8..12].copy_from_slice(&self.record_count.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.body_checksum.to_le_bytes());
        out[24..32].copy_from_slice(&self.producer.id.to_le_bytes());
        out[32..36].copy_from_slice(&self.producer.epoch.to_le_bytes());
        out[36..40].copy_from_slice(&self.shard.to_le_bytes());
        out[40..48].copy_from_slice(&self.producer.number.to_le_bytes());
        out[48..56].copy_from_slice(&self.incarnation.to_le_bytes());
        out[56..64].copy_from_slice(&self.first_sequence.to_le_bytes());
        out[64..72].copy_from_slice(&self.arrival_ms.to_le_bytes());
        let checksum = xxh3_64(&out[..HEADER_BYTES - 8]);
        out[72..80].copy_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// Gathers records of one shard into a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: BytesMut,
    record_count: u32,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::with_capacity(4096)
    }
}

impl BatchBuilder {
    /// A builder with room for `body_bytes` before it has to grow.
    pub fn with_capacity(body_bytes: usize) -> BatchBuilder {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + body_bytes);
        bytes.resize(HEADER_BYTES, 0);
        BatchBuilder { bytes, record_count: 0 }
    }

    /// Whether `record` fits beside what is there.
    pub fn fits(&self, record: &RecordView<'_>) -> bool {
        self.record_count < BATCH_RECORDS_MAX && self.body_len() + record.encoded_len() <= BATCH_BODY_BYTES_MAX as usize
    }

    /// Adds a record, checked against the protocol's limits and the stream's `data_bytes_max`.
    ///
    /// # Panics
    /// When the record does not [`fit`](Self::fits).
    pub fn push(&mut self, record: &RecordView<'_>, data_bytes_max: u32) -> Result<(), BadRecord> {
        record.check(data_bytes_max.min(RECORD_BYTES_MAX))?;
        assert!(self.fits(record), "the caller closes a batch before it is full");
        record.encode(&mut self.bytes);
        self.record_count += 1;
        Ok(())
    }

    /// Bytes of the body so far.
    pub fn body_len(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Closes the batch: makes the body checksum and the header.
    ///
    /// # Panics
    /// When no record was pushed.
    pub fn finish(self, incarnation: u64, shard: u32, producer: ProducerStamp) -> BytesMut {
        self.finish_put(incarnation, shard, producer).bytes
    }

    /// Closes the batch for who puts it in the same process: what was built here needs no proof.
    ///
    /// # Panics
    /// When no record was pushed.
    pub fn finish_put(mut self, incarnation: u64, shard: u32, producer: ProducerStamp) -> PutBatch {
        assert!(self.record_count > 0, "a batch holds at least one record");
        let header = BatchHeader {
            record_count: self.record_count,
            body_len: self.body_len() as u32,
            body_checksum: xxh3_64(&self.bytes[HEADER_BYTES..]),
            producer,
            incarnation,
            shard,
            first_sequence: 0,
            arrival_ms: 0,
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        PutBatch { header, bytes: self.bytes }
    }
}

/// A batch as a producer sent it: proved, not yet stamped.
#[derive(Debug)]
pub struct PutBatch {
    header: BatchHeader,
    bytes: BytesMut,
}

impl PutBatch {
    /// Proves header, body and every record of `bytes`, which hold one batch and nothing else.
    pub fn parse(bytes: BytesMut) -> Result<PutBatch, BadBatch> {
        let header = prove(&bytes)?;
        Ok(PutBatch { header, bytes })
    }

    /// The header as sent.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.bytes)
    }

    /// Bytes of header and body.
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// The batch with the place and time that the broker gives it.
    pub fn stamp(mut self, first_sequence: u64, arrival_ms: u64) -> Batch {
        self.header.first_sequence = first_sequence;
        self.header.arrival_ms = arrival_ms;
        self.bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        Batch { header: self.header, bytes: self.bytes.freeze() }
    }
}

/// A batch with its place: what is stored, pushed and read.
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Proves header, body and every record of `bytes`, which hold one batch and nothing else.
    pub fn parse(bytes: Bytes) -> Result<Batch, BadBatch> {
        let header = prove(&bytes)?;
        Ok(Batch { header, bytes })
    }

    /// Takes one batch from the front of `bytes`.
    pub fn split_from(bytes: &mut Bytes) -> Result<Batch, BadBatch> {
        let header = BatchHeader::decode(bytes)?;
        if bytes.len() < header.total_len() {
            return Err(Malformed { what: "batch", why: "its body ends early" }.into());
        }
        Batch::parse(bytes.split_to(header.total_len()))
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Sequence after the last record. It exists: a header whose sequences overflow is not decoded.
    pub fn next_sequence(&self) -> u64 {
        self.header.first_sequence + u64::from(self.header.record_count)
    }

    /// The records, in order; the first has the header's first sequence.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.bytes)
    }

    /// The same batch in memory of its own, which holds nothing else.
    pub fn detached(&self) -> Batch {
        Batch { header: self.header, bytes: Bytes::copy_from_slice(&self.bytes) }
    }

    /// The stored bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Walks the records of a proved batch.
#[derive(Debug)]
pub struct Records<'a> {
    left: u32,
    body: FieldReader<'a>,
}

impl<'a> Records<'a> {
    fn new(header: &BatchHeader, bytes: &'a [u8]) -> Records<'a> {
        Records { left: header.record_count, body: FieldReader::new("batch", &bytes[HEADER_BYTES..]) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordView<'a>;

    fn next(&mut self) -> Option<RecordView<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(RecordView::decode(&mut self.body).expect("the batch was proved when it was parsed"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// The one proof that both parsed types stand on.
fn prove(bytes: &[u8]) -> Result<BatchHeader, BadBatch> {
    let header = BatchHeader::decode(bytes)?;
    if bytes.len() != header.total_len() {
        return Err(Malformed { what: "batch", why: "its body length is not what was sent" }.into());
    }
    if xxh3_64(&bytes[HEADER_BYTES..]) != header.body_checksum {
        return Err(BadBatch::BodyChecksum);
    }
    let mut body = FieldReader::new("batch", &bytes[HEADER_BYTES..]);
    for index in 0..header.record_count {
        let record = RecordView::decode(&mut body)?;
        record.check(RECORD_BYTES_MAX).map_err(|bad| BadBatch::Record(index, bad))?;
    }
    if !body.rest().is_empty() {
        return Err(body.wrong("bytes follow its last record").into());
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn sample() -> BytesMut {
        let mut builder = BatchBuilder::default();
        builder.push(&Record::new("a", "one").view(), 1 << 20).unwrap();
        let explicit = Record { explicit_hash_key: Some(7), ..Record::new("b", "") };
        builder.push(&explicit.view(), 1 << 20).unwrap();
        builder.finish(9, 3, ProducerStamp { id: 5, epoch: 1, number: 2 })
    }

    #[test]
    fn what_is_built_is_read() {
        let batch = PutBatch::parse(sample()).unwrap().stamp(100, 1_700_000_000_000);
        let again = Batch::parse(batch.bytes().clone()).unwrap();
        assert_eq!(again.header(), batch.header());
        assert_eq!((again.header().shard, again.header().incarnation, again.next_sequence()), (3, 9, 102));
        let records: Vec<_> = again.records().collect();
        assert_eq!(records[0], RecordView { partition_key: "a", explicit_hash_key: None, data: b"one" });
        assert_eq!(records[1], RecordView { partition_key: "b", explicit_hash_key: Some(7), data: b"" });
    }

    #[test]
    fn what_is_put_where_it_was_built_is_what_is_proved() {
        let mut builder = BatchBuilder::default();
        builder.push(&Record::new("a", "one").view(), 1 << 20).unwrap();
        let put = builder.finish_put(9, 3, ProducerStamp { id: 5, epoch: 1, number: 2 });
        let proved = PutBatch::parse(put.bytes.clone()).unwrap();
        assert_eq!((proved.header(), &proved.bytes), (put.header(), &put.bytes));
    }

    #[test]
    fn sequences_that_overflow_are_refused() {
        let put = PutBatch::parse(sample()).unwrap();
        let records = u64::from(put.header().record_count);
        let last = put.stamp(u64::MAX - records, 0);
        assert_eq!(Batch::parse(last.bytes().clone()).unwrap().next_sequence(), u64::MAX);
        let beyond = PutBatch::parse(sample()).unwrap().stamp(u64::MAX - records + 1, 0);
        assert!(matches!(Batch::parse(beyond.bytes().clone()), Err(BadBatch::Malformed(_))));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = sample();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(PutBatch::parse(bad).is_err(), "bit {bit} went unnoticed");
        }
        for len in 0..good.len() {
            assert!(PutBatch::parse(good[..len].into()).is_err(), "cut at {len} went unnoticed");
        }
    }
}
