//! What a run found: one flat list of names and values, for a person or for a program.

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::Failure;
use crate::latency::Latencies;

/// How to print a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A line for each value
    Text,
    /// One flat JSON object
    Json,
}

/// Names and values in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    entries: Vec<(String, Value)>,
}

impl Report {
    /// Adds a value. Asserts that the name is new.
    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        assert!(self.value(&name).is_none(), "{name} is reported twice");
        self.entries.push((name, value.into()));
    }

    /// Adds a number to one decimal, or to three digits where that would lose them.
    pub(crate) fn set_number(&mut self, name: impl Into<String>, value: f64) {
        let scale = if value.abs() < 10.0 { 1000.0 } else { 10.0 };
        self.set(name, (value * scale).round() / scale);
    }

    /// Adds `NAME_p50_us` and `NAME_p99_us`; null where nothing was measured.
    pub(crate) fn set_latencies(&mut self, name: &str, latencies: &Latencies) {
        for (suffix, percent) in [("p50_us", 50.0), ("p99_us", 99.0)] {
            let name = format!("{name}_{suffix}");
            match latencies.percentile_us(percent) {
                Some(us) => self.set_number(name, us),
                None => self.set(name, Value::Null),
            }
        }
    }

    /// Adds everything that another report found.
    pub(crate) fn append(&mut self, other: Self) {
        for (name, value) in other.entries {
            self.set(name, value);
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn print(self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Json => println!("{}", serde_json::to_string(&self.entries.into_iter().collect::<Map<_, _>>())?),
            Output::Text => {
                let width = self.entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in self.entries {
                    println!("{name:width$}  {value}");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        let mut report = Report::default();
        report.set_number("large", 1234.567);
        report.set_number("small", 1.23456);
        report.set_latencies("none", &Latencies::new());
        assert_eq!(report.value("large"), Some(&Value::from(1234.6)));
        assert_eq!(report.value("small"), Some(&Value::from(1.235)));
        assert_eq!(report.value("none_p99_us"), Some(&Value::Null));
    }
}
