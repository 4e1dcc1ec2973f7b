//! SubscribeToShard: what is proved before the answer begins. The events are `events.rs`'s.

use rheos_core::catalog::StreamRecord;
use rheos_kinesis::error::{Error, ErrorKind};
use rheos_kinesis::operations::consumers::not_active;
use rheos_kinesis::operations::status::ConsumerStatus;
use rheos_kinesis::operations::subject;
use rheos_kinesis::records::SubscriptionAsked;
use rheos_kinesis::value::Structure;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{Position, Subscribe};

use crate::dispatch::{Action, Resource};
use crate::kinesis::call::{Call, Outcome};
use crate::kinesis::events::Events;
use crate::kinesis::seats::Seat;
use crate::kinesis::subscription::{CREDIT_BYTES, Subscription};

pub(super) async fn subscribe_to_shard(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let asked = subject::consumer(input, &call.caller.place)?;
    let subject = call.subject_of(asked.stream.clone())?;
    call.authorise(Action::Subscribe, &Resource::of(&subject.name), &subject)?;
    let stream = call.served(&subject).ok_or_else(|| asked.not_found())?;
    let consumer = call.broker.consumers.named(stream.incarnation, &asked.name);
    let consumer = consumer.filter(|consumer| asked.is(consumer.created_ms)).ok_or_else(|| asked.not_found())?;
    if ConsumerStatus::of(consumer.created_ms, None, call.delay()) == Some(ConsumerStatus::Creating) {
        return Err(not_active(&asked.stream, &consumer));
    }
    let named = subject.arn.in_messages();
    let begins = SubscriptionAsked::new(input, Some(&stream), &named, call.now_ms())?;
    let seat = Seat {
        incarnation: stream.incarnation,
        shard: begins.shard.shard,
        consumer: consumer.name.as_str().to_owned(),
    };
    let taking = call.kinesis.seats.take(seat.clone()).ok_or_else(|| {
        let message = format!("Consumer {} has subscribed to this shard less than 5 seconds ago.", asked.name);
        Error::new(ErrorKind::ResourceInUse, message)
    })?;
    let pushed = match begins.position() {
        Some(position) => {
            let epoch = call.broker.consumers.next_epoch(call.now_ms());
            let begun = begin(call, &stream, &seat, position, epoch).await;
            Some(begun.map_err(|error| subject.refusal(&error))?)
        }
        None => None,
    };
    taking.keep();
    let (subscription, first) = pushed.map_or((None, 0), |(subscription, first)| (Some(subscription), first));
    let events = Events::new(call, subject, stream.incarnation, begins.begin(first), subscription);
    Ok(Outcome::Events(events.frames()))
}

/// Subscribes where the position is, or at the nearest place that there is.
async fn begin(
    call: &Call<'_>,
    stream: &StreamRecord,
    seat: &Seat,
    position: Position,
    epoch: u64,
) -> Result<(Subscription, u64), WireError> {
    let subscribe = |position| Subscribe {
        incarnation: stream.incarnation,
        shard: seat.shard,
        consumer: seat.consumer.clone(),
        epoch,
        position,
        credit: CREDIT_BYTES,
    };
    let begun = Subscription::begin(call.broker, &call.kinesis.peers, subscribe(position)).await;
    match begun {
        // What expired meanwhile is passed over, and so is what is still to come.
        Err(error) if matches!(error.code, ErrorCode::Trimmed | ErrorCode::BeyondTip) => {
            let nearest = Position::AtSequence(error.detail);
            Subscription::begin(call.broker, &call.kinesis.peers, subscribe(nearest)).await
        }
        begun => begun,
    }
}
