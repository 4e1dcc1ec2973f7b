//! What the user of the screen has chosen, and what keys do to it. Knows nothing of terminals and brokers.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::listing::Listing;
use super::status::Status;
use super::tables::{SHARDS_SORTED_BY, Tab, shards_of};
use crate::screen::is_interrupt;

/// Least and most time between two looks at the broker. The least is what keeps looking cheap for it.
pub(super) const INTERVAL_LEAST: Duration = Duration::from_millis(500);
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Longest text that rows are looked for by.
const FILTER_CHARS_MAX: usize = 128;

/// What is shown, and how.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) tab: Tab,
    /// The stream whose shards are shown in place of the streams.
    pub(super) stream: Option<String>,
    pub(super) filter: String,
    /// Whether keys are the filter's.
    pub(super) is_typing: bool,
    pub(super) is_helping: bool,
    pub(super) interval: Duration,
    /// For each tab, and for shards.
    sorted_by: [usize; Tab::ALL.len() + 1],
    /// The name of the row that keys act on, and where it was when it was seen last.
    chosen: Option<String>,
    chosen_at: usize,
}

/// What the screen is to do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    End,
}

impl State {
    pub(super) fn new(interval: Duration) -> State {
        let [streams, consumers, lanes] = Tab::ALL.map(Tab::sorted_by);
        State {
            tab: Tab::Streams,
            stream: None,
            filter: String::new(),
            is_typing: false,
            is_helping: false,
            interval: interval.clamp(INTERVAL_LEAST, INTERVAL_MAX),
            sorted_by: [streams, consumers, lanes, SHARDS_SORTED_BY],
            chosen: None,
            chosen_at: 0,
        }
    }

    /// The column by which the table that is shown is in order.
    pub(super) fn sorted_by(&self) -> usize {
        self.sorted_by[self.table()]
    }

    /// The table that is shown, its rows in order.
    pub(super) fn listing(&self, status: &Status) -> Listing {
        let mut listing = match &self.stream {
            Some(stream) => shards_of(stream, status),
            None => self.tab.listing(status),
        };
        if self.stream.is_none() {
            listing.filter(&self.filter);
        }
        listing.sort(0);
        listing.sort(self.sorted_by());
        listing
    }

