//! A stream's terms: how long and how much of it is kept, how fast it may be used, and who decides how many shards
//! it has; and how they change.
//!
//! What must hold: a refusal names the field, its value and the range; what has expired never comes back, also
//! where retention is raised and the broker starts anew.

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::limits::{
    RATE_MAX, RECORD_BYTES_LEAST, RECORD_BYTES_MAX, RETENTION_BYTES_MAX, RETENTION_BYTES_OF_LOG_LEAST,
    RETENTION_MS_LEAST, RETENTION_MS_MAX, SHARDS_MAX,
};
use rheos_protocol::message::{ShardBounds, StreamLimits, StreamMode, StreamSettings, UpdateStream};

use super::StreamRecord;
use super::plan::refuse_unless;

/// What may be changed of a stream while it is served, as its logs need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTerms {
    /// How long records are kept, in ms.
    pub retention_ms: u64,
    /// How many bytes of records are kept at most, on the disk; 0 for no such bound.
    pub retention_bytes: u64,
    /// What arrived before this time, in ms since 1970, has expired, whatever the retention is now.
    pub trimmed_ms: u64,
    /// Largest data of one record in bytes.
    pub record_bytes_max: u32,
    /// The ceilings of each shard.
    pub limits: StreamLimits,
    /// Who decides how many shards it has.
    pub mode: StreamMode,
}

impl StreamTerms {
    /// Terms of a provisioned stream without a bound of bytes, with the limits of the broker.
    pub fn new(retention_ms: u64, record_bytes_max: u32) -> StreamTerms {
        let limits = StreamLimits::default();
        let mode = StreamMode::Provisioned;
        StreamTerms { retention_ms, retention_bytes: 0, trimmed_ms: 0, record_bytes_max, limits, mode }
    }

    /// These terms for one of so many logs, which keeps its even part, where `inherited` are the broker's limits.
    pub fn of_log(self, log_count: u32, inherited: StreamLimits) -> StreamTerms {
        let retention_bytes = self.retention_bytes / u64::from(log_count);
        StreamTerms { retention_bytes, limits: self.limits.or(inherited), ..self }
    }

    /// The terms as a client sees them, where `inherited` are the broker's limits.
    pub fn settings(&self, inherited: StreamLimits) -> StreamSettings {
        let limits_in_force = self.limits.or(inherited);
        StreamSettings { retention_bytes: self.retention_bytes, limits: self.limits, limits_in_force, mode: self.mode }
    }

    /// Says what is wrong with the terms of a stream with so many logs.
    pub(super) fn prove(&self, log_count: u32) -> Result<(), &'static str> {
        let bytes = bytes_range(log_count);
        let rates = self.limits.named();
        let truths = [
            ((RETENTION_MS_LEAST..=RETENTION_MS_MAX).contains(&self.retention_ms), "its retention is out of range"),
            (
                self.retention_bytes == 0 || (bytes.0..=bytes.1).contains(&self.retention_bytes),
                "its retention in bytes is out of range",
            ),
            (
                (RECORD_BYTES_LEAST..=RECORD_BYTES_MAX).contains(&self.record_bytes_max),
                "its largest record is out of range",
            ),
            (
                rates.iter().all(|(_, limit)| limit.per_second().is_none_or(|rate| rate.get() <= RATE_MAX)),
                "a limit is out of range",
            ),
            (self.mode.bounds().is_none_or(ShardBounds::is_in_range), "its bounds of shards are out of range"),
        ];
        truths.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }
}

