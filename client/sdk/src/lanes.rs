//! The links to a broker, one for each of its lanes, made when they are first needed.
//!
//! A lane is a core's worth of the running broker. It answers for the shards that are dealt to it without
//! asking another one; any lane serves any request, though, so a description that is out of date costs
//! time and nothing else. How many lanes there are is known from the last Welcome.
//!
//! What must hold: a lane has at most one connection.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rheos_protocol::limits::DATA_STREAMS_MAX;
use rheos_protocol::message::Welcome;

use crate::error::Error;
use crate::link::Link;
use crate::options::ConnectOptions;
use crate::session::Session;

/// Most lanes that a client has connections to; shards of further ones are reached through these.
pub(crate) const LANES_MAX: u16 = 64;

/// The way to one broker.
#[derive(Debug)]
pub(crate) struct Lanes {
    known: Arc<Known>,
    links: Box<[OnceLock<Link>]>,
}

/// What all links of a client share.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) options: ConnectOptions,
    /// 1 to [`LANES_MAX`].
    lanes: AtomicU16,
    welcome: Mutex<Option<Welcome>>,
    closed: AtomicBool,
}

impl Lanes {
    /// Connects to whichever lane answers, and learns of the others.
    pub(crate) async fn connect(options: ConnectOptions) -> Result<Lanes, Error> {
        let lanes = AtomicU16::new(1);
        let known = Arc::new(Known { options, lanes, welcome: Mutex::default(), closed: AtomicBool::new(false) });
        let session = Link::new(&known, None, None).session().await?;
        let links: Box<[OnceLock<Link>]> = (0..LANES_MAX).map(|_| OnceLock::new()).collect();
        let lane = known.folded(session.welcome.lane);
        let _ = links[usize::from(lane)].set(Link::new(&known, Some(lane as u8), Some(session)));
        Ok(Lanes { known, links })
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.known.options
    }

    /// How many lanes the broker has, as far as is known.
    pub(crate) fn count(&self) -> u16 {
        self.known.lanes.load(Ordering::Relaxed)
    }

    /// The link to the lane that a description names.
    pub(crate) fn link(&self, lane: u16) -> &Link {
        let lane = self.known.folded(lane);
        self.links[usize::from(lane)].get_or_init(|| Link::new(&self.known, Some(lane as u8), None))
    }

    /// A session on any lane, for what is no shard's: one that stands, before any is made.
    pub(crate) async fn any_session(&self) -> Result<Arc<Session>, Error> {
        match self.links().find_map(Link::live) {
            Some(session) if !self.is_closed() => Ok(session),
            _ => self.link(self.welcome().lane).session().await,
        }
    }

    /// What the broker said of itself when it was last connected to.
    pub(crate) fn welcome(&self) -> Welcome {
        let welcome = self.known.welcome.lock().expect("nothing panics while it is locked").clone();
        welcome.expect("lanes exist once they were connected to")
    }

    /// What is in the way of a session.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.links().find_map(Link::trouble)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.known.is_closed()
    }

    /// Ends all sessions, for good.
    pub(crate) async fn close(&self) {
        self.known.closed.store(true, Ordering::Release);
        let sessions: Vec<_> = self.links().filter_map(Link::latest).collect();
        sessions.iter().for_each(|session| session.close());
        for session in sessions {
            session.closed().await;
        }
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter_map(OnceLock::get)
    }
}

impl Known {
    /// Notes what a broker said of itself.
    pub(crate) fn note(&self, welcome: &Welcome) {
        self.lanes.store(welcome.lanes.clamp(1, LANES_MAX), Ordering::Relaxed);
        *self.welcome.lock().expect("nothing panics while it is locked") = Some(welcome.clone());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The lane that stands for `lane` as long as the broker has as many as it has now.
    fn folded(&self, lane: u16) -> u16 {
        lane % self.lanes.load(Ordering::Relaxed)
    }
}

const _: () = assert!(LANES_MAX as u32 <= DATA_STREAMS_MAX, "each has a put stream, should they all become one");
const _: () = assert!(LANES_MAX <= 256, "a lane is named by one byte");
