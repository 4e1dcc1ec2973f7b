//! A terminal for a command: what its user sees and types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// How a program asks where the cursor is, and what a terminal says.
const CURSOR_QUESTION: &[u8] = b"\x1b[6n";
const CURSOR_ANSWER: &[u8] = b"\x1b[1;1R";

/// A command that runs on a terminal of 80 by 24. It is killed when the test ends before it has.
pub(crate) struct OnTerminal {
    child: Child,
    keyboard: File,
    /// The command's end, held so that it can be looked at.
    terminal: OwnedFd,
    before: Termios,
    seen: Arc<(Mutex<Vec<u8>>, Condvar)>,
    eyes: JoinHandle<()>,
}

impl OnTerminal {
    pub(crate) fn start(mut command: Command) -> OnTerminal {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let terminal: OwnedFd = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap().into();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").stderr(Stdio::null());
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let keyboard = File::from(user);
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let eyes = thread::spawn({
            let (user, seen) = (keyboard.try_clone().unwrap(), Arc::clone(&seen));
            move || look(user, &seen)
        });
        OnTerminal { child, keyboard, terminal, before, seen, eyes }
    }

    /// Waits until a word is drawn that was not there before. What did not change is not drawn again.
    pub(crate) fn wait_for(&self, word: &str) {
        let (seen, changed) = &*self.seen;
        let is_missing = |seen: &mut Vec<u8>| !String::from_utf8_lossy(seen).contains(word);
        let (mut seen, waited) = changed.wait_timeout_while(seen.lock().unwrap(), PATIENCE, is_missing).unwrap();
        let drawn = std::mem::take(&mut *seen);
        drop(seen);
        assert!(!waited.timed_out(), "{word:?} never came: {:?}", String::from_utf8_lossy(&drawn));
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// How the terminal is set now.
    pub(crate) fn settings(&self) -> Termios {
        tcgetattr(&self.terminal).unwrap()
    }

    /// Waits for the end of the command, and proves that the terminal is as it was. Gives the exit code and the
    /// last that was seen.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let after = self.settings();
        assert_eq!((after.local_modes, after.input_modes), (self.before.local_modes, self.before.input_modes));
        drop(self.terminal);
        self.eyes.join().unwrap();
        let seen = String::from_utf8_lossy(&self.seen.0.lock().unwrap()).into_owned();
        (code, seen)
    }
}

/// Sees what is drawn, and answers what is asked, until the terminal is gone.
fn look(mut user: File, seen: &(Mutex<Vec<u8>>, Condvar)) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = user.read(&mut chunk) {
        if chunk[..count].windows(CURSOR_QUESTION.len()).any(|asked| asked == CURSOR_QUESTION) {
            user.write_all(CURSOR_ANSWER).unwrap();
        }
        seen.0.lock().unwrap().extend_from_slice(&chunk[..count]);
        seen.1.notify_all();
    }
}
