//! A lane: the thread that owns logs, their commit ring and a QUIC endpoint.
//!
//! One task does the lane's own work, turn after turn:
//!
//! ```text
//!   arrivals ─► Log::step ─► effects
//!   completions ─► Log::step ─► effects          performed in order: writes to the ring at once,
//!   time ─► Log::step ─► effects                 replies to their streams at the end of the turn
//!   logs that want a commit, oldest wish first ─► Log::step(Flush) ─► effects
//!   what is left of the turn ─► FanOut::poll ─► pushes and scans
//! ```
//!
//! What must hold: the lane waits for nothing but its next turn; a completion is looked for in every
//! turn, and before anything is pushed; a reply leaves only as an effect of the log. The lane decides
//! nothing. What it serves other lanes, and they it, is in `afar.rs`; a lane that has stopped stays until
//! all have.

mod afar;
mod commits;
mod inbox;
mod loads;
mod logs;
mod promises;
mod pushes;
mod replies;
mod report;
mod reshard;
mod terms;
mod turned_away;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rheos_core::arrival::Now;
use rheos_core::budget::LaneBudget;
use rheos_core::catalog::StreamRecord;
use rheos_core::fanout::SubscriptionId;
use rheos_core::held_back::HeldBack;
use rheos_core::lanes::lane_of;
use rheos_core::limits::COMMITS_AT_STOP_MAX;
use rheos_core::log::{Effect, Event, Log, LogId, ReadStart, ShardTip};
use rheos_core::recovery::{LogOnDisk, Recovery, RecoveryStep};
use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Read, StreamLimits, Subscribe};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{debug, error};

use crate::blocks::Blocks;
use crate::clock;
use crate::consumers::Consumers;
use crate::disk::{BufferPool, CommitRing, POOLED_BYTES_MAX, RingWait, WriteDone};
use crate::files::{FileJob, FileThread};
use crate::mesh::MeshEnd;
use crate::metrics::LaneCounts;
use crate::net::NetUse;
use crate::reshard::Expired;
use crate::stopping::{GOING_AWAY_WAIT_MS, Stopping, going_away};
use crate::streams::Streams;

pub(crate) use inbox::{Answer, Arrival, Ends, Inbox, Inboxes, Reading, Resharding, Subscribing};
pub(crate) use logs::settings_of;
pub(crate) use pushes::{PushWay, PushedApart};

use logs::{Logs, Slot};
use pushes::{Pushed, Pushes};
use replies::Replies;
use turned_away::TurnedAway;

/// How often open logs are told that time has passed.
const TICK: Duration = Duration::from_millis(100);

/// Logs that are closed are told so only once in so many times, every 10 s: their segments expire all the same.
const TICKS_OF_CLOSED: u32 = 100;

/// The lane's own task.
pub(crate) struct Lane {
    inbox: Inbox,
    ring: CommitRing,
    wait: RingWait,
    pool: BufferPool,
    ticks: Interval,
    files: FileThread,
    blocks: Blocks,
    logs: Logs,
    replies: Replies,
    pushes: Pushes,
    /// The way to other lanes, where there are any.
    mesh: Option<MeshEnd>,
    held_back: HeldBack,
    budget: LaneBudget,
    consumers: Consumers,
    limits: StreamLimits,
    expired: mpsc::Sender<Expired>,
    directory_id: u64,
    number: LaneNumber,
    stopping: bool,
    progress: Stopping,
    ticked: u32,
    counts: LaneCounts,
    turned_away: TurnedAway,
    net_use: NetUse,
    // Emptied in every turn, kept for their memory.
    arrivals: Vec<Arrival>,
    ends: Vec<WriteDone>,
    effects: Vec<Effect>,
    slots: Vec<Slot>,
}

/// Which lane of how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneNumber {
    pub(crate) lane: u16,
    pub(crate) lanes: u16,
}

/// What a lane is made of beside its streams.
pub(crate) struct LaneParts {
    pub(crate) number: LaneNumber,
    pub(crate) directory_id: u64,
    pub(crate) inbox: Inbox,
    pub(crate) files: FileThread,
    pub(crate) blocks: Blocks,
    pub(crate) consumers: Consumers,
    /// What streams have where they set nothing else.
    pub(crate) limits: StreamLimits,
    /// Where closed shards are reported whose records have expired.
    pub(crate) expired: mpsc::Sender<Expired>,
    pub(crate) streams: Streams,
    /// What the lane's connections hold.
    pub(crate) net_use: NetUse,
    /// The lane's end of the mesh, where there are other lanes.
    pub(crate) mesh: Option<MeshEnd>,
    pub(crate) stopping: Stopping,
}

