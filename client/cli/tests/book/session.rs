//! A reader at a terminal: one shell in a directory of its own, in which the blocks of a page are performed.
//!
//! What must hold: the shell and everything that it started end with the session; nothing of the machine's own
//! configuration is seen.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rheos_tests::book::Block;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::transcript;

/// Longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The port of the book, and where the reader is.
const PORT: &str = "4567";
const HOME: &str = "/home/ada";
/// Ports that sessions take.
const PORTS: Range<u16> = 4600..9900;

/// See the module.
pub(crate) struct Session {
    shell: Child,
    input: ChildStdin,
    scratch: TempDir,
    port: String,
    commands: usize,
    /// Of each name the file with what was printed.
    background: Vec<(String, PathBuf)>,
}

/// What came of a command.
struct Ended {
    code: i32,
    /// What was printed, on both ways.
    printed: String,
}

impl Session {
    /// A reader who has just come.
    pub(crate) fn new() -> Session {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(place).expect("the build directory is writable");
        let scratch = tempfile::tempdir_in(place).expect("the build directory is writable");
        for folder in ["bin", "log", "home"] {
            fs::create_dir(scratch.path().join(folder)).expect("it is new");
        }
        let rheos = scratch.path().join("bin/rheos");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rheos"), rheos).expect("it is new");
        let port = free_port();
        let path = format!("{}/bin:{}", scratch.path().display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["--noprofile", "--norc"]).env_clear().env("PATH", path).env("HOME", scratch.path().join("home"));
        shell.env("RHEOS_LISTEN", format!("127.0.0.1:{port}")).current_dir(scratch.path().join("home"));
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut shell = shell.spawn().expect("there is a shell");
        let input = shell.stdin.take().expect("it is piped");
        let mut session = Session { shell, input, scratch, port, commands: 0, background: Vec::new() };
        session.define();
        session
    }

    /// Who builds from a clone starts the binary through cargo: here it is built already.
    fn define(&mut self) {
        let cargo = "cargo() { while [ \"$1\" != -- ]; do shift; done; shift; rheos \"$@\"; }";
        writeln!(self.input, "{cargo}").expect("the shell reads");
    }

    /// Starts a broker in `rheos-data`, for a page that takes one for granted.
    pub(crate) fn serve(&mut self) {
        let ready = self.begin("rheos serve", "a broker").and_then(|()| self.wait_for_word("a broker", "rheos"));
        ready.expect("a broker starts");
    }

    /// Does what a block says, and compares.
    ///
    /// # Errors
    /// What was otherwise.
    pub(crate) fn perform(&mut self, block: &Block) -> Result<(), String> {
        let fails = block.attribute("fails").map_or(Ok(0), str::parse).map_err(|_| "fails= wants a number")?;
        if let Some(name) = block.attribute("printed-by") {
            return self.wait_for_text(name, &block.text);
        }
        match (block.language.as_str(), block.attribute("background")) {
            ("sh", Some(name)) => {
                self.begin(block.text.trim(), name)?;
                block.attribute("until").map_or(Ok(()), |word| self.wait_for_word(name, word))
            }
            ("sh", None) => self.run_all(&block.text, fails),
            ("console", _) => self.run_steps(&block.text, fails),
            ("toml", _) => self.check_config(&block.text),
            (language, _) => Err(format!("nobody knows how to run {language}")),
        }
    }

