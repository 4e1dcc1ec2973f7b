//! Reads a shard, one request after the other, from a position on.
//!
//! While the batches of one reply are on their way, the next is already asked for: where it begins
//! stands at the front of each reply. What must hold: at most two requests are open; every batch is
//! proved before anybody sees it; records are dense, unless the broker says what is missing and why.
//!
//! A failed read leaves the position where it was: reading again tries again,
//! [`skip_to`](Reader::skip_to) goes on elsewhere.

pub(crate) mod proof;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rheos_protocol::error::{ErrorCode, Retry, WireError};
use rheos_protocol::limits::READ_BYTES_MAX;
use rheos_protocol::message::{Batches, Position, Read, Reply, Request, ShardDescription};
use rheos_protocol::record::Record;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use proof::{ReadBatches, RecordAt};

use crate::client::unexpected;
use crate::core::{Alive, Core};
use crate::error::Error;

/// Most reads that are open at once.
const READS_AHEAD_MAX: usize = 3;
/// First wait at the tip; it doubles while nothing comes.
const TIP_WAIT_LEAST: Duration = Duration::from_millis(1);
/// Longest wait at the tip.
const TIP_WAIT_MAX: Duration = Duration::from_millis(50);
/// How long the broker may take to begin an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How many times in a row a busy broker is asked again before its error is the caller's.
const BUSY_MAX: u32 = 30;
/// Longest wait that a busy broker may ask for.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest wait that a limit may ask for.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Reads one shard in order.
#[derive(Debug)]
pub struct Reader {
    core: Arc<Core>,
    _alive: Arc<Alive>,
    incarnation: u64,
    shard: u32,
    /// The lane that is asked for it.
    lane: u16,
    /// Where the first of `ahead` begins.
    position: Position,
    ahead: VecDeque<ReadAhead>,
    /// Records of a batch that [`next`](Reader::next) has not given out yet.
    records: VecDeque<ReadRecord>,
    /// What was read of which `next` has given out nothing yet.
    unread: Option<ReadBatches>,
    /// What the shard was split or merged into, once it was read to its end.
    children: Option<Vec<u32>>,
    tip_wait: Duration,
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// The shard it was read from.
    pub shard: u32,
    /// Its place in the shard.
    pub sequence: u64,
    /// When the broker took it, ms since 1970.
    pub arrival_ms: u64,
    /// How far the read that brought it was behind the tip, in ms; 0 at the tip.
    pub behind_ms: u64,
    /// Key and data.
    pub record: Record,
}

/// A read that was asked for.
#[derive(Debug)]
struct ReadAhead {
    /// The fields of the reply, which come before its batches; `None` once they were looked at.
    fields: Option<oneshot::Receiver<Batches>>,
    reply: JoinHandle<Result<Batches, Error>>,
}

impl Reader {
    pub(crate) fn new(
        core: &Arc<Core>,
        alive: &Arc<Alive>,
        incarnation: u64,
        shard: &ShardDescription,
        position: Position,
    ) -> Reader {
        Reader {
            core: Arc::clone(core),
            _alive: Arc::clone(alive),
            incarnation,
            shard: shard.shard,
            lane: shard.lane,
            position,
            ahead: VecDeque::with_capacity(READS_AHEAD_MAX),
            records: VecDeque::new(),
            unread: None,
            children: None,
            tip_wait: TIP_WAIT_LEAST,
        }
    }

    /// The shard that is read.
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// Where the next record is read.
    pub fn position(&self) -> Position {
        let unread = self.unread.as_ref().and_then(ReadBatches::next_to_give);
        let sequence = self.records.front().map(|record| record.sequence).or(unread);
        sequence.map_or(self.position, Position::AtSequence)
    }

    /// Reads on elsewhere.
    pub fn skip_to(&mut self, position: Position) {
        self.position = position;
        self.forget();
    }

    /// When the shard was split or merged and everything in it was read: the shards that take what it took, whose
    /// records come after its own. `None` before that.
    pub fn children(&self) -> Option<&[u32]> {
        let is_given = self.records.is_empty() && self.unread.as_ref().is_none_or(ReadBatches::is_empty);
        self.children.as_deref().filter(|_| is_given)
    }

