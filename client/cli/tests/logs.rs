//! What a broker logs: each thing once, a line each, and never a secret.

mod broker;
mod said;
mod user;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use said::stdout;
use serde_json::Value;
use user::User;

/// A broker whose log goes to a file in the home; the commands of the user talk to it.
struct Served {
    user: User,
    process: Child,
}

impl Served {
    fn start(user: User, arguments: &[&str]) -> Served {
        let log = File::options().create(true).append(true).open(user.home.path().join("log")).unwrap();
        let usual = ["serve", "--output", "json", "--listen", "127.0.0.1:0"];
        let mut command = user.rheos(&[&usual, arguments].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"ready\""), "{line}{}", Served::log_of(&user));
        Served { user, process }
    }

    fn stop(mut self) -> User {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        // What is left of it is dropped without a user.
        std::mem::replace(&mut self.user, User::new())
    }

    fn log_of(user: &User) -> String {
        fs::read_to_string(user.home.path().join("log")).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn no_secret_is_ever_logged() {
    let broker = Served::start(User::new(), &["--log-level", "debug"]);
    let user = &broker.user;
    stdout(&user.run(&["stream", "create", "orders"]));
    stdout(&user.run_with(&["put", "orders", "--key", "hidden-partition-key"], b"hidden-record\n"));
    let key = stdout(&user.run(&["key", "create", "dashboard", "--read-only"]));
    let url =
        key.split_whitespace().find(|word| word.starts_with("rheos://")).expect("it prints the connection string");
    assert!(stdout(&user.run(&["get", "orders", "--url", url])).contains("hidden-record"));
    // One that is refused for its secret, one for what it may do, and one that was revoked.
    let (id, rest) = url.trim_start_matches("rheos://").split_once(':').unwrap();
    let (secret, place) = rest.split_once('@').unwrap();
    let wrong = format!("rheos://{id}:{}@{place}", secret.chars().rev().collect::<String>());
    for (url, words) in [(wrong.as_str(), ["stream", "list"]), (url, ["key", "list"])] {
        assert!(!user.run(&[&words[..], &["--url", url]].concat()).status.success());
    }
    stdout(&user.run(&["key", "revoke", "dashboard", "--yes"]));
    assert!(!user.run(&["stream", "list", "--url", url]).status.success());
    let user = Served::start(broker.stop(), &["--log-level", "debug"]).stop();

    let log = Served::log_of(&user);
    for told in ["access key created", "access key revoked", "connection closed", "setting=\"listen\"", "stopped"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    let admin = fs::read_to_string(user.home.path().join("rheos-data/admin.url")).unwrap();
    let mut secrets = vec!["hidden-record".to_owned(), "hidden-partition-key".to_owned(), secret.to_owned()];
    secrets.push(wrong.split([':', '@']).nth(2).unwrap().to_owned());
    secrets.push(admin.split([':', '@']).nth(2).unwrap().to_owned());
    secrets.extend(lines_of(&user.home.path().join("rheos-data/keys")));
    assert!(secrets.len() > 20, "keys have many lines");
    for secret in secrets {
        assert!(secret.len() >= 12 && !log.contains(&secret), "{secret} is in the log");
    }
}

/// Everything in the files of secrets that is long enough to be one.
fn lines_of(keys: &Path) -> Vec<String> {
    let files = fs::read_dir(keys).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_secret = |word: &String| word.len() >= 24 && !word.starts_with("-----");
    files.flat_map(words).filter(is_secret).collect()
}

#[test]
fn a_machine_reads_an_object_a_line() {
    let user = Served::start(User::new(), &["--log-format", "json"]).stop();
    let log = Served::log_of(&user);
    let objects: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |message: &str| {
        let found: Vec<&Value> =
            objects.iter().filter(|object| object["message"].as_str().unwrap().contains(message)).collect();
        assert_eq!(found.len(), 1, "{message} is said once: {log}");
        found[0].clone()
    };
    let serves = of(" serves");
    assert!(serves["address"].as_str().unwrap().starts_with("127.0.0.1:") && serves["lanes"].as_u64() > Some(0));
    assert!(serves["durability"].as_str().unwrap().contains("O_DSYNC"), "{serves}");
    assert!(of("SIGTERM: stops")["level"] == "INFO" && of("stopped: every log is sealed")["took_ms"].is_u64());

    // What keeps it from starting is an object, too, and nothing else is said.
    let refused = user.run(&["serve", "--log-format", "json", "--lanes", "300"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    let object: Value = serde_json::from_str(&said).expect("it is one object");
    assert!(object["level"] == "ERROR" && object["message"].as_str().unwrap().contains("1 to 256 lanes"), "{said}");
}

#[test]
fn the_journal_gets_levels_and_no_times_and_everything_once() {
    let user = User::new();
    let (mut read, write) = io::pipe().unwrap();
    let journal = fs::metadata(format!("/proc/self/fd/{}", write.as_raw_fd())).unwrap();
    let mut command = user.rheos(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("JOURNAL_STREAM", format!("{}:{}", journal.st_dev(), journal.st_ino()));
    let mut process = command.stdout(write.try_clone().unwrap()).stderr(write).spawn().unwrap();
    drop(command);
    let mut log = String::new();
    let mut reader = BufReader::new(&mut read);
    while !log.contains(" serves") {
        assert!(reader.read_line(&mut log).unwrap() > 0, "{log}");
    }
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    assert!(process.wait().unwrap().success());
    reader.read_to_string(&mut log).unwrap();
    assert!(log.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{log}");
    assert_eq!(log.matches(" serves").count(), 1, "the banner would say it again: {log}");
    assert!(log.contains("<6>SIGTERM: stops") && log.contains("<6>stopped: every log is sealed"), "{log}");

    // The same variable where standard error goes elsewhere means nothing.
    let mut command = user.rheos(&["serve", "--lanes", "300"]);
    let refused = command.env("JOURNAL_STREAM", "1:2").output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().starts_with("error: "));
}
