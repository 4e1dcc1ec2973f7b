//! Asks before what cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks on a terminal; elsewhere nobody can answer, and `--yes` is needed. `undone` says what was not
/// done when the answer is no.
pub(crate) fn confirm(yes: bool, question: &str, undone: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(format!("{undone}: without a terminal to ask on, --yes is needed")));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ");
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        (Ok(_), _) => Err(Failure::new(undone)),
        (Err(error), _) => Err(Failure::new(format!("{undone}: cannot ask: {error}"))),
    }
}
