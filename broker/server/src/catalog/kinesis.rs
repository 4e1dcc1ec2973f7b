//! What the Kinesis face alone keeps in the catalog: which shard metrics are enabled, resource policies, and the
//! commitments of accounts.
//!
//! Policies and commitments are in nobody's memory: who asks for one has it read. Whether the caller may change
//! them, and that changes of one stream come one after the other, is the caller's affair.

use std::sync::Arc;

use rheos_core::catalog::{Commitment, ResourcePolicy, ShardMetrics, StreamRecord};
use rheos_protocol::error::WireError;
use rheos_protocol::name::{AccountId, ConsumerName, Region, StreamName};

use super::Catalog;
use super::tables::{Change, Life};

/// An account and a region that are not the broker's own.
type Place<'a> = Option<(&'a AccountId, &'a Region)>;

impl Catalog {
    /// Enables metrics of a stream's shards, then disables others. Changes nothing when they are so already.
    ///
    /// # Errors
    ///
    /// `StreamNotFound`, and those of every change.
    pub async fn monitor_shards(
        &self,
        stream: &StreamName,
        enable: ShardMetrics,
        disable: ShardMetrics,
    ) -> Result<Arc<StreamRecord>, WireError> {
        Ok(self.change(Change::Monitor { stream: stream.clone(), enable, disable }).await?.into_stream())
    }

    /// Keeps the resource policy of a life of a stream, or of a consumer of it, in place of the one before.
    ///
    /// # Errors
    ///
    /// `StreamNotFound` when this life of the stream is gone, `ConsumerNotFound`, `LimitExceeded`, and those of every
    /// change.
    pub async fn put_policy(
        &self,
        stream: &StreamRecord,
        consumer: Option<&ConsumerName>,
        policy: ResourcePolicy,
    ) -> Result<(), WireError> {
        let change = Change::PutPolicy { life: Life::of(stream), consumer: consumer.cloned(), policy };
        self.change(change).await.map(drop)
    }

    /// The resource policy of a life of a stream, or of a consumer of it, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`put_policy`](Self::put_policy).
    pub async fn policy(
        &self,
        stream: &StreamRecord,
        consumer: Option<&ConsumerName>,
    ) -> Result<Option<ResourcePolicy>, WireError> {
        let change = Change::ReadPolicy { life: Life::of(stream), consumer: consumer.cloned() };
        Ok(self.change(change).await?.into_policy())
    }

    /// Deletes a resource policy and returns it, if there was one.
    ///
    /// # Errors
    ///
    /// As for [`put_policy`](Self::put_policy).
    pub async fn delete_policy(
        &self,
        stream: &StreamRecord,
        consumer: Option<&ConsumerName>,
    ) -> Result<Option<ResourcePolicy>, WireError> {
        let change = Change::DeletePolicy { life: Life::of(stream), consumer: consumer.cloned() };
        Ok(self.change(change).await?.into_policy())
    }

    /// The commitment of an account in a region, if it ever made one; `None` for `place` is the broker's own. What is
    /// in force of it says [`Commitment::status`].
    ///
    /// # Errors
    ///
    /// Those of every change.
    pub async fn commitment(&self, place: Place<'_>) -> Result<Option<Commitment>, WireError> {
        Ok(self.change(Change::ReadCommitment { place: text(place) }).await?.into_commitment())
    }

    /// Makes or ends the commitment of an account in a region, and returns what it is then; ending one that was never
    /// made changes nothing.
    ///
    /// # Errors
    ///
    /// `LimitExceeded`, and those of every change.
    pub async fn commit_throughput(
        &self,
        place: Place<'_>,
        enable: bool,
        now_ms: u64,
    ) -> Result<Option<Commitment>, WireError> {
        let change = Change::CommitThroughput { place: text(place), enable, now_ms };
        Ok(self.change(change).await?.into_commitment())
    }
}

/// As it is stored: empty for the broker's own, whatever that is called.
fn text(place: Place<'_>) -> String {
    place.map_or_else(String::new, |(account, region)| format!("{account}/{region}"))
}
