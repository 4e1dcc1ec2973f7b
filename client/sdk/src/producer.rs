//! A producer: records in, tickets out.
//!
//! ```text
//!   check -> route -> wait for room -> gather into the shard's batch -> sent by the put stream -> ticket
//! ```
//!
//! There is no linger: a batch goes as soon as its shard can send it, and what is put meanwhile
//! gathers into the next one. Resending, numbering and order are [`put_queue`]'s.

mod map;
mod pace;
mod put_queue;
mod put_stream;
mod reroute;
mod room;
mod shard_puts;
mod ticket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use rheos_protocol::batch::{BatchBuilder, ProducerStamp, PutBatch};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::StreamDescription;
use rheos_protocol::record::{BadRecord, Record, RecordView};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use put_stream::PutStream;
pub use ticket::{Outcome, PutRefused, Ticket};

use map::Map;
use put_queue::Destination;
use room::{Charge, Room};
use shard_puts::ShardPuts;

use crate::core::{Alive, Core};
use crate::error::Error;

/// Puts records into a stream. Cheap to clone; clones share order, numbering and room.
///
/// Records of one shard are stored in the order in which their puts were accepted, and none is stored
/// twice. After a broken connection they are sent again by themselves. When shards are split or merged, records
/// go on where they belong by themselves, and those of one key stay in their order. A ticket that resolves to
/// [`Outcome::Indeterminate`] is the one case where the program has to decide.
///
/// When the last handle is dropped, what is unanswered is still delivered as long as the runtime runs.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    _alive: Arc<Alive>,
}

#[derive(Debug)]
struct Shared {
    stream: String,
    incarnation: u64,
    record_bytes_max: u32,
    /// Read while something is put, so that what is put goes to the queue that is found.
    map: RwLock<Map>,
    /// Told when the broker says that a shard is closed.
    shard_closed: Arc<Notify>,
    room: Arc<Room>,
    closed: AtomicBool,
    core: Arc<Core>,
}

impl Producer {
    pub(crate) fn new(core: &Arc<Core>, alive: &Arc<Alive>, stream: &StreamDescription) -> Result<Producer, Error> {
        let (room, shard_closed) = (Room::new(core.lanes.options().producer_bytes_max), Arc::default());
        let map = Map::new(stream, queue_maker(core, stream, &room, &shard_closed))?;
        let shared = Arc::new(Shared {
            stream: stream.name.clone(),
            incarnation: stream.incarnation,
            record_bytes_max: stream.record_bytes_max,
            map: RwLock::new(map),
            shard_closed: Arc::clone(&shard_closed),
            room,
            closed: AtomicBool::new(false),
            core: Arc::clone(core),
        });
        core.runtime.spawn(expire(Arc::downgrade(&shared), core.lanes.options().delivery_timeout));
        core.runtime.spawn(reroute::follow(Arc::downgrade(&shared), shard_closed));
        Ok(Producer { shared, _alive: Arc::clone(alive) })
    }

    /// Puts a record: waits for room alone, never for the broker's answer, which is the ticket's.
    ///
    /// Dropping the future before it is ready puts nothing.
    ///
    /// # Errors
    ///
    /// [`PutRefused::Record`] for a record that breaks a limit, [`PutRefused::Closed`].
    pub async fn put(&self, record: Record) -> Result<Ticket, PutRefused> {
        self.put_view(record.view()).await
    }

    /// The same for a record whose parts are elsewhere; they are copied once, into the batch.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub async fn put_view(&self, record: RecordView<'_>) -> Result<Ticket, PutRefused> {
        let shared = &self.shared;
        record.check(shared.record_bytes_max).map_err(|bad| shared.refuse(&record, bad))?;
        let hash_key = record.hash_key();
        let taken = shared.take_room(record.encoded_len()).await?;
        Ok(shared.map().queue_of(hash_key).push(&record, taken))
    }

    /// Puts many records, in order. A record that is refused at once has a ticket that says so.
    pub async fn put_all(&self, records: impl IntoIterator<Item = Record>) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for record in records {
            tickets.push(self.put(record).await.unwrap_or_else(Ticket::refused));
        }
        tickets
    }

    /// Puts a batch of records that were gathered elsewhere, as one batch, behind what was put to the
    /// shard before. There is a ticket for each record, in their order. Waits for room alone.
    ///
    /// The caller routes: the broker refuses a batch with a record of another shard as a whole. A batch is stored
    /// as a whole or not at all, unless the shard is split or merged before: then its records go where they belong,
    /// in several batches perhaps, each with an outcome of its own.
    ///
    /// # Errors
    ///
    /// [`PutRefused::Record`] when the stream never had such a shard or the batch is empty,
    /// [`PutRefused::Closed`].
    pub async fn put_batch(&self, shard: u32, records: BatchBuilder) -> Result<Vec<Ticket>, PutRefused> {
        let shared = &self.shared;
        shared.look_up(shard)?;
        if records.record_count() == 0 {
            let message = format!("a batch for shard {shard} of stream {} has no records", shared.stream);
            return Err(PutRefused::Record(WireError::new(ErrorCode::BadBatch, message)));
        }
        let taken = shared.take_room(records.body_len()).await?;
        let map = shared.map();
        match map.shard(shard) {
            Some(puts) => {
                let count = records.record_count();
                let completion = puts.push_batch(records, taken);
                Ok((0..count).map(|index| Ticket::new(&completion, index)).collect())
            }
            None => Ok(shared.put_divided(&map, records, taken)),
        }
    }

    /// Waits until everything that was put before has an outcome.
    pub async fn flush(&self) {
        let completions: Vec<_> = self.shared.map().queues().flat_map(|puts| puts.completions()).collect();
        for completion in completions {
            completion.settled().await;
        }
    }

    /// Takes no more records, and waits until those that were put have an outcome.
    pub async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.close();
        self.flush().await;
    }

    /// The open shards, as far as they are known now, in the order of their hash ranges.
    pub fn shards(&self) -> impl Iterator<Item = u32> + use<> {
        self.shared.map().in_order().into_iter()
    }

    /// The open shard that takes a record with this hash key, as far as is known now.
    pub fn shard_of(&self, hash_key: u128) -> u32 {
        self.shared.map().shard_of(hash_key)
    }
}

