//! What `rheos top` draws: the broker in a few lines, its busiest lanes, and a table.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::listing::{Listing, Look};
use super::state::State;
use super::status::{Flow, Status};
use super::tables::{Tab, nothing};
use super::watch::Seen;
use crate::screen::Paint;
use crate::units::{show_bytes, show_duration_ms, show_grouped, show_rate, show_span};

/// Lines of the head.
pub(super) const HEAD_LINES: u16 = 4;
/// Most lanes that are shown beside another table.
const LANES_BESIDE_MAX: usize = 4;
/// A screen with fewer lines shows no lanes beside another table.
const LINES_FOR_LANES: u16 = 18;

/// Whatever there is to draw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) seen: &'a Seen,
    /// Where the broker is, as the user has said.
    pub(super) address: &'a str,
    pub(super) paint: Paint,
}

impl Picture<'_> {
    /// Draws the whole screen.
    pub(super) fn draw(self, state: &State, area: Rect, buffer: &mut Buffer) {
        let lanes = self.lanes_beside(state, area.height);
        let lane_lines = lanes.as_ref().map_or(0, |lanes| lanes.rows.len() as u16 + 2);
        let [head, beside, tabs, table, foot] = Layout::vertical([
            Constraint::Length(HEAD_LINES + 1),
            Constraint::Length(lane_lines),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(area);
        let every = format!("every {}", show_duration_ms(state.interval.as_millis() as u64));
        self.draw_head(&every, head, buffer);
        if let Some(lanes) = lanes {
            lanes.draw(beside, buffer, Look { paint: self.paint, sorted_by: Tab::Lanes.sorted_by(), chosen: None });
        }
        if state.is_helping {
            help(self.paint).into_iter().zip(table.rows()).for_each(|(line, area)| line.render(area, buffer));
            return;
        }
        let listing = state.listing(&self.seen.status);
        let look = Look { paint: self.paint, sorted_by: state.sorted_by(), chosen: state.chosen(&listing) };
        let shown = listing.draw(table, buffer, look);
        self.draw_tabs(state, &listing, shown, tabs, buffer);
        self.foot(state, &listing).render(foot, buffer);
    }

    /// Draws what there is to say of the broker as a whole; `note` stands at the right.
    pub(super) fn draw_head(self, note: &str, area: Rect, buffer: &mut Buffer) {
        let mut lines = area.rows();
        let first = lines.next().unwrap_or_default();
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(34)]).areas(first);
        let title = format!("rheos {}", self.seen.status.version);
        let up = match self.seen.up_seconds().filter(|_| self.seen.trouble.is_none()) {
            None => nothing(),
            Some(seconds @ ..60.0) => format!("{seconds:.0} s"),
            Some(seconds) => show_span(seconds),
        };
        let rest = format!("  {}  up {up}", self.address);
        Line::from(vec![Span::styled(title, self.paint.strong()), Span::raw(rest)]).render(left, buffer);
        let (health, style) = self.health();
        let health = Line::from(vec![Span::styled(health, style), Span::raw(format!("  {note}"))]);
        health.right_aligned().render(right, buffer);
        for (line, area) in self.facts().into_iter().zip(lines) {
            line.render(area, buffer);
        }
    }

    fn health(self) -> (String, Style) {
        let broker = &self.seen.status.broker;
        match &self.seen.trouble {
            Some(_) => {
                let seconds = self.seen.silent(Instant::now()).as_secs();
                (format!("no answer for {seconds} s"), self.paint.bad())
            }
            None if self.seen.is_empty() => ("asking".to_owned(), self.paint.notable()),
            None if broker.is_disk_low > 0.0 => ("DISK NEARLY FULL".to_owned(), self.paint.bad()),
            None if broker.is_ready == 0.0 => ("not ready".to_owned(), self.paint.bad()),
            None => ("ready".to_owned(), self.paint.good()),
        }
    }

    /// Some lines, of which the last says what is wrong, if anything is.
    fn facts(self) -> Vec<Line<'static>> {
        let status = &self.seen.status;
        let (broker, memory) = (&status.broker, status.memory());
        let counted = [
            (broker.streams, "streams"),
            (broker.open_shards, "shards"),
            (broker.closed_shards, "closed"),
            (broker.consumers, "consumers"),
            (status.connections, "connections"),
        ];
        // Closed shards are worth a word where there are any.
        let counted = counted.iter().filter(|(number, noun)| *number > 0.0 || *noun != "closed");
        let counted: Vec<String> =
            counted.map(|(number, noun)| format!("{} {noun}", show_grouped(*number as u64))).collect();
        let cpu = status.cpu.map_or_else(nothing, |cores| format!("{:.1} %", cores * 100.0));
        let bytes = |bytes: f64| show_bytes(bytes as u64);
        let machine = format!(
            "cpu {cpu}   memory {}   lanes {} of {}   disk {} free",
            bytes(broker.memory_bytes),
            bytes(memory.bytes),
            bytes(memory.limit_bytes),
            bytes(broker.disk_free_bytes),
        );
        vec![Line::raw(counted.join("   ")), Line::raw(machine), self.flows(status)]
    }

    fn flows(self, status: &Status) -> Line<'static> {
        if let Some(why) = &self.seen.trouble {
            return Line::styled(format!("trying again: {why}"), self.paint.bad());
        }
        let show = |name: &str, flow: Flow| {
            let records = flow.records.map_or_else(nothing, show_rate);
            let bytes = flow.bytes.map_or_else(nothing, |bytes| show_bytes(bytes as u64));
            format!("{name} {records}/s ({bytes}/s)   ")
        };
        let incoming = show("in", status.in_all(|stream| stream.incoming));
        let outgoing = show("out", status.in_all(|stream| stream.outgoing));
        let mut spans = vec![Span::raw(incoming), Span::raw(outgoing)];
        let refused: f64 = status.streams.iter().filter_map(|stream| stream.refused).sum();
        let mut wrong = Vec::new();
        wrong.extend((refused > 0.0).then(|| format!("{}/s refused", show_rate(refused))));
        let read_only = status.broker.read_only_logs;
        wrong.extend((read_only > 0.0).then(|| format!("{} logs take no puts", show_grouped(read_only as u64))));
        spans.push(Span::styled(wrong.join("   "), self.paint.bad()));
        let restarts = self.seen.restarts;
        spans.extend(
            (restarts > 0).then(|| Span::styled(format!("   started again {restarts} x"), self.paint.notable())),
        );
        Line::from(spans)
    }

    /// The busiest lanes, when there is room for them and they are not the table itself.
    fn lanes_beside(self, state: &State, height: u16) -> Option<Listing> {
        if state.tab == Tab::Lanes || height < LINES_FOR_LANES {
            return None;
        }
        let mut lanes = Tab::Lanes.listing(&self.seen.status);
        if lanes.rows.len() > LANES_BESIDE_MAX {
            lanes.sort(1);
            lanes.rows.truncate(LANES_BESIDE_MAX);
        }
        lanes.sort(0);
        (!lanes.rows.is_empty()).then_some(lanes)
    }

    fn draw_tabs(self, state: &State, listing: &Listing, shown: (usize, usize), area: Rect, buffer: &mut Buffer) {
        let mut spans = Vec::new();
        for tab in Tab::ALL {
            let is_shown = tab == state.tab;
            let name = if is_shown { format!("[{}]", tab.name()) } else { format!(" {} ", tab.name()) };
            spans.push(Span::styled(name, if is_shown { self.paint.strong() } else { self.paint.faint() }));
        }
        if let Some(stream) = &state.stream {
            spans.push(Span::styled(format!(" › shards of {stream}"), self.paint.strong()));
        }
        Line::from(spans).render(area, buffer);
        let ((first, count), all) = (shown, listing.rows.len());
        let mut place = if count < all { format!("{}-{} of {all}", first + 1, first + count) } else { String::new() };
        if listing.left_out > 0 {
            place.push_str(&format!(" (+{} that the broker does not list)", show_grouped(listing.left_out)));
        }
        Line::styled(place, self.paint.faint()).right_aligned().render(area, buffer);
    }

    fn foot(self, state: &State, listing: &Listing) -> Line<'static> {
        if state.is_typing {
            return Line::from(vec![Span::raw(format!("/{}", state.filter)), Span::styled("█", self.paint.faint())]);
        }
        let mut text = match listing.rows.is_empty() {
            true if !state.filter.is_empty() => format!("none has {:?} in its name; Esc shows all. ", state.filter),
            true if self.seen.is_empty() => "asking the broker. ".to_owned(),
            true => "there are none yet. ".to_owned(),
            false if !state.filter.is_empty() => format!("those with {:?} in their names. ", state.filter),
            false => String::new(),
        };
        text.push_str(match state.stream {
            Some(_) => "↑↓ move  Esc back  s sort  +- interval  ? help  q quit",
            None => "↑↓ move  Tab next  Enter shards  s sort  / filter  +- interval  ? help  q quit",
        });
        Line::styled(text, self.paint.faint())
    }
}

fn help(paint: Paint) -> Vec<Line<'static>> {
    let keys = [
        ("↑ ↓ PgUp PgDn Home End", "move"),
        ("Tab, Shift-Tab", "streams, consumers, lanes"),
        ("Enter, Esc", "the shards of a stream, and back"),
        ("s, S", "sort by the next column, by the one before"),
        ("/", "show those with a text in their names, until Esc"),
        ("+ -", "look at the broker less often, more often"),
        ("q, Ctrl-C", "quit"),
    ];
    let words = [
        "READ LAG  how old the first record is that polling readers were not given yet",
        "PUSH LAG  the same for the registered consumer that is farthest behind",
        "OF MEAN   what is put to a shard, by the mean of its stream; HOT from 2x on",
    ];
    let key = |(key, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("  {key:<24}"), paint.strong()), Span::raw(*what)])
    };
    keys.iter().map(key).chain([Line::default()]).chain(words.map(|text| Line::raw(format!("  {text}")))).collect()
}

#[cfg(test)]
mod tests;
