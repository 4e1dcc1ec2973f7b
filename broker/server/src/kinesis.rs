//! The Kinesis face: what AWS's clients ask over HTTP, asked of the broker, and answered as Kinesis answers.
//!
//! ```text
//!   HTTP ─► receive ─► Caller (signature) ─► input (types, constraints) ─► operations.rs ─┬─► output
//!           rheos_kinesis::request           rheos_kinesis::codec                         └─► events.rs
//! ```
//!
//! What must hold: nothing is done before the signature is proved and the dispatch table's authorise has said yes;
//! nothing here runs on a lane or is waited for by one; a request that the end of the broker overtakes is given up
//! before the end. Texts, names and numbers of AWS are the affair of `rheos_kinesis`, which does nothing else.

mod asking;
mod call;
mod caller;
mod events;
mod operations;
mod recent;
mod seats;
mod subscription;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use hyper::http::request::Parts;
use rheos_kinesis::answer::Answer;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::request::{self, Incoming, Request};
use rheos_kinesis::token::TokenKey;
use tokio::sync::{Semaphore, mpsc};

use crate::broker::Broker;
use crate::kinesis_settings::KinesisSettings;
use call::{Call, Outcome};
use caller::Caller;
use recent::Recent;
use seats::Seats;
use subscription::Peers;

/// Everything about the face that outlives a request.
pub(crate) struct Face {
    /// Weak, so that a connection that lives on holds no broker up that has stopped.
    broker: Weak<Broker>,
    settings: KinesisSettings,
    /// Seals iterators and page tokens.
    tokens: TokenKey,
    /// Tokens so far: no two are alike.
    nonces: AtomicU64,
    peers: Peers,
    /// Who has subscribed a moment ago.
    seats: Seats,
    /// What has changed a moment ago.
    recent: Recent,
    /// Bytes of records that answers may hold until they are sent, in KiB.
    answers: Arc<Semaphore>,
}

/// How a request is answered.
pub(crate) enum FaceAnswer {
    /// At once and whole. `held` goes when the last of it is sent.
    Whole { answer: Answer, held: Option<tokio::sync::OwnedSemaphorePermit> },
    /// With messages of an event stream, until there are no more or nobody wants them.
    Events(mpsc::Receiver<Bytes>),
}

/// KiB of records that all answers together may hold.
const ANSWERS_KIB: usize = 256 << 10;

impl Face {
    /// The face of a broker that serves.
    pub(crate) fn new(broker: &Arc<Broker>, settings: KinesisSettings) -> Face {
        Face {
            tokens: broker.identity.kinesis_token_key(),
            broker: Arc::downgrade(broker),
            settings,
            nonces: AtomicU64::new(0),
            peers: Peers::default(),
            seats: Seats::default(),
            recent: Recent::default(),
            answers: Arc::new(Semaphore::new(ANSWERS_KIB)),
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, head: &Parts, body: Bytes) -> FaceAnswer {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let incoming = Incoming {
            method: head.method.as_str(),
            content_type: header("content-type"),
            target: header("x-amz-target"),
            body: &body,
        };
        let request = match request::receive(&incoming) {
            Ok(request) => request,
            Err(answer) => return FaceAnswer::Whole { answer, held: None },
        };
        let encoding = request.encoding;
        match self.perform(head, body, request).await {
            Ok(Outcome::Output { output, held }) => {
                FaceAnswer::Whole { answer: Answer::success(encoding, output.as_ref()), held }
            }
            Ok(Outcome::Events(events)) => FaceAnswer::Events(events),
            Err(error) => FaceAnswer::Whole { answer: error.answer(encoding), held: None },
        }
    }

    async fn perform(&self, head: &Parts, body: Bytes, request: Request) -> Result<Outcome, Error> {
        let broker = self.broker.upgrade().ok_or_else(unavailable)?;
        let caller = Caller::of(&broker, &self.settings, head, &body)?;
        // What is asked stands in the request's values: the body has had its day.
        drop(body);
        let (operation, encoding) = (request.operation, request.encoding);
        let input = request.input()?;
        let call = Call { face: self, broker: &broker, caller, encoding };
        tokio::select! {
            outcome = operations::perform(&call, operation, &input) => outcome,
            () = broker.stopping.goodbye_is_due() => Err(unavailable()),
        }
    }

    /// A number that no other token has.
    fn nonce(&self) -> u64 {
        self.nonces.fetch_add(1, Ordering::Relaxed)
    }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::ServiceUnavailable, "The broker is stopping; connect again in a moment.")
}
