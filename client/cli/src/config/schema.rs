//! What the value of a setting looks like in JSON and TOML, and the JSON Schema of the file.

use std::any::TypeId;

use clap::Arg;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::settings::{self, name};

pub(super) fn run() -> Result<(), Failure> {
    let table = settings::table();
    let properties: Map<_, _> =
        table.get_arguments().map(|setting| (name(setting).to_owned(), property(setting))).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a rheos broker",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    output::line(&format!("{schema:#}"))
}

/// A setting's value; null when nothing is said. Strings, numbers and arrays read the same in TOML.
pub(super) fn value(setting: &Arg, values: &[String]) -> Value {
    let one = |text: &String| match kind(setting) {
        Kind::Switch => text.parse().map(Value::Bool).ok(),
        Kind::Number | Kind::Size => text.parse::<u64>().map(Value::from).ok(),
        Kind::Text => None,
    };
    let mut all = values.iter().map(|text| one(text).unwrap_or_else(|| text.as_str().into()));
    match is_list(setting) && !values.is_empty() {
        true => Value::Array(all.collect()),
        false => all.next().unwrap_or(Value::Null),
    }
}

fn property(setting: &Arg) -> Value {
    let one = match kind(setting) {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::Size => json!({ "type": ["integer", "string"], "minimum": 0, "pattern": SIZE_PATTERN }),
        Kind::Text => json!({ "type": "string" }),
    };
    let mut property = if is_list(setting) { json!({ "type": "array", "items": one }) } else { one };
    let choices: Vec<String> =
        setting.get_possible_values().iter().map(|choice| choice.get_name().to_owned()).collect();
    if kind(setting) == Kind::Text && !choices.is_empty() {
        property["enum"] = choices.into();
    }
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    let variable = setting.get_env().map(|name| name.to_string_lossy()).unwrap_or_default();
    property["description"] = format!("{help}. Flag --{}, environment {variable}.", name(setting)).into();
    let defaults: Vec<String> =
        setting.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if !defaults.is_empty() {
        property["default"] = value(setting, &defaults);
    }
    property
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Number,
    /// A number of bytes, or one with a unit.
    Size,
    Text,
}

fn kind(setting: &Arg) -> Kind {
    let parsed = setting.get_value_parser().type_id();
    let unit = setting.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    match () {
        () if parsed == TypeId::of::<bool>() => Kind::Switch,
        () if unit == Some("BYTES") => Kind::Size,
        () if [TypeId::of::<u16>(), TypeId::of::<usize>()].iter().any(|number| parsed == *number) => Kind::Number,
        () => Kind::Text,
    }
}

fn is_list(setting: &Arg) -> bool {
    setting.get_value_delimiter().is_some()
}

const SIZE_PATTERN: &str = "^[0-9]+ *([KMG]i?)?B?$";
