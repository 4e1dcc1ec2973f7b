//! The trace of a run: everything that happened, hashed, so that two runs can be told apart, and what
//! it added up to, so that a run that met nothing is not taken for a proof.

use rheos_core::log::{Effect, Event};
use xxhash_rust::xxh3::Xxh3;

/// What a run has met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what it counts")]
pub struct Met {
    pub acks: u64,
    pub resend_acks: u64,
    pub refusals: u64,
    pub behinds: u64,
    pub indeterminate: u64,
    pub reshards: u64,
    pub reshards_undone: u64,
    pub refused_as_closed: u64,
    pub shards_ended: u64,
    pub commits: u64,
    pub rolls: u64,
    pub seals: u64,
    pub write_failures: u64,
    pub prepare_failures: u64,
    pub hurries: u64,
    pub discards: u64,
    pub trims: u64,
    pub terms_changed: u64,
    pub over_limit: u64,
    pub paced: u64,
    pub promises_changed: u64,
    pub late_with_promises: u64,
    pub read_only: u64,
    pub crashes: u64,
    pub crashes_in_recovery: u64,
    pub clean_stops: u64,
    pub cuts: u64,
    pub spares_removed: u64,
    pub reads: u64,
    pub disk_reads: u64,
    pub trimmed_reads: u64,
    pub clock_jumps: u64,
    pub lanes_dealt_anew: u64,
    pub pushes: u64,
    pub pushes_from_tail: u64,
    pub pushes_from_scans: u64,
    pub pushes_shared: u64,
    pub scans: u64,
    pub scans_gone: u64,
    pub scans_late: u64,
    pub peers_parked: u64,
    pub credit_used_up: u64,
    pub subscribed: u64,
    pub began_at_sought: u64,
    pub resubscribed: u64,
    pub resubscribed_before: u64,
    pub superseded: u64,
    pub refused_as_older: u64,
    pub deregistered: u64,
    pub unsubscribed: u64,
    pub ended_trimmed: u64,
    pub going_away: u64,
    pub came_back: u64,
    pub rots: u64,
    pub rots_refused: u64,
    pub rots_named: u64,
    pub rots_in_the_last_second: u64,
    pub rots_told_as_expired: u64,
    pub ghosts: u64,
    pub sweeps: u64,
    pub sim_hours: u64,
}

impl Met {
    /// Adds what another run has met.
    pub fn add(&mut self, other: &Met) {
        self.acks += other.acks;
        self.resend_acks += other.resend_acks;
        self.refusals += other.refusals;
        self.behinds += other.behinds;
        self.indeterminate += other.indeterminate;
        self.reshards += other.reshards;
        self.reshards_undone += other.reshards_undone;
        self.refused_as_closed += other.refused_as_closed;
        self.shards_ended += other.shards_ended;
        self.commits += other.commits;
        self.rolls += other.rolls;
        self.seals += other.seals;
        self.write_failures += other.write_failures;
        self.prepare_failures += other.prepare_failures;
        self.hurries += other.hurries;
        self.discards += other.discards;
        self.trims += other.trims;
        self.terms_changed += other.terms_changed;
        self.over_limit += other.over_limit;
        self.paced += other.paced;
        self.promises_changed += other.promises_changed;
        self.late_with_promises += other.late_with_promises;
        self.read_only += other.read_only;
        self.crashes += other.crashes;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.clean_stops += other.clean_stops;
        self.cuts += other.cuts;
        self.spares_removed += other.spares_removed;
        self.reads += other.reads;
        self.disk_reads += other.disk_reads;
        self.trimmed_reads += other.trimmed_reads;
        self.clock_jumps += other.clock_jumps;
        self.lanes_dealt_anew += other.lanes_dealt_anew;
        self.pushes += other.pushes;
        self.pushes_from_tail += other.pushes_from_tail;
        self.pushes_from_scans += other.pushes_from_scans;
        self.pushes_shared += other.pushes_shared;
        self.scans += other.scans;
        self.scans_gone += other.scans_gone;
        self.scans_late += other.scans_late;
        self.peers_parked += other.peers_parked;
        self.credit_used_up += other.credit_used_up;
        self.subscribed += other.subscribed;
        self.began_at_sought += other.began_at_sought;
        self.resubscribed += other.resubscribed;
        self.resubscribed_before += other.resubscribed_before;
        self.superseded += other.superseded;
        self.refused_as_older += other.refused_as_older;
        self.deregistered += other.deregistered;
        self.unsubscribed += other.unsubscribed;
        self.ended_trimmed += other.ended_trimmed;
        self.going_away += other.going_away;
        self.came_back += other.came_back;
        self.rots += other.rots;
        self.rots_refused += other.rots_refused;
        self.rots_named += other.rots_named;
        self.rots_told_as_expired += other.rots_told_as_expired;
        self.rots_in_the_last_second += other.rots_in_the_last_second;
        self.ghosts += other.ghosts;
        self.sweeps += other.sweeps;
        self.sim_hours += other.sim_hours;
    }
}

/// The trace of a run.
#[derive(Default)]
pub struct Trace {
    hash: Xxh3,
    /// The newest lines, for a person.
    lines: std::collections::VecDeque<String>,
    /// Whether lines are kept.
    pub verbose: bool,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({:016x})", self.hash())
    }
}

impl Trace {
    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// The newest lines.
    pub fn lines(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Something that the world did.
    pub fn note(&mut self, now_us: u64, what: std::fmt::Arguments<'_>) {
        let text = format!("{now_us} {what}");
        self.hash.update(text.as_bytes());
        if self.verbose {
            self.lines.push_back(text);
            if self.lines.len() > LINES_MAX {
                self.lines.pop_front();
            }
        }
    }

    /// An event that a log is told.
    pub fn event(&mut self, now_us: u64, log: usize, event: &Event) {
        match event {
            Event::Put { token, batch } => {
                let header = batch.header();
                let stamp = header.producer;
                let (shard, count, len) = (header.shard, header.record_count, header.body_len);
                self.note(
                    now_us,
                    format_args!(
                        "log {log} <- put {token} of {:x}/{} to {shard}: {count} records, {len} bytes",
                        stamp.id, stamp.number
                    ),
                );
            }
            Event::Tick => self.note(now_us, format_args!("{log} tick")),
            other => self.note(now_us, format_args!("log {log} <- {other:?}")),
        }
    }

    /// An effect that a log asks for.
    pub fn effect(&mut self, now_us: u64, log: usize, effect: &Effect) {
        match effect {
            Effect::Write(write) => {
                for bytes in
                    [&write.head[..], &write.header[..]].into_iter().chain(write.batches.iter().map(|batch| &batch[..]))
                {
                    self.hash.update(bytes);
                }
                let (segment, offset, len) = (write.segment, write.offset, write.len);
                let (head, batches) = (write.head.len(), write.batches.len());
                self.note(
                    now_us,
                    format_args!(
                        "log {log} -> write {len} bytes at {offset} of {segment}: head {head}, {batches} batches"
                    ),
                );
            }
            Effect::Seal { segment, offset, footer } => {
                self.hash.update(footer);
                self.note(now_us, format_args!("log {log} -> seal {segment} at {offset}, {} bytes", footer.len()));
            }
            other => self.note(now_us, format_args!("log {log} -> {other:?}")),
        }
    }
}

/// Lines that are kept for a person.
const LINES_MAX: usize = 400;
