//! The pages of the command line are what the binary says of itself.
//!
//! One page for each command, with its subcommands. They are made by running this test with `RHEOS_BOOK=write`, and then
//! only compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use rheos_tests::book::{self, CHAPTERS};

#[test]
fn every_command_has_its_page() {
    let write = std::env::var("RHEOS_BOOK").is_ok_and(|word| word == "write");
    let folder = format!("{CHAPTERS}/commands");
    let mut expected = BTreeSet::new();
    for name in commands(&help(&[])) {
        let path = format!("{folder}/{name}.md");
        let text = page(&name);
        if write {
            fs::write(book::root().join(&path), &text).expect("the book can be written");
        }
        let found = fs::read_to_string(book::root().join(&path)).unwrap_or_default();
        assert_eq!(found, text, "{path} is not what the binary says; RHEOS_BOOK=write makes it anew");
        expected.insert(path);
    }
    let found = book::chapter_paths().into_iter().filter(|path| Path::new(path).starts_with(&folder)).collect();
    assert_eq!(expected, found, "the left are commands, the right are pages");
}

#[test]
fn the_options_of_every_command_are_told_once() {
    let page = book::chapter("commands");
    let help = help(&["stream"]);
    let options = global_options(&help).expect("the binary has such options");
    let block = page.blocks.iter().find(|block| block.attribute("global-options").is_some());
    let block = block.unwrap_or_else(|| panic!("{} does not show them", page.path));
    assert_eq!(block.text.trim_end(), options.trim_end(), "{}", page.at(block.line));
}

#[test]
fn every_exit_code_is_told() {
    let page = book::chapter("commands");
    let told = page.table("exit-codes").rows.iter().map(|row| format!("{:>5}  {}", row[0], row[1]));
    let output =
        Command::new(env!("CARGO_BIN_EXE_rheos")).args(["help", "exit-codes"]).output().expect("the binary runs");
    let help = String::from_utf8(output.stdout).expect("help is text");
    assert_eq!(told.collect::<Vec<_>>(), help.lines().skip(1).collect::<Vec<_>>());
}

/// The page of a command.
fn page(name: &str) -> String {
    let mut text = String::new();
    let mut open = vec![vec![name.to_owned()]];
    while let Some(command) = open.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = help(&words);
        let level = "#".repeat(command.len());
        let shown = without_global_options(&help);
        text += &format!("{level} rheos {}\n\n```text\n{}\n```\n\n", command.join(" "), shown.trim_end());
        let inner = subcommands(&help).into_iter().map(|inner| [command.clone(), vec![inner]].concat());
        open.extend(inner.collect::<Vec<_>>().into_iter().rev());
    }
    text.trim_end().to_owned() + "\n"
}

fn help(command: &[&str]) -> String {
    let mut rheos = Command::new(env!("CARGO_BIN_EXE_rheos"));
    let output = rheos.args(command).arg("--help").env_clear().output().expect("the binary runs");
    assert!(output.status.success(), "rheos {} --help: {output:?}", command.join(" "));
    String::from_utf8(output.stdout).expect("help is text")
}

/// The names of all commands, which stand in groups: two spaces, a name, two spaces or more.
fn commands(help: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.strip_prefix("  ")?.split_once("  ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '-').then(|| name.to_owned())
    };
    help.lines().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// The names under `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A line that goes on with the one before stands further in.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().expect("a command has a name").to_owned()).collect()
}

/// The paragraph of the options that every command has.
fn global_options(help: &str) -> Option<&str> {
    help.split("\n\n").find(|part| part.starts_with("Global options:"))
}

fn without_global_options(help: &str) -> String {
    help.split("\n\n").filter(|part| !part.starts_with("Global options:")).collect::<Vec<_>>().join("\n\n")
}
