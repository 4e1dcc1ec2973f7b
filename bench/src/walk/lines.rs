//! What the walk found: a flat report for programs, and a table for people, from the same calls.

use serde_json::Value;

use super::pairs::{Median, coverage};
use crate::Failure;
use crate::report::{Output, Report};

/// A client busier than this share of the time measures itself.
const CLIENT_BUSY_MAX: f64 = 0.9;

/// The lines of a walk.
pub(super) struct Lines {
    report: Report,
    rows: Vec<Row>,
    /// Lines that measured the client, and how busy it was.
    invalid: Vec<(String, f64)>,
    failed: Vec<String>,
}

/// A row of the table: what, ours, the yardstick's, their ratio, what it should be, whether it is.
type Row = [String; 6];

/// What a number should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Reported for orientation.
    None,
}

/// One comparison: the name of its ratio, and the names of what was compared.
pub(super) struct Names<'a> {
    pub(super) ratio: &'a str,
    pub(super) ours: &'a str,
    pub(super) yardstick: &'a str,
}

impl Lines {
    pub(super) fn new(pairs: usize) -> Lines {
        let mut lines = Lines { report: Report::default(), rows: Vec::new(), invalid: Vec::new(), failed: Vec::new() };
        lines.fact("pairs", pairs);
        lines.report.set_number("interval_coverage", coverage(pairs));
        lines
    }

    /// A value that is no measurement of its own.
    pub(super) fn fact(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.report.set(name, value);
    }

    /// Pairs of ours and the yardstick's: the ratio with its interval, and the medians of both.
    pub(super) fn compare(&mut self, names: Names<'_>, pairs: &[(f64, f64)], goal: Goal) {
        let ratio = Median::of_ratios(pairs);
        self.median(names.ratio, ratio);
        let ours = Median::of(pairs.iter().map(|pair| pair.0)).map(|found| found.median);
        let yardstick = Median::of(pairs.iter().map(|pair| pair.1)).map(|found| found.median);
        self.number(names.ours, ours);
        self.number(names.yardstick, yardstick);
        let shown =
            ratio.map_or("-".to_owned(), |found| format!("{:.3} [{:.3}, {:.3}]", found.median, found.low, found.high));
        let verdict = goal.verdict(ratio.map(|found| found.median));
        let what = names.ratio.to_owned();
        self.rows.push([what, show(ours), show(yardstick), shown, goal.to_string(), verdict.to_owned()]);
    }

    /// Pairs of runs, by the latency in us that a share of their records does not exceed: p50 and p99, each with
    /// its goal. The names are those of the ratio, of ours and of the yardstick, without what follows them. Where a
    /// run has no latency, the line has none.
    pub(super) fn compare_latencies<R>(
        &mut self,
        [ratio, ours, yardstick]: [&str; 3],
        pairs: &[(R, R)],
        us: impl Fn(&R, f64) -> f64,
        [p50, p99]: [Goal; 2],
    ) {
        for (suffix, percent, goal) in [("p50", 50.0, p50), ("p99", 99.0, p99)] {
            let found: Vec<_> = pairs.iter().map(|pair| (us(&pair.0, percent), us(&pair.1, percent))).collect();
            let names = Names {
                ratio: &format!("{ratio}_{suffix}_ratio"),
                ours: &format!("{ours}_{suffix}_us"),
                yardstick: &format!("{yardstick}_{suffix}_us"),
            };
            self.compare(names, &found, goal);
        }
    }

    /// A number that stands for itself: its median with the interval.
    pub(super) fn absolute(&mut self, name: &str, numbers: &[f64], goal: Goal) {
        let found = Median::of(numbers.iter().copied());
        self.median(name, found);
        let shown = found.map_or("-".to_owned(), |found| {
            format!("{} [{}, {}]", show(Some(found.median)), show(Some(found.low)), show(Some(found.high)))
        });
        let verdict = goal.verdict(found.map(|found| found.median)).to_owned();
        self.rows.push([name.to_owned(), shown, "-".to_owned(), "-".to_owned(), goal.to_string(), verdict]);
    }

    /// How busy the client was in the runs of a `line`, reported as `NAME_client_busy`; too busy makes
    /// the line invalid, whose rows are those that begin with its name.
    pub(super) fn client_busy(&mut self, line: &str, name: &str, shares: impl IntoIterator<Item = f64>) {
        let share = Median::of(shares).map(|found| found.median);
        self.number(&format!("{name}_client_busy"), share);
        let Some(share) = share.filter(|share| *share > CLIENT_BUSY_MAX) else { return };
        match self.invalid.iter_mut().find(|(known, _)| known == line) {
            Some((_, most)) => *most = most.max(share),
            None => self.invalid.push((line.to_owned(), share)),
        }
        for row in &mut self.rows {
            if row[0].strip_prefix(line).is_some_and(|rest| rest.starts_with('_')) {
                row[5] = "INVALID".to_owned();
            }
        }
    }

