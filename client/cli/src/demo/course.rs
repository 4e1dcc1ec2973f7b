//! The course of the demo: a broker is started, loaded, killed and started again, and everything that was
//! acknowledged is asked for.
//!
//! What must hold: the course ends by itself; every wait has an end; when the broker or a consumer ends by
//! itself, so does the course, with the reason.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rheos_client::{Client, ConnectOptions, Error, Position, StreamDescription, StreamSpec};
use tokio::time::sleep;

use super::board::{Health, Phase, SharedBoard};
use super::consumers::ConsumerTask;
use super::load::{Load, LoadPlan};
use super::place::Place;
use super::records::Records;
use super::witness::Witness;
use crate::broker_process::{BrokerProcess, Ready};
use crate::failure::Failure;
use crate::output::count;
use crate::units::{show_grouped, show_nanos};

/// The stream that the demo makes, and its shards.
pub(super) const STREAM: &str = "trades";
pub(super) const SHARDS: u32 = 4;

/// How often it is looked whether a wait is over.
const POLL: Duration = Duration::from_millis(20);
/// How long a broker may take to start. Far more than it does.
const START_MAX: Duration = Duration::from_secs(60);
/// How long what is under way may take to arrive: after the kill, and after the last put.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);
/// How long a record is tried to be delivered: its outcome is known before its arrival is given up.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(50);
/// What comes after everything was given would be too much; it is waited for so long.
const GRACE: Duration = Duration::from_millis(200);

/// How long each part takes, and how much is put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Records a second.
    pub(super) rate: u64,
    /// The whole demo, about.
    pub(super) total: Duration,
}

impl Plan {
    /// For how long records are put.
    fn load(&self) -> Duration {
        self.total * 17 / 20
    }

    fn warm_up(&self) -> Duration {
        (self.load() / 6).min(Duration::from_secs(3))
    }

    /// From the beginning of the load until the broker is killed.
    fn until_kill(&self) -> Duration {
        self.load() / 2
    }

    /// How long the broker is left dead: long enough to be seen.
    fn down(&self) -> Duration {
        (self.total / 25).min(Duration::from_secs(1))
    }
}

/// Why a course has ended early.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was told to, by a signal of this number or as if by one.
    Told(u8),
    /// The input cannot be put.
    Input(Failure),
    /// Something failed that should not.
    Fault(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Fault(failure)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Fault(error.into())
    }
}

/// What a course has brought, beside what stands on the board.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) read_back: Witness,
    pub(super) acked_before_kill: u64,
    pub(super) revival: Revival,
    pub(super) lanes: u64,
}

/// How the broker came back after the kill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revival {
    /// How long it was left dead.
    pub(super) down: Duration,
    /// How long its start took, as it says.
    pub(super) start_ms: u64,
}

/// A demo that runs.
pub(super) struct Course<'a> {
    place: &'a Place,
    board: SharedBoard,
    broker: BrokerProcess,
    consumers: Vec<ConsumerTask>,
}

/// Runs the demo from its beginning to the last record.
pub(super) async fn run(place: &Place, plan: Plan, records: Records, board: &SharedBoard) -> Result<Finish, Ended> {
    let broker = BrokerProcess::start(&place.data(), place.log(), SocketAddr::from(([127, 0, 0, 1], 0)), &[])?;
    let mut course = Course { place, board: board.clone(), broker, consumers: Vec::new() };
    let ready = course.ready(Health::Starting).await?;
    ready.warnings.iter().for_each(|warning| course.tell(format!("the broker warns: {warning}")));

    let options = ConnectOptions::from_file(place.data().join("admin.url"))?.delivery_timeout(DELIVERY_TIMEOUT);
    let client = Client::connect(options.name("rheos demo")).await?;
    let stream = client.create_stream(StreamSpec::new(STREAM, SHARDS)).await?;
    course.consumers = ConsumerTask::start_all(&client, STREAM, board).await?;
    let producer = client.producer(STREAM).await?;

    let begun = Instant::now();
    let mut load = Load::start(LoadPlan { records, rate: plan.rate, time: plan.load() }, producer, board);
    course.enter(Phase::WarmUp);
    course.pass(begun + plan.warm_up(), &mut load).await?;
    board.lock().forget_latencies();
    course.enter(Phase::Steady);
    course.pass(begun + plan.until_kill(), &mut load).await?;
    let acked_before_kill = course.kill().await?;
    sleep(plan.down()).await;
    let start_ms = course.revive(ready.address).await?;
    course.pass(begun + plan.load(), &mut load).await?;
    course.drain(&mut load).await?;
    let read_back = course.read_back(&client, &stream).await?;
    course.give_rest(&read_back).await?;

    client.close().await;
    course.consumers.clear();
    course.broker.stop().await?;
    let revival = Revival { down: plan.down(), start_ms };
    Ok(Finish { read_back, acked_before_kill, revival, lanes: ready.lanes })
}

