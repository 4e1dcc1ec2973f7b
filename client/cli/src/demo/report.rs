//! What a demo comes to: the proof with its counts, and what was measured on the way. For people as text, for
//! programs as one object.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::board::{Behind, Board};
use super::consumers::{NAMES, SLOW};
use super::course::{Finish, Revival, STREAM};
use super::proof::{Proof, Verdict};
use super::timing::{Latencies, Percentiles};
use crate::units::{show_bytes, show_grouped, show_nanos};

/// The end of a demo.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) proof: Proof,
    what: String,
    put_bytes: u64,
    shards: usize,
    lanes: u64,
    acked_before_kill: u64,
    revival: Revival,
    without_ack_ns: u64,
    put_to_ack: Measured,
    put_to_push: Vec<Measured>,
    farthest_behind: Vec<Behind>,
    refusals: Vec<String>,
    seconds: f64,
    /// The data directory, if it is kept.
    pub(super) kept: Option<PathBuf>,
}

/// Latencies while the broker was there, and of what had to wait for it.
#[derive(Debug, Clone, Copy)]
struct Measured {
    usual: Option<Percentiles>,
    outage: Option<Percentiles>,
}

impl Report {
    /// Proves what stands on the board.
    pub(super) fn new(board: &Board, finish: &Finish, what: String) -> Report {
        let witnesses = board.consumers.iter().map(|consumer| &consumer.witness).chain([&finish.read_back]);
        let of = |latencies: &Latencies| Measured { usual: latencies.usual(), outage: latencies.outage() };
        Report {
            proof: Proof::of(&board.ledger, witnesses),
            what,
            put_bytes: board.put_bytes,
            shards: board.ledger.shards(),
            lanes: finish.lanes,
            acked_before_kill: finish.acked_before_kill,
            revival: finish.revival,
            without_ack_ns: board.outage.longest_gap_ns(),
            put_to_ack: of(&board.put_to_ack),
            put_to_push: board.consumers.iter().map(|consumer| of(&consumer.put_to_push)).collect(),
            farthest_behind: board.consumers.iter().map(|consumer| consumer.farthest_behind).collect(),
            refusals: board.refusals.clone(),
            seconds: board.clock.now_ns() as f64 / 1e9,
            kept: None,
        }
    }

    /// Why nothing is proved.
    pub(super) fn fault(&self) -> String {
        match self.proof.faults.first() {
            Some(fault) => fault.clone(),
            None if self.proof.counts.open() > 0 => format!("{} puts have no outcome", self.proof.counts.open()),
            None => "no record was acknowledged".to_owned(),
        }
    }

    /// One object for a program.
    pub(super) fn as_json(&self) -> Value {
        let counts = self.proof.counts;
        let consumers =
            self.put_to_push.iter().zip(&self.farthest_behind).zip(NAMES).map(|((measured, behind), name)| {
                json!({
                    "name": name,
                    "slow": name == SLOW,
                    "put_to_push": measured.as_json(),
                    "farthest_behind": { "records": behind.records, "ms": behind.ns / 1_000_000 },
                })
            });
        json!({
            "proved": self.proof.holds(),
            "stream": STREAM,
            "shards": self.shards,
            "lanes": self.lanes,
            "records": self.what,
            "put": counts.put,
            "put_bytes": self.put_bytes,
            "acknowledged": counts.acked,
            "acknowledged_before_kill": self.acked_before_kill,
            "acknowledged_after_kill": counts.acked - self.acked_before_kill,
            "indeterminate": counts.indeterminate,
            "refused": counts.refused,
            "refusals": self.refusals,
            "shared_sequences": self.proof.shared_sequences,
            "stored_out_of_order": self.proof.stored_out_of_order,
            "witnesses": self.proof.verdicts.iter().map(Verdict::as_json).collect::<Vec<_>>(),
            "faults": self.proof.faults,
            "outage": {
                "without_ack_ms": self.without_ack_ns / 1_000_000,
                "down_ms": self.revival.down.as_millis() as u64,
                "start_ms": self.revival.start_ms,
            },
            "put_to_ack": self.put_to_ack.as_json(),
            "consumers": consumers.collect::<Vec<_>>(),
            "seconds": self.seconds,
            "kept": self.kept,
        })
    }

