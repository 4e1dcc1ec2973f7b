//! The metrics that the book lists, to be compared with those of a broker and with what names them.

use std::collections::{BTreeMap, BTreeSet};

use rheos_tests::book::{self, Page};

/// Labels that Prometheus adds, and the one of a histogram's buckets.
const LABELS_OF_ALL: [&str; 3] = ["job", "instance", "le"];

/// The metrics that the book lists: name, type, labels.
#[derive(Debug)]
pub(crate) struct Metrics {
    rows: BTreeMap<String, Row>,
}

/// What is told of one.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    kind: String,
    labels: BTreeSet<String>,
    /// With its name in Kinesis at the end, as the broker's page has it.
    meaning: String,
}

impl Metrics {
    pub(crate) fn of_the_book() -> Metrics {
        let page: Page = book::chapter("operating/metrics");
        let tables = page.tables.iter().filter(|table| table.titles[0] == "metric");
        let rows = tables.flat_map(|table| &table.rows).map(|row| {
            let labels = row[2].split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
            let meaning = match row.get(4).map(String::as_str) {
                None | Some("") => row[3].clone(),
                Some(kinesis) => format!("{} ({kinesis}).", row[3].trim_end_matches('.')),
            };
            (row[0].clone(), Row { kind: row[1].clone(), labels, meaning })
        });
        Metrics { rows: rows.collect() }
    }

    /// Compares with what a broker tells: the same names, types, labels and meanings.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn compare(&self, page: &str) -> Result<(), String> {
        let told = Metrics::told(page);
        let names = |metrics: &Metrics| metrics.rows.keys().cloned().collect::<BTreeSet<_>>();
        if let Some(name) = names(self).symmetric_difference(&names(&told)).next() {
            let place = if self.rows.contains_key(name) { "the book" } else { "the broker" };
            return Err(format!("{name} is only in {place}"));
        }
        let differ = self.rows.iter().find(|(name, row)| told.rows[*name] != **row);
        differ.map_or(Ok(()), |(name, row)| Err(format!("{name}\n{row:?}\n{:?}", told.rows[name])))
    }

    /// What a page of a broker tells.
    fn told(page: &str) -> Metrics {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for line in page.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, meaning] => {
                    let row = Row { kind: String::new(), labels: BTreeSet::new(), meaning: meaning.to_owned() };
                    rows.insert(name.to_owned(), row);
                }
                ["#", "TYPE", name, kind] => rows.get_mut(name).expect("HELP comes first").kind = kind.to_owned(),
                ["#", ..] | [] => {}
                [sample, ..] => {
                    let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
                    let name =
                        if rows.contains_key(name) { name } else { name.rsplit_once('_').expect("a histogram").0 };
                    let labels = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
                    let labels = labels.filter(|label| label != "le");
                    rows.get_mut(name).expect("HELP comes first").labels.extend(labels);
                }
            }
        }
        Metrics { rows }
    }

    pub(crate) fn labels(&self) -> BTreeSet<String> {
        let own = self.rows.values().flat_map(|row| row.labels.iter().cloned());
        own.chain(LABELS_OF_ALL.map(str::to_owned)).collect()
    }

    /// Proves that every metric in `text` exists, that it is used as what it is, and that it has the labels by which it
    /// is chosen. Says how many there are.
    pub(crate) fn prove(&self, text: &str, place: &str) -> usize {
        let mut count = 0;
        let mut rest = text;
        while let Some(at) = ["rheos_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
            let name_end =
                rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |len| at + len);
            let (before, name) = (&rest[..at], &rest[at..name_end]);
            rest = &rest[name_end..];
            let labels = self.labels_of(name).unwrap_or_else(|| panic!("{place}: the book does not list {name}"));
            let chosen = rest.strip_prefix('{').and_then(|inner| inner.split('}').next()).unwrap_or_default();
            for choice in chosen.split(',').filter(|choice| !choice.is_empty()) {
                let label = choice.split(['=', '!']).next().unwrap_or_default().trim();
                assert!(
                    labels.contains(label) || LABELS_OF_ALL.contains(&label),
                    "{place}: {name} has no label {label}"
                );
            }
            let rated = before.ends_with("rate(") || before.ends_with("increase(");
            // Where it stands in a sentence it is not used.
            let used = rest.starts_with(['{', '[']) || rated;
            assert!(
                !used || rated == (name.ends_with("_total") || name.ends_with("_bucket")),
                "{place}: a rate is of a counter: {name}"
            );
            count += 1;
        }
        count
    }

    fn labels_of(&self, name: &str) -> Option<&BTreeSet<String>> {
        if let Some(row) = self.rows.get(name) {
            return (row.kind != "histogram").then_some(&row.labels);
        }
        let (base, _) = name.rsplit_once('_').filter(|(_, part)| ["bucket", "sum", "count"].contains(part))?;
        self.rows.get(base).filter(|row| row.kind == "histogram").map(|row| &row.labels)
    }
}
