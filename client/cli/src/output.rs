//! Results on standard output: tables and lines for people, JSON for programs.
//!
//! What must hold: with `--output json` everything that a command prints is one JSON document, an object or
//! an array; with `--output ndjson` it is an object a line. What goes on until it is interrupted prints
//! an object a line for both.

use std::io::{self, Write};

use serde_json::Value;

use crate::arguments::Output;
use crate::colours::{BOLD, RESET, is_coloured};
use crate::failure::{Failure, not_written};

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(not_written)
}

/// Prints one JSON object on a line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Prints one result: a line for people, an object for programs.
pub(crate) fn one(how: Output, text: &str, object: &Value) -> Result<(), Failure> {
    if how.is_text() { line(text) } else { json(object) }
}

/// Prints a list: a table for people, an array or an object a line for programs.
pub(crate) fn list<T, const N: usize>(
    how: Output,
    items: &[T],
    titles: [&str; N],
    row: impl Fn(&T) -> [String; N],
    object: impl Fn(&T) -> Value,
) -> Result<(), Failure> {
    if how.is_text() {
        return table(titles, &items.iter().map(row).collect::<Vec<_>>());
    }
    objects(how, items, object)
}

/// Prints a list for programs.
pub(crate) fn objects<T>(how: Output, items: &[T], object: impl Fn(&T) -> Value) -> Result<(), Failure> {
    let stdout = &mut io::BufWriter::new(io::stdout().lock());
    let mut objects = Objects::new(how);
    let mut printed = items.iter().try_for_each(|item| objects.print(stdout, &object(item)));
    printed = printed.and_then(|()| objects.end(stdout)).and_then(|()| stdout.flush());
    printed.map_err(not_written)
}

/// JSON objects, one after the other: as one array, or one a line.
#[derive(Debug)]
pub(crate) struct Objects {
    /// What the next one follows, where they are an array.
    before: Option<&'static str>,
}

impl Objects {
    pub(crate) fn new(how: Output) -> Objects {
        Objects { before: (how == Output::Json).then_some("[") }
    }

    pub(crate) fn print(&mut self, out: &mut impl Write, object: &Value) -> io::Result<()> {
        match &mut self.before {
            None => writeln!(out, "{object}"),
            Some(before) => write!(out, "{}\n{object}", std::mem::replace(before, ",")),
        }
    }

    /// Closes the array. Where something went wrong before, it is left open: half a list is no list.
    pub(crate) fn end(self, out: &mut impl Write) -> io::Result<()> {
        match self.before {
            None => Ok(()),
            Some("[") => writeln!(out, "[]"),
            Some(_) => writeln!(out, "\n]"),
        }
    }
}

/// Prints a table whose columns line up; numbers stand at the right.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let (bold, plain) = if is_coloured(&io::stdout()) { (BOLD, RESET) } else { ("", "") };
    let header = titles.map(str::to_owned);
    let mut lines = aligned(&header, rows).into_iter();
    let title = lines.next().expect("a table has a header");
    let printed = writeln!(stdout, "{bold}{title}{plain}")
        .and_then(|()| lines.try_for_each(|line| writeln!(stdout, "{line}")))
        .and_then(|()| stdout.flush());
    printed.map_err(not_written)
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
    use serde_json::json;

    #[test]
    fn columns_line_up() {
        let header = ["NAME", "SHARDS"].map(str::to_owned);
        let rows = [["orders", "4"], ["x", "10000"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&header, &rows), ["NAME    SHARDS", "orders       4", "x        10000"]);
        assert_eq!(aligned(&header, &[]), ["NAME  SHARDS"]);
    }

    #[test]
    fn objects_are_one_array_or_one_a_line() {
        for (how, count, printed) in [
            (Output::Json, 0, "[]\n"),
            (Output::Json, 1, "[\n{\"n\":0}\n]\n"),
            (Output::Json, 2, "[\n{\"n\":0},\n{\"n\":1}\n]\n"),
            (Output::Ndjson, 0, ""),
            (Output::Ndjson, 2, "{\"n\":0}\n{\"n\":1}\n"),
        ] {
            let (mut out, mut objects) = (Vec::new(), Objects::new(how));
            (0..count).for_each(|n| objects.print(&mut out, &json!({ "n": n })).unwrap());
            objects.end(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), printed);
        }
    }
}