    /// Some lines for people, 80 columns wide at most. The verdict is not among them.
    pub(super) fn as_text(&self) -> String {
        let counts = self.proof.counts;
        let after = counts.acked - self.acked_before_kill;
        let mut text = String::new();
        let mut line = |title: &str, number: u64, note: String| {
            let number = show_grouped(number);
            writeln!(text, "  {}", format!("{title:<20}{number:>12}   {note}").trim_end()).expect("text grows");
        };
        line("put", counts.put, format!("{}, {}", self.what, show_bytes(self.put_bytes)));
        let kill =
            format!("{} before the kill, {} after it", show_grouped(self.acked_before_kill), show_grouped(after));
        line("acknowledged", counts.acked, kill);
        line("indeterminate", counts.indeterminate, self.about_indeterminate());
        line("refused", counts.refused, String::new());
        for refusal in &self.refusals {
            writeln!(text, "    {refusal}").expect("text grows");
        }
        text.push('\n');
        text.push_str(&self.witnesses());
        text.push('\n');
        text.push_str(&self.latencies());
        text
    }

    /// Where the data is, or that it is gone.
    pub(super) fn about_data(&self) -> String {
        match &self.kept {
            Some(data) => format!("  data      kept; look at it with: rheos serve --data {}", data.display()),
            None => "  data      removed; --keep leaves it".to_owned(),
        }
    }

    fn about_indeterminate(&self) -> String {
        let stored = self.proof.verdicts.last().map_or(0, |read_back| read_back.indeterminate);
        match self.proof.counts.indeterminate {
            0 => String::new(),
            _ => format!("the producer was told so; {} of them are stored", show_grouped(stored)),
        }
    }

    fn witnesses(&self) -> String {
        let titles = ["records", "twice", "out of order", "missing", "altered"];
        let mut text =
            format!("  {:<20}{:>12}{:>8}{:>14}{:>9}{:>9}\n", "", titles[0], titles[1], titles[2], titles[3], titles[4]);
        for verdict in &self.proof.verdicts {
            let numbers = [verdict.records, verdict.duplicates, verdict.out_of_order, verdict.missing];
            let [records, twice, out_of_order, missing] = numbers.map(show_grouped);
            let (title, altered) = (title(verdict), show_grouped(verdict.altered + verdict.unknown));
            writeln!(text, "  {title:<20}{records:>12}{twice:>8}{out_of_order:>14}{missing:>9}{altered:>9}")
                .expect("text grows");
        }
        self.proof.faults.iter().for_each(|fault| writeln!(text, "    {fault}").expect("text grows"));
        text
    }

    fn latencies(&self) -> String {
        let mut text = format!("  {:<26}{:>10}{:>10}{:>10}\n", "", "p50", "p99", "max");
        let mut line = |title: String, percentiles: Option<Percentiles>| {
            let Some(Percentiles { p50, p99, max, .. }) = percentiles else { return };
            let [p50, p99, max] = [p50, p99, max].map(show_nanos);
            writeln!(text, "  {title:<26}{p50:>10}{p99:>10}{max:>10}").expect("text grows");
        };
        line("put to ack".to_owned(), self.put_to_ack.usual);
        line("  in the outage".to_owned(), self.put_to_ack.outage);
        for (name, measured) in NAMES.iter().zip(&self.put_to_push).filter(|(name, _)| **name != SLOW) {
            line(format!("put to push, {name}"), measured.usual);
            line("  in the outage".to_owned(), measured.outage);
        }
        let Revival { down, start_ms } = self.revival;
        let [gap, down] = [self.without_ack_ns, down.as_nanos() as u64].map(show_nanos);
        writeln!(text, "\n  outage    {gap} without an ack: broker dead for {down}, then {start_ms} ms of start")
            .expect("text grows");
        for (name, behind) in NAMES.iter().zip(&self.farthest_behind).filter(|(name, _)| **name == SLOW) {
            let (records, time) = (show_grouped(behind.records), show_nanos(behind.ns));
            writeln!(text, "  {name}   up to {records} records ({time}) behind, which held up nobody else")
                .expect("text grows");
        }
        text
    }
}

/// How a witness is called in the table.
fn title(verdict: &Verdict) -> String {
    match NAMES.contains(&verdict.name) {
        true => format!("pushed to {}", verdict.name),
        false => verdict.name.to_owned(),
    }
}

impl Verdict {
    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "records": self.records,
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "missing": self.missing,
            "altered": self.altered,
            "unknown": self.unknown,
            "indeterminate": self.indeterminate,
        })
    }
}

impl Measured {
    fn as_json(&self) -> Value {
        let of = |percentiles: Option<Percentiles>| {
            percentiles.map(|of| {
                json!({
                    "count": of.count,
                    "p50_us": of.p50 as f64 / 1e3,
                    "p99_us": of.p99 as f64 / 1e3,
                    "max_us": of.max as f64 / 1e3,
                })
            })
        };
        json!({ "usual": of(self.usual), "outage": of(self.outage) })
    }
}
