//! Where records come from: files, opened before anything is put, or standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::Format;
use crate::failure::{Failure, note};

/// One input.
pub(super) struct Source {
    /// How it is called in messages.
    pub(super) name: String,
    pub(super) format: Format,
    /// Its length, if it is a file.
    pub(super) bytes: Option<u64>,
    pub(super) input: Box<dyn Read + Send>,
}

impl Source {
    /// How places in it are called, before their number: `flights.csv line`.
    pub(super) fn places(&self) -> String {
        let unit = if self.format == Format::Raw { "record" } else { "line" };
        format!("{} {unit}", self.name)
    }
}

/// Opens all inputs.
pub(super) fn open(files: &[PathBuf], format: Option<Format>, key_from: Option<&str>) -> Result<Vec<Source>, Failure> {
    let stdin = PathBuf::from(STDIN);
    let files = if files.is_empty() { std::slice::from_ref(&stdin) } else { files };
    if files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
        return Err(Failure::Usage("standard input (-) can be read only once".to_owned()));
    }
    let sources: Vec<Source> = files.iter().map(|file| open_one(file, format)).collect::<Result<_, _>>()?;
    let keyless = sources.iter().find(|source| matches!(source.format, Format::Lines | Format::Raw));
    if let (Some(field), Some(source)) = (key_from, keyless) {
        return Err(Failure::Usage(format!(
            "--key-from {field} needs JSON lines or CSV, and {} is read {}; say what it is with --format json or --format \
             csv",
            source.name,
            if source.format == Format::Raw { "in the raw format" } else { "as plain lines" }
        )));
    }
    Ok(sources)
}

const STDIN: &str = "-";

fn open_one(path: &Path, format: Option<Format>) -> Result<Source, Failure> {
    if path.as_os_str() == STDIN {
        let format = format.unwrap_or(Format::Lines);
        if io::stdin().is_terminal() {
            note("reading records from the terminal, one a line; Ctrl-D ends them");
        }
        return Ok(Source { name: "standard input".to_owned(), format, bytes: None, input: Box::new(io::stdin()) });
    }
    let unusable = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let about = file.metadata().map_err(|error| unusable(error.to_string()))?;
    if about.is_dir() {
        return Err(unusable("it is a directory; name the files in it".to_owned()));
    }
    Ok(Source {
        name: path.display().to_string(),
        format: format.unwrap_or_else(|| format_of(path)),
        bytes: about.is_file().then_some(about.len()),
        input: Box::new(file),
    })
}

fn format_of(path: &Path) -> Format {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" | "jsonl" | "ndjson" => Format::Json,
        "csv" => Format::Csv,
        _ => Format::Lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_format() {
        for (name, format) in [
            ("a.json", Format::Json),
            ("a.b.JSONL", Format::Json),
            ("a.ndjson", Format::Json),
            ("a.csv", Format::Csv),
            ("a.txt", Format::Lines),
            ("csv", Format::Lines),
        ] {
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }
}
