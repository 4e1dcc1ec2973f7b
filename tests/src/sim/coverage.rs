//! What the runs have reached of what can be: which events met a log in which state, which effects it asked for,
//! what recovery and reads had to look at, and where the chains of commits stopped.
//!
//! What must hold: everything that can be is listed here, so that what no run has reached is seen; a new event,
//! effect or state does not compile, or is met unlisted, until it is.

use std::collections::BTreeMap;

use rheos_core::log::{Effect, Event, LogState};
use rheos_core::recovery::{Here, Named, Stop, Verdict, verdict};

/// How often each thing was reached, by its kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<(&'static str, String), u64>);

impl Coverage {
    /// Something was reached.
    pub fn count(&mut self, kind: &'static str, name: &str) {
        // Most is reached often, and then nothing is allocated but the key that is looked for.
        *self.0.entry((kind, name.to_owned())).or_default() += 1;
    }

    /// An event has met a log in this state.
    pub fn event(&mut self, event: &Event, state: LogState) {
        let event = event_name(event);
        self.count("event", event);
        self.count("event in a state", &format!("{event} while {} and {}", state.health, state.stage));
    }

    /// Where a chain of commits stopped at a start.
    pub fn stop(&mut self, stop: &Stop) {
        self.count("verdict", &verdict_name(stop.here, stop.durable_later, stop.named));
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Coverage) {
        for (key, count) in &other.0 {
            *self.0.entry(key.clone()).or_default() += count;
        }
    }

    /// What was reached, by kind and name.
    pub fn reached(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.0.iter().map(|((kind, name), count)| (*kind, name.as_str(), *count))
    }

    /// What can be reached and was not, by kind and name.
    pub fn missed(&self) -> Vec<(&'static str, String)> {
        let mut missed = everything();
        missed.retain(|key| !self.0.contains_key(key));
        missed
    }
}

/// Everything that a run can reach.
fn everything() -> Vec<(&'static str, String)> {
    let lists: [(&'static str, &[&str]); 4] = [
        ("event", &EVENTS),
        ("effect", &EFFECTS),
        ("recovery looks at", &rheos_core::recovery::LOOKS_AT),
        ("a read looks at", &rheos_core::reader::LOOKS_AT),
    ];
    let named = |(kind, names): (&'static str, &[&str])| names.iter().map(|name| (kind, (*name).to_owned())).collect();
    let mut all: Vec<_> = lists.into_iter().flat_map::<Vec<_>, _>(named).collect();
    for here in [Here::Commit, Here::Nothing, Here::Damage] {
        for later in [false, true] {
            for named in [Named::No, Named::Here, Named::Later] {
                // A chain does not stop where it goes on, what follows a commit is not looked for, and after a write
                // has failed nothing more is written to its segment.
                let goes_on = verdict(here, later, named) == Verdict::GoOn;
                let stops = !goes_on && !(later && (here == Here::Commit || named == Named::Here));
                if stops {
                    all.push(("verdict", verdict_name(here, later, named)));
                }
            }
        }
    }
    all
}

fn verdict_name(here: Here, later: bool, named: Named) -> String {
    let verdict = verdict(here, later, named);
    let proof = if later { "proved later" } else { "not proved" };
    format!("{verdict:?}: {here:?}, {proof}, end named {named:?}")
}

/// The name of an event.
fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Put { .. } => "Put",
        Event::Flush => "Flush",
        Event::Durable => "Durable",
        Event::WriteFailed { .. } => "WriteFailed",
        Event::SegmentReady { .. } => "SegmentReady",
        Event::SegmentFailed { .. } => "SegmentFailed",
        Event::Sealed { .. } => "Sealed",
        Event::Trimmed { .. } => "Trimmed",
        Event::Measured { .. } => "Measured",
        Event::Close { .. } => "Close",
        Event::Reopen => "Reopen",
        Event::Resharded { .. } => "Resharded",
        Event::Terms { .. } => "Terms",
        Event::Tick => "Tick",
        Event::Stop => "Stop",
    }
}

/// The name of an effect.
pub fn effect_name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Reply { outcome: Ok(_), .. } => "Reply acked",
        Effect::Reply { outcome: Err(_), .. } => "Reply refused",
        Effect::Write(write) if !write.head.is_empty() => "Write of a head",
        Effect::Write(write) if write.batches.is_empty() => "Write of an empty commit",
        Effect::Write(_) => "Write",
        Effect::Prepare { .. } => "Prepare",
        Effect::Hurry { .. } => "Hurry",
        Effect::Discard { .. } => "Discard",
        Effect::Seal { .. } => "Seal",
        Effect::Trim(_) => "Trim",
        Effect::Measure { .. } => "Measure",
        Effect::Advanced { .. } => "Advanced",
        Effect::Drained { ends: Ok(_) } => "Drained",
        Effect::Drained { ends: Err(_) } => "Drained, and cannot",
        Effect::ReadOnly { .. } => "ReadOnly",
        Effect::Stopped => "Stopped",
    }
}

const EVENTS: [&str; 15] = [
    "Put",
    "Flush",
    "Durable",
    "WriteFailed",
    "SegmentReady",
    "SegmentFailed",
    "Sealed",
    "Trimmed",
    "Measured",
    "Close",
    "Reopen",
    "Resharded",
    "Terms",
    "Tick",
    "Stop",
];

const EFFECTS: [&str; 16] = [
    "Reply acked",
    "Reply refused",
    "Write of a head",
    "Write of an empty commit",
    "Write",
    "Prepare",
    "Hurry",
    "Discard",
    "Seal",
    "Trim",
    "Measure",
    "Advanced",
    "Drained",
    "Drained, and cannot",
    "ReadOnly",
    "Stopped",
];