    /// Every command of a block, each of which must end with 0, and the last one with `fails`.
    fn run_all(&mut self, text: &str, fails: i32) -> Result<(), String> {
        // The first that fails ends the block; in a subshell a variable or directory would not outlive it.
        let (text, last) = match fails {
            0 => (text, ""),
            _ => text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end())),
        };
        let guarded = "trap 'echo \"(a command ended with $?)\"; trap - ERR; return 255' ERR; set -E\n";
        let ended = self.run(&format!("{guarded}{text}\ntrap - ERR\n{last}"))?;
        match ended.code == fails {
            true => Ok(()),
            false => Err(format!("it ended with {}, not {fails}:\n{}\nand said:\n{}", ended.code, text, ended.printed)),
        }
    }

    fn run_steps(&mut self, text: &str, fails: i32) -> Result<(), String> {
        let steps = transcript::steps(text)?;
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter().enumerate() {
            let ended = self.run(&step.command)?;
            let expected = if at == last { fails } else { 0 };
            if ended.code != expected {
                let said = &ended.printed;
                return Err(format!("{} ended with {}, not {expected}, and said:\n{said}", step.command, ended.code));
            }
            transcript::compare(&step.printed, &ended.printed).map_err(|why| format!("{}: {why}", step.command))?;
        }
        Ok(())
    }

    fn check_config(&mut self, text: &str) -> Result<(), String> {
        fs::write(self.scratch.path().join("home/rheos.toml"), text).map_err(|error| error.to_string())?;
        let ended = self.run("rheos config check rheos.toml")?;
        if ended.code == 0 { Ok(()) } else { Err(format!("it is not taken: {}", ended.printed)) }
    }

    /// Runs commands in the shell and waits until they have ended.
    fn run(&mut self, commands: &str) -> Result<Ended, String> {
        let (script, printed, done) = self.files("")?;
        let commands = commands.replace(PORT, &self.port);
        fs::write(&script, commands).map_err(|error| error.to_string())?;
        let (script, out, end) = (script.display(), printed.display(), done.display());
        writeln!(self.input, ". '{script}' > '{out}' 2>&1 < /dev/null; echo $? > '{end}.new'; mv '{end}.new' '{end}'")
            .map_err(|error| format!("the shell has ended: {error}"))?;
        let began = Instant::now();
        while !done.exists() {
            if began.elapsed() > PATIENCE {
                return Err(format!("it has not ended after {PATIENCE:?}; so far it said:\n{}", self.read(&printed)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let code = fs::read_to_string(&done).map_err(|error| error.to_string())?;
        Ok(Ended { code: code.trim().parse().map_err(|_| "the shell says no number")?, printed: self.read(&printed) })
    }

    /// Begins a command that goes on.
    fn begin(&mut self, command: &str, name: &str) -> Result<(), String> {
        let (script, printed, _) = self.files(name)?;
        fs::write(&printed, "")
            .and_then(|()| fs::write(&script, format!("exec {command}\n")))
            .map_err(|error| error.to_string())?;
        let (script, out) = (script.display(), printed.display());
        // No child of the shell, which would say in the middle of something else how it ended.
        writeln!(self.input, "(bash '{script}' > '{out}' 2>&1 < /dev/null &)")
            .map_err(|error| format!("the shell has ended: {error}"))?;
        self.background.retain(|(known, _)| known != name);
        self.background.push((name.to_owned(), printed));
        Ok(())
    }

    fn wait_for_word(&self, name: &str, word: &str) -> Result<(), String> {
        self.wait(name, |printed| match printed.contains(word) {
            true => Ok(()),
            false => Err(format!("{word:?} is not printed")),
        })
    }

    fn wait_for_text(&self, name: &str, text: &str) -> Result<(), String> {
        self.wait(name, |printed| transcript::compare(text, printed))
    }

    /// Waits until a command in the background has printed what it should.
    fn wait(&self, name: &str, is_right: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
        let known = self.background.iter().find(|(known, _)| known == name);
        let (_, path) = known.ok_or_else(|| format!("nothing named {name} runs in the background"))?;
        let began = Instant::now();
        loop {
            match is_right(&self.read(path)) {
                Ok(()) => return Ok(()),
                Err(why) if began.elapsed() > PATIENCE / 4 => {
                    return Err(format!("{name}: {why}; it said:\n{}", self.read(path)));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// What was printed, as the book would show it.
    fn read(&self, path: &Path) -> String {
        let printed = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let home = self.scratch.path().join("home");
        let home = home.to_str().expect("the build directory's name is text");
        printed.replace(home, HOME).replace(&format!(":{}", self.port), &format!(":{PORT}"))
    }

    /// Names for the next command: its script, what it prints, and its end.
    fn files(&mut self, name: &str) -> Result<(PathBuf, PathBuf, PathBuf), String> {
        self.commands += 1;
        let log = self.scratch.path().join("log");
        let file = |what: &str| log.join(format!("{}{}-{what}", self.commands, name.replace(' ', "-")));
        Ok((file("script"), file("printed"), file("done")))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.shell.id() as i32).expect("a process has a number");
        // The shell is not reaped yet, so the group is still ours.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// A port of four digits, as the book's own, that nobody uses now and no other session has asked for.
fn free_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16;
    let candidates =
        std::iter::repeat_with(|| PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % PORTS.len() as u16);
    let is_free =
        |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.take(PORTS.len()).find(is_free).expect("loopback has free ports").to_string()
}
