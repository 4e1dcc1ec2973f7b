//! The steps of on-demand streams, as they are written down and read.
//!
//! What must hold: of each stream the newest steps are kept, up to [`SCALING_STEPS_MAX`]; a step ends in the
//! transaction that ends its reshard.

use std::ops::RangeInclusive;

use redb::ReadableTable;
use rheos_core::catalog::{StreamRecord, decode_step, encode_step, is_said};
use rheos_protocol::limits::SCALING_STEPS_MAX;
use rheos_protocol::message::{ScalingOutcome, ScalingStep};
use rheos_protocol::name::StreamName;

use super::{Changed, Life, Outcome, Tables, internal, stream_not_found};

/// The places of all steps of one life of a stream.
pub(super) fn steps_of(incarnation: u64) -> RangeInclusive<(u64, u64)> {
    (incarnation, 0)..=(incarnation, u64::MAX)
}

impl Tables<'_> {
    /// Writes a step down whose reshard begins.
    pub(super) fn begin_step(&mut self, stream: &StreamRecord, step: &ScalingStep) -> Result<(), redb::Error> {
        let number = self.newest_step(stream.incarnation)?.map_or(0, |(number, _)| number + 1);
        self.put_step(stream.incarnation, number, step)
    }

    /// Says what has come of the step whose reshard has just ended, if it was one.
    pub(super) fn end_step(&mut self, incarnation: u64, outcome: ScalingOutcome) -> Result<(), redb::Error> {
        match self.newest_step(incarnation)? {
            Some((number, Some(step))) if step.outcome == ScalingOutcome::UnderWay => {
                self.put_step(incarnation, number, &ScalingStep { outcome, ..step })
            }
            // It was asked for by somebody.
            _ => Ok(()),
        }
    }

    /// Writes down what stands against a step, unless that was the last to be said.
    pub(super) fn note_step(&mut self, life: &Life, step: &ScalingStep) -> Result<Outcome, redb::Error> {
        match self.stream(&life.name)? {
            Ok(stream) if stream.incarnation == life.incarnation => {}
            Ok(_) => return Ok(Err(stream_not_found(&life.name))),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let newest = self.newest_step(life.incarnation)?;
        let number = newest.as_ref().map_or(0, |(number, _)| number + 1);
        if !newest.is_some_and(|(_, newest)| newest.is_some_and(|newest| is_said(&newest, step))) {
            self.has_changed = true;
            self.put_step(life.incarnation, number, step)?;
        }
        Ok(Ok(Changed::Done))
    }

    /// The steps of the stream of this name, the newest first.
    pub(super) fn list_steps(&self, name: &StreamName) -> Result<Outcome, redb::Error> {
        let stream = match self.stream(name)? {
            Ok(stream) => stream,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut steps = Vec::new();
        for row in self.scaling.range(steps_of(stream.incarnation))?.rev() {
            match decode_step(row?.1.value()) {
                Ok(step) => steps.push(step),
                Err(error) => return Ok(Err(internal(format!("a step of stream {name}: {error}")))),
            }
        }
        Ok(Ok(Changed::Steps(steps)))
    }

    /// The number of the newest step, and what it says unless it is damaged, which a start would have refused.
    fn newest_step(&self, incarnation: u64) -> Result<Option<(u64, Option<ScalingStep>)>, redb::Error> {
        let Some(newest) = self.scaling.range(steps_of(incarnation))?.next_back() else { return Ok(None) };
        let (place, bytes) = newest?;
        Ok(Some((place.value().1, decode_step(bytes.value()).ok())))
    }

    fn put_step(&mut self, incarnation: u64, number: u64, step: &ScalingStep) -> Result<(), redb::Error> {
        self.scaling.insert((incarnation, number), encode_step(step).as_slice())?;
        if let Some(oldest) = number.checked_sub(SCALING_STEPS_MAX.into()) {
            self.scaling.remove((incarnation, oldest))?;
        }
        Ok(())
    }
}