/// A stream with its logs as recovery has found them; given to a lane, with those that it serves.
pub(crate) struct RecoveredStream {
    pub(crate) record: Arc<StreamRecord>,
    pub(crate) logs: Vec<Log>,
}

impl Lane {
    /// A lane with these streams. To be made in the runtime and on the thread it will run on.
    ///
    /// # Errors
    /// When the kernel gives it no ring.
    pub(crate) fn new(parts: LaneParts, recovered: Vec<RecoveredStream>) -> io::Result<Lane> {
        let LaneParts {
            number,
            directory_id,
            inbox,
            files,
            blocks,
            consumers,
            limits,
            expired,
            streams,
            net_use,
            mesh,
            stopping,
        } = parts;
        let ring = CommitRing::new(COMMITS_AT_STOP_MAX as u32)?;
        let wait = RingWait::new(&ring)?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pushes = Pushes::new(inbox.clone(), blocks.clone());
        let mut logs = Logs::default();
        for stream in recovered {
            logs.add(stream.record, stream.logs);
        }
        Ok(Lane {
            inbox,
            ring,
            wait,
            pool: BufferPool::new(4 * POOLED_BYTES_MAX),
            ticks,
            files,
            blocks,
            logs,
            replies: Replies::new(Instant::now()),
            pushes,
            mesh,
            held_back: HeldBack::default(),
            budget: LaneBudget::default(),
            consumers,
            limits,
            expired,
            directory_id,
            number,
            stopping: false,
            progress: stopping,
            ticked: 0,
            counts: LaneCounts::default(),
            turned_away: TurnedAway::new(streams),
            net_use,
            arrivals: Vec::new(),
            ends: Vec::new(),
            effects: Vec::new(),
            slots: Vec::new(),
        })
    }

