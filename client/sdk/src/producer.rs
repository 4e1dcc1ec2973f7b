//! A producer: records in, tickets out.
//!
//! ```text
//!   check -> route -> wait for room -> gather into the shard's batch -> sent by the put stream -> ticket
//! ```
//!
//! There is no linger: a batch goes as soon as its shard can send it, and what is put meanwhile
//! gathers into the next one. Resending, numbering and order are [`put_queue`]'s.

mod put_queue;
mod put_stream;
mod room;
mod routes;
mod shard_puts;
mod ticket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rheos_protocol::batch::BatchBuilder;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::StreamDescription;
use rheos_protocol::record::{BadRecord, Record, RecordView};

pub(crate) use put_stream::PutStream;
pub use ticket::{Outcome, PutRefused, Ticket};

use put_queue::Destination;
use room::Room;
use routes::Routes;
use shard_puts::ShardPuts;

use crate::core::{Alive, Core};
use crate::error::Error;

/// Puts records into a stream. Cheap to clone; clones share order, numbering and room.
///
/// Records of one shard are stored in the order in which their puts were accepted, and none is stored
/// twice. After a broken connection they are sent again by themselves. A ticket that resolves to
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
    record_bytes_max: u32,
    routes: Routes,
    /// In the order of the routes.
    shards: Vec<(u32, Arc<ShardPuts>)>,
    room: Arc<Room>,
    closed: AtomicBool,
    core: Arc<Core>,
}

impl Producer {
    pub(crate) fn new(core: &Arc<Core>, alive: &Arc<Alive>, stream: &StreamDescription) -> Result<Producer, Error> {
        let (routes, shards) = Routes::new(stream)?;
        let room = Room::new(core.lanes.options().producer_bytes_max);
        let shard_puts = |(shard, lane)| {
            let destination = Destination {
                incarnation: stream.incarnation,
                shard,
                record_bytes_max: stream.record_bytes_max,
                delivery_timeout: core.lanes.options().delivery_timeout,
            };
            (shard, Arc::new(ShardPuts::new(destination, core.put_stream(lane, shard), &room)))
        };
        let shared = Arc::new(Shared {
            stream: stream.name.clone(),
            record_bytes_max: stream.record_bytes_max,
            routes,
            shards: shards.into_iter().map(shard_puts).collect(),
            room,
            closed: AtomicBool::new(false),
            core: Arc::clone(core),
        });
        core.runtime.spawn(expire(Arc::downgrade(&shared), core.lanes.options().delivery_timeout));
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
        let (_, puts) = &shared.shards[shared.routes.place(record.hash_key())];
        let taken = shared.take_room(record.encoded_len()).await?;
        Ok(puts.push(&record, taken))
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
    /// shard before. The ticket is that of its first record. Waits for room alone.
    ///
    /// The caller routes: the broker refuses a batch with a record of another shard as a whole.
    ///
    /// # Errors
    ///
    /// [`PutRefused::Record`] when the stream has no such open shard or the batch is empty,
    /// [`PutRefused::Closed`].
    pub async fn put_batch(&self, shard: u32, records: BatchBuilder) -> Result<Ticket, PutRefused> {
        let shared = &self.shared;
        let puts = shared.open_shard(shard).ok_or_else(|| {
            let message = format!("stream {} has no open shard {shard}", shared.stream);
            PutRefused::Record(WireError::new(ErrorCode::ShardNotFound, message))
        })?;
        if records.record_count() == 0 {
            let message = format!("a batch for shard {shard} of stream {} has no records", shared.stream);
            return Err(PutRefused::Record(WireError::new(ErrorCode::BadBatch, message)));
        }
        let taken = shared.take_room(records.body_len()).await?;
        Ok(puts.push_batch(records, taken))
    }

    /// Waits until everything that was put before has an outcome.
    pub async fn flush(&self) {
        for (_, puts) in &self.shared.shards {
            for completion in puts.completions() {
                Ticket::new(&completion, 0).await;
            }
        }
    }

    /// Takes no more records, and waits until those that were put have an outcome.
    pub async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.close();
        self.flush().await;
    }

    /// The open shards, in the order of their hash ranges.
    pub fn shards(&self) -> impl Iterator<Item = u32> {
        self.shared.shards.iter().map(|(shard, _)| *shard)
    }

    /// The open shard that takes a record with this hash key.
    pub fn shard_of(&self, hash_key: u128) -> u32 {
        self.shared.shards[self.shared.routes.place(hash_key)].0
    }
}

impl Shared {
    fn open_shard(&self, shard: u32) -> Option<&Arc<ShardPuts>> {
        // Until a stream is resharded, its shards are numbered in the order of their hash ranges.
        let likely = self.shards.get(shard as usize).filter(|(number, _)| *number == shard);
        let found = likely.or_else(|| self.shards.iter().find(|(number, _)| *number == shard));
        found.map(|(_, puts)| puts)
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
        for (_, puts) in &shared.shards {
            puts.expire(&why);
            waiting |= puts.is_waiting();
        }
        kept = waiting.then_some(shared);
    }
}
