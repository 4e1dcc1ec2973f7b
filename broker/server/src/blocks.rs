//! Blocks of segments behind the tail: read through a ring of their own, some kept for the next reader.
//!
//! A task on the lane's thread owns the ring; who wants blocks, on this lane or another, asks it and
//! waits. What is kept are
//! heads and indexes, in bounded memory; records are not, they are read again.
//!
//! What must hold: reads never take the commits' ring, and no more of them are in flight than it has
//! entries; a segment's file is opened once for many reads, and no more files than a bound are open.

mod perform;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use rheos_core::limits::{BLOCK_BYTES, SEGMENT_FILE_BYTES_MAX};
use rheos_core::log::LogId;
use rheos_core::reader::ReadPlace;
use rustix::fs::OFlags;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

use crate::directory::DataDirectory;
use crate::disk::{AlignedBuffer, BufferPool, ReadDone, ReadRing, RingWait};

pub(crate) use perform::perform;

/// Most reads in flight on the ring.
const READS_IN_FLIGHT_MAX: u32 = 64;
/// Most reads that wait for the ring; who asks beyond that waits to ask.
const READS_WAITING_MAX: usize = 256;
/// Bytes of blocks that are kept.
const KEPT_BYTES_MAX: usize = 32 << 20;
/// Largest piece that is kept.
const KEPT_PIECE_BYTES_MAX: usize = 4 << 20;
/// Most segment files open for reading.
const OPEN_FILES_MAX: usize = 128;
/// Unit in which a whole segment is read.
const PIECE_BYTES: usize = 1 << 20;
/// Unit in which reads that may wait are given to the disk: some 200 us each.
const GENTLE_PIECE_BYTES: usize = 256 << 10;
/// Unused read buffers that are kept.
const POOL_BYTES: usize = 32 << 20;

/// The way to the blocks; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    directory: Arc<DataDirectory>,
    reads: mpsc::Sender<BlockRead>,
    kept: Arc<Mutex<Kept>>,
    wholes: Arc<Semaphore>,
    /// Largest piece of a read that is given to the disk at once.
    piece_bytes: usize,
}

#[derive(Debug)]
struct BlockRead {
    file: Arc<File>,
    offset: u64,
    len: usize,
    piece_bytes: usize,
    reply: oneshot::Sender<io::Result<Bytes>>,
}

/// A read that was begun before it was asked for.
#[derive(Debug)]
pub(crate) struct Ahead {
    segment: u64,
    place: ReadPlace,
    answer: oneshot::Receiver<io::Result<Bytes>>,
}

impl Ahead {
    /// Whether this is what is asked for.
    pub(crate) fn is(&self, segment: u64, place: ReadPlace) -> bool {
        (self.segment, self.place) == (segment, place)
    }

    /// Its bytes.
    pub(crate) async fn bytes(self) -> io::Result<Bytes> {
        self.answer.await.map_err(|_| io::Error::other("the lane has stopped"))?
    }
}

type Place = (LogId, u64, ReadPlace);

#[derive(Debug, Default)]
struct Kept {
    blocks: BTreeMap<Place, Bytes>,
    blocks_order: VecDeque<Place>,
    bytes: usize,
    files: BTreeMap<(LogId, u64), Arc<File>>,
    files_order: VecDeque<(LogId, u64)>,
}

impl Blocks {
    /// Blocks of a data directory, and what is asked of the lane that reads them.
    pub(crate) fn new(directory: Arc<DataDirectory>) -> (Blocks, BlocksAsked) {
        let (reads, asked) = mpsc::channel(READS_WAITING_MAX);
        (
            Blocks {
                directory,
                reads,
                kept: Arc::default(),
                wholes: Arc::new(Semaphore::new(1)),
                piece_bytes: usize::MAX,
            },
            BlocksAsked(asked),
        )
    }

