//! A terminal as a page shows it: commands, and what they print.

/// A command with what is printed after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) printed: String,
}

/// The steps of a block: a line after `$ ` is a command, one after `> ` goes on with it, the others are printed.
///
/// # Errors
/// When something is printed before the first command.
pub(crate) fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => steps.push(Step { command: command.to_owned(), printed: String::new() }),
            (None, Some(more), Some(step)) if step.printed.is_empty() => step.command += &format!("\n{more}"),
            (None, _, Some(step)) => step.printed += &format!("{line}\n"),
            (None, _, None) => return Err(format!("it begins with no command: {line}")),
        }
    }
    Ok(steps)
}

/// Compares what a page shows with what was printed. `…` stands for anything in a line, alone in a line for any number of
/// lines; any time of day is as good as another.
///
/// # Errors
/// What was printed, and which line was not.
pub(crate) fn compare(shown: &str, printed: &str) -> Result<(), String> {
    let (expected, found) = (timeless(shown), timeless(printed));
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    match lines_match(&lines(&expected), &lines(&found)) {
        true => Ok(()),
        false => Err(format!("it shows\n{shown}and what was printed is\n{printed}")),
    }
}

fn lines_match(expected: &[String], found: &[String]) -> bool {
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((line, rest)), _) if line.trim() == "…" => {
            lines_match(rest, found) || found.split_first().is_some_and(|(_, later)| lines_match(expected, later))
        }
        (Some((line, rest)), Some((found, later))) => line_matches(line, found) && lines_match(rest, later),
        _ => false,
    }
}

fn line_matches(expected: &str, found: &str) -> bool {
    let Some((before, after)) = expected.split_once('…') else { return expected == found };
    let Some(rest) = found.strip_prefix(before) else { return false };
    let places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    places.into_iter().any(|at| line_matches(after, &rest[at..]))
}

/// The same text with every time such as `2026-11-24T20:15:00Z` at the same time.
fn timeless(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len().saturating_sub(SHAPE.len() - 1) {
        let is_time = bytes[at..].iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        });
        if is_time {
            bytes[at..at + SHAPE.len()].copy_from_slice(SHAPE);
        }
    }
    String::from_utf8(bytes).expect("only ASCII was replaced by ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_taken_apart() {
        let found = steps("$ echo one \\\n> two\none two\n$ true\n").expect("it begins with a command");
        let step = |command: &str, printed: &str| Step { command: command.into(), printed: printed.into() };
        assert_eq!(found, [step("echo one \\\ntwo", "one two\n"), step("true", "")]);
        assert!(steps("printed\n").is_err());
    }

    #[test]
    fn what_varies_may_vary_and_nothing_else() {
        for (shown, printed, same) in [
            ("a\nb\n", "a\nb\n", true),
            ("a\n", "a\nb\n", false),
            ("a\n…\nd\n", "a\nb\nc\nd\n", true),
            ("a\n…\nd\n", "a\nd\n", true),
            ("a\n…\nd\n", "a\nb\n", false),
            ("in … ms, … records\n", "in 3.5 ms, 7 records\n", true),
            ("in … ms\n", "in 3.5 s\n", false),
            ("at 2026-11-24T20:15:00Z\n", "at 2025-01-01T00:00:59Z\n", true),
            ("at 2026-11-24T20:15:00Z\n", "at 2025-01-01 00:00:59\n", false),
        ] {
            assert_eq!(compare(shown, printed).is_ok(), same, "{shown:?} {printed:?}");
        }
    }
}
