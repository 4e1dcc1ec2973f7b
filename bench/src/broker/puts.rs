//! Puts on a broker: each batch is a frame, on the shards in turn.
//!
//! The bodies are made ahead, as the bare target's frames are; a batch costs its headers alone, and
//! where puts are numbered its checksum: the first data bytes of a batch are then the number of its
//! first record in the run. Each record has a partition key of its own, so that the broker routes as many keys as it gets records.
//!
//! What must hold: a shard keeps to one put stream, and its puts are numbered in the order of the calls.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use rheos_protocol::batch::{BatchBuilder, BatchHeader, HEADER_BYTES, ProducerStamp};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind};
use rheos_protocol::hash::{HashRange, hash_key};
use rheos_protocol::limits::{DATA_STREAMS_MAX, RECORD_BYTES_DEFAULT};
use rheos_protocol::message::StreamDescription;
use rheos_protocol::record::RecordView;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::answers::FrameAnswers;
use super::session::Session;
use crate::Failure;
use crate::drive::Puts;
use crate::load::{BATCH_RECORDS_MAX, RECORD_BYTES};
use crate::put_stream::PutStream;

/// Where the data of a body's first record begins: the record's own 8 bytes and its key come before.
pub(super) const NUMBER_AT: usize = 8 + KEY_BYTES;
/// Bytes of the number that stands there.
pub(crate) const NUMBER_BYTES: usize = 8;
/// What stands there in every other record.
pub(crate) const UNNUMBERED: [u8; NUMBER_BYTES] = [FILL; NUMBER_BYTES];
/// Every data byte of a record that is no number's.
const FILL: u8 = 0x42;
/// Length of every key of the rig.
const KEY_BYTES: usize = 16;

/// Puts to all shards of some streams, with a producer of its own.
pub(crate) struct BrokerPuts {
    streams: Vec<PutStream>,
    shards: Vec<ShardPuts>,
    next: AtomicUsize,
    producer_id: u64,
    numbered: bool,
    session: Session,
}

/// A shard and how far its puts are numbered.
struct ShardPuts {
    stream: usize,
    incarnation: u64,
    shard: u32,
    number: AtomicU64,
    bodies: Arc<Bodies>,
}

impl BrokerPuts {
    pub(crate) async fn open(session: Session, targets: &[StreamDescription]) -> Result<Self, Failure> {
        let mut shards: Vec<ShardPuts> = Vec::new();
        let mut known: Vec<(HashRange, Arc<Bodies>)> = Vec::new();
        for target in targets {
            for shard in target.shards.iter().filter(|shard| shard.open) {
                let place = known.iter().position(|(range, _)| *range == shard.range).unwrap_or_else(|| {
                    known.push((shard.range, Arc::new(Bodies::new(shard.range))));
                    known.len() - 1
                });
                shards.push(ShardPuts {
                    stream: shards.len() % DATA_STREAMS_MAX as usize,
                    incarnation: target.incarnation,
                    shard: shard.shard,
                    number: AtomicU64::new(0),
                    bodies: Arc::clone(&known[place].1),
                });
            }
        }
        let mut streams = Vec::new();
        for _ in 0..shards.len().min(DATA_STREAMS_MAX as usize) {
            let (send, recv) = session.open_stream().await?;
            streams.push(PutStream::start(send, recv, FrameAnswers::default()));
        }
        if streams.is_empty() {
            return Err("puts need an open shard".into());
        }
        Ok(Self { streams, shards, next: AtomicUsize::new(0), producer_id: new_producer(), numbered: false, session })
    }

    /// The same, with the number of its first record in each put.
    pub(crate) fn numbered(mut self) -> Self {
        self.numbered = true;
        self
    }

    /// Ends the connection: what is not acknowledged fails.
    pub(crate) fn close(&self) {
        self.session.close();
    }
}

impl Puts for BrokerPuts {
    fn put(&self, first: u64, records: u32) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let shard = &self.shards[self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len()];
        let first = self.numbered.then_some(first);
        let acked = self.streams[shard.stream].push(|id| shard.frame(id, self.producer_id, first, records));
        async move { acked.await.map_err(|_| "the broker closed a put stream")? }
    }
}