    /// Serves until every log has stopped. To be spawned with `tokio::spawn`: see [`RingWait`].
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.turn(cx)).await;
        self.inbox.close();
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = clock::now();
            self.counts.turns += 1;
            self.replies.set_time(Instant::now());
            let mut busy = self.take_arrivals(now, cx);
            busy |= self.take_mesh(now);
            busy |= self.take_completions(now, cx);
            busy |= self.take_tick(now, cx);
            busy |= self.begin_commits(now);
            self.replies.send(cx);
            let pushed = self.pushes.push(now, &self.logs);
            if self.stopping && self.logs.all_stopped() && self.others_have_stopped() {
                // What they answered before they stopped.
                self.take_answers();
                self.replies.send(cx);
                return Poll::Ready(());
            }
            // What was pushed is sent by other tasks of this thread: they have their turn before there is more.
            if pushed == Pushed::More {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !busy && self.may_sleep(cx) {
                return Poll::Pending;
            }
        }
    }

    fn take_arrivals(&mut self, now: Now, cx: &Context<'_>) -> bool {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        self.inbox.take(&mut arrivals, cx);
        let any = !arrivals.is_empty();
        for arrival in arrivals.drain(..) {
            self.take_arrival(now, arrival);
        }
        self.arrivals = arrivals;
        any
    }

    fn take_arrival(&mut self, now: Now, arrival: Arrival) {
        match arrival {
            Arrival::Put { stream, frame, batch } => {
                let token = self.replies.expect(stream, frame);
                self.put(now, token, batch);
            }
            Arrival::PutApart { batch, told } => {
                let token = self.replies.expect_apart(told);
                self.put(now, token, batch);
            }
            Arrival::PutAfar { lane, stream, frame, batch } => self.put_afar(lane, stream, frame, batch),
            Arrival::PutRefused { stream, frame, error } => {
                self.counts.puts_rejected += 1;
                let token = self.replies.expect(stream, frame);
                self.replies.answer(token, Err(*error));
            }
            Arrival::PutStreamOpened { stream, replies } => self.replies.open(stream, replies),
            Arrival::PutStreamEnded { stream } => {
                self.held_back.end(stream);
                self.replies.end(stream);
            }
            // Whoever asked may have gone: then nobody is told.
            Arrival::Read { read, reply } => drop(reply.send(self.read(now, &read))),
            Arrival::TipOf { incarnation, shard, told } => drop(told.send(self.tip_of(incarnation, shard))),
            Arrival::ReadOfDisk { log, shard, given, iterator_age_ms } => {
                if let Some(slot) = self.logs.of_id(log) {
                    let log = &mut self.logs.at(slot).expect("a stream's slots are taken").log;
                    log.count_read(now, shard, given, iterator_age_ms);
                }
            }
            Arrival::ReadTurnedAway { incarnation, shard } => self.turned_away.read(incarnation, shard),
            Arrival::Subscribing(subscribing) => self.subscribing(subscribing),
            Arrival::Writable { path } => self.pushes.writable(path),
            Arrival::Scanned { scan, log, outcome, gone } => {
                // A stream that was deleted meanwhile has no segments to remember.
                let gone = if self.logs.of_id(log).is_some() { gone } else { Default::default() };
                self.pushes.scanned(now, scan, outcome, (log, gone));
            }
            Arrival::ConsumerUpdated { incarnation, consumer, done } => {
                self.promise(incarnation, &consumer);
                let _ = done.send(());
            }
            Arrival::ConsumerDeregistered { incarnation, consumer, done } => {
                self.pushes.fan_out.deregister(incarnation, &consumer);
                let _ = done.send(());
            }
            Arrival::StreamCreated { record, done } => {
                self.create(now, record);
                let _ = done.send(());
            }
            Arrival::Resharding(resharding) => self.resharding(now, resharding),
            Arrival::StreamUpdated { record, done } => {
                self.update(now, record);
                let _ = done.send(());
            }
            Arrival::HorizonOf { incarnation, told } => drop(told.send(self.horizon_ms(now, incarnation))),
            Arrival::Measured { log, sizes } => {
                if let Some(slot) = self.logs.of_id(log) {
                    self.step(now, slot, Event::Measured { sizes });
                }
            }
            Arrival::StreamDeleted { record, done } => {
                self.delete(&record);
                let _ = done.send(());
            }
            Arrival::Prepared { log, ask, outcome } => {
                let Some(slot) = self.logs.of_id(log) else { return };
                let event = match outcome {
                    Ok(prepared) => {
                        let owned = self.logs.at(slot).expect("a stream's slots are taken");
                        // One that was given back meanwhile is removed by name; it must not stay open.
                        if !owned.log.expects_segment(ask) {
                            return;
                        }
                        owned.files.insert(prepared.segment, prepared.file);
                        let (segment, salt, bytes) = (prepared.segment, prepared.salt, prepared.bytes);
                        Event::SegmentReady { segment, ask, salt, bytes }
                    }
                    Err(why) => Event::SegmentFailed { ask, why },
                };
                self.step(now, slot, event);
            }
            Arrival::Sealed { log, segment } => {
                let Some(slot) = self.logs.of_id(log) else { return };
                self.logs.at(slot).expect("a stream's slots are taken").files.remove(&segment);
                self.step(now, slot, Event::Sealed { segment });
            }
            Arrival::Trimmed { log, lowest } => {
                self.blocks.forget(log, lowest.segment);
                self.pushes.trimmed(log, lowest.segment);
                if let Some(slot) = self.logs.of_id(log) {
                    self.step(now, slot, Event::Trimmed { lowest });
                }
            }
            Arrival::StorageLow(low) => self.budget.set_storage_low(low),
            Arrival::RollCall { here } => drop(here.send(())),
            Arrival::Readiness(reply) => drop(reply.send(self.readiness())),
            Arrival::Loads { keys_weight_least, told } => drop(told.send(self.take_loads(keys_weight_least))),
            Arrival::Report(reply) => drop(reply.send(Box::new(self.report(now)))),
            Arrival::Stop => self.stop(now),
        }
    }

    /// Has a batch put whose outcome goes by this token.
    fn put(&mut self, now: Now, token: u64, batch: PutBatch) {
        match self.logs.of_shard(batch.header().incarnation, batch.header().shard) {
            Ok(slot) => self.step(now, slot, Event::Put { token, batch }),
            Err(error) => {
                self.counts.puts_rejected += 1;
                self.reply(token, Err(error));
            }
        }
    }

    fn read(&mut self, now: Now, read: &Read) -> Result<Reading, WireError> {
        let slot = self.logs.of_shard(read.incarnation, read.shard)?;
        let log = &mut self.logs.at(slot).expect("a stream's slots are taken").log;
        let bytes_max = log.admit_read(now, read.shard, read.bytes_max as usize)?;
        let start = log.read(now, read.shard, read.position, bytes_max)?;
        let tip = log.tip(read.shard)?;
        // What has to come from the disk is counted when it has.
        if let ReadStart::Ready(outcome) = &start {
            log.count_read(now, read.shard, outcome.given(), outcome.iterator_age_ms(tip, now.wall_ms));
        }
        let children = log.children(read.shard).map(<[u32]>::to_vec);
        Ok(Reading { log: log.id(), tip, children, start })
    }

    fn tip_of(&mut self, incarnation: u64, shard: u32) -> Result<ShardTip, WireError> {
        let slot = self.logs.of_shard(incarnation, shard)?;
        self.logs.at(slot).expect("a stream's slots are taken").log.tip(shard)
    }

    fn subscribing(&mut self, subscribing: Subscribing) {
        match subscribing {
            Subscribing::Subscribe { peer, way, id, subscribe, answer } => {
                self.promise(subscribe.incarnation, &subscribe.consumer);
                let slot = self.subscribable(&subscribe);
                let log = slot.map(|slot| &mut self.logs.at(slot).expect("a stream's slots are taken").log);
                self.pushes.subscribe((peer, way), id, subscribe, answer, log);
            }
            Subscribing::Credit { peer, id, bytes } => self.pushes.fan_out.credit(SubscriptionId { peer, id }, bytes),
            Subscribing::Unsubscribe { peer, id } => self.pushes.fan_out.unsubscribe(SubscriptionId { peer, id }),
            Subscribing::Ended { peer } => self.pushes.forget(peer),
        }
    }

    /// The log that a subscription is to, while it may be.
    fn subscribable(&self, subscribe: &Subscribe) -> Result<Slot, WireError> {
        if self.stopping {
            return Err(going_away());
        }
        let slot = self.logs.of_shard(subscribe.incarnation, subscribe.shard)?;
        // Asked here, where its deregistration is heard of too: none comes between the two.
        if !self.consumers.exists(subscribe.incarnation, &subscribe.consumer) {
            let message = format!("the stream has no registered consumer {:?}; register it first", subscribe.consumer);
            return Err(WireError::new(ErrorCode::ConsumerNotFound, message));
        }
        Ok(slot)
    }

    fn create(&mut self, now: Now, record: Arc<StreamRecord>) {
        let LaneNumber { lane, lanes } = self.number;
        let here = (0..record.log_count).filter(|log| lane_of(record.incarnation, *log, lanes) == lane);
        let logs = here.map(|log| new_log(now, &record, log, self.directory_id, self.limits)).collect();
        let slots = self.logs.add(record, logs);
        // Its creation was on the way when the stop began: nobody else tells these logs.
        if self.stopping {
            slots.into_iter().for_each(|slot| self.step(now, slot, Event::Stop));
        }
    }

    fn delete(&mut self, record: &StreamRecord) {
        let message = format!("stream {} was deleted", record.name);
        let refusal = WireError::new(ErrorCode::StreamNotFound, message);
        self.pushes.fan_out.delete(record.incarnation, &refusal);
        for slot in self.logs.take_stream(record.incarnation) {
            let owned = self.logs.at(slot).expect("a stream's slots are taken");
            owned.log.release(&refusal, &mut self.budget, &mut self.effects);
            self.blocks.forget(owned.log.id(), u64::MAX);
            self.pushes.trimmed(owned.log.id(), u64::MAX);
            owned.dropped = true;
            if owned.writing.is_none() {
                self.logs.remove(slot);
            }
            self.answer_only();
        }
    }

    fn stop(&mut self, now: Now) {
        self.stopping = true;
        self.budget.hurry_to_stop();
        self.progress.left(self.number.lane, self.logs.unstopped());
        self.pushes.fan_out.stop(GOING_AWAY_WAIT_MS);
        for slot in self.logs.slots() {
            self.step(now, slot, Event::Stop);
        }
    }

    fn take_tick(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        if self.ticks.poll_tick(cx).is_pending() {
            return false;
        }
        self.pushes.tick(now);
        self.budget.set_pushes_late(self.pushes.fan_out.is_late());
        let mut slots = std::mem::take(&mut self.slots);
        self.ticked = (self.ticked + 1) % TICKS_OF_CLOSED;
        if self.ticked == 0 {
            slots.extend(self.logs.slots());
            slots.iter().for_each(|slot| self.report_expired(now, *slot));
        } else {
            self.logs.open_slots(&mut slots);
        }
        for slot in slots.drain(..) {
            self.step(now, slot, Event::Tick);
            if self.stopping {
                self.step(now, slot, Event::Stop);
            }
        }
        self.slots = slots;
        if self.stopping {
            self.progress.left(self.number.lane, self.logs.unstopped());
        }
        true
    }

    /// One event for one log, and everything that follows from it.
    fn step(&mut self, now: Now, slot: Slot, event: Event) {
        let flush = matches!(event, Event::Flush);
        let Some(owned) = self.logs.at(slot) else { return };
        owned.log.step(now, event, &mut self.budget, &mut self.effects);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform(slot, effect);
        }
        self.effects = effects;
        // A log that could not begin is queued again by what it waits for.
        if !flush {
            self.logs.queue_if_wanting(slot);
        }
    }

    fn perform(&mut self, slot: Slot, effect: Effect) {
        let owned = self.logs.at(slot).expect("effects are performed before a slot is freed");
        let log = owned.log.id();
        match effect {
            Effect::Reply { token, outcome } => self.reply(token, outcome),
            Effect::Write(write) => self.write(slot, &write),
            Effect::Prepare { segment, ask, bytes } => {
                // Nobody waits for a spare; for the segment of a log that has none, somebody may.
                owned.hurry.store(owned.log.waits_for_segment(), Ordering::Relaxed);
                let hurry = Arc::clone(&owned.hurry);
                self.files.push(FileJob::Prepare { log, segment, ask, bytes, hurry });
            }
            Effect::Hurry { .. } => owned.hurry.store(true, Ordering::Relaxed),
            Effect::Discard { segment } => {
                // Nobody waits for it any more, if anybody did.
                owned.hurry.store(false, Ordering::Relaxed);
                owned.files.remove(&segment);
                self.files.push(FileJob::Discard { log, segment });
            }
            Effect::Seal { segment, offset, footer } => {
                self.files.push(FileJob::Seal { log, segment, offset, footer });
            }
            Effect::Trim(expiry) => self.files.push(FileJob::Trim { log, expiry }),
            Effect::Measure { segments } => self.files.push(FileJob::Measure { log, segments }),
            Effect::Advanced { shard } => {
                if !self.pushes.fan_out.advanced(log, shard) {
                    owned.log.unwatch(shard);
                }
            }
            Effect::Drained { ends } => owned.tell_ends(ends),
            Effect::ReadOnly { why } => {
                let stream = self.logs.stream_name(log);
                error!(stream, log = %name(log), "takes no more puts until the broker is started again, reads go on: {why}");
            }
            Effect::Stopped => {
                owned.stopped = true;
                debug!(log = %name(log), "sealed");
            }
        }
    }

    /// Performs the answers of a log that is going: nothing else of it is to be done.
    fn answer_only(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            if let Effect::Reply { token, outcome } = effect {
                self.reply(token, outcome);
            }
        }
        self.effects = effects;
    }
}

/// A log of a stream that has just been made: there is nothing to recover.
fn new_log(now: Now, record: &StreamRecord, log: u32, directory: u64, limits: StreamLimits) -> Log {
    let settings = settings_of(record, log, limits);
    let on_disk = LogOnDisk {
        id: settings.id,
        directory,
        shards: settings.shard_numbers().collect(),
        ends: settings.ends(),
        lowest_kept: rheos_core::catalog::FIRST_SEGMENT,
        highest_prepared: rheos_core::catalog::FIRST_SEGMENT - 1,
        files: Default::default(),
    };
    match Recovery::new(on_disk).step(None) {
        RecoveryStep::Done(recovered) => Log::new(now, settings, *recovered),
        RecoveryStep::Read { .. } => unreachable!("a log without files has nothing to read"),
    }
}

/// A log as the operator reads it.
pub(crate) fn name(log: LogId) -> String {
    format!("{:x}/{}", log.incarnation, log.log)
}
