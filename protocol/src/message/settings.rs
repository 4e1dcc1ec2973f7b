//! What may be changed of a stream while it is served: retention, largest record, limits, mode.

use std::num::NonZeroU64;

use bytes::{BufMut, BytesMut};

use super::StreamMode;
use crate::limits::TEXT_BYTES_MAX;
use crate::wire::{FieldReader, FieldWriter, Malformed};

/// A ceiling of one kind, for one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// What the broker was started with.
    #[default]
    Inherit,
    /// None, whatever the broker was started with.
    Unlimited,
    /// So many bytes, records or reads a second, at most [`RATE_MAX`](crate::limits::RATE_MAX). What one second
    /// allows may be used at once.
    PerSecond(NonZeroU64),
}

/// The ceilings of every shard of a stream. Bytes are those of data and partition keys, as Kinesis counts them.
///
/// ```text
///   u64 bytes in | u64 records in | u64 bytes out | u64 reads out | u64 bytes pushed
///   each: 0 inherit, 2^64 - 1 unlimited, else so many a second
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamLimits {
    /// Bytes that are put.
    pub in_bytes: Limit,
    /// Records that are put.
    pub in_records: Limit,
    /// Bytes that are read, by all who read the shard.
    pub out_bytes: Limit,
    /// Reads, by all who read the shard.
    pub out_reads: Limit,
    /// Bytes that are pushed, to each registered consumer.
    pub push_bytes: Limit,
}

/// What a stream's description says of what may be changed, beside its retention and its largest record.
///
/// ```text
///   u64 retention bytes | limits as they are set | limits in force | mode
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamSettings {
    /// How many bytes of records are kept at most, on the disk; 0 for no such bound.
    pub retention_bytes: u64,
    /// The ceilings of its shards, as they are set.
    pub limits: StreamLimits,
    /// The same with those of the broker where they inherit.
    pub limits_in_force: StreamLimits,
    /// Who decides how many shards it has.
    pub mode: StreamMode,
}

/// Which ceilings are changed, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsUpdate {
    /// See [`StreamLimits::in_bytes`].
    pub in_bytes: Option<Limit>,
    /// See [`StreamLimits::in_records`].
    pub in_records: Option<Limit>,
    /// See [`StreamLimits::out_bytes`].
    pub out_bytes: Option<Limit>,
    /// See [`StreamLimits::out_reads`].
    pub out_reads: Option<Limit>,
    /// See [`StreamLimits::push_bytes`].
    pub push_bytes: Option<Limit>,
}

/// A request to change a stream; what is `None` stays as it is, and all changes are made together.
///
/// ```text
///   text stream | u32 bits that say which fields are changed, from the first on | u64 retention ms | u64 retention bytes |
///   u32 largest record bytes | limits | mode, if it is changed
/// ```
///
/// A bit that the broker does not know is refused: what it stands for would be left undone unseen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateStream {
    /// Name of the stream, not yet proved.
    pub stream: String,
    /// How long records are kept: 24 hours to 8,760 hours.
    pub retention_ms: Option<u64>,
    /// How many bytes of records are kept at most, on the disk; 0 for no such bound.
    pub retention_bytes: Option<u64>,
    /// Largest data of one record, 1 MiB to 10 MiB, for what is put from now on.
    pub record_bytes_max: Option<u32>,
    /// The ceilings of its shards.
    pub limits: LimitsUpdate,
    /// Who decides how many shards it has; how many there are stays.
    pub mode: Option<StreamMode>,
}

impl Limit {
    /// How many a second, if there is such a ceiling. What is inherited is not known here.
    pub fn per_second(self) -> Option<NonZeroU64> {
        match self {
            Limit::PerSecond(rate) => Some(rate),
            Limit::Inherit | Limit::Unlimited => None,
        }
    }

    /// A ceiling of so many a second; of none, for 0.
    pub fn of(rate: u64) -> Limit {
        NonZeroU64::new(rate).map_or(Limit::Unlimited, Limit::PerSecond)
    }

    /// As it is stored and travels.
    pub fn to_number(self) -> u64 {
        match self {
            Limit::Inherit => 0,
            Limit::Unlimited => u64::MAX,
            Limit::PerSecond(rate) => rate.get(),
        }
    }

    /// The mirror of [`to_number`](Self::to_number).
    pub fn from_number(number: u64) -> Limit {
        match NonZeroU64::new(number) {
            None => Limit::Inherit,
            Some(NonZeroU64::MAX) => Limit::Unlimited,
            Some(rate) => Limit::PerSecond(rate),
        }
    }

    fn or(self, inherited: Limit) -> Limit {
        if self == Limit::Inherit { inherited } else { self }
    }
}

impl StreamLimits {
    /// No ceilings at all.
    pub const NONE: StreamLimits = StreamLimits {
        in_bytes: Limit::Unlimited,
        in_records: Limit::Unlimited,
        out_bytes: Limit::Unlimited,
        out_reads: Limit::Unlimited,
        push_bytes: Limit::Unlimited,
    };

    /// The ceilings of Kinesis: 1 MiB and 1,000 records a second in, 2 MiB and 5 reads a second out, 2 MiB a second
    /// to each registered consumer.
    pub fn kinesis() -> StreamLimits {
        StreamLimits {
            in_bytes: Limit::of(1 << 20),
            in_records: Limit::of(1_000),
            out_bytes: Limit::of(2 << 20),
            out_reads: Limit::of(5),
            push_bytes: Limit::of(2 << 20),
        }
    }

