//! What scripts are told: every code of `rheos help exit-codes`, each by something that ends with it.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod user;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use peer::{Act, Peer};
use rheos_client::protocol::frame::kind;
use rheos_client::{ErrorCode, WireError};
use said::stdout;
use user::User;

/// What `rheos help exit-codes` lists.
fn documented(user: &User) -> BTreeSet<i32> {
    let page = stdout(&user.run(&["help", "exit-codes"]));
    page.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_one_that_something_ends_with() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    let stranger = peer.url().replace(peer::SECRET, "another-secret");
    let other_ca = peer.url().replace("ca=sha256:", "ca=sha256:00").trim_end().to_owned();
    let other_ca = &other_ca[..other_ca.len() - 2];
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let away = format!("dev:{}", silent.local_addr().unwrap());
    let mut seen = BTreeSet::new();
    for (arguments, code) in [
        (&["stream", "list"][..], 0),
        (&["stream", "delete", "orders"], 1),
        (&["put", "orders", "no-such-file"], 1),
        (&["get", "orders", "--shard", "0", "--from", "5"], 1),
        (&["stream", "destroy", "orders"], 2),
        (&["get", "orders", "--from", "yesterday"], 2),
        (&["get", "no stream"], 2),
        (&["get", "orders", "--url", "http://broker"], 2),
        (&["get", "orders", "--from", "latest", "--until", "trim-horizon"], 2),
        (&["get", "invoices"], 3),
        (&["get", "orders", "--shard", "7"], 3),
        (&["tail", "orders", "--consumer", "nobody"], 3),
        (&["key", "revoke", "nobody", "--yes"], 3),
        (&["context", "use", "nowhere"], 3),
        (&["stream", "list", "--url", &stranger], 4),
        (&["stream", "list", "--url", other_ca], 4),
        (&["ping", "--url", &away], 5),
        (&["stream", "list", "--data", "nowhere"], 5),
        (&["stream", "create", "orders"], 7),
        (&["context", "add", "here", &peer.url()], 7),
    ] {
        let output = user.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
        seen.insert(code);
    }

    // The connection breaks when the request is there, and nobody knows whether it was done.
    peer.break_on(kind::CREATE_STREAM);
    let output = user.run(&["stream", "create", "invoices"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("it is not known whether") && said.contains("create stream invoices"), "{said}");
    seen.insert(6);

    let mut put = user.rheos(&["put", "orders", "--template", "x", "--count", "1000", "--rate", "1/s"]);
    let mut put = put.stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    Command::new("kill").args(["-INT", &put.id().to_string()]).status().unwrap();
    seen.extend(put.wait().unwrap().code());
    assert_eq!(seen, documented(&user));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_ends_with_what_became_of_its_records() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    let refused = |code| Act::Refuse(WireError::new(code, "it is refused"));
    for (acts, code) in [
        (vec![Act::Store], 0),
        (vec![refused(ErrorCode::ReadOnly)], 1),
        (vec![refused(ErrorCode::Denied)], 4),
        (vec![Act::Ignore], 6),
    ] {
        peer.script(acts.clone());
        let output = user.run(&["put", "orders", "--template", "x", "--delivery-timeout", "400ms"]);
        assert_eq!(output.status.code(), Some(code), "{acts:?} {output:?}");
    }
    // One that may be stored weighs more than one that is not.
    peer.script([refused(ErrorCode::Denied), Act::Ignore]);
    let mut put = user.rheos(&["put", "orders", "--key", "k", "--delivery-timeout", "400ms"]);
    let mut put = put.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    for _ in 0..2 {
        std::io::Write::write_all(&mut input, b"x\n").unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(input);
    let output = put.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 refused, 1 indeterminate"), "{said}");
}
