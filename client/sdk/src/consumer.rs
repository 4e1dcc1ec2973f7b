//! A registered consumer: every shard of a stream is pushed to it.
//!
//! ```text
//!   push stream -> prove -> feed of the shard -> in turn -> the program
//!                                    |
//!              subscribe, credit <- carrier, one for each lane
//! ```
//!
//! What must hold: the records of a shard come in order, without a gap or a repeat, over any number of
//! connections; a program that does not take them costs a bounded number of bytes and holds up nobody
//! else. How a shard lives is in [`feed`], what is shared in [`feeds`], how it is asked for in
//! [`carrier`], which shards there are in [`lineage`] and [`steward`].

mod builder;
mod carrier;
mod feed;
mod feeds;
mod lineage;
mod positions;
mod steward;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rheos_protocol::batch::Batch;
use tokio::task::AbortHandle;

pub use builder::ConsumerBuilder;
pub(crate) use feeds::Feeds;
pub use positions::Positions;

use positions::Place;

use crate::core::{Alive, Core};
use crate::error::Error;
use crate::reader::{ReadBatches, ReadRecord};

/// Takes what is pushed to a registered consumer.
///
/// The records of one shard come in order, each once, however often the connection breaks or the broker
/// starts again meanwhile; a broken connection is noticed in under a second. Shards take turns, push by
/// push. When a shard was split or merged, its records come before those of its children, which are read
/// whole.
///
/// ```
/// # mod peer { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/mod.rs")); }
/// use rheos_client::{Client, ConnectOptions, Position, Record};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let peer = peer::Peer::start();
/// # peer.create("flights", 4);
/// # peer.register("flights", "billing");
/// # let options = ConnectOptions::from_url(&peer.url())?;
/// let client = Client::connect(options).await?;
/// let mut consumer = client.consumer("flights", "billing").from(Position::Latest).start().await?;
///
/// let producer = client.producer("flights").await?;
/// producer.put(Record::new("AA", "flight 1141 departed")).await?.await;
///
/// let pushed = consumer.next().await?.expect("the client is open");
/// assert_eq!(&pushed.record.data[..], b"flight 1141 departed");
///
/// // What was taken so far, for a file; the next life of the program resumes there.
/// let positions = consumer.positions().to_string();
/// drop(consumer);
/// let resumed = client.consumer("flights", "billing").resume(&positions.parse()?).start().await?;
/// assert_eq!(resumed.positions().to_string(), positions);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
///
/// # What ends it
///
/// [`Error::Trimmed`] names a shard that goes on, with the first record that is kept: what was to come
/// before is gone. Every other error is the last: [`Error::Superseded`] when somebody else consumes under
/// the same name, [`Error::Deregistered`], [`Error::Damaged`] after the last record before the damage (to
/// go on behind it, acknowledge its last sequence and resume), and what tells of a broker that does wrong.
/// What was pushed and not taken by then is not in [`positions`](Self::positions).
///
/// Dropping it ends the subscriptions.
#[derive(Debug)]
pub struct Consumer {
    feeds: Arc<Feeds>,
    /// What was taken of which the program was not given everything.
    unread: Option<ReadBatches>,
    /// Records of the batch before, that were not given yet.
    records: VecDeque<ReadRecord>,
    batch: Option<Batch>,
    steward: AbortHandle,
    _alive: Arc<Alive>,
}

impl Consumer {
    fn start(core: &Arc<Core>, alive: &Arc<Alive>, feeds: Arc<Feeds>) -> Consumer {
        let steward = core.runtime.spawn(steward::attend(Arc::clone(&feeds), Arc::clone(core))).abort_handle();
        let _alive = Arc::clone(alive);
        Consumer { feeds, unread: None, records: VecDeque::new(), batch: None, steward, _alive }
    }

    /// The next record of any shard; waits for one. `None` once the client is closed, after an error that
    /// was the last, or when all shards were read to their end and have no children.
    ///
    /// May be given up at any await: no record is lost by it.
    ///
    /// # Errors
    ///
    /// As for the [type](Consumer#what-ends-it).
    pub async fn next(&mut self) -> Result<Option<ReadRecord>, Error> {
        poll_fn(|context| self.poll_record(context)).await.transpose()
    }

    /// The next batches of any shard, without copying a record; waits for some. `None` as for
    /// [`next`](Self::next).
    ///
    /// May be given up at any await: no record is lost by it.
    ///
    /// # Errors
    ///
    /// As for the [type](Consumer#what-ends-it).
    pub async fn next_batches(&mut self) -> Result<Option<ReadBatches>, Error> {
        self.give_back();
        match self.unread.take() {
            Some(read) => Ok(Some(read)),
            None => poll_fn(|context| self.feeds.poll_take(context)).await.transpose(),
        }
    }

    /// How far the program has come: everything that it was given is covered.
    pub fn positions(&self) -> Positions {
        let mut positions = self.feeds.positions();
        let due = self.records.front().map(|record| (record.shard, record.sequence));
        let unread = || self.unread.as_ref().and_then(|read| Some((read.shard, read.next_to_give()?)));
        if let Some((shard, next)) = due.or_else(unread) {
            positions.replace(shard, Place::Next(next));
        }
        positions
    }

    fn poll_record(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ReadRecord, Error>>> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Poll::Ready(Some(Ok(record)));
            }
            if let Some((batch, records)) = self.unread.as_mut().and_then(ReadBatches::take_batch) {
                (self.batch, self.records) = (Some(batch), records);
                continue;
            }
            (self.unread, self.batch) = (None, None);
            match ready!(self.feeds.poll_take(context)) {
                Some(Ok(read)) => self.unread = Some(read),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Puts what was not given of the batch back in front of the others.
    fn give_back(&mut self) {
        let batch = self.batch.take();
        let next = self.records.front().map(|record| record.sequence);
        self.records.clear();
        if let (Some(unread), Some(batch), Some(next)) = (&mut self.unread, batch, next) {
            unread.put_back(batch, next);
        }
        self.unread.take_if(|unread| unread.is_empty());
    }
}

impl Stream for Consumer {
    type Item = Result<ReadRecord, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_record(context)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.steward.abort();
    }
}
