//! The load of a measurement: one producer that puts as fast as the slowest consumer takes, and consumers that take
//! as fast as they are pushed, each on a thread of its own.
//!
//! The producer stays so little ahead that everybody is served from memory: what is measured is the pushing of what
//! has just come, not of what is on the disk. It puts whole batches, as producers do under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rheos_client::protocol::batch::BatchBuilder;
use rheos_client::protocol::limits::RECORD_BYTES_DEFAULT;
use rheos_client::{Client, ConnectOptions, Outcome, Position, Record, Ticket};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::on_runtime;

/// A load that runs. Dropping it stops it, sooner or later.
#[derive(Debug)]
pub(super) struct Load {
    threads: Vec<JoinHandle<Result<(), Failure>>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Records that were put.
    put: AtomicU64,
    /// Records that each consumer has taken; none before it has subscribed.
    taken: Vec<AtomicU64>,
    subscribed: AtomicU64,
    /// Why a put was not stored.
    lost: OnceLock<String>,
}

impl Load {
    /// Starts to put into shard 0 of a stream, which nobody else uses, once all consumers are there.
    pub(super) fn start(options: &ConnectOptions, stream: &'static str, consumers: usize) -> Load {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            put: AtomicU64::new(0),
            taken: (0..consumers).map(|_| AtomicU64::new(0)).collect(),
            subscribed: AtomicU64::new(0),
            lost: OnceLock::new(),
        });
        let mut threads: Vec<_> = (0..consumers)
            .map(|number| {
                let (options, shared) = (options.clone(), Arc::clone(&shared));
                thread::spawn(move || on_runtime(consume(options, stream, number, shared)))
            })
            .collect();
        let (options, of_producer) = (options.clone(), Arc::clone(&shared));
        threads.push(thread::spawn(move || on_runtime(produce(options, stream, of_producer))));
        Load { threads, shared }
    }

    /// Bytes of records that were put.
    pub(super) fn put_bytes(&self) -> u64 {
        self.shared.put.load(Ordering::Relaxed) * RECORD_BYTES as u64
    }

    /// # Errors
    ///
    /// When a part of it has ended, which none does by itself.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.threads.iter().position(JoinHandle::is_finished) {
            None => Ok(()),
            Some(at) => {
                joined(self.threads.swap_remove(at))?;
                Err(Failure::new("a client of the measurement has ended early"))
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// What a part of it failed of.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.threads).into_iter().try_for_each(joined)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn joined(thread: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(Failure::new("a client of the measurement has panicked")))
}

async fn consume(
    options: ConnectOptions,
    stream: &'static str,
    number: usize,
    shared: Arc<Shared>,
) -> Result<(), Failure> {
    let client = Client::connect(options).await?;
    let name = format!("consumer-{number}");
    client.register_consumer(stream, &name).await?;
    let mut consumer = client.consumer(stream, &name).from(Position::TrimHorizon).start().await?;
    shared.subscribed.fetch_add(1, Ordering::Relaxed);
    while !shared.stop.load(Ordering::Relaxed) {
        match timeout(STOP_POLL, consumer.next_batches()).await {
            Ok(Ok(Some(read))) => shared.taken[number].store(read.next_sequence, Ordering::Relaxed),
            Ok(Ok(None)) => return Err(Failure::new(format!("{name} of the measurement has nothing more to read"))),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    drop(consumer);
    client.close().await;
    Ok(())
}

async fn produce(options: ConnectOptions, stream: &'static str, shared: Arc<Shared>) -> Result<(), Failure> {
    let client = Client::connect(options).await?;
    let producer = client.producer(stream).await?;
    while shared.subscribed.load(Ordering::Relaxed) < shared.taken.len() as u64 && !shared.is_stopped() {
        sleep(AHEAD_POLL).await;
    }
    let record = Record::new("calibration", vec![0xa5; RECORD_BYTES - "calibration".len()]);
    while !shared.is_stopped() {
        if shared.records_ahead() >= AHEAD_RECORDS_MAX {
            sleep(AHEAD_POLL).await;
            continue;
        }
        let mut batch = BatchBuilder::default();
        for _ in 0..BATCH_RECORDS {
            batch.push(&record.view(), RECORD_BYTES_DEFAULT).expect("it is within the limits");
        }
        let tickets = producer.put_batch(0, batch).await?;
        shared.put.fetch_add(BATCH_RECORDS, Ordering::Relaxed);
        // A put that is lost ends it: the consumers would never come to where the producer is.
        tokio::spawn(settle(tickets, Arc::clone(&shared)));
    }
    client.close().await;
    let lost = |why: &String| Err(Failure::new(format!("nothing was measured: a put was not stored ({why})")));
    shared.lost.get().map_or(Ok(()), lost)
}

async fn settle(tickets: Vec<Ticket>, shared: Arc<Shared>) {
    for ticket in tickets {
        let why = match ticket.await {
            Outcome::Acked { .. } => continue,
            Outcome::Refused(why) => why.to_string(),
            Outcome::Indeterminate(why) => why.to_string(),
        };
        // The producer says the first. Those that follow once it has been told to stop are only given up.
        if !shared.is_stopped() {
            let _ = shared.lost.set(why);
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How many records the producer is ahead of the slowest consumer.
    fn records_ahead(&self) -> u64 {
        let slowest = self.taken.iter().map(|taken| taken.load(Ordering::Relaxed)).min().unwrap_or(0);
        self.put.load(Ordering::Relaxed).saturating_sub(slowest)
    }
}

/// Key and data of a record.
const RECORD_BYTES: usize = 1 << 10;
/// As many as make a batch that a producer under load sends.
const BATCH_RECORDS: u64 = 128;
/// How far the producer may be ahead of the slowest consumer: half of what a lane keeps in memory.
const AHEAD_RECORDS_MAX: u64 = (4 << 20) / RECORD_BYTES as u64;
const AHEAD_POLL: Duration = Duration::from_micros(200);
/// How often a consumer that gets nothing looks whether it is to stop.
const STOP_POLL: Duration = Duration::from_millis(100);
