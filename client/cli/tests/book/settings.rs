//! The chapter on configuration has every setting, with its default and meaning as the binary has them.

use std::collections::BTreeMap;
use std::process::Command;

use rheos_tests::book;
use serde_json::Value;

#[test]
fn every_setting_is_told() {
    let page = book::chapter("operating/configuration");
    let rows = page.table("settings").rows.iter();
    let told: BTreeMap<String, (String, String)> =
        rows.map(|row| (row[0].clone(), (row[1].clone(), row[2].clone()))).collect();
    assert_eq!(told, settings(), "the left stand in the book, the right in the binary");
}

/// Default and meaning of each setting, from the schema of the file.
fn settings() -> BTreeMap<String, (String, String)> {
    let mut rheos = Command::new(env!("CARGO_BIN_EXE_rheos"));
    let output = rheos.args(["config", "schema"]).env_clear().output().expect("the binary runs");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("the schema is JSON");
    let properties = schema["properties"].as_object().expect("a file has settings");
    let setting = |(name, about): (&String, &Value)| {
        let default = match &about["default"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let description = about["description"].as_str().expect("a setting has a meaning");
        // How it is called elsewhere follows from its name, and is told once.
        let meaning = description.split(". Flag --").next().unwrap_or_default();
        (name.clone(), (default, meaning.to_owned()))
    };
    properties.iter().map(setting).collect()
}