impl Course<'_> {
    fn enter(&self, phase: Phase) {
        self.board.lock().phase = phase;
    }

    fn tell(&self, text: impl Into<String>) {
        self.board.lock().tell(text);
    }

    /// Waits until the broker that was just started is ready; until then it is in this health.
    async fn ready(&mut self, health: Health) -> Result<Ready, Failure> {
        {
            let mut board = self.board.lock();
            (board.health, board.pid) = (health, self.broker.pid());
        }
        let deadline = Instant::now() + START_MAX;
        let ready = loop {
            match self.broker.ready()? {
                Some(ready) => break ready,
                None if Instant::now() > deadline => {
                    return Err(Failure::new("the broker is not ready within a minute"));
                }
                None => sleep(POLL).await,
            }
        };
        let pid = self.broker.pid();
        let mut board = self.board.lock();
        board.health = Health::Serving;
        board.tell(match health {
            Health::Starting => {
                format!("broker (process {pid}) serves at {} with {}", ready.address, count(ready.lanes, "lane"))
            }
            _ => format!("broker (process {pid}) has recovered and serves again, after {} ms", ready.started_ms),
        });
        Ok(ready)
    }

    /// # Errors
    ///
    /// When something has ended that should not.
    async fn check(&mut self) -> Result<(), Failure> {
        self.broker.check()?;
        for consumer in &mut self.consumers {
            consumer.check().await?;
        }
        Ok(())
    }

    /// Lets the load go on until then.
    async fn pass(&mut self, until: Instant, load: &mut Load) -> Result<(), Ended> {
        while Instant::now() < until {
            self.check().await?;
            load.is_over().map_err(Ended::Input)?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits for something that is to come within the time for arrivals. When it does not, that is told and
    /// the course goes on: the proof says what is missing.
    async fn until(&mut self, what: &str, mut has_come: impl FnMut() -> Result<bool, Ended>) -> Result<(), Ended> {
        let deadline = Instant::now() + ARRIVAL_MAX;
        while !has_come()? {
            if Instant::now() > deadline {
                self.tell(format!("{what} within {} s", ARRIVAL_MAX.as_secs()));
                break;
            }
            self.check().await?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills the broker. Gives how many puts were acknowledged before.
    async fn kill(&mut self) -> Result<u64, Failure> {
        self.check().await?;
        let acked = {
            let mut board = self.board.lock();
            let now_ns = board.clock.now_ns();
            board.outage.begin(now_ns);
            (board.phase, board.health) = (Phase::Kill, Health::Killed);
            let acked = board.ledger.counts().acked;
            board.tell(format!("SIGKILL to the broker; {} records are acknowledged", show_grouped(acked)));
            acked
        };
        self.broker.kill();
        Ok(acked)
    }

    /// Starts the broker again, and waits until it has taken all that was put meanwhile. Gives how long the
    /// broker says that its start took, in ms.
    async fn revive(&mut self, address: SocketAddr) -> Result<u64, Ended> {
        self.broker = BrokerProcess::start(&self.place.data(), self.place.log(), address, &[])?;
        let ready = self.ready(Health::Recovering).await?;
        let (board, waiting) = (self.board.clone(), self.board.lock().ledger.counts().put);
        self.until("the broker did not take what was put while it was away", || {
            let counts = board.lock().ledger.counts();
            Ok(counts.put - counts.open() >= waiting)
        })
        .await?;
        let mut board = self.board.lock();
        let now_ns = board.clock.now_ns();
        board.outage.end(now_ns);
        board.phase = Phase::Recovered;
        let gap = show_nanos(board.outage.longest_gap_ns());
        board.tell(format!("all that waited is acknowledged; there was no ack for {gap}"));
        Ok(ready.started_ms)
    }

    /// Waits until everything was put and has its outcome, and until the consumers have everything.
    async fn drain(&mut self, load: &mut Load) -> Result<(), Ended> {
        self.until("not everything was put", || load.is_over().map_err(Ended::Input)).await?;
        let behind = {
            let mut board = self.board.lock();
            board.phase = Phase::Drain;
            let put = board.ledger.counts().put;
            board.tell(format!("the last of {} records is put", show_grouped(put)));
            board.measure()
        };
        self.until("the broker did not answer every put", || Ok(load.is_settled())).await?;
        let board = self.board.clone();
        self.until("a consumer was not given everything", || Ok(has_all(&board))).await?;
        let slowest = behind.iter().map(|behind| behind.records).max().unwrap_or(0);
        self.tell(format!("the consumers have caught up; the slow one was {} records behind", show_grouped(slowest)));
        Ok(())
    }

    /// Reads every shard by polling, up to its tip.
    async fn read_back(&mut self, client: &Client, stream: &StreamDescription) -> Result<Witness, Failure> {
        self.enter(Phase::Proof);
        let mut witness = Witness::new("read back by polling", stream.shards.len());
        for shard in &stream.shards {
            let mut reader = client.reader_of(stream, shard.shard, Position::TrimHorizon)?;
            loop {
                let read = reader.read_once().await?;
                witness.give_all(&read);
                self.check().await?;
                if read.is_at_tip() {
                    break;
                }
            }
        }
        Ok(witness)
    }

    /// Waits until the consumers were given as far as was read, and a little more for what is too much.
    async fn give_rest(&mut self, read_back: &Witness) -> Result<(), Ended> {
        let board = self.board.clone();
        self.until("a consumer was not given everything", || {
            let board = board.lock();
            let reaches =
                |witness: &Witness| (0..SHARDS as usize).all(|shard| witness.next(shard) >= read_back.next(shard));
            Ok(board.consumers.iter().all(|consumer| reaches(&consumer.witness)))
        })
        .await?;
        sleep(GRACE).await;
        Ok(self.check().await?)
    }
}

fn has_all(board: &SharedBoard) -> bool {
    let mut board = board.lock();
    board.measure().iter().all(|behind| behind.ns == 0)
}