impl ShardPuts {
    /// The frame of the shard's next put: headers with what comes before the rest of the body, and that.
    fn frame(&self, id: u64, producer_id: u64, first: Option<u64>, records: u32) -> [Bytes; 2] {
        let (mut body, mut body_checksum) = self.bodies.of(records);
        let body_len = body.len() as u32;
        let mut front = BytesMut::new();
        if let Some(first) = first {
            front = BytesMut::from(&body.split_to(NUMBER_AT + NUMBER_BYTES)[..]);
            front[NUMBER_AT..].copy_from_slice(&first.to_le_bytes());
            let mut checksum = Xxh3::new();
            checksum.update(&front);
            checksum.update(&body);
            body_checksum = checksum.digest();
        }
        let header = BatchHeader {
            record_count: records,
            body_len,
            body_checksum,
            producer: ProducerStamp { id: producer_id, epoch: 0, number: self.number.fetch_add(1, Ordering::Relaxed) },
            incarnation: self.incarnation,
            shard: self.shard,
            first_sequence: 0,
            arrival_ms: 0,
        };
        let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES + HEADER_BYTES + front.len());
        FrameHeader { len: header.total_len() as u32, kind: kind::PUT, id }.encode(&mut head);
        head.extend_from_slice(&header.encode());
        head.extend_from_slice(&front);
        [head.freeze(), body]
    }
}

/// The bodies of every number of records: each begins as the next longer one does.
struct Bodies {
    longest: Bytes,
    record_bytes: usize,
    checksums: Vec<u64>,
}

impl Bodies {
    /// Bodies whose records belong to a shard with this range.
    fn new(range: HashRange) -> Self {
        let mut builder = BatchBuilder::with_capacity(BATCH_RECORDS_MAX as usize * (RECORD_BYTES + 32));
        let data = [FILL; RECORD_BYTES];
        // A key of the right place is found by trying: as many times as the stream has shards, on average.
        let keys = (0_u64..)
            .map(|at| format!("key-{at:0digits$x}", digits = KEY_BYTES - 4))
            .filter(|key| range.contains(hash_key(key)));
        for key in keys.take(BATCH_RECORDS_MAX as usize) {
            let record = RecordView { partition_key: &key, explicit_hash_key: None, data: &data };
            builder.push(&record, RECORD_BYTES_DEFAULT).expect("the rig's records are within limits");
        }
        let record_bytes = builder.body_len() / BATCH_RECORDS_MAX as usize;
        let longest = builder.finish(0, 0, ProducerStamp::default()).freeze().slice(HEADER_BYTES..);
        let checksums = (0..=BATCH_RECORDS_MAX as usize).map(|records| xxh3_64(&longest[..records * record_bytes]));
        Self { checksums: checksums.collect(), longest, record_bytes }
    }

    fn of(&self, records: u32) -> (Bytes, u64) {
        let records = records as usize;
        (self.longest.slice(..records * self.record_bytes), self.checksums[records])
    }
}

/// An identity that no producer of an earlier run has.
fn new_producer() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    (since << 8 | NEXT.fetch_add(1, Ordering::Relaxed) & 0xff).max(1)
}

#[cfg(test)]
mod tests {
    use rheos_protocol::batch::PutBatch;

    use super::*;

    #[test]
    fn every_number_of_records_makes_a_batch_of_the_shard() {
        let range = HashRange::even(8).nth(5).expect("there are eight");
        let shard = ShardPuts {
            stream: 0,
            incarnation: 7,
            shard: 5,
            number: AtomicU64::new(0),
            bodies: Arc::new(Bodies::new(range)),
        };
        for records in 1..=BATCH_RECORDS_MAX {
            let first = records.is_multiple_of(2).then_some(u64::from(records) << 40);
            let [head, body] = shard.frame(u64::from(records), 9, first, records);
            let frame = FrameHeader::decode(head.first_chunk().expect("a frame has a header"));
            assert_eq!((frame.kind, frame.id), (kind::PUT, u64::from(records)));
            assert_eq!(frame.len as usize, head.len() - FRAME_HEADER_BYTES + body.len());
            let bytes = [&head[FRAME_HEADER_BYTES..], &body].concat();
            let batch = PutBatch::parse(bytes[..].into()).expect("it is a batch");
            assert_eq!(batch.header().producer, ProducerStamp { id: 9, epoch: 0, number: u64::from(records) - 1 });
            assert_eq!((batch.header().incarnation, batch.header().shard), (7, 5));
            assert_eq!(batch.records().len(), records as usize);
            let data = batch.records().next().expect("it has a record").data;
            assert_eq!(data[..NUMBER_BYTES], first.map_or(UNNUMBERED, u64::to_le_bytes));
            assert!(batch.records().all(|record| range.contains(record.hash_key()) && record.data.len() == 1024));
        }
    }

    #[test]
    fn producers_differ() {
        assert_ne!(new_producer(), new_producer());
    }
}
