//! A registered consumer of a broker: subscribes to the shards of a stream and takes what is pushed.
//!
//! It looks at the headers, the order, and the number of a batch's first record, and at nothing else:
//! to verify bodies would cost the client what the bare target's subscriber does not pay.
//!
//! What must hold: sequences of a shard leave no gap, and credit is given back only for what was taken.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use quinn::{RecvStream, SendStream};
use rheos_protocol::batch::{BatchHeader, HEADER_BYTES};
use rheos_protocol::frame::kind;
use rheos_protocol::message::{Position, Reply, Request, StreamDescription, Subscribe};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::incoming::Incoming;
use super::puts::{NUMBER_AT, NUMBER_BYTES};
use super::session::{Session, unexpected};
use crate::Failure;
use crate::deliveries::Consumer;

/// What a consumer subscribes to.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// The stream, with the shards that are to be pushed.
    pub(crate) stream: StreamDescription,
    /// Name of the consumer, which is registered.
    pub(crate) consumer: String,
    pub(crate) epoch: u64,
    pub(crate) position: Position,
}

/// Subscriptions on a connection of their own; they end with this value.
pub(crate) struct Subscriptions {
    session: Arc<Session>,
    requests: Arc<Mutex<SendStream>>,
    answers: Option<Incoming>,
    tasks: Vec<JoinHandle<()>>,
}

impl Subscriptions {
    /// Subscribes to every shard of the wish, and waits until all are answered. Nothing is taken yet.
    pub(crate) async fn start(session: Session, wish: &Wish) -> Result<Self, Failure> {
        let (mut send, recv) = session.open_stream().await?;
        let mut frames = BytesMut::new();
        for (shard, id) in wish.stream.shards.iter().zip(0..) {
            let subscribe = Subscribe {
                incarnation: wish.stream.incarnation,
                shard: shard.shard,
                consumer: wish.consumer.clone(),
                epoch: wish.epoch,
                position: wish.position,
                credit: CREDIT_BYTES,
            };
            Request::Subscribe(subscribe).write(id, &mut frames);
        }
        send.write_chunk(frames.freeze()).await?;
        let mut answers = Incoming::new(recv);
        for _ in &wish.stream.shards {
            let (header, _) = answers.header().await?;
            match answers.reply(header).await? {
                Reply::Subscribed(_) => {}
                other => return Err(unexpected("Subscribe", &other)),
            }
        }
        let requests = Arc::new(Mutex::new(send));
        Ok(Self { session: Arc::new(session), requests, answers: Some(answers), tasks: Vec::new() })
    }

    /// Gives all that is pushed to `consumer`, and the credit for it back.
    pub(crate) fn take(mut self, consumer: Arc<dyn Consumer>) -> Self {
        let answers = self.answers.take().expect("what is pushed is taken once");
        let refused = Arc::clone(&consumer);
        self.tasks.push(tokio::spawn(async move { refused.fail(refusal(answers).await) }));
        let (session, requests) = (Arc::clone(&self.session), Arc::clone(&self.requests));
        self.tasks.push(tokio::spawn(async move {
            // The tasks of the streams end with the connection.
            loop {
                match session.accept_pushes().await {
                    Ok(recv) => {
                        let taking = Taking { consumer: Arc::clone(&consumer), requests: Arc::clone(&requests) };
                        tokio::spawn(taking.run(recv));
                    }
                    Err(failure) => return consumer.fail(failure),
                }
            }
        }));
        self
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.session.close();
    }
}

/// Why a subscription stream, on which nothing more is to be said, says something.
async fn refusal(mut answers: Incoming) -> Failure {
    let refused = async {
        let (header, _) = answers.header().await?;
        Ok::<_, Failure>(unexpected("a subscription's request", &answers.reply(header).await?))
    };
    refused.await.unwrap_or_else(|failure| failure)
}

/// Takes what comes on one push stream.
struct Taking {
    consumer: Arc<dyn Consumer>,
    requests: Arc<Mutex<SendStream>>,
}

/// How far a subscription has been taken.
#[derive(Debug, Default)]
struct Progress {
    /// The sequence that comes next, once one has come.
    next: Option<u64>,
    /// Bytes that were taken and for which no credit was given back.
    owed: u64,
}

