//! Results on standard output: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::failure::{Failure, not_written};

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(not_written)
}

/// Prints one JSON object on a line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Prints a table whose columns line up; numbers stand at the right.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let bold = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let header = titles.map(str::to_owned);
    let mut lines = aligned(&header, rows).into_iter();
    let title = lines.next().expect("a table has a header");
    let printed = if bold { writeln!(stdout, "\x1b[1m{title}\x1b[0m") } else { writeln!(stdout, "{title}") };
    printed.map_err(not_written)?;
    lines.try_for_each(|line| writeln!(stdout, "{line}")).and_then(|()| stdout.flush()).map_err(not_written)
}

fn aligned<const N: usize>(header: &[String; N], rows: &[[String; N]]) -> Vec<String> {
    let all = || std::iter::once(header).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let is_number = |column: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| row[column].chars().all(|c| c.is_ascii_digit()) && row[column].len() < 20)
    };
    let layout: Vec<(usize, bool)> = (0..N).map(|column| (width(column), is_number(column))).collect();
    let show = |row: &[String; N]| {
        let cells = row.iter().zip(&layout).map(|(cell, (width, is_number))| match is_number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(show).collect()
}

/// `1 shard`, `2 shards`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let header = ["NAME", "SHARDS"].map(str::to_owned);
        let rows = [["orders", "4"], ["x", "10000"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&header, &rows), ["NAME    SHARDS", "orders       4", "x        10000"]);
        assert_eq!(aligned(&header, &[]), ["NAME  SHARDS"]);
    }
}