    /// Which of its rows keys act on.
    pub(super) fn chosen(&self, listing: &Listing) -> Option<usize> {
        let last = listing.rows.len().checked_sub(1)?;
        let found = self.chosen.as_ref().and_then(|name| listing.rows.iter().position(|row| row.name == *name));
        // Where it has gone, the one that took its place is as good.
        Some(found.unwrap_or(self.chosen_at).min(last))
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent, status: &Status) -> Wish {
        if is_interrupt(key) {
            return Wish::End;
        }
        if std::mem::take(&mut self.is_helping) {
            return Wish::GoOn;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Wish::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.is_helping = true,
            KeyCode::Char('/') if self.stream.is_none() => self.is_typing = true,
            KeyCode::Char('+' | '=') => self.interval = (self.interval * 2).min(INTERVAL_MAX),
            KeyCode::Char('-') => self.interval = (self.interval / 2).max(INTERVAL_LEAST),
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Tab::ALL.len() - 1),
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => self.go_back(),
            code => self.act_on(code, &self.listing(status)),
        }
        Wish::GoOn
    }

    fn act_on(&mut self, code: KeyCode, listing: &Listing) {
        let chosen = self.chosen(listing).unwrap_or(0);
        match code {
            KeyCode::Char('s') => self.sort_by_next(listing.titles.len() + 1, 1),
            KeyCode::Char('S') => self.sort_by_next(listing.titles.len() + 1, listing.titles.len()),
            KeyCode::Up | KeyCode::Char('k') => self.choose(listing, chosen.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(listing, chosen + 1),
            KeyCode::PageUp => self.choose(listing, chosen.saturating_sub(PAGE)),
            KeyCode::PageDown => self.choose(listing, chosen + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.choose(listing, 0),
            KeyCode::End | KeyCode::Char('G') => self.choose(listing, usize::MAX),
            KeyCode::Enter | KeyCode::Right if self.tab == Tab::Streams && self.stream.is_none() => {
                self.stream = listing.rows.get(chosen).map(|row| row.name.clone());
                (self.chosen, self.chosen_at) = (None, 0);
            }
            _ => {}
        }
    }

    fn choose(&mut self, listing: &Listing, at: usize) {
        self.chosen_at = at.min(listing.rows.len().saturating_sub(1));
        self.chosen = listing.rows.get(self.chosen_at).map(|row| row.name.clone());
    }

    fn sort_by_next(&mut self, columns: usize, step: usize) {
        let table = self.table();
        self.sorted_by[table] = (self.sorted_by[table] + step) % columns;
    }

    /// Turns to another tab, so many on.
    fn turn(&mut self, step: usize) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.tab = Tab::ALL[(at + step) % Tab::ALL.len()];
        (self.stream, self.chosen, self.chosen_at) = (None, None, 0);
    }

    /// From the shards back to their stream, else from few rows to all.
    fn go_back(&mut self) {
        match self.stream.take() {
            Some(stream) => self.chosen = Some(stream),
            None => self.filter.clear(),
        }
    }

    fn type_filter(&mut self, code: KeyCode) {
        (self.chosen, self.chosen_at) = (None, 0);
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => (self.is_typing, self.filter) = (false, String::new()),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(character) if self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(character),
            _ => {}
        }
    }

    fn table(&self) -> usize {
        let tab = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        if self.stream.is_some() { Tab::ALL.len() } else { tab }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyModifiers;

    use super::super::page::Page;
    use super::*;

    /// Streams a, b, ..., the first with two shards; all of them put to, the later the more.
    fn status(streams: u8) -> Status {
        let line = |i: u8| format!("rheos_incoming_records_total{{stream=\"{}\"}} {i}\n", char::from(b'a' + i));
        let shards = "rheos_shard_tip_sequence{stream=\"a\",shard=\"0\"} 5\nrheos_shard_tip_sequence{stream=\"a\",shard=\"1\"} 9\n";
        let page = Page::read(&((0..streams).map(line).collect::<String>() + shards)).unwrap();
        Status::of(&page, Some((&Page::default(), 1.0)))
    }

    fn press(state: &mut State, status: &Status, keys: &[KeyCode]) -> Wish {
        let press = |key: &KeyCode| state.press(KeyEvent::new(*key, KeyModifiers::NONE), status);
        keys.iter().map(press).last().unwrap()
    }

    fn names(state: &State, status: &Status) -> String {
        state.listing(status).rows.iter().map(|row| row.name.as_str()).collect()
    }

    fn chosen(state: &State, status: &Status) -> Option<String> {
        let listing = state.listing(status);
        state.chosen(&listing).map(|at| listing.rows[at].name.clone())
    }

    #[test]
    fn keys_move_and_what_is_chosen_stays_chosen() {
        let (mut state, three) = (State::new(Duration::from_secs(2)), status(3));
        assert_eq!((names(&state, &three).as_str(), chosen(&state, &three).as_deref()), ("cba", Some("c")));
        press(&mut state, &three, &[KeyCode::Down]);
        assert_eq!(chosen(&state, &three).as_deref(), Some("b"));
        assert_eq!(chosen(&state, &status(9)).as_deref(), Some("b"), "others came");
        assert_eq!(chosen(&state, &status(1)).as_deref(), Some("a"), "it went, and the last is left");
        assert_eq!(chosen(&state, &status(0)).as_deref(), None);
        press(&mut state, &three, &[KeyCode::End, KeyCode::Down, KeyCode::PageDown]);
        assert_eq!(chosen(&state, &three).as_deref(), Some("a"));
        press(&mut state, &three, &[KeyCode::Char('k'), KeyCode::Home, KeyCode::Up]);
        assert_eq!(chosen(&state, &three).as_deref(), Some("c"));
    }

    #[test]
    fn a_stream_is_entered_and_left() {
        let (mut state, status) = (State::new(Duration::from_secs(2)), status(3));
        press(&mut state, &status, &[KeyCode::End, KeyCode::Enter]);
        assert_eq!((state.stream.as_deref(), names(&state, &status).as_str()), (Some("a"), "01"));
        press(&mut state, &status, &[KeyCode::Char('S'), KeyCode::Char('S'), KeyCode::Char('S')]);
        assert_eq!((names(&state, &status).as_str(), state.sorted_by()), ("10", 6), "by the next sequence");
        press(&mut state, &status, &[KeyCode::Esc]);
        assert_eq!((state.stream.as_deref(), chosen(&state, &status).as_deref()), (None, Some("a")));
        press(&mut state, &status, &[KeyCode::Tab]);
        assert_eq!((state.tab, chosen(&state, &status)), (Tab::Consumers, None));
        press(&mut state, &status, &[KeyCode::Enter, KeyCode::BackTab]);
        assert_eq!((state.tab, state.stream.as_deref()), (Tab::Streams, None));
    }

    #[test]
    fn a_filter_is_typed_and_forgotten() {
        let (mut state, status) = (State::new(Duration::from_secs(2)), status(3));
        press(&mut state, &status, &[KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Backspace, KeyCode::Char('B')]);
        assert_eq!((state.is_typing, names(&state, &status).as_str()), (true, "b"));
        press(&mut state, &status, &[KeyCode::Enter]);
        assert_eq!((state.is_typing, names(&state, &status).as_str()), (false, "b"));
        press(&mut state, &status, &[KeyCode::Esc]);
        assert_eq!(names(&state, &status), "cba");
        press(&mut state, &status, &[KeyCode::Char('/'), KeyCode::Char('x'), KeyCode::Esc]);
        assert_eq!((state.is_typing, names(&state, &status).as_str()), (false, "cba"));
    }

    #[test]
    fn the_interval_keeps_within_its_bounds() {
        let (mut state, status) = (State::new(Duration::from_secs(2)), status(0));
        press(&mut state, &status, &[KeyCode::Char('-'); 9]);
        assert_eq!(state.interval, INTERVAL_LEAST);
        press(&mut state, &status, &[KeyCode::Char('+'); 9]);
        assert_eq!(state.interval, INTERVAL_MAX);
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let (mut state, status) = (State::new(Duration::from_secs(2)), status(3));
        assert_eq!(press(&mut state, &status, &[KeyCode::Char('?')]), Wish::GoOn);
        assert!(state.is_helping);
        assert_eq!(press(&mut state, &status, &[KeyCode::Char('q')]), Wish::GoOn, "any key ends the help");
        assert!(!state.is_helping);
        assert_eq!(press(&mut state, &status, &[KeyCode::Char('q')]), Wish::End);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut state, &status, &[KeyCode::Char('/')]);
        assert_eq!(state.press(interrupt, &status), Wish::End, "while a filter is typed, too");
    }
}
