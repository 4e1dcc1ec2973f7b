//! What a shell and a manual are given: completions, pages, help.

#[path = "../../sdk/tests/peer/mod.rs"]
mod peer;
mod said;
mod user;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use peer::Peer;
use said::{failure, stdout};
use user::User;

/// Every command with its words, as the pages of `--help` tell of them.
fn commands(user: &User) -> Vec<Vec<String>> {
    let (mut all, mut unread) = (Vec::new(), vec![Vec::new()]);
    while let Some(words) = unread.pop() {
        for name in listed(&help(user, &words)) {
            unread.push([&words[..], &[name]].concat());
        }
        all.push(words);
    }
    all
}

fn help(user: &User, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    stdout(&user.run(&words))
}

/// The commands on a page: the first words of lines with two spaces before them, above the options.
fn listed(page: &str) -> Vec<String> {
    let above = page.split("\nOptions:").next().unwrap();
    if !above.contains("<COMMAND>") {
        return Vec::new();
    }
    let lines = above.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_has_a_page_of_help_and_of_the_manual() {
    let user = User::new();
    let commands = commands(&user);
    assert!(commands.len() > 25, "{commands:?}");
    let directory = user.home.path().join("man/man1");
    stdout(&user.run(&["man", directory.to_str().unwrap()]));
    let written: BTreeSet<String> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<String> =
        commands.iter().map(|words| format!("{}.1", [&["rheos".to_owned()], &words[..]].concat().join("-"))).collect();
    assert_eq!(written, expected);

    for name in &written {
        let page = fs::read_to_string(directory.join(name)).unwrap();
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH \"EXIT STATUS\"", ".SH \"SEE ALSO\""] {
            assert!(page.contains(part), "{name}: {part}");
        }
        checked("man", &["--warnings", "-l", "-"], &page);
    }
    let put = fs::read_to_string(directory.join("rheos-put.1")).unwrap();
    assert!(put.contains(".SH EXAMPLES\n.nf\n"), "examples keep their lines: {put}");
    let first = stdout(&user.run(&["man"]));
    assert_eq!(first, fs::read_to_string(directory.join("rheos.1")).unwrap());
    let nowhere = failure(&user.run(&["man", "/dev/null/x"]), 1);
    assert!(nowhere.starts_with("error: cannot write /dev/null/x"), "{nowhere}");
}

/// Lets a tool look at a text, where it is installed: small machines have no manual and one shell.
fn checked(tool: &str, arguments: &[&str], text: &str) {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{tool}: {output:?}");
}

#[test]
fn shells_understand_their_completions() {
    let user = User::new();
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n", "/dev/stdin"]), ("fish", &["-n", "/dev/stdin"])] {
        let script = stdout(&user.run(&["completions", shell]));
        assert!(script.contains("RHEOS_COMPLETE"), "{script}");
        checked(shell, check, &script);
    }
    assert!(failure(&user.run(&["completions", "zhs"]), 2).contains("--help"));
}

