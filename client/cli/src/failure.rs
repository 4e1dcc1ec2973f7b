//! Why a command did not do what it was asked to: one line for a person.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use rheos_client::{Error, ErrorCode};

/// The end of a command that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One line that names the thing and says what to do.
    Told(String),
    /// What was typed makes no sense; one line says why.
    Usage(String),
    /// Whoever read our output went away: nobody is left to tell.
    ReaderGone,
    /// The log has said it, in the log's own format.
    Logged,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::Told(message.into())
    }

    /// The line.
    pub(crate) fn message(&self) -> &str {
        match self {
            Failure::Told(message) | Failure::Usage(message) => message,
            Failure::ReaderGone => "nobody reads the output",
            Failure::Logged => "the log says why",
        }
    }

    /// Prints the line and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Failure::Told(message) => (message, 1),
            Failure::Usage(message) => (message, 2),
            Failure::ReaderGone => return ExitCode::SUCCESS,
            Failure::Logged => return ExitCode::from(1),
        };
        tell("error", Colour::Red, &message);
        ExitCode::from(code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let hint = match &error {
            Error::Broker(error) => match error.code {
                ErrorCode::StreamNotFound => "; `rheos stream list` shows what there is",
                ErrorCode::ConsumerNotFound => "; `rheos consumer list STREAM` shows what there is",
                ErrorCode::KeyNotFound => "; `rheos key list` shows what there is",
                _ => "",
            },
            _ => "",
        };
        Failure::Told(format!("{error}{hint}"))
    }
}

/// A failed write to standard output.
pub(crate) fn not_written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Told(format!("cannot write to standard output: {error}")),
    }
}

/// Says beside the result what a person may want to know.
pub(crate) fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Says something that does not end the command.
pub(crate) fn warn(message: &str) {
    tell("warning", Colour::Yellow, message);
}

/// Colours that can be read on light and dark.
#[derive(Debug, Clone, Copy)]
enum Colour {
    Red = 31,
    Yellow = 33,
}

/// One line on standard error. It cannot be told to anybody when that fails.
fn tell(title: &str, colour: Colour, message: &str) {
    let line = message.replace('\n', " ");
    let mut stderr = io::stderr().lock();
    let _ = match is_coloured() {
        true => writeln!(stderr, "\x1b[1;{}m{title}:\x1b[0m {line}", colour as u8),
        false => writeln!(stderr, "{title}: {line}"),
    };
}

/// Whether standard error is a terminal whose user has nothing against colours (<https://no-color.org>).
pub(crate) fn is_coloured() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && io::stderr().is_terminal()
}
