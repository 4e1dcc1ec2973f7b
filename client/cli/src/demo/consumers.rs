//! The two registered consumers: one takes what it is pushed at once, the other makes pauses and falls behind,
//! until the load has ended.

use std::time::Duration;

use rheos_client::{Client, Consumer, Position};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::board::{Phase, SharedBoard};
use crate::failure::Failure;

/// The consumers' names, the fast one's first.
pub(super) const NAMES: [&str; 2] = [FAST, SLOW];
pub(super) const FAST: &str = "alerts";
pub(super) const SLOW: &str = "archive";

/// Bytes of each shard that may wait for the slow one in this process. Few, so that what it has not taken is
/// the broker's to keep.
const SLOW_CREDIT_BYTES: u64 = 64 << 10;
/// How long a pause of the slow one is.
const PAUSE: Duration = Duration::from_millis(250);
/// The slow one takes one record for so many that are put.
const SLOWNESS: u64 = 2;

/// A consumer that consumes.
#[derive(Debug)]
pub(super) struct ConsumerTask {
    name: &'static str,
    task: JoinHandle<Result<(), Failure>>,
}

impl ConsumerTask {
    /// Registers the consumers of a stream, and starts both at its beginning.
    pub(super) async fn start_all(
        client: &Client,
        stream: &str,
        board: &SharedBoard,
    ) -> Result<Vec<ConsumerTask>, Failure> {
        let mut tasks = Vec::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            client.register_consumer(stream, name).await?;
            let builder = client.consumer(stream, name).from(Position::TrimHorizon);
            let is_slow = name == SLOW;
            let builder = if is_slow { builder.credit_bytes(SLOW_CREDIT_BYTES) } else { builder };
            let consumer = builder.start().await?;
            let task = tokio::spawn(consume(consumer, index, is_slow, board.clone()));
            tasks.push(ConsumerTask { name, task });
        }
        Ok(tasks)
    }

    /// # Errors
    ///
    /// When it has ended, which it does not do by itself.
    pub(super) async fn check(&mut self) -> Result<(), Failure> {
        if !self.task.is_finished() {
            return Ok(());
        }
        let why = match (&mut self.task).await {
            Ok(Ok(())) => "its client is closed".to_owned(),
            Ok(Err(failure)) => failure.message().to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Failure::new(format!("consumer {} has ended: {why}", self.name)))
    }
}

impl Drop for ConsumerTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn consume(mut consumer: Consumer, index: usize, is_slow: bool, board: SharedBoard) -> Result<(), Failure> {
    while let Some(read) = consumer.next_batches().await? {
        board.lock().give(index, &read);
        while is_slow && is_ahead(index, &board) {
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Whether the slow consumer has taken its share of what was put, and the load goes on.
fn is_ahead(index: usize, board: &SharedBoard) -> bool {
    let board = board.lock();
    board.phase < Phase::Drain && board.consumers[index].witness.count() * SLOWNESS > board.ledger.counts().put
}
