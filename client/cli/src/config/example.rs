//! The example of a file with settings that is packaged, which says of every setting what its flag's help says.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use clap::Arg;
use serde_json::{Value, json};

use super::file::ConfigFile;
use super::schema;
use crate::settings::{name, table};

const HEAD: &str = "\
# Settings of a rheos broker. What stands in a comment is the default, or an example where nothing is set.
#
# Stronger than this file: RHEOS_* variables of the environment, and flags, which are strongest.
#   rheos config check FILE           says what is wrong with a file
#   rheos config print --origin       shows what holds, and why
#   rheos config schema               is a JSON Schema for editors
";

/// Settings that have no default.
fn sample(setting: &str) -> Value {
    match setting {
        "tls-cert" => json!("/etc/rheos/tls/chain.pem"),
        "tls-key" => json!("/etc/rheos/tls/key.pem"),
        "lanes" => json!(4),
        "cores" => json!([4, 5, 6, 7]),
        other => panic!("there is no example of {other}: give one here"),
    }
}

fn example() -> String {
    let mut text = HEAD.to_owned();
    for setting in table().get_arguments() {
        let help = setting.get_help().map(ToString::to_string).expect("a setting has a meaning");
        text.push('\n');
        wrapped(&help, 110).iter().for_each(|line| writeln!(text, "# {line}").expect("a string takes all"));
        if name(setting) == "data" {
            text.push_str("# The systemd unit says it with a flag: to change it there, change the unit.\n");
        }
        writeln!(text, "# {} = {}", name(setting), value(setting)).expect("a string takes all");
    }
    text
}

fn value(setting: &Arg) -> Value {
    let defaults: Vec<String> =
        setting.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    match schema::value(setting, &defaults) {
        Value::Null => sample(name(setting)),
        value => value,
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        match line.len() + 1 + word.len() > width {
            true => lines.push(word.to_owned()),
            false if line.is_empty() => line.push_str(word),
            false => *line += &format!(" {word}"),
        }
    }
    lines
}

#[test]
fn the_packaged_example_says_what_the_flags_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../broker/packaging/rheos.toml");
    let expected = example();
    if env::var_os("RHEOS_WRITE_EXAMPLE").is_some() {
        fs::write(&path, &expected).expect("the repository is writable");
    }
    let packaged = fs::read_to_string(&path).expect("it is packaged");
    assert!(packaged == expected, "{}: make it again, running this test with RHEOS_WRITE_EXAMPLE=1", path.display());
}

#[test]
fn everything_that_stands_there_in_comments_is_taken() {
    let is_setting =
        |line: &&str| table().get_arguments().any(|setting| line.starts_with(&format!("{} = ", name(setting))));
    let text = example();
    let set: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_setting).collect();
    let scratch = tempfile::tempdir().expect("there is room");
    let path = scratch.path().join("rheos.toml");
    fs::write(&path, set.join("\n")).expect("there is room");
    let read = ConfigFile::read(&path).expect("every value is one that the setting takes");
    assert_eq!(read.entries.len(), table().get_arguments().count());
}
