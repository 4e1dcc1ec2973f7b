//! What is promised to registered consumers, and whether the lanes of this run can keep more.
//!
//! What must hold: it is asked by who holds the turn to change the catalog, before the catalog is: what it has
//! said yes to is then looked at by whoever asks next. What it weighs is decided in [`rheos_core::reservation`].

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use rheos_core::capacity::{Capacity, Found};
use rheos_core::catalog::StreamRecord;
use rheos_core::reservation::{Promised, Reserved};
use rheos_protocol::error::WireError;
use rheos_protocol::message::StreamLimits;

use crate::consumers::{self, Consumers};
use crate::streams::Streams;

/// Every reservation of this run; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Reservations {
    pub(crate) streams: Streams,
    pub(crate) consumers: Consumers,
    /// What streams have where they set nothing else.
    pub(crate) limits: StreamLimits,
    pub(crate) lanes: u16,
    /// Of each lane.
    pub(crate) capacity: Capacity,
}

impl Reservations {
    /// Whether a consumer of a stream may be promised so many bytes a second, in place of what it was.
    ///
    /// # Errors
    /// `OverReserved`.
    pub(crate) fn admit_consumer(
        &self,
        stream: &StreamRecord,
        consumer: &str,
        reserved_bytes: u64,
    ) -> Result<(), WireError> {
        let before = self.consumers.reserved();
        let mut after = before.clone();
        let of_stream = after.entry(stream.incarnation).or_default();
        of_stream.remove(consumer);
        if let Some(reserved) = NonZeroU64::new(reserved_bytes) {
            of_stream.insert(consumer.to_owned(), reserved);
        }
        self.promised(&before, None).admit(&self.promised(&after, None), &self.capacity)
    }

    /// Whether a stream may become this: with other limits, or with a reshard that has begun.
    ///
    /// # Errors
    /// `OverReserved`.
    pub(crate) fn admit_stream(&self, changed: &StreamRecord) -> Result<(), WireError> {
        let reserved = self.consumers.reserved();
        if !reserved.contains_key(&changed.incarnation) {
            return Ok(());
        }
        self.promised(&reserved, None).admit(&self.promised(&reserved, Some(changed)), &self.capacity)
    }

    /// What the operator should know of them at a start, a sentence each; nothing when nothing is reserved.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let reserved = self.consumers.reserved();
        if reserved.is_empty() {
            return Vec::new();
        }
        let assumed = (self.capacity.found() == Found::Assumed).then(|| {
            let mib = self.capacity.bytes_per_second() >> 20;
            format!(
                "bandwidth is reserved, and a lane is only assumed to push {mib} MiB/s; rheos calibrate measures it"
            )
        });
        let excess = self.promised(&reserved, None).excess(&self.capacity);
        let advice = "what is over it may be missed: more lanes, or smaller reservations";
        assumed.into_iter().chain(excess.map(|excess| format!("{excess}; {advice}"))).collect()
    }

    /// What the lanes promise with these reservations, where `changed` stands for the stream that it is.
    fn promised(&self, reserved: &consumers::Reserved, changed: Option<&StreamRecord>) -> Promised {
        let of_stream = |(incarnation, consumers): (&u64, &BTreeMap<String, NonZeroU64>)| {
            let stream = match changed.filter(|changed| changed.incarnation == *incarnation) {
                Some(changed) => Stream::Changed(changed),
                // One that is gone promises nothing any more.
                None => Stream::Known(self.streams.by_incarnation(*incarnation)?),
            };
            Some(Reserved { stream, consumers: consumers.values().copied().collect() })
        };
        let all: Vec<Reserved<Stream<'_>>> = reserved.iter().filter_map(of_stream).collect();
        Promised::of(&all, self.lanes, self.limits)
    }
}

/// A stream as it is, or as it would become.
enum Stream<'a> {
    Known(Arc<StreamRecord>),
    Changed(&'a StreamRecord),
}

impl Borrow<StreamRecord> for Stream<'_> {
    fn borrow(&self) -> &StreamRecord {
        match self {
            Stream::Known(stream) => stream,
            Stream::Changed(stream) => stream,
        }
    }
}
