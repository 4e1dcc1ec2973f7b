//! Records put and polled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rheos_core::catalog::StreamRecord;
use rheos_kinesis::error::Error;
use rheos_kinesis::records::{Found, IteratorAsked, Placement, PutTo, Puts, ReadAsked};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::Read;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use crate::dispatch::{Action, Resource};
use crate::kinesis::asking::{batches_of, begin_put, read, tip_of};
use crate::kinesis::call::{Call, Outcome, Subject};
use crate::reading::BatchesRead;
use crate::route::Route;

pub(super) async fn put_record(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    put(call, input, |input, to| Puts::one(input, to)).await
}

pub(super) async fn put_records(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    put(call, input, |input, to| Puts::many(input, to)).await
}

type Proof = for<'a> fn(&'a Structure, &PutTo<'a>) -> Result<Puts<'a>, Error>;

async fn put(call: &Call<'_>, input: &Structure, prove: Proof) -> Result<Outcome, Error> {
    let subject = call.subject(input)?;
    call.authorise(Action::PutRecords, &Resource::of(&subject.name), &subject)?;
    let named = subject.arn.in_messages();
    let stream = call.served(&subject).ok_or_else(|| named.not_found())?;
    let to = PutTo { stream: &stream, named, placement: Placement::Keys, now_s: call.now_ms() / 1_000 };
    let mut puts = prove(input, &to)?;
    let (mut route, mut routed_by) = (Route::default(), Some(Arc::clone(&stream)));
    while let Some(wait_ms) = puts.wait_ms() {
        if wait_ms > 0 {
            sleep(Duration::from_millis(wait_ms.into())).await;
            routed_by = newest(call, &subject, &stream).await;
        }
        match &routed_by {
            Some(newest) => {
                let sent: Vec<_> = puts
                    .batches(newest)
                    .into_iter()
                    .map(|outgoing| (outgoing.ticket, begin_put(call.broker, &mut route, outgoing.batch)))
                    .collect();
                for (ticket, outcome) in sent {
                    puts.settle(ticket, outcome.await.unwrap_or_else(|_| Err(unanswered())));
                }
            }
            None => puts.stream_is_gone(),
        }
    }
    Ok(puts.answer()?.into())
}

/// Of a put whose lane has stopped without a word.
fn unanswered() -> WireError {
    WireError::new(ErrorCode::Indeterminate, "the broker stopped before it said whether the records are stored")
}

/// The same life of the stream, as everybody has heard of it.
async fn newest(call: &Call<'_>, subject: &Subject, stream: &StreamRecord) -> Option<Arc<StreamRecord>> {
    let newest = call.broker.resharder.described(&subject.name).await.ok()?;
    (newest.incarnation == stream.incarnation).then_some(newest)
}

pub(super) async fn get_shard_iterator(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let subject = call.subject(input)?;
    call.authorise(Action::GetRecords, &Resource::of(&subject.name), &subject)?;
    let stream = call.served(&subject);
    let asked = IteratorAsked::new(input, stream.as_deref(), &subject.arn.in_messages(), call.now_ms())?;
    let tip = match (&stream, asked.wants_tip()) {
        (Some(stream), true) => {
            let tip = tip_of(call.broker, stream.incarnation, asked.shard.shard).await;
            Some(tip.map_err(|error| subject.refusal(&error))?)
        }
        _ => None,
    };
    Ok(asked.answer(tip, &call.issue()).into())
}

pub(super) async fn get_records(call: &Call<'_>, input: &Structure) -> Result<Outcome, Error> {
    let issue = call.issue();
    let asked = ReadAsked::open(input, issue.key, issue.principal, issue.now_ms)?;
    let subject = call.subject_named(asked.stream());
    call.authorise(Action::GetRecords, &Resource::of(&subject.name), &subject)?;
    let named = subject.arn.in_messages();
    let stream = call.served(&subject);
    let reading = asked.of(stream.as_deref(), &named)?;
    let stream = stream.as_ref().expect("a shard that there is has a stream");
    let mut wanted = reading.position();
    while let Some(position) = wanted {
        let read = Read {
            incarnation: stream.incarnation,
            shard: reading.shard.shard,
            position,
            bytes_max: reading.bytes_max(),
        };
        match read_within(call, read).await {
            Ok((found, held)) => {
                let batches = batches_of(found.batches).map_err(|error| subject.refusal(&error))?;
                let found = Found {
                    start_sequence: found.fields.start_sequence,
                    next_sequence: found.fields.next_sequence,
                    batches: &batches,
                    behind_ms: found.fields.behind_ms,
                };
                let output = Some(reading.answer(Some(&found), &call.issue()));
                return Ok(Outcome::Output { output, held: Some(held) });
            }
            Err(error) => wanted = reading.refused(&error, &named)?,
        }
    }
    Ok(reading.answer(None, &call.issue()).into())
}

/// Reads as much as there is room for, and holds the room.
async fn read_within(call: &Call<'_>, wanted: Read) -> Result<(BatchesRead, OwnedSemaphorePermit), WireError> {
    let held = call.kinesis.answers.hold(wanted.bytes_max).await?;
    let found = read(call.broker, &Read { bytes_max: wanted.bytes_max.min(held.bytes()), ..wanted }).await?;
    let bytes = found.batches.iter().map(Bytes::len).sum();
    Ok((found, held.fit(bytes)?))
}