    /// A part that could not be measured.
    pub(super) fn failed(&mut self, part: &str, failure: &Failure) {
        self.failed.push(format!("{part}: {failure}"));
    }

    /// Prints everything.
    ///
    /// # Errors
    ///
    /// When a part could not be measured.
    pub(super) fn print(mut self, output: Output) -> Result<(), Failure> {
        let invalid: Vec<String> = self.invalid.iter().map(|(line, _)| line.clone()).collect();
        self.report.set("invalid", invalid);
        self.report.set("failed", self.failed.clone());
        match output {
            Output::Json => self.report.print(output)?,
            Output::Text => println!("{}", self.table()),
        }
        match self.failed.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} of the walk's parts failed; {first}", self.failed.len()).into()),
        }
    }

    fn median(&mut self, name: &str, found: Option<Median>) {
        self.number(name, found.map(|found| found.median));
        self.number(&format!("{name}_low"), found.map(|found| found.low));
        self.number(&format!("{name}_high"), found.map(|found| found.high));
    }

    fn number(&mut self, name: &str, number: Option<f64>) {
        match number {
            Some(number) => self.report.set_number(name, number),
            None => self.report.set(name, Value::Null),
        }
    }

    fn table(&self) -> String {
        let heads = ["what", "broker", "yardstick", "ratio [interval]", "goal", ""].map(str::to_owned);
        let rows: Vec<&Row> = std::iter::once(&heads).chain(&self.rows).collect();
        let widths: [usize; 6] =
            std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
        let mut text = String::new();
        for row in rows {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        for (line, share) in &self.invalid {
            text += &format!("INVALID  {line}: the client was {:.0} % busy\n", share * 100.0);
        }
        self.failed.iter().for_each(|note| text += &format!("FAILED  {note}\n"));
        text
    }
}

impl Goal {
    fn verdict(self, found: Option<f64>) -> &'static str {
        match (self, found) {
            (Goal::None, _) => "",
            (_, None) => "not measured",
            (Goal::AtMost(most), Some(found)) if found <= most => "met",
            (Goal::AtLeast(least), Some(found)) if found >= least => "met",
            _ => "MISSED",
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Goal::AtMost(most) => write!(f, "<= {most}"),
            Goal::AtLeast(least) => write!(f, ">= {least}"),
            Goal::None => write!(f, "-"),
        }
    }
}

fn show(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number.abs() >= 1000.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Lines {
        let mut lines = Lines::new(7);
        let names = Names { ratio: "put_1_p50_ratio", ours: "put_1_p50_us", yardstick: "bare_put_1_p50_us" };
        let pairs: Vec<(f64, f64)> = (0..7).map(|at| (110.0 + f64::from(at), 100.0)).collect();
        lines.compare(names, &pairs, Goal::AtMost(1.15));
        lines.absolute("start_ms", &[10.0, 30.0, 20.0], Goal::AtMost(15.0));
        lines
    }

    #[test]
    fn a_ratio_has_its_interval_and_its_parts() {
        let report = sample().report;
        for (name, expected) in [
            ("put_1_p50_ratio", 1.13),
            ("put_1_p50_ratio_low", 1.1),
            ("put_1_p50_ratio_high", 1.16),
            ("put_1_p50_us", 113.0),
            ("bare_put_1_p50_us", 100.0),
            ("start_ms", 20.0),
        ] {
            assert_eq!(report.value(name), Some(&Value::from(expected)), "{name}");
        }
    }

    #[test]
    fn the_table_is_aligned_and_says_what_was_missed() {
        let table = sample().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[1].contains("1.130 [1.100, 1.160]") && lines[1].ends_with("met"), "{table}");
        assert!(lines[2].ends_with("MISSED"), "{table}");
        assert_eq!(lines[0].find("goal"), lines[1].find("<="), "{table}");
    }

    #[test]
    fn a_busy_client_makes_a_line_invalid() {
        let mut lines = sample();
        lines.client_busy("put_1", "put_1", [0.2, 0.3, 0.95]);
        lines.client_busy("put", "put", [0.2, 0.3, 0.95]);
        assert!(lines.invalid.is_empty());
        lines.client_busy("put_1", "bare_put_1", [0.95, 0.93, 0.2]);
        lines.client_busy("put_", "another", [0.95]);
        assert_eq!(lines.rows[0][5], "INVALID");
        assert_eq!(lines.rows[1][5], "MISSED", "it is another line");
        assert!(lines.table().contains("INVALID  put_1: the client was 93 % busy"));
    }

    #[test]
    fn a_failed_part_fails_the_run_after_the_report() {
        let mut lines = sample();
        lines.failed("start", &"no room".into());
        let failure = lines.print(Output::Json).expect_err("a part failed").to_string();
        assert!(failure.contains("start: no room"), "{failure}");
    }
}
