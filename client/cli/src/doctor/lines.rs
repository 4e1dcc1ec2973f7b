//! The lines of a finding: its grade, its topic, what was found, and below it what to do; aligned, and broken
//! between words where a terminal ends.

use std::io::{self, IsTerminal};

use ratatui::crossterm::terminal;
use rheos_broker::{Finding, Grade};

use crate::colours::{BOLD_MAGENTA, BOLD_RED, CYAN, GREEN, RESET, is_coloured};

/// How lines are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    coloured: bool,
    /// Characters of a line; none where there is no terminal.
    width: Option<usize>,
}

impl Lines {
    /// As standard output wants them.
    pub(super) fn new() -> Lines {
        let size = terminal::size().ok().filter(|_| io::stdout().is_terminal());
        Lines { coloured: is_coloured(&io::stdout()), width: size.map(|(columns, _)| columns.into()) }
    }

    /// The lines of a finding.
    pub(super) fn of(self, finding: &Finding) -> Vec<String> {
        let (word, colour) = match finding.grade {
            Grade::Ok => ("ok", GREEN),
            Grade::Note => ("note", CYAN),
            Grade::Warning => ("warning", BOLD_MAGENTA),
            Grade::Problem => ("problem", BOLD_RED),
        };
        let (colour, plain) = if self.coloured { (colour, RESET) } else { ("", "") };
        let first = format!("{colour}{word:<WORD$}{plain}  {:<TOPIC$}  ", finding.topic);
        let fix = finding.fix.iter().flat_map(|fix| self.broken(&format!("-> {fix}"), 3));
        let parts = self.broken(&finding.what, 0).into_iter().chain(fix);
        let indent = " ".repeat(INDENT);
        parts
            .enumerate()
            .map(|(at, part)| if at == 0 { format!("{first}{part}") } else { format!("{indent}{part}") })
            .collect()
    }

    /// A text in pieces that fit beside the grade and the topic, those after the first further in.
    fn broken(self, text: &str, further: usize) -> Vec<String> {
        let Some(room) = self.width.map(|width| width.saturating_sub(INDENT).max(ROOM_LEAST)) else {
            return vec![text.to_owned()];
        };
        let mut pieces = vec![String::new()];
        for word in text.split(' ') {
            let piece = pieces.last_mut().expect("there is one");
            let is_empty = piece.trim().is_empty();
            if !is_empty && piece.chars().count() + 1 + word.chars().count() > room {
                pieces.push(format!("{}{word}", " ".repeat(further)));
            } else {
                if !is_empty {
                    piece.push(' ');
                }
                piece.push_str(word);
            }
        }
        pieces
    }
}

const WORD: usize = "warning".len();
const TOPIC: usize = "UDP receive offload".len();
const INDENT: usize = WORD + 2 + TOPIC + 2;
/// However narrow the terminal is, so much stands on a line.
const ROOM_LEAST: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(grade: Grade, what: &str, fix: Option<&str>) -> Finding {
        Finding { topic: "io_uring", grade, what: what.to_owned(), fix: fix.map(str::to_owned) }
    }

    #[test]
    fn lines_are_aligned_and_broken_between_words() {
        let wide = Lines { coloured: false, width: None };
        let lines = wide.of(&finding(Grade::Warning, "it is slow", Some("make it fast")));
        assert_eq!(lines[0], "warning  io_uring             it is slow");
        assert_eq!(lines[1], "                              -> make it fast");
        let narrow = Lines { coloured: false, width: Some(62) };
        let what = "one two three four five six seven eight nine ten eleven";
        let lines = narrow.of(&finding(Grade::Ok, what, None));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.chars().count() <= 62), "{lines:#?}");
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(words[2..].join(" "), what);
    }

    #[test]
    fn colours_stand_around_the_grade_alone() {
        let coloured = Lines { coloured: true, width: None };
        let line = &coloured.of(&finding(Grade::Problem, "no", None))[0];
        assert!(line.starts_with("\x1b[1;31mproblem\x1b[0m  io_uring"), "{line:?}");
    }
}
