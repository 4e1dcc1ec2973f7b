//! Streams and keys of other accounts and regions, as a user types them, against a broker in a process of its own.

mod broker;
mod said;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use broker::{Broker, rheos, run};
use said::{failure, stdout};
use serde_json::Value;

const THEIRS: &str = "123456789012/eu-west-1/orders";

fn json(data: &Path, arguments: &[&str]) -> Value {
    let said = stdout(&run(data, &[arguments, &["--output", "json"]].concat()));
    serde_json::from_str(&said).unwrap()
}

fn names(listed: &Value) -> Vec<&str> {
    listed.as_array().unwrap().iter().map(|stream| stream["name"].as_str().unwrap()).collect()
}

fn put(data: &Path, stream: &str, line: &str) {
    let mut put = rheos(data, &["put", stream]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    writeln!(put.stdin.take().unwrap(), "{line}").unwrap();
    assert!(put.wait().unwrap().success());
}

#[test]
fn streams_of_two_accounts_stand_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let broker = Broker::start(&data, "127.0.0.1:0");
    for name in ["orders", THEIRS, "123456789012/us-east-1/orders"] {
        stdout(&run(&data, &["stream", "create", name, "--shards", "2"]));
        put(&data, name, &format!("of {name}"));
    }
    assert_eq!(names(&json(&data, &["stream", "list"])), [THEIRS, "123456789012/us-east-1/orders", "orders"]);
    let of_one_region = json(&data, &["stream", "list", "--name-prefix", "123456789012/eu-west-1/"]);
    assert_eq!(names(&of_one_region), [THEIRS]);
    stdout(&run(&data, &["consumer", "register", THEIRS, "board"]));
    stdout(&run(&data, &["stream", "tag", THEIRS, "team=payments"]));
    stdout(&run(&data, &["stream", "split", THEIRS, "0"]));
    assert!(stdout(&run(&data, &["top", "--once"])).contains(THEIRS), "it is on the metrics' page too");
    for (bad, word) in [("12345/eu-west-1/orders", "ACCOUNT/REGION/NAME"), ("a b", "use 1 to 128 of")] {
        let refused = failure(&run(&data, &["stream", "create", bad]), 2);
        assert!(refused.contains(word), "{refused}");
    }
    broker.stop();
    let verified = json(&data, &["verify"]);
    assert_eq!(names(&verified["streams"]).len(), 3);

    let broker = Broker::start(&data, "127.0.0.1:0");
    for name in ["orders", THEIRS] {
        assert_eq!(stdout(&run(&data, &["get", name])), format!("of {name}\n"));
    }
    stdout(&run(&data, &["stream", "delete", "orders", "--yes"]));
    assert_eq!(stdout(&run(&data, &["get", THEIRS])), format!("of {THEIRS}\n"), "another account's stays");
    assert_eq!(json(&data, &["consumer", "list", THEIRS])[0]["name"], "board");
    broker.stop();
}

#[test]
fn a_key_belongs_to_an_account() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (broker, _) = Broker::serve(
        &data,
        &["--listen", "127.0.0.1:0", "--kinesis-account", "111122223333", "--kinesis-state-delay", "500ms"],
    );
    for name in ["orders", THEIRS] {
        stdout(&run(&data, &["stream", "create", name]));
    }
    let grant = format!("{THEIRS}=read-write");
    let create = ["key", "create", "partner", "--no-context", "--account", "123456789012", "--grant", &grant];
    let made = json(&data, &create);
    assert_eq!(made["account"], "123456789012");
    assert_eq!(json(&data, &["key", "create", "own", "--no-context"])["account"], Value::Null);
    let refused = run(&data, &["key", "create", "bad", "--no-context", "--account", "1234"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && why.contains("\"1234\" is not an account: use 12 digits"), "{why}");
    let url = made["url"].as_str().unwrap();
    let as_partner = |arguments: &[&str]| rheos(&data, arguments).args(["--url", url]).output().unwrap();
    assert!(stdout(&as_partner(&["stream", "list"])).contains(THEIRS));
    let denied = failure(&as_partner(&["get", "orders"]), 4);
    assert!(denied.contains("orders"), "{denied}");
    broker.stop();

    let (broker, _) = Broker::serve(&data, &["--listen", "127.0.0.1:0"]);
    let listed = json(&data, &["key", "list"]);
    let mut accounts: Vec<(&str, &Value)> =
        listed.as_array().unwrap().iter().map(|key| (key["name"].as_str().unwrap(), &key["account"])).collect();
    accounts.sort_by_key(|(name, _)| *name);
    assert_eq!(accounts, [("own", &Value::Null), ("partner", &Value::from("123456789012"))]);
    broker.stop();
}
