//! Append: admit a put, put it in order, give it its sequences and stage it.

use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::{ErrorCode, WireError};

use super::{Acked, Admission, Effect, Health, Log, Stage, Staged, Waiting};
use crate::arrival::Now;
use crate::budget::LaneBudget;
use crate::counts::Amount;
use crate::limits::{BUSY_RETRY_MS, CLOSING_RETRY_MS, LATE_RETRY_MS, PREPARE_RETRY_MS};
use crate::planted::Bug;
use crate::producer::PutOrder;

impl Log {
    pub(super) fn put(
        &mut self,
        now: Now,
        token: u64,
        batch: PutBatch,
        budget: &mut LaneBudget,
        effects: &mut Vec<Effect>,
    ) {
        assert_eq!(batch.header().incarnation, self.settings.id.incarnation, "the owner has looked the stream up");
        match self.admit(now, &batch, budget) {
            Ok(Admitted::New { shard_at }) => {
                self.stage(now, token, shard_at, batch, budget);
                if Bug::AckOnStage.is_planted() {
                    self.staged.back().into_iter().for_each(|staged| effects.push(staged.ack()));
                }
            }
            Ok(Admitted::Resend { shard_at, acked })
                if acked.first_sequence < self.shards[shard_at].durable_sequence =>
            {
                effects.push(Effect::Reply { token, outcome: Ok(acked) });
            }
            // Its original was given up: nothing more will be known of it in this run.
            Ok(Admitted::Resend { shard_at, .. }) if matches!(self.stage, Stage::Idle) && self.staged.is_empty() => {
                self.count_refused(Some(shard_at), batch.header().record_count, ErrorCode::Indeterminate);
                effects.push(Effect::Reply { token, outcome: Err(given_up()) });
            }
            Ok(Admitted::Resend { shard_at, acked }) => {
                let record_count = batch.header().record_count;
                self.waiting.push(Waiting { token, shard_at, acked, record_count });
            }
            Err(error) => {
                let shard_at = self.shard_at(batch.header().shard).ok();
                self.count_refused(shard_at, batch.header().record_count, error.code);
                effects.push(Effect::Reply { token, outcome: Err(error) });
            }
        }
    }

    /// The order of the questions matters: what is stored is acked again even where nothing new is
    /// taken, and a put that is out of order is refused unlooked at.
    fn admit(&mut self, now: Now, batch: &PutBatch, budget: &LaneBudget) -> Result<Admitted, WireError> {
        let shard_at = self.shard_at(batch.header().shard)?;
        if let Some(acked) = self.in_order(batch)? {
            return Ok(Admitted::Resend { shard_at, acked });
        }
        self.takes_puts(now, budget)?;
        match &self.shards[shard_at].admission {
            Admission::Open => {}
            Admission::Closing if Bug::ClosingAdmits.is_planted() => {}
            Admission::Closing => return Err(closing(batch.header().shard)),
            Admission::Closed(_) => return Err(closed(batch.header().shard)),
        }
        if budget.pushes_late() {
            return Err(late());
        }
        if !budget.has_room(batch.total_len()) {
            return Err(busy());
        }
        let cost = Amount::of(batch.header());
        self.put_is_within(now, shard_at, cost)?;
        self.records_belong(shard_at, batch)?;
        self.take_put(now, shard_at, cost);
        Ok(Admitted::New { shard_at })
    }

    pub(super) fn shard_at(&self, shard: u32) -> Result<usize, WireError> {
        self.shards.binary_search_by_key(&shard, |shard| shard.number).map_err(|_| {
            WireError::new(ErrorCode::ShardNotFound, format!("the stream has no shard {shard}; describe it again"))
        })
    }

    fn in_order(&mut self, batch: &PutBatch) -> Result<Option<Acked>, WireError> {
        let producer = batch.header().producer;
        if !producer.is_numbered() {
            return Ok(None);
        }
        match self.producers.order(producer, batch.header().shard) {
            PutOrder::Next => Ok(None),
            PutOrder::Known(_) if Bug::ResendStoredAgain.is_planted() => Ok(None),
            PutOrder::Known((first_sequence, arrival_ms)) => Ok(Some(Acked { first_sequence, arrival_ms })),
            PutOrder::Behind(_) if Bug::BehindNotEnforced.is_planted() => Ok(None),
            PutOrder::Behind(number) => Err(WireError::behind(number)),
            PutOrder::TooMany => Err(busy()),
            PutOrder::Unknown => Err(WireError::new(
                ErrorCode::UnknownProducer,
                format!(
                    "producer {:016x} is not known here, so put {} may be stored already; begin again with a new id",
                    producer.id, producer.number
                ),
            )),
            PutOrder::Fenced(epoch) => Err(WireError::new(
                ErrorCode::ProducerFenced,
                format!(
                    "producer {:016x} goes on elsewhere as epoch {epoch}; this is epoch {}",
                    producer.id, producer.epoch
                ),
            )
            .with_detail(u64::from(epoch), 0)),
            PutOrder::TooOld => Err(WireError::new(
                ErrorCode::NumberTooOld,
                format!("put {} of producer {:016x} is stored, but where is forgotten", producer.number, producer.id),
            )),
        }
    }