impl Progress {
    fn take(&mut self, batch: &BatchHeader) -> Result<(), Failure> {
        let first = batch.first_sequence;
        if let Some(next) = self.next.filter(|next| *next != first) {
            return Err(format!("sequence {first} of shard {} was pushed where {next} follows", batch.shard).into());
        }
        self.next = Some(first + u64::from(batch.record_count));
        self.owed += batch.total_len() as u64;
        Ok(())
    }

    /// The credit to give back now, if it is worth a frame.
    fn credit(&mut self) -> Option<u64> {
        (self.owed >= CREDIT_BYTES / 8).then(|| std::mem::take(&mut self.owed))
    }
}

impl Taking {
    async fn run(self, recv: RecvStream) {
        if let Err(failure) = self.take_all(recv).await {
            self.consumer.fail(failure);
        }
    }

    async fn take_all(&self, recv: RecvStream) -> Result<(), Failure> {
        let mut incoming = Incoming::new(recv);
        let mut progress: HashMap<u64, Progress> = HashMap::new();
        while !incoming.bytes.is_over().await? {
            let (header, mut left) = incoming.header().await?;
            if header.kind != kind::PUSH {
                return Err(match incoming.reply(header).await? {
                    Reply::PushEnd(why) => format!("the broker ended a subscription: {why:?}").into(),
                    other => unexpected("a subscription", &other),
                });
            }
            let group = incoming.group(&mut left).await?;
            if Reply::decode(header.kind, group)?.is_none() {
                return Err("the broker's pushes have no fields".into());
            }
            let subscription = progress.entry(header.id).or_default();
            while left > 0 {
                let batch = BatchHeader::decode(&incoming.bytes.array::<HEADER_BYTES>(&mut left).await?)?;
                let first = take_body(&mut incoming, &batch, &mut left).await?;
                subscription.take(&batch)?;
                self.consumer.take(first, batch.record_count)?;
            }
            if let Some(credit) = subscription.credit() {
                let mut frame = BytesMut::new();
                Request::Credit(credit).write(header.id, &mut frame);
                self.requests.lock().await.write_chunk(frame.freeze()).await?;
            }
        }
        Ok(())
    }
}

/// Takes a whole body; the number that its first record begins with.
async fn take_body(incoming: &mut Incoming, batch: &BatchHeader, left: &mut u64) -> Result<u64, Failure> {
    let rest = u64::from(batch.body_len).checked_sub((NUMBER_AT + NUMBER_BYTES) as u64);
    let rest = rest.ok_or("a batch that the rig did not put was pushed")?;
    incoming.bytes.skip(NUMBER_AT as u64, left).await?;
    let number = u64::from_le_bytes(incoming.bytes.array(left).await?);
    incoming.bytes.skip(rest, left).await?;
    Ok(number)
}

/// What a subscription may have pushed and not taken. The subscriptions to eight shards together fill
/// the receive window of their connection.
const CREDIT_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use rheos_protocol::batch::ProducerStamp;

    use super::*;

    fn batch(first_sequence: u64, record_count: u32) -> BatchHeader {
        BatchHeader {
            record_count,
            body_len: record_count * 1_000_000,
            body_checksum: 0,
            producer: ProducerStamp::default(),
            incarnation: 1,
            shard: 3,
            first_sequence,
            arrival_ms: 0,
        }
    }

    #[test]
    fn sequences_follow_one_another_from_wherever_they_begin() {
        let mut progress = Progress::default();
        progress.take(&batch(70, 1)).expect("it may begin anywhere");
        progress.take(&batch(71, 2)).expect("it follows");
        for wrong in [71, 72, 74] {
            let failure = progress.take(&batch(wrong, 1)).expect_err("it does not follow").to_string();
            assert!(failure.contains("of shard 3 was pushed where 73 follows"), "{failure}");
        }
    }

    #[test]
    fn credit_comes_back_for_all_that_was_taken_and_once() {
        let mut progress = Progress::default();
        progress.take(&batch(0, 1)).expect("it is the first");
        assert_eq!(progress.credit(), None, "a frame for each batch would cost more than it brings");
        progress.take(&batch(1, 1)).expect("it follows");
        assert_eq!(progress.credit(), Some(2 * (1_000_000 + HEADER_BYTES as u64)));
        assert_eq!(progress.credit(), None);
    }
}
