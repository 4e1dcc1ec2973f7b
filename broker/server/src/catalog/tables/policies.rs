//! Resource policies, as they are written down and read.
//!
//! What must hold: a policy is of a stream that there is, or of a consumer that is registered with it, and goes in
//! the transaction that removes either.

use redb::{ReadableTable, ReadableTableMetadata};
use rheos_core::catalog::{ResourcePolicy, admit_policy};
use rheos_protocol::error::WireError;
use rheos_protocol::name::ConsumerName;

use super::{Changed, Life, Outcome, Tables, consumers_of, internal, stream_not_found};

impl Tables<'_> {
    /// Keeps a policy in place of the one before.
    pub(super) fn put_policy(
        &mut self,
        life: &Life,
        consumer: Option<&ConsumerName>,
        policy: &ResourcePolicy,
    ) -> Result<Outcome, redb::Error> {
        let before = match self.kept_policy(life, consumer)? {
            Ok(before) => before,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if before.is_none()
            && let Err(refusal) = admit_policy(self.policies.len()?)
        {
            return Ok(Err(refusal));
        }
        if before.as_ref() != Some(policy) {
            self.has_changed = true;
            self.policies.insert(place(life, consumer), policy.encode().as_slice())?;
        }
        Ok(Ok(Changed::Done))
    }

    /// The policy, if there is one.
    pub(super) fn read_policy(&self, life: &Life, consumer: Option<&ConsumerName>) -> Result<Outcome, redb::Error> {
        Ok(self.kept_policy(life, consumer)?.map(Changed::Policy))
    }

    /// Deletes the policy, if there is one.
    pub(super) fn delete_policy(
        &mut self,
        life: &Life,
        consumer: Option<&ConsumerName>,
    ) -> Result<Outcome, redb::Error> {
        let kept = self.kept_policy(life, consumer)?;
        if matches!(kept, Ok(Some(_))) {
            self.has_changed = true;
            self.policies.remove(place(life, consumer))?;
        }
        Ok(kept.map(Changed::Policy))
    }

    /// Removes the policies of a stream that is deleted, and of its consumers.
    pub(super) fn remove_policies_of(&mut self, incarnation: u64) -> Result<(), redb::Error> {
        for policy in self.policies.extract_from_if(consumers_of(incarnation), |_, _| true)? {
            policy?;
        }
        Ok(())
    }

    /// Looks that there is such a resource, too.
    fn kept_policy(
        &self,
        life: &Life,
        consumer: Option<&ConsumerName>,
    ) -> Result<Result<Option<ResourcePolicy>, WireError>, redb::Error> {
        let found = match consumer {
            None => self.stream(&life.name)?.map(|stream| stream.incarnation),
            Some(consumer) => self.consumer(&life.name, consumer)?.map(|consumer| consumer.incarnation),
        };
        match found {
            Ok(incarnation) if incarnation == life.incarnation => {}
            Ok(_) => return Ok(Err(stream_not_found(&life.name))),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let Some(bytes) = self.policies.get(place(life, consumer))? else { return Ok(Ok(None)) };
        let damaged = |error| internal(format!("a resource policy of stream {}: {error}", life.name));
        Ok(ResourcePolicy::decode(bytes.value()).map(Some).map_err(damaged))
    }
}

/// The stream's own stands before those of its consumers.
fn place<'a>(life: &Life, consumer: Option<&'a ConsumerName>) -> (u64, &'a str) {
    (life.incarnation, consumer.map_or("", ConsumerName::as_str))
}
