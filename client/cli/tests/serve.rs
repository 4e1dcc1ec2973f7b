//! The whole way: a broker in a process of its own, and the commands against it.

mod broker;
mod said;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use broker::{Broker, rheos, run};
use said::stdout;
use serde_json::Value;

#[test]
fn what_was_acked_is_there_after_the_broker_was_killed_and_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let acks = directory.path().join("acks");
    let broker = Broker::start(&data, "127.0.0.1:0");
    assert!(stdout(&run(&data, &["stream", "create", "orders", "--shards", "3"])).contains("3 shards"));

    let mut put = rheos(&data, &["put", "orders", "--acks", acks.to_str().unwrap()]);
    let mut put = put.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    let (mut broker, mut address) = (Some(broker), String::new());
    for i in 0..6_000 {
        writeln!(input, "record {i}").unwrap();
        if i == 2_000 {
            address = broker.take().unwrap().kill();
        }
        if i == 4_000 {
            broker = Some(Broker::start(&data, &address));
        }
    }
    drop(input);
    let put = put.wait_with_output().unwrap();
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));

    let mut stored: Vec<Vec<String>> = Vec::new();
    for shard in 0..3 {
        let got = stdout(&run(&data, &["get", "orders", "--shard", &shard.to_string()]));
        stored.push(got.lines().map(str::to_owned).collect());
    }
    let acked = std::fs::read_to_string(&acks).unwrap();
    let mut count = 0;
    for ack in acked.lines() {
        let fields: Vec<usize> = ack.split(' ').map(|field| field.parse().unwrap()).collect();
        assert_eq!(stored[fields[1]][fields[2]], format!("record {}", fields[0] - 1));
        count += 1;
    }
    assert_eq!(count, 6_000);
    let once: std::collections::BTreeSet<&String> = stored.iter().flatten().collect();
    assert_eq!((once.len(), stored.iter().flatten().count()), (6_000, 6_000), "each record is stored once");

    broker.take().unwrap().stop();
    let verified: Value = serde_json::from_str(&stdout(&run(&data, &["verify", "--output", "json"]))).unwrap();
    let logs = verified["streams"][0]["logs"].as_array().unwrap();
    assert_eq!(logs.iter().map(|log| log["records"].as_u64().unwrap()).sum::<u64>(), 6_000);
    let table = stdout(&run(&data, &["verify"]));
    assert!(table.contains("orders") && table.contains("6000") && table.contains("whole"), "{table}");
}

#[test]
fn a_first_start_is_quick() {
    // The least of some: on a machine that is busy with other tests each may be slow.
    let started_ms = |_| {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (broker, ready) = Broker::start_with(&directory.path().join("data"), "127.0.0.1:0", &[]);
        broker.stop();
        ready["started_ms"].as_u64().unwrap()
    };
    let least = (0..10).map(started_ms).min();
    assert!(least.is_some_and(|ms| ms < 300), "{least:?}");
}

#[test]
fn a_start_that_cannot_be_says_why_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (arguments, why) in [
        (vec!["serve", "--dev", "--lanes", "0"], "1 to 256 lanes"),
        (vec!["serve", "--dev", "--lanes", "257"], "1 to 256 lanes"),
        (vec!["serve", "--dev", "--lanes", "2", "--cores", "0"], "1 cores for 2 lanes"),
        (vec!["serve", "--dev", "--lanes", "1", "--cores", "0,1"], "2 cores for 1 lanes"),
        (vec!["serve", "--dev", "--cores", "1023"], "core 1023"),
        (vec!["serve", "--dev", "--listen", "0.0.0.0:0"], "loopback"),
        (vec!["verify"], "data"),
    ] {
        let output = run(&data, &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: ") && text.contains(why) && text.lines().count() == 1, "{text}");
    }
    assert_eq!(run(&data, &["serve", "--mtu", "9000"]).status.code(), Some(2));
}