    /// Reads a place of a segment; what is beyond the end of the file is left out.
    ///
    /// # Errors
    /// `NotFound` when the segment is gone, and whatever the disk says.
    pub(crate) async fn read(&self, log: LogId, segment: u64, place: ReadPlace, keep: bool) -> io::Result<Bytes> {
        let key = (log, segment, place);
        if let Some(bytes) = self.kept().blocks.get(&key) {
            return Ok(bytes.clone());
        }
        let file = self.file(log, segment)?;
        let bytes = match place {
            ReadPlace::At(offset, len) => self.read_at(&file, offset, len).await?,
            ReadPlace::LastBlock => {
                let blocks = file.metadata()?.len() / BLOCK_BYTES;
                self.read_at(&file, blocks.saturating_sub(1) * BLOCK_BYTES, BLOCK_BYTES as usize).await?
            }
            ReadPlace::Whole => self.read_whole(&file).await?,
        };
        if keep && bytes.len() <= KEPT_PIECE_BYTES_MAX {
            self.kept().keep(key, bytes.clone());
        }
        Ok(bytes)
    }

    /// The same blocks, read in pieces between which commits have their turn at the disk.
    pub(crate) fn gently(&self) -> Blocks {
        Blocks { piece_bytes: GENTLE_PIECE_BYTES, ..self.clone() }
    }

    /// Begins to read what will be wanted next, when the ring has room for it.
    pub(crate) fn begin(&self, log: LogId, segment: u64, place: ReadPlace) -> Option<Ahead> {
        let ReadPlace::At(offset, len) = place else { return None };
        let file = self.file(log, segment).ok()?;
        let (reply, answer) = oneshot::channel();
        self.reads.try_send(BlockRead { file, offset, len, piece_bytes: self.piece_bytes, reply }).ok()?;
        Some(Ahead { segment, place, answer })
    }

