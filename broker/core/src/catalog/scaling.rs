//! Who may reshard a stream, by its mode, and the steps of an on-demand one as the catalog keeps them.
//!
//! ```text
//!   0  4  magic "RHS1"
//!   4  4  version = 1
//!   8  8  begun, ms since 1970
//!  16  1  outcome: 0 under way, 1 done, 2 undone, 3 no step
//!  17  8  ended, ms since 1970; else 0
//!  25  4  open shards before
//!  29  4  open shards after
//!  33  1  reason: its kind
//!  34  4  a shard; else 0
//!  38  4  the shard beside it; else 0
//!  42 16  a hash key; else 0
//!  58  8  load in thousandths of a shard; else 0
//!  66  1  share in percent; else 0
//!  67  8  checksum: xxh3-64 of everything before
//! ```
//!
//! Little-endian. What must hold: a step is written down in the transaction that begins its reshard, and ends in the
//! one that finishes or abandons it, so that the history never differs from what has happened.

use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::message::{ScalingOutcome, ScalingReason, ScalingStep, StreamMode};

use super::StreamRecord;
use super::envelope::{BadRecord, ended, seal, unseal};

const MAGIC: [u8; 4] = *b"RHS1";
const VERSION: u32 = 1;

/// A step as the catalog stores it.
pub fn encode_step(step: &ScalingStep) -> Vec<u8> {
    seal(MAGIC, VERSION, 80, |out| step.encode(out))
}

/// Reads a step and proves it.
///
/// # Errors
///
/// [`BadRecord`] says why the bytes cannot be believed.
pub fn decode_step(bytes: &[u8]) -> Result<ScalingStep, BadRecord> {
    let mut fields = unseal(MAGIC, VERSION, bytes)?;
    let step = ScalingStep::decode(&mut fields)?;
    ended(&fields)?;
    Ok(step)
}

/// Whether the newest step says the same as one that is none, so that it need not be said again.
pub fn is_said(newest: &ScalingStep, step: &ScalingStep) -> bool {
    let same = match (newest.reason, step.reason) {
        (ScalingReason::HotKey { shard, key, .. }, ScalingReason::HotKey { shard: of, key: by, .. }) => {
            (shard, key) == (of, by)
        }
        (ScalingReason::AtMax { .. }, ScalingReason::AtMax { .. }) => true,
        _ => false,
    };
    same && step.outcome == ScalingOutcome::NoStep
}

impl StreamRecord {
    /// Whether it may be resharded by request, as in Kinesis: an on-demand stream may not.
    ///
    /// # Errors
    ///
    /// `BadRequest`, which says what to do instead.
    pub(super) fn admit_reshard_by_request(&self) -> Result<(), WireError> {
        if self.terms.mode == StreamMode::Provisioned {
            return Ok(());
        }
        let name = &self.name;
        let message = format!(
            "stream {name} is on demand and splits and merges its shards by itself; set its bounds (rheos stream mode \
             {name} on-demand --shards-min N --shards-max N), or have it provisioned first (rheos stream mode {name} \
             provisioned)"
        );
        Err(WireError::new(ErrorCode::BadRequest, message))
    }

    /// Whether a step that was decided a moment ago is still wanted.
    ///
    /// # Errors
    ///
    /// `BadRequest` when the stream is provisioned by now, or its bounds forbid so many shards.
    pub(super) fn admit_step(&self, step: &ScalingStep) -> Result<(), WireError> {
        match self.terms.mode.bounds() {
            Some(bounds) if (bounds.min..=bounds.max).contains(&step.to) => Ok(()),
            _ => Err(WireError::new(ErrorCode::BadRequest, format!("the mode of stream {} was changed", self.name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rheos_protocol::message::{CreateStream, ShardBounds};

    use super::super::plan_stream;
    use super::*;

    fn step(reason: ScalingReason, outcome: ScalingOutcome) -> ScalingStep {
        ScalingStep { begun_ms: 1_700_000_000_123, outcome, from: 4, to: 8, reason }
    }

    fn stream(mode: StreamMode) -> StreamRecord {
        let create = CreateStream { name: "orders".to_owned(), shards: 4, mode, ..CreateStream::default() };
        plan_stream(&create, 1_700_000_000_000, 7, 2, None).expect("it is in range")
    }

    #[test]
    fn a_step_reads_back_and_no_flipped_bit_goes_unseen() {
        let good =
            step(ScalingReason::Busy { load_milli: 5_600 }, ScalingOutcome::Done { ended_ms: 1_700_000_000_456 });
        let bytes = encode_step(&good);
        assert_eq!((decode_step(&bytes), bytes.len()), (Ok(good), 75));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_step(&bad).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| decode_step(&bytes[..length]).is_err()));
    }

    #[test]
    fn who_reshards_a_stream_is_a_matter_of_its_mode() {
        let (provisioned, on_demand) = (stream(StreamMode::Provisioned), stream(StreamMode::on_demand()));
        let scaled = step(ScalingReason::Busy { load_milli: 5_600 }, ScalingOutcome::UnderWay);
        assert!(provisioned.admit_reshard_by_request().is_ok() && on_demand.admit_step(&scaled).is_ok());
        let refused = on_demand.admit_reshard_by_request().expect_err("it is on demand");
        assert!(refused.code == ErrorCode::BadRequest && refused.message.contains("rheos stream mode orders"));
        assert!(provisioned.admit_step(&scaled).is_err());
        let narrower = stream(StreamMode::OnDemand(ShardBounds { min: 1, max: 7 }));
        assert!(narrower.admit_step(&scaled).is_err(), "its bounds were changed meanwhile");
    }

    #[test]
    fn what_stands_against_a_step_is_written_down_once() {
        let hot = |shard, share_percent| {
            let reason = ScalingReason::HotKey { shard, key: 9, load_milli: 2_000, share_percent };
            step(reason, ScalingOutcome::NoStep)
        };
        let at_max = |load_milli| step(ScalingReason::AtMax { load_milli }, ScalingOutcome::NoStep);
        assert!(is_said(&hot(1, 80), &hot(1, 95)) && is_said(&at_max(1), &at_max(2)));
        assert!(!is_said(&hot(1, 80), &hot(2, 80)) && !is_said(&hot(1, 80), &at_max(1)));
        let busy = step(ScalingReason::Busy { load_milli: 1 }, ScalingOutcome::UnderWay);
        assert!(!is_said(&busy, &busy));
    }
}