#[test]
fn a_certificate_of_the_operators_is_what_clients_trust() {
    let directory = tempfile::tempdir().unwrap();
    let (data, path) = (directory.path().join("data"), |name: &str| directory.path().join(name));
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = rcgen::CertificateParams::new(["streams.example.com".to_owned()]).unwrap();
    certificate.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = certificate.self_signed(&key).unwrap().pem();
    std::fs::write(path("chain.pem"), &certificate).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    set_mode(&path("key.pem"), 0o644);
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let tls = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let refused = run(&data, &[&["serve", "--dev", "--listen", "127.0.0.1:0"], &tls[..]].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with("error: ") && said.contains("key.pem") && said.contains("mode 0644"), "{said}");
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1));

    set_mode(&key, 0o600);
    let (broker, _) = Broker::start_with(&data, "127.0.0.1:0", &tls);
    let url = std::fs::read_to_string(data.join("admin.url")).unwrap();
    assert!(url.ends_with("&name=streams.example.com\n"), "{url}");
    stdout(&run(&data, &["stream", "create", "orders"]));
    let pem = stdout(&run(&data, &["tls", "ca"]));
    assert!(pem.lines().eq(certificate.lines()), "{pem}");
    let ca: Value = serde_json::from_str(&stdout(&run(&data, &["tls", "ca", "--output", "json"]))).unwrap();
    assert!(url.contains(&format!("?ca=sha256:{}&", ca["sha256"].as_str().unwrap())), "{url}");
    // Another name is not in it.
    let other = rheos(&data, &["stream", "list", "--url", &url.replace("streams.", "other.")]).output().unwrap();
    assert_eq!(other.status.code(), Some(5), "{other:?}");
    broker.stop();

    // Without it the broker's own CA is back.
    let broker = Broker::start(&data, "127.0.0.1:0");
    assert!(stdout(&run(&data, &["stream", "list"])).contains("orders"));
    assert!(!stdout(&run(&data, &["tls", "ca"])).lines().eq(certificate.lines()));
    broker.stop();
}

#[test]
fn development_mode_on_the_network_is_for_who_says_so_twice() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (broker, ready) = Broker::start_with(&data, "0.0.0.0:0", &["--dev-anyone-on-the-network"]);
    let warnings = ready["warnings"].to_string();
    assert!(warnings.contains("whoever reaches this port may read and change everything"), "{warnings}");
    stdout(&run(&data, &["stream", "list"]));
    broker.stop();
    let alone = run(&data, &["serve", "--dev-anyone-on-the-network"]);
    assert_eq!(alone.status.code(), Some(2));
    let halves = [["serve", "--tls-cert", "x"], ["serve", "--tls-key", "x"]];
    assert!(halves.iter().all(|half| run(&data, half).status.code() == Some(2)));
}

#[test]
fn the_banner_says_what_is_where_and_health_answers_there() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (broker, ready) = Broker::start_with(&data, "127.0.0.1:0", &[]);
    assert_eq!(ready["http"], format!("http://{}", broker.address));
    let mut stream = std::net::TcpStream::connect(&broker.address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    let address = broker.address.clone();
    broker.stop();

    for (arguments, whose) in [(&[][..], " (to this host alone)"), (&["--metrics-open"], "")] {
        let mut command = rheos(&data, &[&["serve", "--dev", "--listen", &address], arguments].concat());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().take(4);
        let banner: Vec<String> = lines.map(Result::unwrap).collect();
        let broker = Broker { process, address: address.clone() };
        assert_eq!(banner[1], format!("  {address}  UDP  native protocol (QUIC), for rheos and rheos-client"));
        assert_eq!(banner[2], format!("  {address}  TCP  HTTP and HTTPS: /health, /ready, /metrics{whose}"));
        let kinesis = "the API of Kinesis, for AWS's SDKs and CLI (region us-east-1, account 000000000000)";
        assert_eq!(banner[3], format!("  {address}  TCP  {kinesis}"));
        broker.stop();
    }
}