    /// Waits for the turn of whoever reads a whole segment.
    pub(crate) async fn whole_turn(&self) -> SemaphorePermit<'_> {
        self.wholes.acquire().await.expect("it is never closed")
    }

    /// Lets go of the segments of a log below this one: a file that is held open keeps its room on the disk.
    pub(crate) fn forget(&self, log: LogId, below: u64) {
        let mut kept = self.kept();
        let Kept { blocks, blocks_order, bytes, files, files_order } = &mut *kept;
        let of_those = |of: LogId, segment: u64| of == log && segment < below;
        blocks_order.retain(|(of, segment, _)| !of_those(*of, *segment));
        blocks.retain(|(of, segment, _), piece| {
            let stays = !of_those(*of, *segment);
            *bytes -= if stays { 0 } else { piece.len() };
            stays
        });
        files_order.retain(|(of, segment)| !of_those(*of, *segment));
        files.retain(|(of, segment), _| !of_those(*of, *segment));
    }

    async fn read_whole(&self, file: &Arc<File>) -> io::Result<Bytes> {
        let len = file.metadata()?.len().min(SEGMENT_FILE_BYTES_MAX) as usize;
        let mut whole = BytesMut::with_capacity(len);
        while whole.len() < len {
            let piece = self.read_at(file, whole.len() as u64, PIECE_BYTES).await?;
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn read_at(&self, file: &Arc<File>, offset: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let gone = || io::Error::other("the lane has stopped");
        let (reply, answer) = oneshot::channel();
        let (file, piece_bytes) = (Arc::clone(file), self.piece_bytes);
        let read = BlockRead { file, offset, len, piece_bytes, reply };
        self.reads.send(read).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn file(&self, log: LogId, segment: u64) -> io::Result<Arc<File>> {
        if let Some(file) = self.kept().files.get(&(log, segment)) {
            return Ok(Arc::clone(file));
        }
        let flags = if self.directory.is_direct() { OFlags::DIRECT.bits() as i32 } else { 0 };
        let path = self.directory.layout().segment_path(log.incarnation, log.log, segment);
        let file = Arc::new(OpenOptions::new().read(true).custom_flags(flags).open(path)?);
        self.kept().keep_file((log, segment), Arc::clone(&file));
        Ok(file)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics while holding the blocks")
    }
}

/// What is asked of a lane's blocks, until the lane reads it.
#[derive(Debug)]
pub(crate) struct BlocksAsked(mpsc::Receiver<BlockRead>);

impl BlocksAsked {
    /// The task that reads. To be made on the lane's thread and spawned there.
    ///
    /// # Errors
    /// When the kernel gives no ring.
    pub(crate) fn reader(self) -> io::Result<impl Future<Output = ()> + Send> {
        let ring = ReadRing::new(READS_IN_FLIGHT_MAX)?;
        let wait = RingWait::new(&ring)?;
        let (pool, reads) = (BufferPool::new(POOL_BYTES), BTreeMap::new());
        Ok(Reader { asked: self.0, ring, wait, pool, reads, next: 0 }.run())
    }
}

impl Kept {
    fn keep(&mut self, place: Place, bytes: Bytes) {
        self.bytes += bytes.len();
        // Two readers may have read the same place at once.
        match self.blocks.insert(place, bytes) {
            Some(before) => self.bytes -= before.len(),
            None => self.blocks_order.push_back(place),
        }
        while self.bytes > KEPT_BYTES_MAX {
            let oldest = self.blocks_order.pop_front().expect("bytes are kept under places");
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }

    fn keep_file(&mut self, segment: (LogId, u64), file: Arc<File>) {
        if self.files.insert(segment, file).is_none() {
            self.files_order.push_back(segment);
        }
        if self.files_order.len() > OPEN_FILES_MAX {
            let oldest = self.files_order.pop_front().expect("there are many");
            self.files.remove(&oldest);
        }
    }
}

/// The task that owns the ring.
struct Reader {
    asked: mpsc::Receiver<BlockRead>,
    ring: ReadRing,
    wait: RingWait,
    pool: BufferPool,
    /// What is on its way, and how much of it is not asked for yet.
    reads: BTreeMap<u64, BlockRead>,
    next: u64,
}

impl Reader {
    async fn run(mut self) {
        let mut ends = Vec::new();
        poll_fn(|cx| self.turn(&mut ends, cx)).await;
    }

    fn turn(&mut self, ends: &mut Vec<ReadDone>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.wait.poll(&mut self.ring, cx).is_ready() {
                self.ring.reap(ends);
                for end in ends.drain(..) {
                    self.answer(end);
                }
                continue;
            }
            if self.ring.in_flight() == READS_IN_FLIGHT_MAX as usize {
                return Poll::Pending;
            }
            match self.asked.poll_recv(cx) {
                Poll::Ready(Some(read)) => self.submit(read),
                Poll::Ready(None) if self.ring.in_flight() == 0 => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn submit(&mut self, read: BlockRead) {
        self.next += 1;
        let mut buffer = self.pool.take(read.len);
        buffer.clear();
        self.read_piece(self.next, read, buffer);
    }

    /// Asks the disk for what comes next of a read.
    fn read_piece(&mut self, token: u64, mut read: BlockRead, buffer: AlignedBuffer) {
        let (offset, piece) = (read.offset, read.len.min(read.piece_bytes));
        (read.offset, read.len) = (read.offset + piece as u64, read.len - piece);
        self.ring.read_on(token, &read.file, offset, buffer, piece);
        self.reads.insert(token, read);
    }

    fn answer(&mut self, end: ReadDone) {
        let read = self.reads.remove(&end.token).expect("each read was asked for once");
        // Where a piece ends early the file does.
        let is_full = end.outcome.is_ok() && end.buffer.len().is_multiple_of(read.piece_bytes);
        if read.len > 0 && is_full {
            return self.read_piece(end.token, read, end.buffer);
        }
        let bytes = end.outcome.map(|()| self.pool.share(end.buffer));
        // Whoever asked may have gone.
        drop(read.reply.send(bytes));
    }
}