    fn takes_puts(&self, now: Now, budget: &LaneBudget) -> Result<(), WireError> {
        match &self.health {
            Health::Serving if budget.storage_low() || self.segments.is_starved(now) => Err(storage_full()),
            Health::Serving => Ok(()),
            Health::ReadOnly { why } => Err(read_only(why)),
            Health::Stopping | Health::Stopped => Err(going_away()),
        }
    }

    fn stage(&mut self, now: Now, token: u64, shard_at: usize, batch: PutBatch, budget: &mut LaneBudget) {
        let shard = &mut self.shards[shard_at];
        let batch = batch.stamp(shard.next_sequence, self.clock.arrival_ms(now));
        shard.next_sequence = batch.next_sequence();
        let header = batch.header();
        if header.producer.is_numbered() {
            self.producers.stage(header.producer, header.shard, (header.first_sequence, header.arrival_ms));
        }
        budget.stage(batch.bytes().len());
        self.staged.push_back(Staged { token, shard_at, batch });
    }

    /// Refuses everything that is staged and gives its sequences and numbers back: nothing of it was submitted.
    pub(super) fn refuse_staged(&mut self, refusal: &WireError, budget: &mut LaneBudget, effects: &mut Vec<Effect>) {
        // From the newest to the oldest, so that each shard and producer ends where its oldest stood.
        let mut refused = Vec::with_capacity(self.staged.len());
        while let Some(Staged { token, shard_at, batch }) = self.staged.pop_back() {
            let header = batch.header();
            self.shards[shard_at].next_sequence = header.first_sequence;
            if header.producer.is_numbered() {
                self.producers.unstage(header.producer, header.shard);
            }
            budget.unstage(batch.bytes().len());
            self.count_refused(Some(shard_at), header.record_count, refusal.code);
            refused.push(token);
        }
        let submitted_end = |log: &Log, at: usize| log.shards[at].next_sequence;
        let (waiting, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|waiting| waiting.acked.first_sequence >= submitted_end(self, waiting.shard_at));
        self.waiting = kept;
        for resend in &waiting {
            self.count_refused(Some(resend.shard_at), resend.record_count, refusal.code);
        }
        let tokens = refused.into_iter().rev().chain(waiting.into_iter().map(|waiting| waiting.token));
        effects.extend(tokens.map(|token| Effect::Reply { token, outcome: Err(refusal.clone()) }));
    }
}

enum Admitted {
    New { shard_at: usize },
    Resend { shard_at: usize, acked: Acked },
}

pub(super) fn storage_full() -> WireError {
    WireError::retry_after(
        ErrorCode::StorageFull,
        PREPARE_RETRY_MS as u32,
        "the broker's disk is full; reads go on, and puts as soon as there is room",
    )
}

fn given_up() -> WireError {
    WireError::new(ErrorCode::Indeterminate, "the put was written and its outcome is not known; ask after a restart")
}

pub(super) fn read_only(why: &str) -> WireError {
    WireError::new(ErrorCode::ReadOnly, format!("this shard's log takes no puts: {why}"))
}

pub(super) fn going_away() -> WireError {
    WireError::retry_after(ErrorCode::GoingAway, 1_000, "the broker is stopping; connect again")
}

fn busy() -> WireError {
    WireError::retry_after(ErrorCode::Busy, BUSY_RETRY_MS, "too many bytes wait for the disk; put again after the wait")
}

/// Puts give way to what is promised, by refusal and never by delay.
fn late() -> WireError {
    let message = "the lane is late with what it has promised to consumers; put again after the wait";
    WireError::retry_after(ErrorCode::Busy, LATE_RETRY_MS, message)
}

/// Whether the shard is closed waits for the catalog, and nobody else is to wait for that.
fn closing(shard: u32) -> WireError {
    let message = format!("shard {shard} is being split or merged; put again after the wait");
    WireError::retry_after(ErrorCode::Resharding, CLOSING_RETRY_MS, message)
}

fn closed(shard: u32) -> WireError {
    WireError::new(ErrorCode::ShardClosed, format!("shard {shard} is closed; describe the stream for its children"))
}