impl StreamRecord {
    /// The stream after a change; `None` when that changes nothing. `horizon_ms` is before what has expired by now.
    ///
    /// # Errors
    ///
    /// `BadRequest`, which names the field.
    pub fn update(&self, update: &UpdateStream, horizon_ms: u64) -> Result<Option<StreamRecord>, WireError> {
        let mut terms = self.terms;
        if let Some(retention_ms) = update.retention_ms {
            refuse_unless("retention_ms", retention_ms, RETENTION_MS_LEAST, RETENTION_MS_MAX, " ms")?;
            terms.retention_ms = retention_ms;
            if retention_ms > self.terms.retention_ms {
                terms.trimmed_ms = terms.trimmed_ms.max(horizon_ms);
            }
        }
        if let Some(bytes) = update.retention_bytes {
            let (least, most) = bytes_range(self.log_count);
            if bytes != 0 {
                refuse_unless("retention_bytes", bytes, least, most, " bytes, or 0 for no bound")?;
            }
            terms.retention_bytes = bytes;
        }
        if let Some(bytes) = update.record_bytes_max {
            let (least, most) = (RECORD_BYTES_LEAST.into(), RECORD_BYTES_MAX.into());
            refuse_unless("record_bytes_max", bytes.into(), least, most, " bytes")?;
            terms.record_bytes_max = bytes;
        }
        terms.limits = terms.limits.with(update.limits);
        refuse_beyond_limits(terms.limits)?;
        if let Some(mode) = update.mode {
            refuse_unless_mode(mode)?;
            terms.mode = mode;
        }
        if terms == self.terms {
            return Ok(None);
        }
        Ok(Some(StreamRecord { terms, ..self.clone() }))
    }
}

/// Refuses a ceiling that is none.
///
/// # Errors
///
/// `BadRequest`, which names it.
fn refuse_beyond_limits(limits: StreamLimits) -> Result<(), WireError> {
    for (name, limit) in limits.named() {
        if let Some(rate) = limit.per_second() {
            refuse_unless(&format!("limit of {name}"), rate.get(), 1, RATE_MAX, " a second, or unlimited")?;
        }
    }
    Ok(())
}

/// Refuses bounds of shards that are none.
///
/// # Errors
///
/// `BadRequest`, which names them.
pub(super) fn refuse_unless_mode(mode: StreamMode) -> Result<(), WireError> {
    match mode.bounds() {
        Some(bounds) if !bounds.is_in_range() => {
            let ShardBounds { min, max } = bounds;
            let message = format!(
                "an on-demand stream has from 1 to {SHARDS_MAX} shards, the fewest not more than the most: not {min} to {max}"
            );
            Err(WireError::new(ErrorCode::BadRequest, message))
        }
        _ => Ok(()),
    }
}