impl Shared {
    fn map(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_to_change(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a shard is closed and puts wait for its children.
    fn has_closed_shards(&self) -> bool {
        self.map().queues().any(|puts| puts.is_closed())
    }

    /// Gives up what waits for the children of closed shards.
    fn give_up(&self, refused: &PutRefused) {
        self.map().queues().filter(|puts| puts.is_closed()).for_each(|puts| puts.fail(refused));
    }

    fn look_up(&self, shard: u32) -> Result<(), PutRefused> {
        let map = self.map();
        if map.shard(shard).is_some() || map.has_left(shard) {
            return Ok(());
        }
        let message = format!("stream {} has no open shard {shard}", self.stream);
        Err(PutRefused::Record(WireError::new(ErrorCode::ShardNotFound, message)))
    }

    /// Puts a batch for a shard that was closed meanwhile where its records belong.
    fn put_divided(&self, map: &Map, records: BatchBuilder, taken: usize) -> Vec<Ticket> {
        let bytes = records.finish(self.incarnation, 0, ProducerStamp::default());
        let batch = PutBatch::parse(bytes).expect("it was just made");
        let mut charge = Charge::new(&self.room);
        charge.add(taken);
        let deadline = Instant::now() + self.core.lanes.options().delivery_timeout;
        let moved = map.put_parts(batch.records(), &mut charge, deadline);
        moved.iter().map(|(completion, index)| Ticket::new(completion, *index)).collect()
    }

    async fn take_room(&self, bytes: usize) -> Result<usize, PutRefused> {
        let taken = self.room.take(bytes).await;
        let closed = self.closed.load(Ordering::Acquire) || self.core.lanes.is_closed();
        taken.filter(|_| !closed).ok_or(PutRefused::Closed)
    }

    fn refuse(&self, record: &RecordView<'_>, bad: BadRecord) -> PutRefused {
        let code = match bad {
            BadRecord::KeyEmpty | BadRecord::KeyTooLong => ErrorCode::BadKey,
            BadRecord::DataTooLarge(_) => ErrorCode::RecordTooLarge,
        };
        let key: String = record.partition_key.chars().take(KEY_CHARS_SHOWN).collect();
        let message = format!(
            "a record of {} bytes with partition key {key:?} cannot be put into stream {}: {bad}",
            record.data.len(),
            self.stream
        );
        PutRefused::Record(WireError::new(code, message).with_detail(record.data.len() as u64, 0))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody else tells the task that there is nothing to follow any more.
        self.shard_closed.notify_one();
    }
}

/// Makes the queue of a shard on a lane.
fn queue_maker(
    core: &Arc<Core>,
    stream: &StreamDescription,
    room: &Arc<Room>,
    shard_closed: &Arc<Notify>,
) -> impl Fn(u32, u16) -> Arc<ShardPuts> + use<> {
    let (core, room, shard_closed) = (Arc::clone(core), Arc::clone(room), Arc::clone(shard_closed));
    let StreamDescription { incarnation, record_bytes_max, .. } = *stream;
    let delivery_timeout = core.lanes.options().delivery_timeout;
    move |shard, lane| {
        let destination = Destination { incarnation, shard, record_bytes_max, delivery_timeout };
        Arc::new(ShardPuts::new(destination, core.put_stream(lane, shard), &room, &shard_closed))
    }
}

/// How much of a partition key stands in a message.
const KEY_CHARS_SHOWN: usize = 40;
/// How often a producer looks for records past their time.
const EXPIRE_EVERY_MAX: Duration = Duration::from_secs(1);
const EXPIRE_EVERY_LEAST: Duration = Duration::from_millis(5);

/// Gives up what is past its time, for as long as the producer lives or has something unanswered.
async fn expire(shared: Weak<Shared>, timeout: Duration) {
    let every = (timeout / 16).clamp(EXPIRE_EVERY_LEAST, EXPIRE_EVERY_MAX);
    let mut kept = None;
    loop {
        tokio::time::sleep(every).await;
        let Some(shared) = shared.upgrade().or(kept.take()) else { return };
        let why = shared.core.lanes.trouble().unwrap_or_else(|| "the broker has not answered".to_owned());
        let mut waiting = false;
        for puts in shared.map().queues() {
            puts.expire(&why);
            waiting |= puts.is_waiting();
        }
        kept = waiting.then_some(shared);
    }
}
