//! Records on standard output, up to a limit: as data, in the raw format, as JSON or as a template says.

mod shown;

use std::io::{self, BufWriter, Stdout, Write};

use clap::{Args, ValueEnum};
use rheos_client::RecordAt;

use crate::arguments::Output;
use crate::failure::{Failure, not_written};
use crate::output::Objects;
use crate::raw;
use crate::template::{ESCAPES, Template};
use crate::units::parse_number;
use shown::{Field, Shown, as_json, parse_shown};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// How records are printed, and how many.
#[derive(Debug, Args)]
pub(crate) struct Printing {
    /// Print at most this many records
    #[arg(long, value_name = "N", value_parser = parse_number::<u64>)]
    limit: Option<u64>,
    /// How a record is printed: its data and a newline; as JSON, an object a line; in the raw format, which
    /// rheos put --format raw reads. Where nothing is said, as --output says
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Print each record as this text says, and a newline
    #[arg(long, conflicts_with = "format", value_parser = parse_shown)]
    template: Option<Template<Field>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    // The data, and a newline.
    Text,
    // An object a line.
    Json,
    // Lengths, key and data.
    Raw,
}

/// What templates are made of, for the pages of `--help`.
pub(crate) fn about_templates() -> String {
    format!(
        "Templates (--template):\n{}  Escapes are {ESCAPES}; \\c at the end leaves out the newline.",
        shown::about_fields()
    )
}

/// Whether a command ends by itself or goes on until it is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Bounded,
    Endless,
}

impl Printing {
    /// A printer that prints so. JSON is one document where the command ends by itself.
    pub(crate) fn printer(&self, how: Output, span: Span) -> Printer {
        let layout = match (&self.template, self.format, how) {
            (Some(template), ..) => Layout::Template(Shown::new(template.clone())),
            (None, Some(Format::Text), _) | (None, None, Output::Text) => Layout::Text,
            (None, Some(Format::Raw), _) => Layout::Raw,
            (None, None, Output::Json) if span == Span::Bounded => Layout::Json(Objects::new(Output::Json)),
            (None, Some(Format::Json), _) | (None, None, _) => Layout::Json(Objects::new(Output::Ndjson)),
        };
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        Printer { layout, left: self.limit.unwrap_or(u64::MAX), out }
    }
}

pub(crate) struct Printer {
    layout: Layout,
    left: u64,
    out: BufWriter<Stdout>,
}

enum Layout {
    Text,
    Raw,
    Json(Objects),
    Template(Shown),
}

impl Printer {
    /// Whether the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Prints a record, unless the limit is reached.
    pub(crate) fn print(&mut self, shard: u32, at: &RecordAt<'_>) -> Result<(), Failure> {
        if self.is_full() {
            return Ok(());
        }
        self.left -= 1;
        let out = &mut self.out;
        match &mut self.layout {
            Layout::Text => out.write_all(at.record.data).and_then(|()| out.write_all(b"\n")),
            Layout::Raw => raw::write(out, &at.record),
            Layout::Json(objects) => objects.print(out, &as_json(shard, at)),
            Layout::Template(template) => template.write(out, shard, at),
        }
        .map_err(not_written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(not_written)
    }

    /// What stands behind the last record.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        if let Layout::Json(objects) = self.layout {
            objects.end(&mut self.out).map_err(not_written)?;
        }
        self.out.flush().map_err(not_written)
    }
}