    /// The next record; waits for one at the tip. `None` once the client is closed, and after the last record of a
    /// shard that was split or merged; then there are [`children`](Self::children).
    ///
    /// May be given up at any await: no record is lost by it.
    ///
    /// # Errors
    ///
    /// As for [`read_once`](Self::read_once).
    pub async fn next(&mut self) -> Result<Option<ReadRecord>, Error> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Ok(Some(record));
            }
            if let Some((_, records)) = self.unread.as_mut().and_then(ReadBatches::take_batch) {
                self.records = records;
                continue;
            }
            self.unread = None;
            if self.children.is_some() {
                return Ok(None);
            }
            match self.batches_at_tip().await {
                Ok(read) => self.unread = Some(read),
                Err(Error::Closed) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The batches from the position on, at least one record; waits for them at the tip. At the end of a shard that
    /// was split or merged there are none, and [`children`](ReadBatches::children).
    ///
    /// May be given up at any await: no record is lost by it.
    ///
    /// # Errors
    ///
    /// As for [`read_once`](Self::read_once).
    pub async fn next_batches(&mut self) -> Result<ReadBatches, Error> {
        self.give_back();
        self.batches_at_tip().await
    }

    /// One round trip: the batches from the position on, none at the tip.
    ///
    /// # Errors
    ///
    /// [`Error::Trimmed`] and [`Error::Damaged`] say where reading can go on; [`Error::Gap`] and
    /// [`Error::Protocol`] that the broker failed; [`Error::Broker`] what it refused; [`Error::Lost`]
    /// and those of connecting that it is out of reach.
    pub async fn read_once(&mut self) -> Result<ReadBatches, Error> {
        self.give_back();
        self.read().await
    }

    async fn batches_at_tip(&mut self) -> Result<ReadBatches, Error> {
        let mut busy = 0;
        loop {
            match self.read().await {
                Ok(read) if read.is_empty() && read.children.is_none() => {
                    tokio::time::sleep(self.tip_wait).await;
                    self.tip_wait = (self.tip_wait * 2).min(TIP_WAIT_MAX);
                    busy = 0;
                }
                Ok(read) => {
                    self.tip_wait = TIP_WAIT_LEAST;
                    return Ok(read);
                }
                // A limit is no failure: whoever waits as told is let through.
                Err(Error::Broker(WireError { code: ErrorCode::OverLimit, retry: Retry::After(wait_ms), .. })) => {
                    tokio::time::sleep(Duration::from_millis(u64::from(wait_ms.max(1))).min(LIMIT_WAIT_MAX)).await;
                }
                Err(Error::Broker(WireError { retry: Retry::After(wait_ms), .. })) if busy < BUSY_MAX => {
                    busy += 1;
                    let wait = Duration::from_millis(u64::from(wait_ms.max(1)));
                    tokio::time::sleep(wait.min(BUSY_WAIT_MAX)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One read, once more on a new connection when the first one breaks.
    async fn read(&mut self) -> Result<ReadBatches, Error> {
        let mut outcome = self.read_ahead().await;
        if let Err(Error::Lost { .. }) = outcome {
            self.ahead.clear();
            outcome = self.read_ahead().await;
        }
        if outcome.is_err() {
            self.ahead.clear();
        }
        outcome.map_err(|error| match error {
            Error::Broker(error) => Error::of_shard(self.shard, error),
            error => error,
        })
    }

    async fn read_ahead(&mut self) -> Result<ReadBatches, Error> {
        if self.ahead.is_empty() {
            let first = self.ask(self.position);
            self.ahead.push_back(first);
        }
        if self.ahead.len() < READS_AHEAD_MAX
            && let Some(fields) = self.ahead[0].fields().await
            && fields.next_sequence < fields.tip_sequence
        {
            let second = self.ask(Position::AtSequence(fields.next_sequence));
            self.ahead.push_back(second);
        }
        let reply = (&mut self.ahead[0].reply).await;
        self.ahead.pop_front();
        let reply = reply.unwrap_or_else(|error| Err(Error::lost(error)))?;
        let read = ReadBatches::prove(reply, self.incarnation, self.shard, self.position)?;
        self.position = Position::AtSequence(read.next_sequence);
        self.children.clone_from(&read.children);
        Ok(read)
    }

    fn ask(&self, position: Position) -> ReadAhead {
        let read = Read { incarnation: self.incarnation, shard: self.shard, position, bytes_max: READ_BYTES_MAX };
        let (tell, fields) = oneshot::channel();
        let reply = self.core.runtime.spawn(fetch(Arc::clone(&self.core), self.lane, Request::Read(read), tell));
        ReadAhead { fields: Some(fields), reply }
    }

    /// Goes back to the first record that was read and not given out.
    fn give_back(&mut self) {
        if !self.records.is_empty() || self.unread.is_some() {
            self.skip_to(self.position());
        }
    }

    fn forget(&mut self) {
        self.ahead.clear();
        self.records.clear();
        (self.unread, self.children) = (None, None);
    }
}

impl ReadAhead {
    async fn fields(&mut self) -> Option<Batches> {
        let fields = self.fields.as_mut()?.await.ok();
        self.fields = None;
        fields
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.reply.abort();
    }
}

/// Reads once; tells the fields of the reply as soon as they are here.
async fn fetch(core: Arc<Core>, lane: u16, request: Request, tell: oneshot::Sender<Batches>) -> Result<Batches, Error> {
    let session = core.lanes.link(lane).session().await?;
    let begin = async {
        let (mut frames, id) = session.ask(&request).await?;
        let fields = frames.batches_fields().await?;
        Ok((frames, id, fields))
    };
    let begun = timeout(ANSWER_MAX, session.attended(begin)).await;
    let (mut frames, id, fields) = begun.unwrap_or_else(|_| Err(Error::lost("the broker did not answer for 60 s")))?;
    if let Some(fields) = fields {
        // Nobody listens when the reader does not read ahead.
        let _ = tell.send(fields);
    }
    match session.attended(frames.reply(id)).await? {
        Reply::Batches(batches) => Ok(batches),
        other => Err(unexpected("read", &other)),
    }
}
