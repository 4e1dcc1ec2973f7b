//! The disk alone, from the core that a lane would have: durable writes through the commit ring and
//! through tokio-uring, idle and beside tasks that never rest; and direct reads.

use std::fs::File;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rheos_broker::disk::{AlignedBuffer, CommitRing, RingWait};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::bare::client::megabytes_per_s;
use crate::latency::Latencies;
use crate::machine::{Interrupts, pin_to_core};
use crate::report::Report;
use crate::scratch::prewritten_file;

/// Measures all pieces on `core` and adds them to the report: `write_SIZE_PATH_CONDITION_...` and
/// `read_1m_mb_s`; and `disk_interrupt_core`, beside which a lane commits fastest. A null says that no
/// write completed in the time.
pub(crate) fn measure(directory: &Path, core: usize, report: &mut Report) -> Result<(), Failure> {
    let directory = directory.to_owned();
    // A thread, because the caller stays on the client's core.
    let thread = std::thread::spawn(move || {
        pin_to_core(core)?;
        let file = Arc::new(prewritten_file(&directory, FILE_BYTES)?);
        let mut found = Report::default();
        let interrupts = Interrupts::now()?;
        for (size, bytes) in [("4k", 4 << 10), ("64k", 64 << 10), ("1m", 1 << 20)] {
            // One buffer for all ways of writing: how its memory is scattered shows in large writes.
            let mut buffer = zeros(bytes);
            for (condition, busy_tasks) in [("idle", 0), ("saturated", BUSY_TASKS)] {
                let (through_ring, back) = tokio_uring::start(beside(busy_tasks, |over| {
                    tokio::spawn(write_through_ring(Arc::clone(&file), buffer, over))
                }))?;
                found.set_latencies(&format!("write_{size}_ring_{condition}"), &through_ring);
                let (through_tokio_uring, back) = tokio_uring::start(beside(busy_tasks, |over| {
                    tokio_uring::spawn(write_through_tokio_uring(Arc::clone(&file), back, over))
                }))?;
                buffer = back;
                found.set_latencies(&format!("write_{size}_tokio_uring_{condition}"), &through_tokio_uring);
            }
        }
        found.set("disk_interrupt_core", Interrupts::now()?.busiest_core_since(&interrupts));
        found.set_number("read_1m_mb_s", tokio_uring::start(read_all(&file))?);
        Ok::<_, Failure>(found)
    });
    report.append(thread.join().map_err(|_| "measuring the disk panicked")??);
    Ok(())
}

/// A file to be read directly, again and again.
#[derive(Debug)]
pub(crate) struct DirectReads {
    file: Arc<File>,
    core: usize,
}

impl DirectReads {
    pub(crate) fn new(directory: &Path, core: usize) -> Result<Self, Failure> {
        Ok(Self { file: Arc::new(prewritten_file(directory, FILE_BYTES)?), core })
    }

    /// The rate of one pass over the file from the core, in MB/s.
    pub(crate) fn measure(&self) -> Result<f64, Failure> {
        let (file, core) = (Arc::clone(&self.file), self.core);
        let thread = std::thread::spawn(move || {
            pin_to_core(core)?;
            tokio_uring::start(read_all(&file))
        });
        thread.join().map_err(|_| "reading the disk panicked")?
    }
}

/// How long the writes took, and their buffer, given back.
type Written = (Latencies, AlignedBuffer);

/// Lets `start` spawn its writes among tasks that never rest, and says when it is over.
async fn beside(
    busy_tasks: usize,
    start: impl FnOnce(Arc<AtomicBool>) -> JoinHandle<Result<Written, Failure>>,
) -> Result<Written, Failure> {
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..busy_tasks {
        tokio::spawn(never_rest(Arc::clone(&over)));
    }
    let writes = start(Arc::clone(&over));
    tokio::time::sleep(MEASURED).await;
    over.store(true, Ordering::Relaxed);
    // What is in flight ends now that the runtime can park; it is not counted.
    writes.await?
}

/// Always ready to run, and each time for 20 us, as the driver of a busy connection is.
async fn never_rest(over: Arc<AtomicBool>) {
    poll_fn(|cx| {
        let begun = Instant::now();
        while begun.elapsed() < TURN {
            std::hint::spin_loop();
        }
        if over.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn write_through_ring(
    file: Arc<File>,
    mut buffer: AlignedBuffer,
    over: Arc<AtomicBool>,
) -> Result<Written, Failure> {
    let mut ring = CommitRing::new(8)?;
    let mut wait = RingWait::new(&ring)?;
    let mut ends = Vec::new();
    let bytes = buffer.len();
    let mut latencies = Latencies::new();
    for offset in (0..FILE_BYTES).step_by(bytes).cycle() {
        let begun = Instant::now();
        ring.write(0, &file, offset, buffer);
        while ends.is_empty() {
            poll_fn(|cx| wait.poll(&mut ring, cx)).await;
            ring.reap(&mut ends);
        }
        let done = ends.pop().expect("it is not empty");
        check_full(done.written, bytes)?;
        buffer = done.buffer;
        if over.load(Ordering::Relaxed) {
            break;
        }
        latencies.record(begun.elapsed());
    }
    Ok((latencies, buffer))
}

async fn write_through_tokio_uring(
    file: Arc<File>,
    mut buffer: AlignedBuffer,
    over: Arc<AtomicBool>,
) -> Result<Written, Failure> {
    let file = tokio_uring::fs::File::from_std(file.try_clone()?);
    let bytes = buffer.len();
    let mut latencies = Latencies::new();
    for offset in (0..FILE_BYTES).step_by(bytes).cycle() {
        let begun = Instant::now();
        let (written, back) = file.write_at(buffer, offset).submit().await;
        check_full(written, bytes)?;
        buffer = back;
        if over.load(Ordering::Relaxed) {
            break;
        }
        latencies.record(begun.elapsed());
    }
    file.close().await?;
    Ok((latencies, buffer))
}

/// Reads the file from its beginning to its end, one piece after the other; in MB/s.
async fn read_all(file: &File) -> Result<f64, Failure> {
    let file = tokio_uring::fs::File::from_std(file.try_clone()?);
    let mut buffer = zeros(READ_BYTES);
    let begun = Instant::now();
    for offset in (0..FILE_BYTES).step_by(READ_BYTES) {
        let (filled, back) = file.read_at(buffer, offset).await;
        check_full(filled, READ_BYTES)?;
        buffer = back;
    }
    let rate = megabytes_per_s(FILE_BYTES, begun.elapsed());
    file.close().await?;
    Ok(rate)
}

fn zeros(bytes: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(bytes);
    buffer.extend_zeroed(bytes);
    buffer
}

fn check_full(outcome: std::io::Result<usize>, bytes: usize) -> Result<(), Failure> {
    match outcome? {
        count if count == bytes => Ok(()),
        count => Err(format!("the disk took or gave {count} of {bytes} bytes").into()),
    }
}

const FILE_BYTES: u64 = 1 << 30;
const READ_BYTES: usize = 1 << 20;
/// How long each way of writing is measured.
const MEASURED: Duration = Duration::from_secs(2);
/// Tasks that never rest, and how long each runs when it is polled.
const BUSY_TASKS: usize = 3;
const TURN: Duration = Duration::from_micros(20);
