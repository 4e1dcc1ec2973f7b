//! One manual page.
//!
//! Title, synopsis and options are clap_mangen's. What stands below the options in `--help` is laid out
//! here: its examples and tables keep their lines, its paragraphs flow.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::exit::EXITS;
use crate::help::ENVIRONMENT;

/// The name of the file that a page is kept in.
pub(super) fn file_name(command: &Command) -> String {
    format!("{}.1", title(command))
}

fn title(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The page of a command that was built.
pub(super) fn render(command: &Command) -> Vec<u8> {
    let man = Man::new(command.clone());
    // clap_mangen leaves out a date that is empty, and what follows takes its place.
    let head = format!(".TH {} 1 \"\" \"rheos {}\" \"rheos manual\"\n", title(command), env!("CARGO_PKG_VERSION"));
    let mut page = head.into_bytes();
    let written = man
        .render_name_section(&mut page)
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| if command.has_subcommands() { man.render_subcommands_section(&mut page) } else { Ok(()) })
        .and_then(|()| rest(command).to_writer(&mut page));
    written.expect("memory takes what is written to it");
    page
}

/// What follows the options.
fn rest(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let below = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(below) = below {
        lay_out(&mut roff, &below.to_string(), "NOTES");
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in EXITS {
        roff.control("TP", []);
        roff.text([bold((exit as u8).to_string())]);
        roff.text([roman(meaning)]);
    }
    if command.get_name() == title(command) {
        lay_out(&mut roff, ENVIRONMENT, "ENVIRONMENT");
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(see_also(command))]);
    roff
}

/// Paragraphs, and blocks of indented lines; a line that ends in a colon and has a block below is a heading.
fn lay_out(roff: &mut Roff, text: &str, heading: &str) {
    let mut is_headed = false;
    for block in text.split("\n\n") {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        if first.ends_with(':') && rest.starts_with("  ") {
            roff.control("SH", [first.trim_end_matches(':').to_uppercase().as_str()]);
            as_it_stands(roff, rest);
            is_headed = true;
            continue;
        }
        match std::mem::replace(&mut is_headed, true) {
            true => roff.control("PP", []),
            false => roff.control("SH", [heading]),
        };
        roff.text([roman(block.replace('\n', " "))]);
    }
}

fn as_it_stands(roff: &mut Roff, block: &str) {
    roff.control("nf", []);
    block.lines().for_each(|line| {
        roff.text([roman(line)]);
    });
    roff.control("fi", []);
}

fn see_also(command: &Command) -> String {
    let title = title(command);
    let above = title.rsplit_once('-').map(|(above, _)| format!("{above}(1)"));
    let below = command.get_subcommands().map(|below| format!("{title}-{}(1)", below.get_name()));
    above.into_iter().chain(below).collect::<Vec<_>>().join(", ")
}
