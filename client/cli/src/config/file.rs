//! The file with settings: TOML, one key for each setting, no sections.
//!
//! What must hold: what is wrong is named with file, line and key; nothing is taken from a file of which
//! something is wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use toml::de::{DeTable, DeValue};

use crate::near::suggestion;
use crate::settings::{self, name};

/// A file whose every key is a setting with a value that it takes.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// What a file says of a setting.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counted from 1.
    pub(super) line: usize,
    /// One, or those of a list.
    pub(super) values: Vec<String>,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each.
    pub(super) fn read(path: &Path) -> Result<ConfigFile, Vec<String>> {
        let text = read_bounded(path).map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
        let line_at =
            |offset: usize| 1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
        let at = |offset: usize, what: String| format!("{}:{}: {what}", path.display(), line_at(offset));
        let table = DeTable::parse(&text).map_err(|error| {
            vec![at(error.span().map_or(0, |span| span.start), error.message().replace('\n', ", "))]
        })?;
        let known = settings::table();
        let (mut entries, mut wrong) = (BTreeMap::new(), Vec::new());
        for (key, value) in table.get_ref() {
            match read_entry(&known, key.get_ref(), value.get_ref()) {
                Ok(values) => {
                    drop(entries.insert(key.get_ref().to_string(), Entry { line: line_at(key.span().start), values }))
                }
                Err(what) => wrong.push((key.span().start, what)),
            }
        }
        wrong.sort();
        match wrong.is_empty() {
            true => Ok(ConfigFile { path: path.to_owned(), entries }),
            false => Err(wrong.into_iter().map(|(offset, what)| at(offset, what)).collect()),
        }
    }
}

/// Whether a setting takes these values.
///
/// # Errors
/// Why not, beginning with `what` says so.
pub(super) fn take(known: &Command, setting: &Arg, what: &str, values: &[String]) -> Result<(), String> {
    // The environment of this process is no part of the question.
    let alone = known.clone().mut_args(|arg| arg.env(None));
    for value in values {
        let typed = ["rheos".to_owned(), format!("--{}={value}", name(setting))];
        if let Err(error) = alone.clone().try_get_matches_from(typed) {
            return Err(format!("{what}: {}", why_not(&error, value)));
        }
    }
    Ok(())
}

fn read_entry(known: &Command, key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let Some(setting) = known.get_arguments().find(|setting| name(setting) == key) else {
        let hint = suggestion(key, known.get_arguments().map(name));
        let more = if hint.is_empty() { "; `rheos config schema` has all of them" } else { &hint };
        return Err(format!("there is no setting {key}{more}"));
    };
    let takes_many = setting.get_value_delimiter().is_some();
    let values: Option<Vec<String>> = match value {
        DeValue::Array(values) if takes_many => values.iter().map(|value| text(value.get_ref())).collect(),
        value if !takes_many => text(value).map(|value| vec![value]),
        _ => None,
    };
    let wanted = if takes_many { "an array, such as [2, 3]" } else { "one value" };
    let values = values.ok_or_else(|| {
        format!("{key}: this is {} {}, and not {wanted}", article(value.type_str()), value.type_str())
    })?;
    take(known, setting, key, &values)?;
    Ok(values)
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(is_so) => Some(is_so.to_string()),
        DeValue::Integer(integer) => {
            // A number that fits nothing is shown as it was written, for the setting to refuse.
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            Some(number.map_or_else(|_| integer.as_str().to_owned(), |number| number.to_string()))
        }
        _ => None,
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'i']) { "an" } else { "a" }
}

/// The reason alone, without what clap says around it of flags.
fn why_not(error: &clap::Error, value: &str) -> String {
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
        return format!("{value:?} is none of {}", valid.join(", "));
    }
    match std::error::Error::source(error) {
        Some(why) => format!("{value:?}: {why}"),
        None => format!("{value:?} is not taken"),
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} KiB", FILE_BYTES_MAX >> 10)));
    }
    Ok(text)
}

/// Far more than all settings with their comments.
const FILE_BYTES_MAX: u64 = 256 << 10;