/// Least and most bytes that a stream with so many logs may be bound to.
fn bytes_range(log_count: u32) -> (u64, u64) {
    (u64::from(log_count) * RETENTION_BYTES_OF_LOG_LEAST, RETENTION_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use rheos_protocol::message::{CreateStream, Limit, LimitsUpdate};

    use super::super::plan_stream;
    use super::*;

    fn stream() -> StreamRecord {
        let create = CreateStream { name: "orders".to_owned(), shards: 4, ..CreateStream::default() };
        plan_stream(&create, 1_700_000_000_000, 7, 2, None).expect("it is in range")
    }

    fn update() -> UpdateStream {
        UpdateStream { stream: "orders".to_owned(), ..UpdateStream::default() }
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = stream();
        assert_eq!(before.update(&update(), 5), Ok(None));
        let raised = UpdateStream { retention_ms: Some(7 * RETENTION_MS_LEAST), ..update() };
        let after = before.update(&raised, 5).expect("it is in range").expect("it changes");
        assert_eq!(after.terms, StreamTerms { retention_ms: 7 * RETENTION_MS_LEAST, trimmed_ms: 5, ..before.terms });
        assert_eq!(after.update(&raised, 6), Ok(None), "equal is no change, and nothing more has expired by it");
        assert_eq!(StreamRecord::decode(&after.encode()), Ok(after.clone()));

        let limits = LimitsUpdate { in_bytes: Some(Limit::of(5 << 20)), ..LimitsUpdate::default() };
        let limited =
            after.update(&UpdateStream { limits, ..update() }, 9).expect("it is in range").expect("it changes");
        assert_eq!(limited.terms.limits, StreamLimits { in_bytes: Limit::of(5 << 20), ..StreamLimits::default() });
        let in_force = limited.terms.of_log(2, StreamLimits::kinesis()).limits;
        assert_eq!(in_force, StreamLimits { in_bytes: Limit::of(5 << 20), ..StreamLimits::kinesis() });
        let inherit = UpdateStream { limits: LimitsUpdate::INHERIT, ..update() };
        assert_eq!(limited.update(&inherit, 9), Ok(Some(after)));
    }

    #[test]
    fn a_mode_is_changed_and_its_bounds_are_proved() {
        let before = stream();
        let to = |mode| before.update(&UpdateStream { mode: Some(mode), ..update() }, 0);
        let after = to(StreamMode::on_demand()).expect("it is in range").expect("it changes");
        assert_eq!(after.terms, StreamTerms { mode: StreamMode::on_demand(), ..before.terms });
        assert_eq!(StreamRecord::decode(&after.encode()), Ok(after.clone()));
        assert_eq!(to(StreamMode::Provisioned), Ok(None));
        for (min, max) in [(0, 4), (5, 4), (1, SHARDS_MAX + 1)] {
            let error = to(StreamMode::OnDemand(ShardBounds { min, max })).expect_err("they are out of range");
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.contains(&format!("{min} to {max}")), "{error}");
        }
    }

    #[test]
    fn what_has_expired_stays_expired() {
        let mut stream = stream();
        let mut trimmed_ms = 0;
        for (retention_ms, horizon_ms) in [
            (RETENTION_MS_MAX, 100),
            (RETENTION_MS_LEAST, 90),
            (RETENTION_MS_LEAST + 1, 200),
            (RETENTION_MS_LEAST + 2, 150),
        ] {
            let retention_ms = Some(retention_ms);
            let changed =
                stream.update(&UpdateStream { retention_ms, ..update() }, horizon_ms).expect("it is in range");
            stream = changed.expect("it changes");
            assert!(stream.terms.trimmed_ms >= trimmed_ms, "the horizon goes forward only");
            trimmed_ms = stream.terms.trimmed_ms;
        }
        assert_eq!(trimmed_ms, 200);
    }

    #[test]
    fn a_bound_of_bytes_is_shared_evenly_by_the_logs() {
        let least = 2 * RETENTION_BYTES_OF_LOG_LEAST;
        let bound = |bytes| stream().update(&UpdateStream { retention_bytes: Some(bytes), ..update() }, 0);
        let bounded = bound(least).expect("it is in range").expect("it changes");
        assert_eq!(bounded.terms.of_log(bounded.log_count, StreamLimits::NONE).retention_bytes, least / 2);
        assert_eq!(bound(0), Ok(None), "there is none");
        for bytes in [1, least - 1, RETENTION_BYTES_MAX + 1, u64::MAX] {
            let error = bound(bytes).expect_err("it is out of range");
            assert!(error.message.starts_with("retention_bytes is ") && error.message.contains(&least.to_string()));
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_and_named() {
        let limits = |limit| LimitsUpdate { out_reads: Some(limit), ..LimitsUpdate::default() };
        for (bad, field) in [
            (UpdateStream { retention_ms: Some(RETENTION_MS_LEAST - 1), ..update() }, "retention_ms"),
            (UpdateStream { retention_ms: Some(0), ..update() }, "retention_ms"),
            (UpdateStream { retention_ms: Some(RETENTION_MS_MAX + 1), ..update() }, "retention_ms"),
            (UpdateStream { record_bytes_max: Some(RECORD_BYTES_LEAST - 1), ..update() }, "record_bytes_max"),
            (UpdateStream { record_bytes_max: Some(u32::MAX), ..update() }, "record_bytes_max"),
            (UpdateStream { limits: limits(Limit::of(RATE_MAX + 1)), ..update() }, "limit of reads"),
        ] {
            let error = stream().update(&bad, 0).expect_err(field);
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.starts_with(field), "{error}");
        }
        let edge = UpdateStream { limits: limits(Limit::of(RATE_MAX)), ..update() };
        stream().update(&edge, 0).expect("the ends of a range belong to it");
    }
}
