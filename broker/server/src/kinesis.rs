//! The Kinesis face: what AWS's clients ask over HTTP, asked of the broker, and answered as Kinesis answers.
//!
//! ```text
//!   HTTP ─► receive ─► Caller (signature) ─► input (types, constraints) ─► operations.rs ─┬─► output
//!           rheos_kinesis::request           rheos_kinesis::codec                         └─► events.rs
//! ```
//!
//! What must hold: nothing is done before the signature is proved and the dispatch table's authorise has said yes;
//! nothing here runs on a lane or is waited for by one; a change that has begun is carried through whether or not its
//! client waits for it; a request that the end of the broker overtakes is given up before the end. Texts, names and
//! numbers of AWS are the affair of `rheos_kinesis`, which does nothing else.

mod answer_room;
mod asking;
mod call;
mod caller;
mod counts;
mod events;
mod found;
mod operations;
mod recent;
mod seats;
mod subscription;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use rheos_kinesis::answer::Answer;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::request::{self, Request};
use rheos_kinesis::token::TokenKey;
use tokio::sync::Mutex;

use crate::broker::Broker;
use crate::http::{Asked, Face, Reply};
use answer_room::AnswerRoom;
use call::{Call, Outcome};
use caller::Caller;
use recent::Recent;
use seats::Seats;
use subscription::Peers;

pub(crate) use counts::{KinesisCounts, OperationCounts};

/// Everything about the face that outlives a request.
pub(crate) struct Kinesis {
    /// Weak, so that a connection that lives on holds no broker up that has stopped.
    broker: Weak<Broker>,
    /// Seals iterators and page tokens.
    tokens: TokenKey,
    /// Tokens so far: no two are alike.
    nonces: AtomicU64,
    peers: Peers,
    /// Who has subscribed a moment ago.
    seats: Seats,
    /// What has changed a moment ago.
    recent: Recent,
    /// Held by calls that count what there is before they make one more.
    counting: Mutex<()>,
    counts: KinesisCounts,
    /// Where answers hold their records until they are sent.
    answers: AnswerRoom,
}

impl Kinesis {
    /// The face of a broker that serves.
    pub(crate) fn face(broker: &Arc<Broker>, counts: KinesisCounts) -> Face {
        let kinesis = Arc::new(Kinesis {
            broker: Arc::downgrade(broker),
            tokens: broker.identity.kinesis_token_key(),
            nonces: AtomicU64::new(0),
            peers: Peers::default(),
            seats: Seats::default(),
            recent: Recent::default(),
            counting: Mutex::new(()),
            counts,
            answers: AnswerRoom::default(),
        });
        Face::new(move |asked| {
            let kinesis = Arc::clone(&kinesis);
            async move { kinesis.answer(asked).await }
        })
    }

    async fn answer(self: &Arc<Self>, asked: Asked) -> Reply {
        let request = match request::receive(&asked.incoming()) {
            Ok(request) => request,
            Err(answer) => return answer.into(),
        };
        let encoding = request.encoding;
        let (operation, came) = (request.operation, Instant::now());
        let (reply, failed) = match self.perform(asked, request).await {
            Ok(Outcome::Output { output, held }) => {
                (Reply::Whole { answer: Answer::success(encoding, output.as_ref()), held }, None)
            }
            Ok(Outcome::Events(frames)) => (Reply::Events(frames), None),
            Err(error) => (error.answer(encoding).into(), Some(error.kind)),
        };
        self.counts.count(operation, failed, came.elapsed());
        reply
    }

    async fn perform(self: &Arc<Self>, asked: Asked, request: Request) -> Result<Outcome, Error> {
        let broker = self.broker.upgrade().ok_or_else(unavailable)?;
        let caller = Caller::of(&broker, &asked.head, &asked.body)?;
        let (operation, encoding) = (request.operation, request.encoding);
        let input = request.input()?;
        let kinesis = Arc::clone(self);
        let work = async move {
            // The room of its body is held until it is done.
            let _asked = asked;
            let call = Call { kinesis: &kinesis, broker: &broker, caller, encoding };
            tokio::select! {
                outcome = operations::perform(&call, operation, &input) => outcome,
                () = broker.stopping.goodbye_is_due() => Err(unavailable()),
            }
        };
        if operations::may_be_given_up(operation) {
            return work.await;
        }
        // A client that goes away must not leave the catalog changed and nobody told of it.
        match tokio::spawn(work).await {
            Ok(outcome) => outcome,
            Err(ended) => ended.try_into_panic().map_or_else(|_| Err(unavailable()), |panic| resume_unwind(panic)),
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