/// So many milliseconds from now on, as `--until` takes it.
fn moment_in(ms: u128) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    format!("@{}", now.as_millis() + ms)
}

#[test]
fn what_arrives_before_a_moment_is_printed_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (broker, _) = Broker::start_with(&data, "127.0.0.1:0", &[]);
    stdout(&run(&data, &["stream", "create", "orders", "--shards", "2"]));
    stdout(&run(&data, &["consumer", "register", "orders", "board"]));
    let put = |record: &str| stdout(&run(&data, &["put", "orders", "--template", record]));
    put("early");
    assert_eq!(stdout(&run(&data, &["get", "orders", "--from", "-1m"])), "early\n");
    assert_eq!(stdout(&run(&data, &["get", "orders", "--until", "-1m"])), "");
    assert_eq!(stdout(&run(&data, &["get", "orders", "--from", "-1s", "--until", &moment_in(60_000)])), "early\n");

    // One shard at least stays silent: it ends, too, once the moment has passed.
    let until = moment_in(1_000);
    let start = |arguments: &[&str]| rheos(&data, arguments).stdout(Stdio::piped()).spawn().unwrap();
    let get = start(&["get", "orders", "--follow", "--until", &until]);
    let tail = start(&["tail", "orders", "--consumer", "board", "--from", "trim-horizon", "--until", &until]);
    put("in time");
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    put("late");
    for process in [get, tail] {
        let output = process.wait_with_output().unwrap();
        let mut printed: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
        printed.sort_unstable();
        assert_eq!(printed, ["early", "in time"]);
    }
    broker.stop();
}

/// What waits for a broker that is away says so once, and goes on when it is back.
#[test]
fn a_broker_that_is_away_is_waited_for_and_not_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let broker = Broker::start(&data, "127.0.0.1:0");
    stdout(&run(&data, &["stream", "create", "orders"]));
    stdout(&run(&data, &["consumer", "register", "orders", "board"]));
    let start = |arguments: &[&str]| {
        let mut command = rheos(&data, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut put = start(&["put", "orders"]);
    let mut input = put.stdin.take().unwrap();
    let limit = ["--from", "trim-horizon", "--limit", "2"];
    let get = start(&[&["get", "orders", "--follow"][..], &limit].concat());
    let tail = start(&[&["tail", "orders", "--consumer", "board"][..], &limit].concat());
    writeln!(input, "before").unwrap();
    while stdout(&run(&data, &["get", "orders"])).is_empty() {}
    let address = broker.kill();
    writeln!(input, "after").unwrap();
    drop(input);
    // Long enough for each to hear nothing, ask again, and give that up.
    std::thread::sleep(std::time::Duration::from_secs(22));
    let broker = Broker::start(&data, &address);
    for process in [put, get, tail] {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("waiting for the broker").count(), 1, "{said}");
    }
    assert_eq!(stdout(&run(&data, &["get", "orders"])), "before\nafter\n");
    broker.stop();
}

#[test]
fn pings_that_are_not_answered_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let broker = Broker::start(&data, "127.0.0.1:0");
    let mut ping = rheos(&data, &["ping", "--count", "0", "--interval", "20ms", "--output", "ndjson"]);
    let mut ping = ping.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(ping.stdout.take().unwrap()).lines();
    let mut pings = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert!(pings.by_ref().take(3).all(|ping| ping["ms"].is_number()));
    let address = broker.kill();
    assert!(pings.any(|ping| ping["error"].is_string()));
    let broker = Broker::start(&data, &address);
    assert!(pings.any(|ping| ping["ms"].is_number()), "it connects again by itself");
    Command::new("kill").args(["-INT", &ping.id().to_string()]).status().unwrap();
    let summary = pings.last().unwrap();
    assert!(summary["sent"].as_u64() > summary["answered"].as_u64(), "{summary}");
    let output = ping.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not answered: "), "{output:?}");
    broker.stop();
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
