//! Retention, limits, modes and tags as a user types them, against a tiny broker in this process.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;

use std::process::{Command, Output, Stdio};

use peer::Peer;
use said::{failure, stdout};
use serde_json::{Value, json};

fn run(peer: &Peer, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rheos"));
    command.args(arguments).env("RHEOS_URL", peer.url()).env_remove("RHEOS_DATA").stdin(Stdio::null());
    command.output().unwrap()
}

fn json_of(peer: &Peer, arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&run(peer, &[arguments, &["--output", "json"]].concat()))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_raised_and_lowered() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let said = stdout(&run(&peer, &["stream", "retention", "orders", "7d"]));
    assert_eq!(said, "stream orders is kept for 7d\n");
    // What removes records is asked for first.
    for arguments in [&["24h"][..], &["--bytes", "1TiB"], &["30d", "--bytes", "1GiB"]] {
        let unasked = failure(&run(&peer, &[&["stream", "retention", "orders"], arguments].concat()), 1);
        assert!(unasked.contains("orders is not changed") && unasked.contains("--yes"), "{unasked}");
    }
    let lowered = json_of(&peer, &["stream", "retention", "orders", "24h", "--bytes", "1TiB", "--yes"]);
    assert_eq!(lowered, json!({ "name": "orders", "retention_ms": 86_400_000, "retention_bytes": 1u64 << 40 }));
    let unbound = json_of(&peer, &["stream", "retention", "orders", "--bytes", "none"]);
    assert_eq!(unbound["retention_bytes"], Value::Null);
    assert!(stdout(&run(&peer, &["stream", "describe", "orders"])).contains("retention   1d\n"));

    for bad in [&[][..], &["1h"], &["366d"], &["7"], &["--bytes", "0"], &["--bytes", "much"]] {
        failure(&run(&peer, &[&["stream", "retention", "orders"], bad].concat()), 2);
    }
    let near = failure(&run(&peer, &["stream", "retention", "order", "7d"]), 3);
    assert!(near.contains("did you mean orders?"), "{near}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_and_given_back() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let set = ["stream", "limits", "orders", "--in", "5MiB/s", "--records", "5000/s", "--push", "unlimited"];
    let said = stdout(&run(&peer, &set));
    assert_eq!(said, "each shard of stream orders: in 5 MiB/s, records 5000/s; records up to 1 MiB\n");
    let limits = json_of(&peer, &["stream", "describe", "orders"])["limits"].clone();
    assert_eq!(limits["in_bytes"], json!({ "per_second": 5 << 20, "own": true }));
    assert_eq!(limits["push_bytes"], json!({ "per_second": null, "own": true }));
    assert_eq!(limits["out_reads"], json!({ "per_second": null, "own": false }));
    // Everything else is given back to the broker.
    let kept = json_of(&peer, &["stream", "limits", "orders", "--inherit", "--out", "1MB/s", "--record-max", "4MiB"]);
    assert_eq!(kept["limits"]["in_bytes"], json!({ "per_second": null, "own": false }));
    assert_eq!(kept["limits"]["out_bytes"], json!({ "per_second": 1_000_000, "own": true }));
    assert_eq!(kept["record_bytes_max"], 4 << 20);
    let described = stdout(&run(&peer, &["stream", "describe", "orders"]));
    assert!(
        described.contains("limits      out 976.6 KiB/s\n") && described.contains("record max  4 MiB"),
        "{described}"
    );

    for bad in [&[][..], &["--in", "5MiB"], &["--records", "5MiB/s"], &["--reads", "0/s"], &["--record-max", "11MiB"]] {
        failure(&run(&peer, &[&["stream", "limits", "orders"], bad].concat()), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_is_set_and_shown() {
    let peer = Peer::start();
    peer.create("orders", 2);
    let said = stdout(&run(&peer, &["stream", "mode", "orders", "on-demand", "--shards-max", "3"]));
    assert_eq!(said, "stream orders is on-demand, 3 to 3 shards; 2 open shards now\n");
    assert!(stdout(&run(&peer, &["stream", "describe", "orders"])).contains("mode        on-demand, 3 to 3 shards\n"));
    let listed = json_of(&peer, &["stream", "list"])[0].clone();
    assert_eq!((&listed["mode"], &listed["bounds"]["shards_max"]), (&json!("on-demand"), &json!(3)));
    assert_eq!(stdout(&run(&peer, &["stream", "scaling-history", "orders"])), "TIME  FROM  TO  OUTCOME  REASON\n");
    let back = json_of(&peer, &["stream", "mode", "orders", "provisioned"]);
    assert_eq!(back, json!({ "name": "orders", "mode": "provisioned", "bounds": null }));

    let bounds = ["--shards-min", "3", "--shards-max", "2"];
    for bad in [&["by-itself"][..], &["provisioned", "--shards-min", "2"], &[&["on-demand"][..], &bounds].concat()] {
        failure(&run(&peer, &[&["stream", "mode", "orders"], bad].concat()), 2);
    }
    let near = failure(&run(&peer, &["stream", "mode", "order", "on-demand"]), 3);
    assert!(near.contains("did you mean orders?"), "{near}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_set_looked_for_and_removed() {
    let peer = Peer::start();
    for stream in ["orders", "orders-eu", "clicks"] {
        peer.create(stream, 1);
    }
    let said = stdout(&run(&peer, &["stream", "tag", "orders", "team=payments", "env=a=b"]));
    assert_eq!(said, "tags of stream orders: env=a=b, team=payments\n");
    stdout(&run(&peer, &["stream", "tag", "clicks", "team=web", "env="]));
    assert!(stdout(&run(&peer, &["stream", "describe", "orders"])).contains("tags        env=a=b, team=payments\n"));
    assert_eq!(json_of(&peer, &["stream", "describe", "clicks"])["tags"], json!({ "env": "", "team": "web" }));
    let listed = |arguments: &[&str]| {
        let text = stdout(&run(&peer, &[&["stream", "list", "--output", "ndjson"], arguments].concat()));
        let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
        text.lines().map(name).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--tag", "team=payments"]), ["orders"]);
    assert_eq!(listed(&["--tag", "team"]), ["clicks", "orders"]);
    assert_eq!(listed(&["--tag", "team", "--tag", "env="]), ["clicks"]);
    assert_eq!(listed(&["--name-prefix", "orders"]), ["orders", "orders-eu"]);
    assert_eq!(listed(&["--name-prefix", "orders-", "--tag", "team"]), [""; 0]);
    let said = stdout(&run(&peer, &["stream", "untag", "orders", "env", "none"]));
    assert_eq!(said, "tags of stream orders: team=payments\n");

    stdout(&run(&peer, &["consumer", "register", "orders", "board"]));
    let tagged = json_of(&peer, &["consumer", "tag", "orders", "board", "team=airport"]);
    assert_eq!(tagged, json!({ "stream": "orders", "name": "board", "tags": { "team": "airport" } }));
    let shown = stdout(&run(&peer, &["consumer", "tag", "orders", "board"]));
    assert_eq!(shown, "tags of consumer board of stream orders: team=airport\n");
    let said = stdout(&run(&peer, &["consumer", "untag", "orders", "board", "team"]));
    assert_eq!(said, "tags of consumer board of stream orders: none\n");

    for bad in
        [&["stream", "tag", "orders"][..], &["stream", "tag", "orders", "team"], &["stream", "list", "--tag", ""]]
    {
        failure(&run(&peer, bad), 2);
    }
    let near = failure(&run(&peer, &["stream", "untag", "order", "team"]), 3);
    assert!(near.contains("did you mean orders?"), "{near}");
}
