//! The Kinesis face as the HTTP service knows it: something that answers requests whose bodies have come.
//!
//! ```text
//!   head ─► preflight? ─► body (intake.rs) ─► Face ─► Reply ─► ids, what browsers are told ─► answer
//! ```
//!
//! What must hold: whoever asks has its whole request held in memory within bounds before the face hears of
//! it; every answer, of whoever refused it, carries the ids that SDKs show. What is asked is the face's affair:
//! nothing here looks at it.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response, StatusCode};
use rheos_kinesis::answer::Answer as KinesisAnswer;
use rheos_kinesis::answer_ids::{ID_2_BYTES, id_2, request_id};
use rheos_kinesis::cross_origin::{self, CrossOrigin, cross_origin};
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::event_stream;
use rheos_kinesis::request::{self, too_large};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::OwnedSemaphorePermit;

use super::answer_body::{AnswerBody, Frames};
use super::connection::{Answer, Peer};
use super::intake::{Held, Refused, read_whole};
use crate::standing::{Standing, StandingWatch};

/// A request that has come whole.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    /// The body's room; whoever keeps the body keeps this.
    pub(super) held: Held,
}

/// What the face answers.
pub(crate) enum Reply {
    /// All at once; what is held goes when the peer has taken the last of it.
    Whole { answer: KinesisAnswer, held: Option<OwnedSemaphorePermit> },
    /// Messages of `application/vnd.amazon.eventstream`, as they come about.
    Events(Frames),
}

impl From<KinesisAnswer> for Reply {
    fn from(answer: KinesisAnswer) -> Reply {
        Reply::Whole { answer, held: None }
    }
}

/// What answers.
#[derive(Clone)]
pub(crate) struct Face(Arc<dyn Fn(Asked) -> Replying + Send + Sync>);

type Replying = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Where the face is, while there is one; every clone is the same.
#[derive(Clone, Default)]
pub(super) struct FacePlace(Arc<RwLock<Option<Face>>>);

impl Face {
    /// A face that answers with this.
    pub(crate) fn new<A, F>(answer: A) -> Face
    where
        A: Fn(Asked) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Face(Arc::new(move |asked| Box::pin(answer(asked))))
    }
}

impl FacePlace {
    /// Puts a face there, or takes it away.
    pub(super) fn set(&self, face: Option<Face>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = face;
    }

    fn face(&self) -> Option<Face> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Asked {
    /// What [`request::receive`] looks at.
    pub(crate) fn incoming(&self) -> request::Incoming<'_> {
        incoming(&self.head, &self.body)
    }
}

/// Has a request answered by the face.
pub(super) async fn ask(
    request: Request<Incoming>,
    peer: &Peer,
    place: &FacePlace,
    standing: &StandingWatch,
) -> Answer {
    let (head, body) = request.into_parts();
    let mut asked = Asked { head, body: Bytes::new(), held: Held::default() };
    let told = match cross_origin(asked.head.method.as_str(), browser_headers(&asked.head.headers)) {
        CrossOrigin::None => Vec::new(),
        CrossOrigin::Add(told) => told.to_vec(),
        CrossOrigin::Preflight(told) => return preflight(&told),
    };
    let reply = match read_whole(body, &peer.room, peer.pace).await {
        Ok(whole) => {
            (asked.body, asked.held) = whole;
            match place.face() {
                Some(Face(answer)) => answer(asked).await,
                None => nobody_there(&asked.incoming(), &standing.borrow()).into(),
            }
        }
        Err(refused) => refusal(refused, &asked.incoming()).into(),
    };
    let mut answer = match reply {
        Reply::Whole { answer, held } => whole(answer, held),
        Reply::Events(frames) => events(frames.until_stop(standing.clone())),
    };
    told.iter().for_each(|header| tell(&mut answer, header));
    sign(&mut answer, true);
    answer
}

/// What is wrong with the request, or else that nobody answers it now.
fn nobody_there(incoming: &request::Incoming<'_>, standing: &Standing) -> KinesisAnswer {
    let (encoding, does) = match (request::receive(incoming), standing) {
        (Err(refusal), _) => return refusal,
        (Ok(request), Standing::Stopping) => (request.encoding, "is stopping"),
        (Ok(request), _) => (request.encoding, "is starting"),
    };
    Error::new(ErrorKind::ServiceUnavailable, format!("The broker {does}; try again.")).answer(encoding)
}

fn refusal(refused: Refused, incoming: &request::Incoming<'_>) -> KinesisAnswer {
    let error = match refused {
        Refused::TooLarge => return too_large(),
        Refused::TooSlow => Error::new(ErrorKind::RequestTimeout, "The body of the request came too slowly."),
        Refused::NoRoom => {
            let what = "The broker has no room for this request while it reads larger ones; try again.";
            Error::new(ErrorKind::ServiceUnavailable, what)
        }
        // Nobody hears it.
        Refused::Gone => Error::bare(ErrorKind::Serialization),
    };
    error.answer(incoming.encoding())
}

fn incoming<'a>(head: &'a Parts, body: &'a [u8]) -> request::Incoming<'a> {
    let (content_type, target) = (text(&head.headers, "content-type"), text(&head.headers, "x-amz-target"));
    request::Incoming { method: head.method.as_str(), content_type, target, body }
}

fn browser_headers(headers: &HeaderMap) -> cross_origin::Headers<'_> {
    cross_origin::Headers {
        origin: text(headers, "origin"),
        request_headers: text(headers, "access-control-request-headers"),
        request_method: text(headers, "access-control-request-method"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn preflight(told: &[cross_origin::Header<'_>]) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    told.iter().for_each(|header| tell(&mut answer, header));
    sign(&mut answer, false);
    answer
}

fn whole(answer: KinesisAnswer, held: Option<OwnedSemaphorePermit>) -> Answer {
    let KinesisAnswer { status, content_type, error_type, body } = answer;
    let len = body.len();
    let mut answer = Response::new(AnswerBody::whole(Bytes::from_owner(HeldBody { body, _held: held })));
    *answer.status_mut() = StatusCode::from_u16(status).expect("the face's statuses are HTTP's");
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    headers.extend(content_type.map(|name| (CONTENT_TYPE, HeaderValue::from_static(name))));
    headers.extend(error_type.map(|name| (ERROR_TYPE, HeaderValue::from_static(name))));
    answer
}

/// A body with what it holds until it is sent.
struct HeldBody {
    body: Vec<u8>,
    _held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn events(frames: Frames) -> Answer {
    let mut answer = Response::new(AnswerBody::frames(frames));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    answer
}

fn tell(answer: &mut Answer, (name, value): &cross_origin::Header<'_>) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("the table's names are headers");
    let value = HeaderValue::from_str(value).expect("it is the table's, or was a header's before");
    answer.headers_mut().insert(name, value);
}

/// Puts the ids on an answer; one to a preflight has no second one.
fn sign(answer: &mut Answer, with_id_2: bool) {
    let (mut request, mut second) = ([0; 16], [0; ID_2_BYTES]);
    let random = SystemRandom::new();
    random.fill(&mut request).and_then(|()| random.fill(&mut second)).expect("the system gives random bytes");
    let text = |id: String| HeaderValue::try_from(id).expect("ids are ASCII");
    answer.headers_mut().insert(REQUEST_ID, text(request_id(request)));
    if with_id_2 {
        answer.headers_mut().insert(ID_2, text(id_2(second)));
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
