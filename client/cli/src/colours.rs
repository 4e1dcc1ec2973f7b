//! Colours that can be read on light and dark, and when there are none.

use std::io::IsTerminal;

pub(crate) const RESET: &str = "\x1b[0m";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const BOLD_RED: &str = "\x1b[1;31m";
/// For warnings: yellow cannot be read on white.
pub(crate) const BOLD_MAGENTA: &str = "\x1b[1;35m";
pub(crate) const BOLD_GREEN: &str = "\x1b[1;32m";

/// Whether this is a terminal whose user has nothing against colours (<https://no-color.org>).
pub(crate) fn is_coloured(stream: &impl IsTerminal) -> bool {
    wants_colours() && stream.is_terminal()
}

/// Whether the user has nothing against colours.
pub(crate) fn wants_colours() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
