//! Where a broker's settings come from, as its operator sees it.

mod broker;
mod said;
mod user;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use said::{failure, stdout};
use serde_json::Value;
use user::User;

#[test]
fn a_broker_takes_flags_over_the_environment_over_the_file_over_defaults() {
    let user = User::new();
    // Nobody listens on port 1, and nothing is written to /nowhere.
    let file =
        user.write("rheos.toml", "listen = '127.0.0.1:1'\ndata = '/nowhere'\nmtu = '1400B'\ndev = true\n", 0o600);
    let data = user.home.path().join("data");
    let mut command = user.rheos(&["serve", "--output", "json", "--data", data.to_str().unwrap()]);
    command
        .env("RHEOS_CONFIG", &file)
        .env("RHEOS_LISTEN", "127.0.0.1:0")
        .env("RHEOS_LSITEN", "x")
        .env("RHEOS_LANES", "")
        .env("RHEOS_DATA", "");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    let ended = process.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{said}");
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert!(ready["address"] != "127.0.0.1:1" && ready["dev"] == true, "{ready}");
    assert!(data.join("admin.url").exists());
    assert!(said.contains("RHEOS_LSITEN; did you mean RHEOS_LISTEN?"), "{said}");

    let shown = |arguments: &[&str], file: &str| {
        let mut command = user.rheos(&[&["config", "print"], arguments].concat());
        command.env("RHEOS_LISTEN", "127.0.0.1:0").env("RHEOS_CONFIG", file);
        stdout(&command.output().unwrap())
    };
    let text = shown(&["--origin", "--lanes", "2"], &file);
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        format!("data = \"/nowhere\" # {file}:2"),
        "listen = \"127.0.0.1:0\" # environment RHEOS_LISTEN".to_owned(),
        "lanes = 2 # flag".to_owned(),
        format!("mtu = \"1400B\" # {file}:3"),
        "log-level = \"info\" # default".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line}\n{text}");
    }
    let objects: Value = serde_json::from_str(&shown(&["--output", "json"], &file)).unwrap();
    let mtu = objects.as_array().unwrap().iter().find(|object| object["setting"] == "mtu").unwrap();
    assert_eq!((&mtu["origin"], &mtu["file"], &mtu["line"]), (&"file".into(), &file.as_str().into(), &3.into()));

    // What is printed is a file that says the same.
    let printed = user.write("printed.toml", &shown(&[], &file), 0o600);
    assert_eq!(stdout(&user.run(&["config", "check", &printed])), format!("{printed} is good: 12 settings\n"));
    assert_eq!(shown(&[], &printed), shown(&[], &file));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_nothing_is_started() {
    let user = User::new();
    let file = user.write("rheos.toml", "lanes = 2\nlisten-on = 'x'\nmtu = 9000\n", 0o600);
    let said = failure(&user.run(&["serve", "--config", &file]), 2);
    let first = format!("error: {file}:2: there is no setting listen-on; did you mean listen?");
    assert!(said.starts_with(&first) && said.contains("and 1 more"), "{said}");
    let checked = user.run(&["config", "check", &file]);
    assert_eq!(checked.status.code(), Some(1));
    let lines = String::from_utf8(checked.stdout).unwrap();
    assert!(
        lines.lines().count() == 2 && lines.contains(&format!("{file}:3: mtu: \"9000\": 9000 is not in 1200 to 6500"))
    );
    let half = user.write("half.toml", "tls-cert = 'x'\n", 0o600);
    let said = String::from_utf8(user.run(&["config", "check", &half]).stdout).unwrap();
    assert!(said.contains("tls-cert needs tls-key"), "{said}");
    let said = failure(&user.rheos(&["serve"]).env("RHEOS_LANES", "x").output().unwrap(), 2);
    assert!(said.starts_with("error: RHEOS_LANES: \"x\""), "{said}");
    let said = failure(&user.run(&["serve", "--config", "missing.toml"]), 2);
    assert!(said.starts_with("error: cannot read missing.toml: No such file"), "{said}");
    assert!(!user.home.path().join("rheos-data").exists());
}

#[test]
fn the_schema_knows_every_setting() {
    let user = User::new();
    let schema: Value = serde_json::from_str(&stdout(&user.run(&["config", "schema"]))).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let printed: Value = serde_json::from_str(&stdout(&user.run(&["config", "print", "--output", "json"]))).unwrap();
    for object in printed.as_array().unwrap() {
        let property = &properties[object["setting"].as_str().unwrap()];
        assert!(property["description"].as_str().unwrap().contains("environment RHEOS_"), "{property}");
        assert!(object["value"].is_null() || property["default"] == object["value"], "{property} {object}");
    }
    assert_eq!(properties.len(), printed.as_array().unwrap().len());
    assert_eq!(schema["additionalProperties"], false);
    let types = ["dev", "lanes", "cores", "mtu", "log-format"].map(|name| properties[name]["type"].to_string());
    assert_eq!(types, ["\"boolean\"", "\"integer\"", "\"array\"", "[\"integer\",\"string\"]", "\"string\""]);
    assert_eq!(properties["log-format"]["enum"], serde_json::json!(["text", "json"]));
}
