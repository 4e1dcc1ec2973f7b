//! What a call is about, as it is found: streams and consumers, and the states that they are shown in.
//!
//! What must hold: nothing is looked up for who may not see it; a stream or consumer that was deleted a moment ago is
//! found as one that is being deleted, for as long as states are shown, unless another has its name by now.

use std::sync::Arc;

use rheos_core::catalog::{ConsumerRecord, StreamRecord, Tags};
use rheos_kinesis::arn::ResourceArn;
use rheos_kinesis::error::Error;
use rheos_kinesis::operations::consumers::not_active;
use rheos_kinesis::operations::status::{ConsumerStatus, LastChanges, StreamStatus};
use rheos_kinesis::operations::streams::StreamView;
use rheos_kinesis::operations::subject::ConsumerAsked;
use rheos_kinesis::refusals::{About, refusal};
use rheos_kinesis::value::Structure;
use rheos_protocol::error::WireError;
use rheos_protocol::name::ConsumerName;

use super::call::{Call, Subject};
use crate::dispatch::{Action, Resource};

/// A stream that there is, or was a moment ago.
pub(super) struct Found {
    pub(super) subject: Subject,
    pub(super) record: Arc<StreamRecord>,
    pub(super) status: StreamStatus,
}

/// A consumer that is registered, or was a moment ago, of a stream that there is.
pub(super) struct FoundConsumer {
    pub(super) stream: Found,
    pub(super) record: Arc<ConsumerRecord>,
    pub(super) status: ConsumerStatus,
}

impl Found {
    /// For whoever makes an answer of it.
    pub(super) fn view(&self) -> StreamView<'_> {
        StreamView { arn: &self.subject.arn, record: &self.record, status: self.status }
    }

    /// Refuses a stream that is being made or deleted.
    pub(super) fn must_be_served(&self) -> Result<(), Error> {
        match self.status {
            StreamStatus::Active | StreamStatus::Updating => Ok(()),
            StreamStatus::Creating | StreamStatus::Deleting => Err(self.status.refuses(&self.subject.arn)),
        }
    }
}

/// What tags and policies belong to.
pub(super) enum FoundResource {
    Stream(Found),
    Consumer(FoundConsumer),
}

impl FoundResource {
    /// The stream, or the consumer's.
    pub(super) fn stream(&self) -> &Found {
        match self {
            FoundResource::Stream(stream) => stream,
            FoundResource::Consumer(consumer) => &consumer.stream,
        }
    }

    /// The consumer's name.
    pub(super) fn consumer(&self) -> Option<&ConsumerName> {
        match self {
            FoundResource::Stream(_) => None,
            FoundResource::Consumer(consumer) => Some(&consumer.record.name),
        }
    }

    pub(super) fn tags(&self) -> &Tags {
        match self {
            FoundResource::Stream(stream) => &stream.record.tags,
            FoundResource::Consumer(consumer) => &consumer.record.tags,
        }
    }

    /// Refuses what is being made, changed or deleted.
    pub(super) fn must_be_active(&self) -> Result<(), Error> {
        let stream = self.stream();
        match self {
            FoundResource::Stream(Found { status: StreamStatus::Active, .. }) => Ok(()),
            FoundResource::Consumer(FoundConsumer { status: ConsumerStatus::Active, .. }) => Ok(()),
            FoundResource::Stream(_) => Err(stream.status.refuses(&stream.subject.arn)),
            FoundResource::Consumer(consumer) => Err(not_active(&stream.subject.arn, &consumer.record)),
        }
    }

    /// The broker's refusal of a call about it, in AWS's words.
    pub(super) fn refusal(&self, error: &WireError) -> Error {
        match self {
            FoundResource::Stream(stream) => stream.subject.refusal(error),
            FoundResource::Consumer(consumer) => consumer.refusal(error),
        }
    }
}

impl FoundConsumer {
    /// The broker's refusal of a call about the consumer, in AWS's words.
    pub(super) fn refusal(&self, error: &WireError) -> Error {
        let about = About { stream: &self.stream.subject.arn, consumer: Some(self.record.name.as_str()) };
        refusal(error, &about)
    }
}

impl Call<'_> {
    /// The stream that the input names, for a caller who may do this with it.
    pub(super) async fn stream(&self, input: &Structure, action: Action) -> Result<Found, Error> {
        self.found(self.subject(input)?, action).await
    }

    /// This stream, for a caller who may do this with it.
    pub(super) async fn found(&self, subject: Subject, action: Action) -> Result<Found, Error> {
        self.authorise(action, &Resource::of(&subject.name), &subject)?;
        let (record, status) = self.find(&subject).await.ok_or_else(|| subject.arn.in_messages().not_found())?;
        Ok(Found { subject, record, status })
    }

    /// This consumer, for a caller who may do this with it.
    pub(super) async fn consumer(&self, asked: &ConsumerAsked, action: Action) -> Result<FoundConsumer, Error> {
        let stream = self.found(self.subject_of(asked.stream.clone())?, action).await?;
        let incarnation = stream.record.incarnation;
        let registered = self.broker.consumers.named(incarnation, &asked.name).map(|record| (record, None));
        let gone = || self.kinesis.recent.deleted_consumer(incarnation, &asked.name);
        let there = registered.or_else(|| gone().map(|(record, ms)| (record, Some(ms))));
        let meant = there.filter(|(record, _)| asked.is(record.created_ms));
        let shown = meant.and_then(|(record, deleted_ms)| {
            let status = ConsumerStatus::of(record.created_ms, deleted_ms, self.delay())?;
            Some((record, status))
        });
        let (record, status) = shown.ok_or_else(|| asked.not_found())?;
        Ok(FoundConsumer { stream, record, status })
    }

    /// The same, but not one that was deregistered a moment ago.
    pub(super) async fn registered(&self, asked: &ConsumerAsked, action: Action) -> Result<FoundConsumer, Error> {
        let found = self.consumer(asked, action).await?;
        if found.status == ConsumerStatus::Deleting { Err(asked.not_found()) } else { Ok(found) }
    }

    /// What this names, for a caller who may do this with it.
    pub(super) async fn resource(
        &self,
        arn: &ResourceArn,
        action: impl FnOnce(&ResourceArn) -> Action,
    ) -> Result<FoundResource, Error> {
        let action = action(arn);
        match arn {
            ResourceArn::Stream(stream) => {
                Ok(FoundResource::Stream(self.found(self.subject_of(stream.clone())?, action).await?))
            }
            ResourceArn::Consumer(arn) => {
                let created_s = Some(arn.created_s());
                let asked = ConsumerAsked { stream: arn.stream().clone(), name: arn.name().clone(), created_s };
                Ok(FoundResource::Consumer(self.registered(&asked, action).await?))
            }
        }
    }

    /// A stream and its state, whoever asks.
    pub(super) async fn find(&self, subject: &Subject) -> Option<(Arc<StreamRecord>, StreamStatus)> {
        if let Ok(record) = self.broker.resharder.described(&subject.name).await {
            let status = self.status(&record);
            return Some((record, status));
        }
        let (record, deleted_ms) = self.kinesis.recent.deleted_stream(&subject.name)?;
        let status = self.status_of_deleted(&record, deleted_ms)?;
        Some((record, status))
    }

    /// The state of a stream that was deleted then, if it is shown still.
    pub(super) fn status_of_deleted(&self, record: &StreamRecord, deleted_ms: u64) -> Option<StreamStatus> {
        let last = LastChanges { deleted_ms: Some(deleted_ms), ..LastChanges::default() };
        StreamStatus::of(record, last, self.delay())
    }
}
