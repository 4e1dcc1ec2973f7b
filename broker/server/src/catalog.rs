//! The catalog on the disk: which streams there are, which segments of their logs, who is registered as a
//! consumer of them, which access keys were made, and what the Kinesis face keeps.
//!
//! ```
//! use rheos_broker::catalog::Catalog;
//! use rheos_broker::directory::{DataDirectory, DirectoryOptions};
//! use rheos_protocol::message::CreateStream;
//!
//! let place = tempfile::tempdir()?;
//! let directory = DataDirectory::open(place.path(), DirectoryOptions { dev: true })?;
//! let (catalog, at_start) = Catalog::open(&directory)?;
//! assert!(at_start.streams.is_empty());
//!
//! let create = CreateStream { name: "orders".to_owned(), shards: 4, ..CreateStream::default() };
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! let stream = runtime.block_on(catalog.create_stream(create, 1_700_000_000_000, 2))?;
//! catalog.raise_highest_prepared_blocking(stream.incarnation, 0, 1)?;
//! catalog.close();
//!
//! let (_, at_start) = Catalog::open(&directory)?;
//! assert_eq!(at_start.streams, [stream]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A thread of its own owns the file (redb). Whoever changes the catalog asks through a bounded queue
//! and is answered when the change is on the disk. The thread takes all that waits, changes it in one
//! transaction, and then answers: a thousand logs that prepare a segment at once cost a few syncs.
//!
//! What must hold: an answer, refusals included, never outruns the transaction that it depends on; a
//! change that failed has not happened, or its error is `Indeterminate`; a number of an incarnation is
//! never given twice. After an I/O error the file is opened again, because redb takes no more
//! transactions before that.
//!
//! What a change means is decided in [`rheos_core::catalog`]. Nothing here reads or removes a
//! segment, and nothing lists streams after the start: who serves them keeps what it was answered.

mod kinesis;
mod queue;
mod read;
mod store;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use rheos_core::catalog::{ConsumerRecord, KeyRecord, LOGS_OF_STREAM_MAX, LogRecord, Reshard, StreamRecord};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{CreateKey, CreateStream, ScalingStep, Tag, UpdateStream};
use rheos_protocol::name::{ConsumerName, StreamName};
use tokio::sync::oneshot;

use crate::directory::DataDirectory;
use crate::identity::AccessKey;
use crate::start_error::StartError;

use queue::{Message, Request};
use store::Store;
use tables::{Change, Life, Outcome, Raise};

/// Most changes that wait for the catalog's thread.
pub const CHANGES_WAITING_MAX: usize = 4_096;
/// Wait that is told when more than that would wait, in ms.
const BUSY_RETRY_MS: u32 = 100;
/// Wait that is told when the catalog takes no more changes, in ms.
const GOING_RETRY_MS: u32 = 1_000;

/// The way to the catalog's thread; every clone is the same catalog.
///
/// The thread ends when the last clone is dropped, or at [`close`](Self::close).
#[derive(Debug, Clone)]
pub struct Catalog {
    queue: Sender<Message>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A catalog that its thread is opening.
#[derive(Debug)]
pub struct OpeningCatalog {
    catalog: Catalog,
    told: Receiver<Result<CatalogAtStart, StartError>>,
    path: PathBuf,
}

impl OpeningCatalog {
    /// Waits until it is open.
    ///
    /// # Errors
    ///
    /// As [`Catalog::open`].
    pub fn opened(self) -> Result<(Catalog, CatalogAtStart), StartError> {
        // The thread says nothing when it panics, which redb may do on a damaged file.
        let damaged = |_| StartError::CatalogDamaged { path: self.path, why: "reading it failed".to_owned() };
        let at_start = self.told.recv().map_err(damaged)??;
        Ok((self.catalog, at_start))
    }
}

/// What the catalog held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogAtStart {
    /// Every stream, sorted by name.
    pub streams: Vec<Arc<StreamRecord>>,
    /// Every log of these streams, by incarnation and number.
    pub logs: BTreeMap<(u64, u32), LogRecord>,
    /// Incarnations that were deleted and whose files are still to be removed.
    pub condemned: Vec<u64>,
    /// Every registered consumer, sorted by the incarnation of its stream and by name.
    pub consumers: Vec<Arc<ConsumerRecord>>,
    /// Every access key but the administrator's own, sorted by id.
    pub keys: Vec<Arc<KeyRecord>>,
}

impl Catalog {
    /// Opens the catalog of a data directory and proves it whole, or makes one at the first start.
    ///
    /// The directory must stay ours until the catalog is closed: its lock is what keeps another broker away.
    ///
    /// # Errors
    ///
    /// When the catalog is damaged, missing although there are logs, of a newer format, or cannot be
    /// read or made.
    pub fn open(directory: &DataDirectory) -> Result<(Catalog, CatalogAtStart), StartError> {
        Catalog::begin_to_open(directory)?.opened()
    }

