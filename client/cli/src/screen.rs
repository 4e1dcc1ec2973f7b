//! What the live screens share: when there can be one, its colours, the terminal taken and given back.
//!
//! Colours are the terminal's own, without backgrounds, so that its user's theme decides what they look like;
//! where they are not wanted, weight and words alone must do. What must hold: the terminal is given back as it
//! was, in a panic too.

use std::io::{self, IsTerminal, Stdout};
use std::panic;
use std::sync::Once;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::style::{Color, Modifier, Style};
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::colours::wants_colours;

/// Whether standard input and output are a terminal that can be drawn on.
pub(crate) fn can_be_live() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Colours and weights of a screen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    coloured: bool,
}

impl Paint {
    /// As the user wants it.
    pub(crate) fn new() -> Paint {
        Paint { coloured: wants_colours() }
    }

    /// Weight alone.
    pub(crate) fn plain() -> Paint {
        Paint { coloured: false }
    }

    /// All is well.
    pub(crate) fn good(self) -> Style {
        self.of(Color::Green)
    }

    /// Something is wrong.
    pub(crate) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Something is to be looked at. Yellow cannot be read on white.
    pub(crate) fn notable(self) -> Style {
        self.of(Color::Magenta)
    }

    /// What matters.
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What helps to read what matters.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What keys act on.
    pub(crate) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    fn of(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Where a screen lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many lines below what was printed before, which stays.
    Lines(u16),
    /// The whole terminal, which shows what it did before once the screen ends.
    Whole,
}

/// A terminal that is drawn on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
    extent: Extent,
}

impl Screen {
    /// Takes the terminal: keys come one by one, unseen.
    ///
    /// # Errors
    ///
    /// When there is none, or one that does not answer.
    pub(crate) fn take(extent: Extent) -> io::Result<Screen> {
        give_back_in_a_panic();
        enable_raw_mode()?;
        let taken = Screen::begin(extent);
        if taken.is_err() {
            give_back(extent);
        }
        taken
    }

    fn begin(extent: Extent) -> io::Result<Screen> {
        let viewport = match extent {
            Extent::Lines(lines) => Viewport::Inline(lines),
            Extent::Whole => Viewport::Fullscreen,
        };
        if extent == Extent::Whole {
            execute!(io::stdout(), EnterAlternateScreen)?;
        }
        let backend = CrosstermBackend::new(io::stdout());
        let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        terminal.hide_cursor()?;
        Ok(Screen { terminal, extent })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Extent::Lines(_) = self.extent {
            // What comes next begins where the screen did.
            let begin = self.terminal.get_frame().area().as_position();
            let _ = self.terminal.clear().and_then(|()| self.terminal.set_cursor_position(begin));
        }
        give_back(self.extent);
    }
}

/// Nothing can be done where the terminal does not take it.
fn give_back(extent: Extent) {
    if extent == Extent::Whole {
        let _ = execute!(io::stdout(), LeaveAlternateScreen);
    }
    let _ = execute!(io::stdout(), cursor::Show);
    let _ = disable_raw_mode();
}

/// Without it the words of a panic would be lost in what was drawn.
fn give_back_in_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |about| {
            if is_raw_mode_enabled().unwrap_or(false) {
                give_back(Extent::Whole);
            }
            usual(about);
        }));
    });
}

/// The key that was pressed, if the event is one.
pub(crate) fn key_of(event: &Event) -> Option<KeyEvent> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(*key),
        _ => None,
    }
}

/// Whether a key is Ctrl-C, which sends no signal while the terminal is taken.
pub(crate) fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}