    /// These ceilings, and `inherited` where they inherit.
    pub fn or(self, inherited: StreamLimits) -> StreamLimits {
        let both = self.all().into_iter().zip(inherited.all());
        StreamLimits::from_all(both.map(|(limit, inherited)| limit.or(inherited)))
    }

    /// These ceilings after a change.
    pub fn with(self, update: LimitsUpdate) -> StreamLimits {
        let both = self.all().into_iter().zip(update.all());
        StreamLimits::from_all(both.map(|(limit, change)| change.unwrap_or(limit)))
    }

    /// Each with its name, as messages have it.
    pub fn named(self) -> [(&'static str, Limit); 5] {
        let [a, b, c, d, e] = self.all();
        [("bytes in", a), ("records in", b), ("bytes out", c), ("reads", d), ("bytes pushed", e)]
    }

    fn all(self) -> [Limit; 5] {
        [self.in_bytes, self.in_records, self.out_bytes, self.out_reads, self.push_bytes]
    }

    fn from_all(limits: impl IntoIterator<Item = Limit>) -> StreamLimits {
        let mut limits = limits.into_iter();
        let mut next = || limits.next().unwrap_or_default();
        StreamLimits { in_bytes: next(), in_records: next(), out_bytes: next(), out_reads: next(), push_bytes: next() }
    }

    /// As they are stored and travel.
    pub fn to_numbers(self) -> [u64; 5] {
        self.all().map(Limit::to_number)
    }

    /// The mirror of [`to_numbers`](Self::to_numbers).
    pub fn from_numbers(numbers: [u64; 5]) -> StreamLimits {
        StreamLimits::from_all(numbers.map(Limit::from_number))
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        self.to_numbers().into_iter().for_each(|number| out.put_u64_le(number));
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<StreamLimits, Malformed> {
        let mut next = || fields.u64();
        Ok(StreamLimits::from_numbers([next()?, next()?, next()?, next()?, next()?]))
    }
}

impl StreamSettings {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u64_le(self.retention_bytes);
        self.limits.encode(out);
        self.limits_in_force.encode(out);
        self.mode.encode(out);
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<StreamSettings, Malformed> {
        Ok(StreamSettings {
            retention_bytes: fields.u64()?,
            limits: StreamLimits::decode(fields)?,
            limits_in_force: StreamLimits::decode(fields)?,
            mode: StreamMode::decode(fields)?,
        })
    }
}

impl LimitsUpdate {
    /// Has every ceiling inherit.
    pub const INHERIT: LimitsUpdate = LimitsUpdate {
        in_bytes: Some(Limit::Inherit),
        in_records: Some(Limit::Inherit),
        out_bytes: Some(Limit::Inherit),
        out_reads: Some(Limit::Inherit),
        push_bytes: Some(Limit::Inherit),
    };

    fn all(self) -> [Option<Limit>; 5] {
        [self.in_bytes, self.in_records, self.out_bytes, self.out_reads, self.push_bytes]
    }
}

impl UpdateStream {
    /// A change of nothing yet.
    pub fn of(stream: impl Into<String>) -> UpdateStream {
        UpdateStream { stream: stream.into(), ..UpdateStream::default() }
    }

    fn bits(&self) -> u32 {
        let [a, b, c, d, e] = self.limits.all().map(|limit| limit.is_some());
        let (retention, bytes) = (self.retention_ms.is_some(), self.retention_bytes.is_some());
        let changed = [retention, bytes, self.record_bytes_max.is_some(), a, b, c, d, e, self.mode.is_some()];
        (0..).zip(changed).map(|(bit, changed)| u32::from(changed) << bit).sum()
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        FieldWriter::text(out, &self.stream);
        out.put_u32_le(self.bits());
        out.put_u64_le(self.retention_ms.unwrap_or(0));
        out.put_u64_le(self.retention_bytes.unwrap_or(0));
        out.put_u32_le(self.record_bytes_max.unwrap_or(0));
        StreamLimits::default().with(self.limits).encode(out);
        if let Some(mode) = self.mode {
            mode.encode(out);
        }
    }

    pub(super) fn decode(fields: &mut FieldReader<'_>) -> Result<UpdateStream, Malformed> {
        let (stream, bits) = (fields.text(TEXT_BYTES_MAX)?.to_owned(), fields.u32()?);
        if bits >> 9 != 0 {
            return Err(fields.wrong("it changes something that this version does not know"));
        }
        let changed = |bit: u32| bits >> bit & 1 == 1;
        let (retention_ms, retention_bytes, record_bytes_max) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let limits = StreamLimits::decode(fields)?;
        let mode = changed(8).then(|| StreamMode::decode(fields)).transpose()?;
        let limit = |bit: u32, limit: Limit| changed(bit).then_some(limit);
        Ok(UpdateStream {
            stream,
            retention_ms: changed(0).then_some(retention_ms),
            retention_bytes: changed(1).then_some(retention_bytes),
            record_bytes_max: changed(2).then_some(record_bytes_max),
            limits: LimitsUpdate {
                in_bytes: limit(3, limits.in_bytes),
                in_records: limit(4, limits.in_records),
                out_bytes: limit(5, limits.out_bytes),
                out_reads: limit(6, limits.out_reads),
                push_bytes: limit(7, limits.push_bytes),
            },
            mode,
        })
    }
}
