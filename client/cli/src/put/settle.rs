//! Looks at what became of records, in the order of the input.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use rheos_client::{Outcome, Ticket};
use tokio::sync::mpsc;

use super::acks::Acks;
use super::progress::Progress;
use super::tally::Tally;
use crate::failure::Failure;

/// A record on its way.
pub(super) struct Pending {
    pub(super) place: Place,
    pub(super) data_bytes: u64,
    /// Or why it was not even put.
    pub(super) ticket: Result<Ticket, Failure>,
}

/// Where in the input a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which record of all inputs it is, from 1.
    pub(super) number: u64,
    pub(super) source: usize,
    /// Which line, or record, of the source it is, from 1.
    pub(super) line: u64,
    /// What it took of the input.
    pub(super) read_bytes: u64,
}

/// Looks at all of them. What is known goes to the file of acks before anything is waited for.
pub(super) async fn settle(
    mut pending: mpsc::Receiver<Pending>,
    tally: &mut Tally,
    mut acks: Option<&mut Acks>,
    progress: &Progress,
) -> Result<(), Failure> {
    while let Some(Pending { place, data_bytes, ticket }) = pending.recv().await {
        match ticket {
            Err(failure) => tally.refused(place, failure),
            Ok(mut ticket) => {
                let outcome = match at_once(&mut ticket).await {
                    Some(outcome) => outcome,
                    None => {
                        flush(&mut acks)?;
                        ticket.await
                    }
                };
                if let (Outcome::Acked { shard, sequence, .. }, Some(acks)) = (&outcome, &mut acks) {
                    acks.write(place.number, *shard, *sequence)?;
                }
                tally.settled(place, data_bytes, outcome);
            }
        }
        progress.advance(place.read_bytes);
        if pending.is_empty() {
            flush(&mut acks)?;
        }
    }
    flush(&mut acks)
}

fn flush(acks: &mut Option<&mut Acks>) -> Result<(), Failure> {
    acks.as_mut().map_or(Ok(()), |acks| acks.flush())
}

/// The outcome, if it is known already.
async fn at_once(ticket: &mut Ticket) -> Option<Outcome> {
    poll_fn(|context| match Pin::new(&mut *ticket).poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
