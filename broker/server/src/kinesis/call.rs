//! One call: who calls, and what an operation does on the caller's behalf.
//!
//! What must hold: an operation reaches the broker through here, and so through the dispatch table.

use std::sync::Arc;

use rheos_core::catalog::StreamRecord;
use rheos_kinesis::arn::StreamArn;
use rheos_kinesis::codec::Encoding;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::status::{Delay, StreamStatus};
use rheos_kinesis::operations::subject;
use rheos_kinesis::records::Issue;
use rheos_kinesis::refusals::{About, refusal, refusal_of_account};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;
use rheos_protocol::message::{Reply, Request, StreamLimits};
use rheos_protocol::name::{AccountId, Region, StreamName};

use tokio::sync::OwnedSemaphorePermit;

use super::Kinesis;
use super::caller::Caller;
use crate::broker::Broker;
use crate::clock;
use crate::dispatch::{Action, Resource, allow, authorise, perform};
use crate::http::Frames;

/// A call whose caller is known.
pub(super) struct Call<'a> {
    pub(super) kinesis: &'a Kinesis,
    pub(super) broker: &'a Arc<Broker>,
    pub(super) caller: Caller,
    pub(super) encoding: Encoding,
}

/// What a call comes to.
pub(super) enum Outcome {
    /// An output, where the operation has one, and what is to be held until it is sent.
    Output { output: Option<Structure>, held: Option<OwnedSemaphorePermit> },
    /// Events.
    Events(Frames),
}

impl Outcome {
    /// The operation is done and has nothing to say.
    pub(super) const DONE: Outcome = Outcome::Output { output: None, held: None };
}

impl From<Structure> for Outcome {
    fn from(output: Structure) -> Outcome {
        Outcome::Output { output: Some(output), held: None }
    }
}

/// A stream that a call is about: its ARN, and the name under which the catalog has it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) arn: StreamArn,
    pub(super) name: StreamName,
}

impl Subject {
    /// The broker's refusal of a call about the stream, in AWS's words.
    pub(super) fn refusal(&self, error: &WireError) -> Error {
        refusal(error, &About { stream: &self.arn, consumer: None })
    }
}

impl Call<'_> {
    /// Now, in ms since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        clock::now().wall_ms
    }

    /// Whether the broker holds its clients to AWS's limits.
    pub(super) fn has_limits_of_kinesis(&self) -> bool {
        self.broker.limits == StreamLimits::kinesis()
    }

    /// How long states are shown.
    pub(super) fn delay(&self) -> Delay {
        let delay_ms = u64::try_from(self.broker.kinesis.state_delay.as_millis()).unwrap_or(u64::MAX);
        Delay { delay_ms, now_ms: self.now_ms() }
    }

    /// To whom a token is given now.
    pub(super) fn issue(&self) -> Issue<'_> {
        Issue {
            key: &self.kinesis.tokens,
            principal: &self.caller.principal.principal().key_id,
            now_ms: self.now_ms(),
            nonce: self.kinesis.nonce(),
        }
    }

    /// The stream that the input names.
    pub(super) fn subject(&self, input: &Structure) -> Result<Subject, Error> {
        self.subject_of(subject::stream(input, &self.caller.place)?)
    }

    /// The stream of an ARN.
    pub(super) fn subject_of(&self, arn: StreamArn) -> Result<Subject, Error> {
        let name = self.broker.kinesis.stream_name(arn.account(), arn.region(), arn.name().as_str());
        let name = name.map_err(|bad| Error::invalid_argument(bad.to_string()))?;
        Ok(Subject { arn, name })
    }

    /// The stream that the catalog has under this name.
    pub(super) fn subject_named(&self, name: &StreamName) -> Subject {
        Subject { arn: self.broker.kinesis.arn(name), name: name.clone() }
    }

    /// The caller's account and region, where they are not the broker's own.
    pub(super) fn elsewhere(&self) -> Option<(&AccountId, &Region)> {
        let subject::Caller { account, region } = &self.caller.place;
        (!self.broker.kinesis.is_own(account, region)).then_some((account, region))
    }

    /// The stream, where there is one that may be put to and read: not one that is being created.
    pub(super) fn served(&self, subject: &Subject) -> Option<Arc<StreamRecord>> {
        let record = self.broker.streams.named(&subject.name).ok()?;
        match self.status(&record) {
            StreamStatus::Creating => None,
            _ => Some(record),
        }
    }

    /// The state of a stream that there is.
    pub(super) fn status(&self, record: &StreamRecord) -> StreamStatus {
        let last = self.kinesis.recent.of(record.incarnation);
        StreamStatus::of(record, last, self.delay()).unwrap_or(StreamStatus::Active)
    }

    /// Whether the caller may.
    pub(super) fn authorise(&self, action: Action, resource: &Resource, of: &Subject) -> Result<(), Error> {
        authorise(&self.caller.principal, action, resource).map_err(|error| of.refusal(&error))
    }

    /// Whether the caller may do what is about its account and none of the streams.
    pub(super) fn authorise_here(&self, action: Action) -> Result<(), Error> {
        let account = Resource::account_of(&self.caller.place.account);
        let allowed = authorise(&self.caller.principal, action, &account);
        allowed.map_err(|error| self.refusal_here(&error))
    }

    /// The broker's refusal of a call that is about no stream.
    pub(super) fn refusal_here(&self, error: &WireError) -> Error {
        refusal_of_account(error, &self.caller.place.account)
    }

    /// Has the dispatch table allow and perform a request.
    pub(super) async fn ask(&self, request: Request, of: &Subject) -> Result<Reply, Error> {
        self.request(request).await.map_err(|error| of.refusal(&error))
    }

    /// The same, with the broker's own error.
    pub(super) async fn request(&self, request: Request) -> Result<Reply, WireError> {
        allow(&self.broker.streams, &self.caller.principal, &request)?;
        perform(self.broker, &self.caller.principal, request).await
    }
}
