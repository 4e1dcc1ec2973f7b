//! The dashboard and the alert rules: promtool takes them, and every metric and label that they name is in the tables of the
//! book.

#![allow(clippy::print_stderr, reason = "a test that is not done says so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use rheos_tests::book;
use rheos_tests::tools::promtool;
use serde_json::{Value, json};

use crate::metrics::Metrics;

pub(crate) const DASHBOARD: &str = "broker/packaging/grafana/rheos.json";
pub(crate) const PROMETHEUS: &str = "broker/packaging/prometheus";
/// What Grafana puts in place of its variables is as good as this for who only reads the expression.
const VARIABLES: [(&str, &str); 5] =
    [("$instance", ".*"), ("$stream", ".*"), ("$consumer", ".*"), ("$__rate_interval", "5m"), ("$__interval", "1m")];

#[test]
fn promtool_takes_the_rules_and_they_fire_when_they_should() {
    check(&["check", "config", "prometheus.yml"]);
    check(&["check", "rules", "rheos.rules.yml"]);
    check(&["test", "rules", "rheos.rules.test.yml"]);
}

#[test]
fn every_alert_is_tested_listed_and_says_what_to_do() {
    let rules = read(&format!("{PROMETHEUS}/rheos.rules.yml"));
    let tests = read(&format!("{PROMETHEUS}/rheos.rules.test.yml"));
    let alerts: Vec<&str> = values(&rules, "- alert: ").collect();
    let page = book::chapter("operating/metrics");
    let listed: Vec<&str> = page.table("alerts").rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(listed, alerts, "the left are in the book, the right are rules");
    let night = book::chapter("operating/night");
    for (alert, runbook) in alerts.iter().zip(values(&rules, "runbook: ")) {
        let anchor = runbook.strip_prefix("operating/night.md#").expect("a runbook is there");
        assert_eq!(anchor, alert.to_ascii_lowercase());
        assert!(night.anchors.iter().any(|known| known == anchor), "{} has no #{anchor}", night.path);
        assert!(tests.contains(&format!("alertname: {alert}\n        exp_alerts:")), "{alert} is not seen to fire");
        assert!(tests.contains(&format!("alertname: {alert}}}")), "{alert} is not seen to be silent");
    }
}

#[test]
fn the_rules_name_metrics_and_labels_that_exist() {
    let known = Metrics::of_the_book();
    let text = read(&format!("{PROMETHEUS}/rheos.rules.yml"));
    // `up` is Prometheus's own.
    let named = known.prove(&text, PROMETHEUS);
    assert!(named > 15, "only {named} metrics were found");
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("a panel has a number")).collect();
    assert_eq!(ids.len(), panels.len(), "a number is used twice");
    for panel in panels {
        let title = panel["title"].as_str().expect("a panel has a title");
        let end = panel["gridPos"]["x"].as_u64().zip(panel["gridPos"]["w"].as_u64()).map(|(x, width)| x + width);
        assert!(end.is_some_and(|end| end <= 24), "{title} is wider than the page");
    }
    let variables: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .expect("it has variables")
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "instance", "stream", "consumer"]);
    let sources = strings_at(&dashboard, "uid").into_iter().filter(|uid| *uid != "rheos");
    assert!(sources.into_iter().all(|uid| uid == "${datasource}"), "a data source is named for good");
}

#[test]
fn every_expression_of_the_dashboard_is_good_and_names_what_exists() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("it is JSON");
    let mut expressions: Vec<String> = strings_at(&dashboard, "expr").into_iter().map(str::to_owned).collect();
    assert!(expressions.len() > 40, "only {} were found", expressions.len());
    // `label_values(SERIES, LABEL)` is Grafana's: the series are an expression.
    let queries = strings_at(&dashboard["templating"], "definition");
    expressions.extend(queries.iter().map(|query| {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        inner.and_then(|inner| Some(inner.rsplit_once(',')?.0.to_owned())).unwrap_or_else(|| panic!("{query}"))
    }));
    let known = Metrics::of_the_book();
    let rules: Vec<Value> = expressions
        .iter()
        .zip(1..)
        .map(|(expression, number)| {
            assert!(known.prove(expression, DASHBOARD) > 0, "it shows nothing of rheos: {expression}");
            json!({ "record": format!("panel:{number}"), "expr": filled(expression) })
        })
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.rules.yml");
    // JSON is YAML.
    let text = json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string();
    fs::write(&path, text).expect("the build directory is writable");
    check(&["check", "rules", path.to_str().expect("cargo gives a path in UTF-8")]);
}

#[test]
fn what_the_legends_show_exists() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("it is JSON");
    let labels = Metrics::of_the_book().labels();
    for legend in strings_at(&dashboard, "legendFormat") {
        for part in legend.split("{{").skip(1) {
            let label = part.split("}}").next().unwrap_or_default();
            assert!(labels.contains(label), "no metric has the label {label}: {legend}");
        }
    }
}

/// An expression as Grafana asks it, with something in place of its variables.
pub(crate) fn filled(expression: &str) -> String {
    let filled = VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!filled.contains('$'), "a variable is not known: {filled}");
    filled
}

/// Every string under this name, however deep.
pub(crate) fn strings_at<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(name).and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(|value| strings_at(value, name))).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| strings_at(item, name)).collect(),
        _ => Vec::new(),
    }
}

/// What follows `key` in the lines that begin with it.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim_start().strip_prefix(key))
}

fn read(path: &str) -> String {
    fs::read_to_string(book::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs promtool beside the rules, where there is one.
fn check(arguments: &[&str]) {
    let Some(promtool) = promtool() else {
        return eprintln!("not done: there is no promtool; tests/tools fetches it where apt-get can");
    };
    let command = Command::new(promtool).args(arguments).current_dir(book::root().join(PROMETHEUS)).output();
    let output = command.expect("promtool runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("FAILED"), "promtool {}:\n{said}", arguments.join(" "));
}