/// What bash offers for the last of some words.
fn offered(user: &User, words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <(rheos completions bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _clap_complete_rheos rheos "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let binary = Path::new(env!("CARGO_BIN_EXE_rheos")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", SCRIPT, "bash"]).args(words).env("PATH", path).env("HOME", user.home.path());
    for name in ["RHEOS_URL", "RHEOS_DATA", "RHEOS_CONTEXT", "RHEOS_CONFIG_DIR", "XDG_CONFIG_HOME"] {
        bash.env_remove(name);
    }
    let output = bash.current_dir(user.home.path()).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    stdout(&output).lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_completed_by_asking() {
    let (peer, other) = (Peer::start(), Peer::start());
    for stream in ["flights", "flowers", "orders"] {
        peer.create(stream, 1);
    }
    other.create("florists", 1);
    let user = User::of(&peer.url());
    for arguments in [
        &["consumer", "register", "flights", "board"][..],
        &["consumer", "register", "orders", "billing"],
        &["key", "create", "audit", "--no-context"],
        &["context", "add", "hidden", &other.url()],
    ] {
        stdout(&user.run(arguments));
    }
    for (words, names) in [
        (&["rheos", "get", "fl"][..], &["flights", "flowers"][..]),
        (&["rheos", "--context", "hidden", "put", "fl"], &["florists"]),
        (&["rheos", "tail", "flights", "--consumer", "b"], &["board"]),
        (&["rheos", "consumer", "deregister", "orders", "b"], &["billing"]),
        (&["rheos", "key", "revoke", "a"], &["audit"]),
        (&["rheos", "context", "use", "h"], &["here", "hidden"]),
        (&["rheos", "stream", "de"], &["describe", "delete"]),
        (&["rheos", "completions", "z"], &["zsh"]),
        (&["rheos", "get", "orders", "--context", "nowhere", "x"], &[]),
    ] {
        assert_eq!(offered(&user, words), names, "{words:?}");
    }
    // Nobody waits long for a broker that is away.
    let begun = std::time::Instant::now();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("dev:{}", silent.local_addr().unwrap());
    assert!(offered(&user, &["rheos", "--url", &url, "get", "fl"]).is_empty());
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// What a command prints on a terminal, standard error included.
fn on_terminal(user: &User, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let line = [&[env!("CARGO_BIN_EXE_rheos")], arguments].concat().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("HOME", user.home.path());
    script.env_remove("NO_COLOR").env("TERM", "xterm").envs(environment.iter().copied()).stdin(Stdio::null());
    String::from_utf8(script.current_dir(user.home.path()).output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_whose_users_want_them() {
    let peer = Peer::start();
    peer.create("orders", 1);
    let user = User::of(&peer.url());
    for (arguments, coloured) in [
        (&["stream", "list"][..], "\x1b[1mNAME"),
        (&["get", "nothing"], "\x1b[1;31merror:\x1b[0m"),
        (&["--help"], "\x1b["),
    ] {
        let shown = on_terminal(&user, arguments, &[]);
        assert!(shown.contains(coloured), "{shown:?}");
        for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let shown = on_terminal(&user, arguments, &[plain]);
            assert!(!shown.contains('\x1b') && !shown.is_empty(), "{plain:?} {shown:?}");
        }
        let piped = user.run(arguments);
        assert!(!piped.stdout.contains(&0x1b) && !piped.stderr.contains(&0x1b), "{piped:?}");
    }
    // On a terminal each ping is shown as it comes.
    let pings = on_terminal(&user, &["ping", "--count", "3", "--interval", "1ms"], &[]);
    assert_eq!(pings.lines().count(), 5, "{pings}");
}

#[test]
fn help_explains_commands_and_topics() {
    let user = User::new();
    for (asked, page) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "put"], &["put", "--help"]),
        (&["help", "stream", "create"], &["stream", "create", "--help"]),
    ] {
        assert_eq!(stdout(&user.run(asked)), stdout(&user.run(page)));
    }
    assert!(stdout(&user.run(&["help", "exit-codes"])).contains("  5  no broker was reached"));
    assert!(stdout(&user.run(&["help", "positions"])).contains("trim-horizon"));
    assert!(stdout(&user.run(&["help", "environment"])).contains("RHEOS_CONTEXT"));
    // clap takes a short name in braces for a line's end.
    for field in ["{{number}}", "{{random}}", "{{time}}", "{{time_ms}}"] {
        assert!(stdout(&user.run(&["help", "put"])).contains(field), "{field}");
    }
    for field in ["{{data}}", "{{key}}", "{{arrival_local}}"] {
        assert!(stdout(&user.run(&["help", "tail"])).contains(field), "{field}");
    }
    let near = failure(&user.run(&["help", "exit-code"]), 2);
    assert_eq!(near, "error: rheos has no command or topic \"exit-code\"; did you mean exit-codes?");
    let near = failure(&user.run(&["help", "stream", "craete"]), 2);
    assert!(near.contains("rheos stream has no command") && near.ends_with("did you mean create?"), "{near}");
    let far = failure(&user.run(&["help", "everything"]), 2);
    assert!(far.ends_with("`rheos --help` shows all"), "{far}");

    let page = stdout(&user.run(&["--help"]));
    let headings: Vec<&str> = page.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(headings[..6], ["Serve:", "Streams:", "Records:", "Access:", "Operate:", "Shell:"]);
    assert!(page.lines().count() < 60 && page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert!(!page.contains('\x1b'), "no colours in pipes");
}
