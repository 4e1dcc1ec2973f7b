//! What a client, its producers and its readers share, and when it ends.
//!
//! The tasks that carry puts hold the core; the handles that a program holds also hold [`Alive`]. Once
//! the last handle is gone, those tasks finish what is unanswered and end, and with them the core and
//! the connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use rheos_protocol::error::ErrorCode;
use rheos_protocol::limits::DATA_STREAMS_MAX;
use rheos_protocol::message::{ConsumerDescription, ConsumerOf, Reply, Request, StreamDescription};
use rheos_protocol::name::{ConsumerName, StreamName};
use tokio::runtime::Handle;

use crate::client::unexpected;
use crate::error::Error;
use crate::lanes::{LANES_MAX, Lanes};
use crate::options::ConnectOptions;
use crate::producer::PutStream;
use crate::session::Session;

/// Shared by all handles and tasks of one client.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) lanes: Lanes,
    pub(crate) runtime: Handle,
    /// As many for each lane as the options say, one lane after the other.
    put_streams: Vec<OnceLock<Arc<PutStream>>>,
    released: AtomicBool,
}

/// Held by what a program holds. Its end lets the tasks of the client end.
#[derive(Debug)]
pub(crate) struct Alive {
    core: Weak<Core>,
}

impl Core {
    pub(crate) async fn connect(options: ConnectOptions) -> Result<Arc<Core>, Error> {
        let put_streams = usize::from(LANES_MAX) * usize::from(options.put_streams);
        let put_streams = (0..put_streams).map(|_| OnceLock::new()).collect();
        let (lanes, released) = (Lanes::connect(options).await?, AtomicBool::new(false));
        Ok(Arc::new(Core { lanes, runtime: Handle::current(), put_streams, released }))
    }

    /// Sends a request that changes nothing; once more on a new connection when the first one breaks.
    ///
    /// Connections from before do not count: when the broker has started again, those of all lanes are dead,
    /// and each is known to be once it is used.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Reply, Error> {
        self.ask_on(|session| async move { session.request(request).await }).await
    }

    /// The same for what is asked of a session in another way.
    pub(crate) async fn ask_on<T, A>(&self, ask: impl Fn(Arc<Session>) -> A) -> Result<T, Error>
    where
        A: Future<Output = Result<T, Error>>,
    {
        let (begun, mut tries) = (Instant::now(), 0);
        loop {
            let session = self.lanes.any_session().await?;
            match ask(Arc::clone(&session)).await {
                Err(Error::Lost { .. }) if session.begun < begun && !session.is_live() => {}
                Err(Error::Lost { .. }) if tries == 0 => tries += 1,
                outcome => return outcome,
            }
        }
    }

    pub(crate) async fn describe_stream(&self, name: &str) -> Result<StreamDescription, Error> {
        let name = StreamName::new(name)?;
        match self.ask(&Request::DescribeStream(name.as_str().to_owned())).await? {
            Reply::Stream(stream) => Ok(stream),
            other => Err(unexpected("describe stream", &other)),
        }
    }

    /// Describes a consumer, which gives it an epoch.
    pub(crate) async fn describe_consumer(&self, stream: &str, consumer: &str) -> Result<ConsumerDescription, Error> {
        let (stream, consumer) = (StreamName::new(stream)?.to_string(), ConsumerName::new(consumer)?.to_string());
        let request = Request::DescribeConsumer(ConsumerOf { stream: stream.clone(), consumer: consumer.clone() });
        match self.ask(&request).await {
            Ok(Reply::Consumer(description)) => Ok(description),
            Ok(other) => Err(unexpected("describe consumer", &other)),
            Err(Error::Broker(error)) if error.code == ErrorCode::ConsumerNotFound => {
                Err(Error::ConsumerNotFound { stream, consumer })
            }
            Err(error) => Err(error),
        }
    }

    /// The put stream that carries `shard`, which is on `lane`, with its task.
    ///
    /// All lanes together have no more than one connection may have: the broker may start again with one.
    pub(crate) fn put_stream(self: &Arc<Self>, lane: u16, shard: u32) -> Arc<PutStream> {
        let (lanes, of_lane_max) = (self.lanes.count(), usize::from(self.lanes.options().put_streams));
        let of_lane = (DATA_STREAMS_MAX as usize / usize::from(lanes)).min(of_lane_max);
        let lane = lane % lanes;
        let index = usize::from(lane) * of_lane_max + shard as usize % of_lane;
        Arc::clone(self.put_streams[index].get_or_init(|| PutStream::start(self, lane)))
    }

    /// Whether no handle is left that could ask for more.
    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    pub(crate) fn wake_put_streams(&self) {
        self.put_streams.iter().filter_map(OnceLock::get).for_each(|stream| stream.wake());
    }
}

impl Alive {
    pub(crate) fn new(core: &Arc<Core>) -> Alive {
        Alive { core: Arc::downgrade(core) }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.released.store(true, Ordering::Release);
            core.wake_put_streams();
        }
    }
}