    /// The same for who has other things to do meanwhile: the first start waits for the disk many times.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn begin_to_open(directory: &DataDirectory) -> Result<OpeningCatalog, StartError> {
        let path = directory.layout().catalog_path();
        let (queue, waiting) = channel::bounded(CHANGES_WAITING_MAX);
        let (tell, told) = channel::bounded(1);
        let (layout, directory_id) = (directory.layout().clone(), directory.id());
        let work = move || match Store::open(&layout, directory_id) {
            Ok((store, at_start)) => {
                let _ = tell.send(Ok(at_start));
                queue::serve(store, &waiting);
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let thread = thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(work)
            .map_err(StartError::io("start the thread of", &path))?;
        let catalog = Catalog { queue, thread: Arc::new(Mutex::new(Some(thread))) };
        Ok(OpeningCatalog { catalog, told, path })
    }

    /// Makes a stream. `now_ms` is the wall clock in ms since 1970, `lanes` the number of lanes, 1 to 256.
    ///
    /// A caller that stops waiting does not stop the change; the same is true of all changes here.
    ///
    /// # Errors
    ///
    /// `BadRequest`, `StreamExists`, `LimitExceeded`; and those of the disk and the queue, as for every
    /// change: `StorageFull`, `ReadOnly` and `Internal` (it has not happened), `Indeterminate` (it may
    /// have), `Busy`, `GoingAway`.
    ///
    /// # Panics
    ///
    /// When `lanes` is out of range.
    pub async fn create_stream(
        &self,
        create: CreateStream,
        now_ms: u64,
        lanes: u16,
    ) -> Result<Arc<StreamRecord>, WireError> {
        self.create_tagged_stream(create, Vec::new(), now_ms, lanes).await
    }

    /// The same, with tags from the beginning.
    ///
    /// # Errors
    ///
    /// As for [`create_stream`](Self::create_stream), and those of the tags.
    ///
    /// # Panics
    ///
    /// When `lanes` is out of range.
    pub async fn create_tagged_stream(
        &self,
        create: CreateStream,
        tags: Vec<Tag>,
        now_ms: u64,
        lanes: u16,
    ) -> Result<Arc<StreamRecord>, WireError> {
        // Here and not on the catalog's thread, which serves others too.
        assert!((1..=LOGS_OF_STREAM_MAX).contains(&u32::from(lanes)), "a broker has 1 to 256 lanes, not {lanes}");
        Ok(self.change(Change::Create { create, tags, now_ms, lanes }).await?.into_stream())
    }

    /// Deletes a stream: it is gone from the catalog, and its incarnation is condemned until
    /// [`forget_condemned`](Self::forget_condemned).
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, and those of every change.
    pub async fn delete_stream(&self, name: &StreamName) -> Result<Arc<StreamRecord>, WireError> {
        Ok(self.change(Change::Delete { name: name.clone() }).await?.into_stream())
    }

    /// Writes down the intent to reshard a stream: by request, or as this step of an on-demand one.
    ///
    /// # Errors
    ///
    /// `BadRequest` when the stream's mode gives that to others,
    /// `StreamNotFound`, `Resharding` while another has begun, those of
    /// [`plan_reshard`](rheos_core::catalog::plan_reshard), `LimitExceeded` for a broker with too many shards, and
    /// those of every change.
    pub async fn begin_reshard(
        &self,
        stream: &StreamName,
        reshard: Reshard,
        step: Option<ScalingStep>,
    ) -> Result<Arc<StreamRecord>, WireError> {
        let step = step.map(Box::new);
        Ok(self.change(Change::BeginReshard { stream: stream.clone(), reshard, step }).await?.into_stream())
    }

    /// Closes the parents of the reshard that has begun, each at its end in `ends`, and opens the children.
    /// Changes nothing when that was done before.
    ///
    /// # Errors
    ///
    /// `StreamNotFound` when this life of the stream is gone, and those of every change.
    pub async fn finish_reshard(
        &self,
        stream: &StreamRecord,
        ends: BTreeMap<u32, u64>,
        now_ms: u64,
    ) -> Result<Arc<StreamRecord>, WireError> {
        let change = Change::FinishReshard { life: Life::of(stream), ends, now_ms };
        Ok(self.change(change).await?.into_stream())
    }

    /// Takes the intent to reshard a stream back. Changes nothing when there is none.
    ///
    /// # Errors
    ///
    /// As for [`finish_reshard`](Self::finish_reshard).
    pub async fn abandon_reshard(&self, stream: &StreamRecord, now_ms: u64) -> Result<Arc<StreamRecord>, WireError> {
        Ok(self.change(Change::AbandonReshard { life: Life::of(stream), now_ms }).await?.into_stream())
    }

    /// Writes down what stands against a step of an on-demand stream. Changes nothing when that was the last to be said.
    ///
    /// # Errors
    ///
    /// As for [`finish_reshard`](Self::finish_reshard).
    pub async fn note_step(&self, stream: &StreamRecord, step: ScalingStep) -> Result<(), WireError> {
        self.change(Change::NoteStep { life: Life::of(stream), step: Box::new(step) }).await.map(drop)
    }

    /// The steps of the on-demand stream of this name that are remembered, the newest first.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, and those of every change.
    pub async fn list_steps(&self, stream: &StreamName) -> Result<Vec<ScalingStep>, WireError> {
        Ok(self.change(Change::ListSteps { stream: stream.clone() }).await?.into_steps())
    }

    /// Forgets those of these closed shards, whose records have expired, that may go.
    ///
    /// # Errors
    ///
    /// As for [`finish_reshard`](Self::finish_reshard).
    pub async fn forget_shards(
        &self,
        stream: &StreamRecord,
        expired: BTreeSet<u32>,
    ) -> Result<Arc<StreamRecord>, WireError> {
        Ok(self.change(Change::ForgetShards { life: Life::of(stream), expired }).await?.into_stream())
    }

    /// Changes the terms of the stream of this name, of which everything before `horizon_ms` has expired. Changes
    /// nothing when they are so already.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, `BadRequest`, and those of every change.
    pub async fn update_stream(
        &self,
        stream: &StreamName,
        update: UpdateStream,
        horizon_ms: u64,
    ) -> Result<Arc<StreamRecord>, WireError> {
        Ok(self
            .change(Change::Update { stream: stream.clone(), update: Box::new(update), horizon_ms })
            .await?
            .into_stream())
    }

    /// Changes tags of the stream of this name.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, `BadRequest`, `LimitExceeded`, and those of every change.
    pub async fn tag_stream(
        &self,
        stream: &StreamName,
        set: Vec<Tag>,
        remove: Vec<String>,
    ) -> Result<Arc<StreamRecord>, WireError> {
        let change = Change::Tag { stream: stream.clone(), consumer: None, set, remove };
        Ok(self.change(change).await?.into_stream())
    }

    /// Changes tags of a consumer.
    ///
    /// # Errors
    ///
    /// As for a stream's, and `ConsumerNotFound`.
    pub async fn tag_consumer(
        &self,
        stream: &StreamName,
        consumer: &ConsumerName,
        set: Vec<Tag>,
        remove: Vec<String>,
    ) -> Result<Arc<ConsumerRecord>, WireError> {
        let change = Change::Tag { stream: stream.clone(), consumer: Some(consumer.clone()), set, remove };
        Ok(self.change(change).await?.into_consumer())
    }

    /// Writes down that `segment` of a log is about to be made. Changes nothing when a higher one was.
    ///
    /// # Errors
    ///
    /// `StreamNotFound` when the incarnation is gone, and those of every change.
    pub async fn raise_highest_prepared(&self, incarnation: u64, log: u32, segment: u64) -> Result<(), WireError> {
        let raise = Raise::HighestPrepared(segment);
        self.change(Change::Raise { incarnation, log, raise }).await.map(drop)
    }

    /// As [`raise_highest_prepared`](Self::raise_highest_prepared), for a plain thread. Waits for room
    /// in the queue instead of being refused.
    ///
    /// # Errors
    ///
    /// As there, but never `Busy`.
    ///
    /// # Panics
    ///
    /// On a thread that runs async tasks.
    pub fn raise_highest_prepared_blocking(&self, incarnation: u64, log: u32, segment: u64) -> Result<(), WireError> {
        let raise = Raise::HighestPrepared(segment);
        let (answer, answered) = oneshot::channel();
        let request = Request { change: Change::Raise { incarnation, log, raise }, answer };
        self.queue.send(Message::Change(request)).map_err(|_| going_away())?;
        answered.blocking_recv().unwrap_or_else(|_| Err(going_away())).map(drop)
    }

    /// Writes down that the segments of a log below `segment` may be removed. Changes nothing when a
    /// higher one is the lowest already.
    ///
    /// # Errors
    ///
    /// `StreamNotFound` when the incarnation is gone, and those of every change.
    pub async fn raise_lowest_kept(&self, incarnation: u64, log: u32, segment: u64) -> Result<(), WireError> {
        let raise = Raise::LowestKept(segment);
        self.change(Change::Raise { incarnation, log, raise }).await.map(drop)
    }

    /// Writes down that the files of a deleted stream are gone. Changes nothing when that is known.
    ///
    /// # Errors
    ///
    /// Those of every change.
    pub async fn forget_condemned(&self, incarnation: u64) -> Result<(), WireError> {
        self.change(Change::Forget { incarnation }).await.map(drop)
    }

    /// Registers a consumer with the life that the stream of this name has now, and promises it so many bytes a
    /// second; 0 promises nothing. That the promise can be kept was seen to before.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, `BadRequest`, `ConsumerExists`, `LimitExceeded`, and those of every change.
    pub async fn register_consumer(
        &self,
        stream: &StreamName,
        consumer: &str,
        reserved_bytes: u64,
        now_ms: u64,
    ) -> Result<Arc<ConsumerRecord>, WireError> {
        self.register_tagged_consumer(stream, consumer, reserved_bytes, Vec::new(), now_ms).await
    }

    /// The same, with tags from the beginning.
    ///
    /// # Errors
    ///
    /// As for [`register_consumer`](Self::register_consumer), and those of the tags.
    pub async fn register_tagged_consumer(
        &self,
        stream: &StreamName,
        consumer: &str,
        reserved_bytes: u64,
        tags: Vec<Tag>,
        now_ms: u64,
    ) -> Result<Arc<ConsumerRecord>, WireError> {
        let (stream, consumer) = (stream.clone(), consumer.to_owned());
        let change = Change::RegisterConsumer { stream, consumer, reserved_bytes, tags, now_ms };
        Ok(self.change(change).await?.into_consumer())
    }

    /// Promises a consumer another number of bytes a second, or with 0 nothing. Changes nothing when it is so already.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, `ConsumerNotFound`, `BadRequest`, and those of every change.
    pub async fn reserve(
        &self,
        stream: &StreamName,
        consumer: &ConsumerName,
        reserved_bytes: u64,
    ) -> Result<Arc<ConsumerRecord>, WireError> {
        let (stream, consumer) = (stream.clone(), consumer.clone());
        Ok(self.change(Change::Reserve { stream, consumer, reserved_bytes }).await?.into_consumer())
    }

    /// Deregisters a consumer.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, `ConsumerNotFound`, and those of every change.
    pub async fn deregister_consumer(
        &self,
        stream: &StreamName,
        consumer: &ConsumerName,
    ) -> Result<Arc<ConsumerRecord>, WireError> {
        let (stream, consumer) = (stream.clone(), consumer.clone());
        Ok(self.change(Change::DeregisterConsumer { stream, consumer }).await?.into_consumer())
    }

    /// Keeps an access key that was just drawn, see [`AccessKey::generate`].
    ///
    /// # Errors
    ///
    /// `BadRequest`, `KeyExists`, `LimitExceeded`, and those of every change.
    pub async fn create_key(
        &self,
        create: CreateKey,
        key: AccessKey,
        now_ms: u64,
    ) -> Result<Arc<KeyRecord>, WireError> {
        Ok(self.change(Change::CreateKey { create, key, now_ms }).await?.into_key())
    }

    /// Revokes the access key of this id or name. Whoever is connected with it is the caller's affair.
    ///
    /// # Errors
    ///
    /// `KeyNotFound`, and those of every change.
    pub async fn revoke_key(&self, id_or_name: &str) -> Result<Arc<KeyRecord>, WireError> {
        Ok(self.change(Change::RevokeKey { id_or_name: id_or_name.to_owned() }).await?.into_key())
    }

    /// Ends the catalog for every clone. When this returns, everything asked for before is done and
    /// answered, and the file is closed. Blocks; what is asked for later is refused.
    pub fn close(self) {
        // A thread that has ended takes no message and needs none.
        let _ = self.queue.send(Message::Close);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(_)) = thread.take().map(JoinHandle::join) {
            tracing::error!("the catalog's thread has panicked");
        }
    }

    async fn change(&self, change: Change) -> Outcome {
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Message::Change(Request { change, answer })) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(going_away())),
            Err(TrySendError::Full(_)) => Err(busy()),
            Err(TrySendError::Disconnected(_)) => Err(going_away()),
        }
    }
}

fn busy() -> WireError {
    let message = format!("{CHANGES_WAITING_MAX} changes of the catalog are waiting; try again in a moment");
    WireError::retry_after(ErrorCode::Busy, BUSY_RETRY_MS, message)
}

fn going_away() -> WireError {
    let message = "the catalog takes no more changes: the broker stops, or its log says why";
    WireError::retry_after(ErrorCode::GoingAway, GOING_RETRY_MS, message)
}

#[cfg(test)]
mod tests;
