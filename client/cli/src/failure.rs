//! Why a command did not do what it was asked to: one line for a person.

use std::io::{self, Write};
use std::process::ExitCode;

use rheos_client::{Error, PutRefused};

use crate::colours::{BOLD_MAGENTA, BOLD_RED, RESET, is_coloured};
use crate::exit::Exit;

/// The end of a command that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One line that names the thing and says what to do, and what scripts are told.
    Told(Exit, String),
    /// What was typed makes no sense; one line says why.
    Usage(String),
    /// Whoever read our output went away: nobody is left to tell.
    ReaderGone,
    /// The command itself has said it: in the log, or as its result.
    Said,
    /// A signal of this number has ended it, which its user knows.
    Stopped(u8),
}

impl Failure {
    /// A failure of which scripts need to know no more than that it is one.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::Told(Exit::NotDone, message.into())
    }

    /// The same failure in other words.
    pub(crate) fn retold(self, words: impl FnOnce(&str) -> String) -> Failure {
        match self {
            Failure::Told(exit, message) => Failure::Told(exit, words(&message)),
            other => other,
        }
    }

    /// What scripts are told.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Told(exit, _) => *exit,
            Failure::Usage(_) => Exit::Mistyped,
            Failure::Said => Exit::NotDone,
            Failure::ReaderGone => Exit::Done,
            Failure::Stopped(_) => Exit::Interrupted,
        }
    }

    /// The line.
    pub(crate) fn message(&self) -> &str {
        match self {
            Failure::Told(_, message) | Failure::Usage(message) => message,
            Failure::ReaderGone => "nobody reads the output",
            Failure::Said => "what the command printed says why",
            Failure::Stopped(_) => "it was told to stop",
        }
    }

    /// Prints the line and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Failure::ReaderGone | Failure::Said => {}
            // As shells have it, whichever signal it was.
            Failure::Stopped(signal) => return ExitCode::from(128 + signal),
            _ => tell("error", BOLD_RED, self.message()),
        }
        ExitCode::from(self.exit() as u8)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Told(Exit::of(&error), error.to_string())
    }
}

impl From<PutRefused> for Failure {
    fn from(refused: PutRefused) -> Failure {
        Failure::Told(Exit::of_refused(&refused), refused.to_string())
    }
}

/// A failed write to standard output.
pub(crate) fn not_written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::new(format!("cannot write to standard output: {error}")),
    }
}

/// Says beside the result what a person may want to know.
pub(crate) fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Says something that does not end the command.
pub(crate) fn warn(message: &str) {
    tell("warning", BOLD_MAGENTA, message);
}

/// One line on standard error. It cannot be told to anybody when that fails.
fn tell(title: &str, colour: &str, message: &str) {
    let line = message.replace('\n', " ");
    let (colour, plain) = if is_coloured(&io::stderr()) { (colour, RESET) } else { ("", "") };
    let _ = writeln!(io::stderr().lock(), "{colour}{title}:{plain} {line}");
}
