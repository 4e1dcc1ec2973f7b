//! Contexts, access keys and consumers as a user types them, against a tiny broker in this process.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod user;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use peer::Peer;
use said::{failure, stdout};
use user::User;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A connection string that nobody needs to answer.
fn url(host: &str) -> String {
    format!("rheos://RKSOME:hush@{host}:4567?ca=sha256:{}", "ab".repeat(32))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_more_strongly_says_which_broker() {
    let user = User::new();
    // Strongest first. Each says another broker, whose one stream has its name.
    let places = ["url", "data", "context", "env-url", "env-context", "env-data", "in-use", "here"];
    let peers = places.map(|place| {
        let peer = Peer::start();
        peer.create(place, 1);
        peer
    });
    let url_of = |place: &str| peers[places.iter().position(|it| *it == place).unwrap()].url();
    for context in ["context", "env-context", "in-use"] {
        stdout(&user.run(&["context", "add", context, &url_of(context)]));
    }
    for (directory, place) in [("typed", "data"), ("said", "env-data"), ("rheos-data", "here")] {
        user.write(&format!("{directory}/admin.url"), &url_of(place), 0o600);
    }
    for strongest in 0..places.len() {
        let mut command = user.rheos(&["stream", "list"]);
        for place in &places[strongest..] {
            match *place {
                "url" => command.args(["--url", &url_of("url")]),
                "data" => command.args(["--data", "typed"]),
                "context" => command.args(["--context", "context"]),
                "env-url" => command.env("RHEOS_URL", url_of("env-url")),
                "env-context" => command.env("RHEOS_CONTEXT", "env-context"),
                "env-data" => command.env("RHEOS_DATA", "said"),
                "in-use" => {
                    stdout(&user.run(&["context", "use", "in-use"]));
                    &mut command
                }
                _ => {
                    if strongest == places.len() - 1 {
                        stdout(&user.run(&["context", "remove", "in-use"]));
                    }
                    &mut command
                }
            };
        }
        let listed = stdout(&command.output().unwrap());
        let name = listed.lines().nth(1).and_then(|row| row.split(' ').next());
        assert_eq!(name, Some(places[strongest]));
        // A variable that is empty says nothing.
        if strongest == places.len() - 1 {
            let listed = stdout(&command.env("RHEOS_URL", "").env("RHEOS_CONTEXT", "").output().unwrap());
            assert!(listed.contains("here"), "{listed}");
        }
    }
}

#[test]
fn contexts_are_kept_for_their_owner_alone() {
    let user = User::new();
    assert_eq!(stdout(&user.run(&["context", "list"])), "USE  NAME  BROKER  KEY\n");
    assert!(failure(&user.run(&["context", "show"]), 1).contains("no context is in use"));
    let added = user.run(&["context", "add", "prod", &url("prod.example")]);
    assert_eq!(stdout(&added), "context prod is added and in use\n");
    let file = user.write("other.url", &url("test.example"), 0o644);
    assert_eq!(stdout(&user.run(&["context", "add", "test", "--file", &file])), "context test is added\n");
    let mut child =
        user.rheos(&["context", "add", "piped", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(url("piped.example").as_bytes()).unwrap();
    assert_eq!(stdout(&child.wait_with_output().unwrap()), "context piped is added\n");

    let contexts = user.config().join("contexts");
    assert_eq!((mode(&contexts), mode(&user.config())), (0o700, 0o700));
    for name in ["prod", "test", "piped"] {
        assert_eq!(mode(&contexts.join(name)), 0o600);
    }
    let listed = stdout(&user.run(&["context", "list"]));
    assert_eq!(
        listed,
        "USE  NAME   BROKER              KEY\n     piped  piped.example:4567  RKSOME\n*    prod   prod.example:4567   RKSOME\n     \
         test   test.example:4567   RKSOME\n"
    );
    assert_eq!(stdout(&user.run(&["context", "use", "test"])), "context test is in use\n");
    let json = user.json(&["context", "list"]);
    let in_use: Vec<_> = json.iter().map(|context| context["current"].as_bool().unwrap()).collect();
    assert_eq!((in_use, &json[2]["broker"]), (vec![false, false, true], &"test.example:4567".into()));

    let shown = stdout(&user.run(&["context", "show"]));
    assert_eq!(shown, url("test.example").replace(":hush", "") + "\n");
    assert!(!format!("{:?}", user.json(&["context", "show"])).contains("hush"));
    assert_eq!(stdout(&user.run(&["context", "show", "prod", "--secret"])), url("prod.example") + "\n");

    assert_eq!(stdout(&user.run(&["context", "remove", "test"])), "context test is removed\n");
    assert!(user.json(&["context", "list"]).iter().all(|context| context["current"] == false));
    // Left as it was found: nothing half written.
    assert_eq!(fs::read_dir(&contexts).unwrap().count(), 2);
}

#[test]
fn contexts_are_changed_to_and_fro_and_renamed() {
    let user = User::new();
    assert!(failure(&user.run(&["context", "use", "-"]), 3).contains("no context was in use before"));
    for name in ["one", "two"] {
        stdout(&user.run(&["context", "add", name, &url(name)]));
    }
    let current = || user.json(&["context", "show"])[0]["name"].clone();
    stdout(&user.run(&["context", "use", "two"]));
    for expected in ["one", "two", "one"] {
        assert_eq!(stdout(&user.run(&["context", "use", "-"])), format!("context {expected} is in use\n"));
        assert_eq!(current(), expected);
    }
    // Choosing what is chosen changes nothing.
    stdout(&user.run(&["context", "use", "one"]));
    assert_eq!(stdout(&user.run(&["context", "rename", "two", "second"])), "context two is called second\n");
    assert_eq!(stdout(&user.run(&["context", "rename", "one", "first"])), "context one is called first\n");
    assert_eq!((current(), mode(&user.config().join("contexts/first"))), ("first".into(), 0o600));
    stdout(&user.run(&["context", "use", "-"]));
    assert_eq!(current(), "second");
    assert_eq!(stdout(&user.run(&["context", "use", "--none"])), "no context is in use\n");
    failure(&user.run(&["context", "show"]), 1);
    stdout(&user.run(&["context", "use", "-"]));
    assert_eq!(current(), "second");

    assert!(failure(&user.run(&["context", "rename", "first", "second"]), 7).contains("context second exists"));
    assert!(failure(&user.run(&["context", "rename", "frist", "third"]), 3).contains("did you mean first?"));
    assert_eq!(user.run(&["context", "use"]).status.code(), Some(2));
    assert_eq!(user.run(&["context", "use", "first", "--none"]).status.code(), Some(2));
    for name in ["first", "second"] {
        stdout(&user.run(&["context", "remove", name]));
    }
    let left: Vec<_> = fs::read_dir(user.config()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["contexts"]);
}

#[test]
fn contexts_are_where_the_environment_says() {
    let user = User::new();
    for (variables, place) in [
        (vec![("RHEOS_CONFIG_DIR", "a"), ("XDG_CONFIG_HOME", "b")], "a/contexts/x"),
        (vec![("XDG_CONFIG_HOME", "b"), ("RHEOS_CONFIG_DIR", "")], "b/rheos/contexts/x"),
        (vec![], ".config/rheos/contexts/x"),
    ] {
        let mut command = user.rheos(&["context", "add", "x", &url("broker")]);
        stdout(&command.envs(variables).output().unwrap());
        assert!(user.home.path().join(place).exists(), "{place}");
    }
    let homeless = failure(&user.rheos(&["context", "list"]).env_remove("HOME").output().unwrap(), 1);
    assert!(homeless.contains("set RHEOS_CONFIG_DIR or HOME"), "{homeless}");
}

#[test]
fn a_context_that_cannot_be_used_is_refused() {
    let user = User::new();
    stdout(&user.run(&["context", "add", "production", &url("broker")]));
    let again = failure(&user.run(&["context", "add", "production", &url("other")]), 7);
    assert!(again.contains("context production exists") && again.contains("context remove production"), "{again}");
    for name in ["", ".hidden", "a/b", "..", "a b"] {
        let refused = failure(&user.run(&["context", "add", name, &url("broker")]), 2);
        assert!(refused.contains("is not a context name"), "{refused}");
    }
    let bad = failure(&user.run(&["context", "add", "bad", "rheos://RK:hush@broker"]), 2);
    assert!(bad.contains("does not name the broker's CA") && !bad.contains("hush"), "{bad}");
    let dev = failure(&user.run(&["context", "add", "dev", "dev:127.0.0.1:4567"]), 2);
    assert!(dev.contains("RHEOS_URL=dev:ADDRESS"), "{dev}");
    assert_eq!(user.run(&["context", "add", "none"]).status.code(), Some(2));

    for arguments in [
        &["context", "use", "prodution"][..],
        &["context", "remove", "prodution"],
        &["context", "show", "prodution"],
        &["stream", "list", "--context", "prodution"],
    ] {
        let near = failure(&user.run(arguments), 3);
        assert_eq!(near, "error: there is no context prodution; did you mean production?");
    }
    let far = failure(&user.run(&["context", "use", "x"]), 3);
    assert!(far.contains("`rheos context list` shows what there is"), "{far}");

    let path = user.config().join("contexts/production");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    for arguments in [&["stream", "list"][..], &["context", "show", "--secret"], &["context", "use", "production"]] {
        let refused = user.run(arguments);
        let said = failure(&refused, 1);
        assert!(said.contains("mode 640 lets others read it") && said.contains("chmod 600"), "{said}");
        assert!(refused.stdout.is_empty());
    }
    fs::remove_file(&path).unwrap();
    let gone = failure(&user.run(&["stream", "list"]), 3);
    assert!(gone.contains("there is no context production") && gone.contains("rheos context use"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked() {
    let peer = Peer::start();
    let user = User::of(&peer.url());
    let made = user.run(&["key", "create", "billing", "--grant", "orders=read-write", "--grant", "sales=read-only"]);
    let expected = peer.url().replace(peer::KEY_ID, "RKMADE000001").replace(peer::SECRET, "made-secret-1");
    assert_eq!(stdout(&made), expected.clone() + "\n");
    let said = String::from_utf8(made.stderr).unwrap();
    for part in ["id RKMADE000001, orders=read-write, sales=read-only", "context billing keeps it", "--address"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("made-secret"), "{said}");
    let kept = user.config().join("contexts/billing");
    assert_eq!((fs::read_to_string(&kept).unwrap().trim(), mode(&kept)), (expected.as_str(), 0o600));
    let current = user.json(&["context", "show"]);
    assert_eq!(current[0]["name"], "here", "the administrator goes on as before");

    let elsewhere =
        user.json(&["key", "create", "audit", "--read-only", "--address", "broker.example", "--save-as", "a"]);
    let url = elsewhere[0]["url"].as_str().unwrap();
    assert!(url.starts_with("rheos://RKMADE000002:made-secret-2@broker.example:4567?ca=sha256:"), "{url}");
    assert_eq!(
        (&elsewhere[0]["context"], stdout(&user.run(&["context", "show", "a", "--secret"])).trim()),
        (&"a".into(), url)
    );
    stdout(&user.run(&["key", "create", "root", "--admin", "--no-context"]));
    stdout(&user.run(&["key", "create", "app", "--no-context"]));
    assert!(!user.config().join("contexts/app").exists());

    let listed = stdout(&user.run(&["key", "list"]));
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(rows[0], "NAME     ID            CREATED               ACCOUNT  ACCESS");
    assert_eq!(rows[1], "billing  RKMADE000001  2023-11-14T22:13:20Z  own      orders=read-write, sales=read-only");
    for (row, access) in [(2, "read-only"), (3, "admin"), (4, "read-write")] {
        assert!(rows[row].ends_with(&format!("Z  own      {access}")), "{listed}");
    }
    let json = user.json(&["key", "list"]);
    assert_eq!((&json[0]["everywhere"], &json[0]["streams"]["sales"]), (&"none".into(), &"read-only".into()));
    assert!(!format!("{json:?}{listed}").contains("made-secret"));

    let unasked = failure(&user.run(&["key", "revoke", "billing"]), 1);
    assert_eq!(unasked, "error: key billing is not revoked: without a terminal to ask on, --yes is needed");
    let near = failure(&user.run(&["key", "revoke", "biling", "--yes"]), 3);
    assert!(near.ends_with("(error 18); did you mean billing?"), "{near}");
    let far = failure(&user.run(&["key", "revoke", "nobody", "--yes"]), 3);
    assert!(far.ends_with("`rheos key list` shows what there is"), "{far}");
    for (key, context) in [("billing", "billing"), ("RKMADE000002", "a")] {
        let revoked = user.run(&["key", "revoke", key, "--yes"]);
        let left = String::from_utf8_lossy(&revoked.stderr).into_owned();
        assert_eq!(left, format!("context {context} may still hold it: rheos context remove {context}\n"));
        assert_eq!(stdout(&revoked), format!("key {key} is revoked\n"));
    }
    assert_eq!(user.json(&["key", "revoke", "root", "-y"])[0]["revoked"], true);
    assert_eq!(user.json(&["key", "list"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_made_that_could_not_be_told() {
    let peer = Peer::start_with(true);
    let user = User::of(&peer.url());
    let taken = failure(&user.run(&["key", "create", "here"]), 7);
    assert!(taken.contains("no key is made: context here exists") && taken.contains("--no-context"), "{taken}");
    let dev = failure(&user.run(&["key", "create", "app", "--url", &format!("dev:{}", peer.address)]), 1);
    assert!(dev.contains("--data"), "{dev}");
    failure(&user.run(&["key", "create", "app", "--address", "a b"]), 2);
    for arguments in [
        &["--admin", "--read-only"][..],
        &["--read-write", "--read-only"],
        &["--grant", "orders"],
        &["--grant", "orders=admin"],
        &["--grant", "or ders=read-only"],
        &["--save-as", "x", "--no-context"],
    ] {
        let refused = user.run(&[&["key", "create", "app"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
    }
    let mut nowhere = user.rheos(&["key", "create", "app", "--url", &peer.url()]);
    nowhere.env("RHEOS_CONFIG_DIR", user.write("a-file", "", 0o600));
    let nowhere = failure(&nowhere.output().unwrap(), 1);
    assert!(nowhere.contains("no key is made: cannot make") && nowhere.contains("--no-context"), "{nowhere}");
    assert!(user.json(&["key", "list"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_registered_listed_and_deregistered() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    let registered = user.run(&["consumer", "register", "orders", "billing"]);
    assert_eq!(stdout(&registered), "consumer billing of stream orders is registered\n");
    let json = user.json(&["consumer", "register", "orders", "audit"]);
    assert_eq!((&json[0]["stream"], &json[0]["name"]), (&"orders".into(), &"audit".into()));
    let again = failure(&user.run(&["consumer", "register", "orders", "audit"]), 7);
    assert_eq!(again, "error: stream orders has a consumer audit (error 16)");
    let reserved = user.run(&["consumer", "reserve", "orders", "audit", "8MiB/s"]);
    assert_eq!(stdout(&reserved), "consumer audit of stream orders has 8 MiB/s reserved\n");
    let listed = stdout(&user.run(&["consumer", "list", "orders"]));
    let expected = [
        "NAME     RESERVED  REGISTERED",
        "audit    8 MiB/s   2023-11-14T22:13:20Z",
        "billing  -         2023-11-14T22:13:20Z",
        "",
    ];
    assert_eq!(listed, expected.join("\n"));
    assert_eq!(user.json(&["consumer", "list", "orders"])[0]["reserved_bytes"], 8 << 20);
    let none = user.run(&["consumer", "reserve", "orders", "audit", "none"]);
    assert_eq!(stdout(&none), "consumer audit of stream orders has no reservation\n");
    let both = user.run(&["consumer", "register", "orders", "search", "--reserve", "1536KiB/s"]);
    assert_eq!(stdout(&both), "consumer search of stream orders is registered and has 1.5 MiB/s reserved\n");
    stdout(&user.run(&["consumer", "deregister", "orders", "search"]));
    let mistyped = user.run(&["consumer", "register", "orders", "search", "--reserve", "8MiB"]);
    assert!(failure(&mistyped, 2).contains("help") && !mistyped.stderr.is_empty());

    let near = failure(&user.run(&["consumer", "deregister", "orders", "biling"]), 3);
    assert!(near.ends_with("(error 15); did you mean billing?"), "{near}");
    let far = failure(&user.run(&["consumer", "deregister", "orders", "nobody"]), 3);
    assert!(far.ends_with("`rheos consumer list orders` shows what there is"), "{far}");
    for arguments in [
        &["consumer", "list", "ordres"][..],
        &["consumer", "register", "ordres", "x"],
        &["stream", "describe", "ordres"],
        &["stream", "delete", "ordres", "--yes"],
        &["get", "ordres"],
        &["put", "ordres"],
    ] {
        let near = failure(&user.run(arguments), 3);
        assert!(near.ends_with("; did you mean orders?"), "{near}");
    }
    let gone = user.run(&["consumer", "deregister", "orders", "audit"]);
    assert_eq!(stdout(&gone), "consumer audit of stream orders is deregistered\n");
    assert_eq!(user.json(&["consumer", "deregister", "orders", "billing"])[0]["deregistered"], true);
    assert!(user.json(&["consumer", "list", "orders"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_where_its_file_says() {
    let peer = Peer::start();
    let user = User::of(&peer.url());
    stdout(&user.run(&["stream", "create", "flights", "--shards", "1"]));
    stdout(&user.run(&["consumer", "register", "flights", "board"]));
    let records = user.write("records", "one\ntwo\nthree\nfour\n", 0o600);
    stdout(&user.run(&["put", "flights", "--key", "AA", &records]));

    let tail = ["tail", "flights", "--consumer", "board", "--from", "trim-horizon", "--positions", "board.positions"];
    assert_eq!(stdout(&user.run(&[&tail[..], &["--limit", "3"]].concat())), "one\ntwo\nthree\n");
    let positions = fs::read_to_string(user.home.path().join("board.positions")).unwrap();
    assert!(positions.ends_with("shard 0 next 3\n"), "{positions}");
    let printed = user.json(&[&tail[..], &["--limit", "1"]].concat());
    assert_eq!((printed[0]["sequence"].as_u64(), printed[0]["data"].as_str()), (Some(3), Some("four")));

    let failed = failure(&user.run(&["tail", "flights", "--consumer", "boards"]), 3);
    assert!(failed.contains("boards") && failed.contains("did you mean board?"), "{failed}");
    let failed = failure(&user.run(&["tail", "flights", "--consumer", "board", "--from", "3"]), 2);
    assert!(failed.contains("--shard"), "{failed}");
    user.write("board.positions", "no positions\n", 0o600);
    let failed = failure(&user.run(&tail), 1);
    assert!(failed.contains("board.positions"), "{failed}");
}
