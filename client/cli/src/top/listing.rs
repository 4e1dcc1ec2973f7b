//! A table of the screen: rows with a name and some numbers, in an order, of which those are shown that fit.
//!
//! What must hold: a row fits its width, whatever its name; the row that is chosen is among those shown; it
//! stays chosen by its name when the order changes.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use ratatui::{buffer::Buffer, layout::Rect};

use crate::screen::Paint;

/// Least columns of a name.
const NAME_LEAST: usize = 6;
/// Least columns of a number, so that the table does not dance.
const CELL_LEAST: usize = 7;
/// Columns between two.
const GAP: usize = 2;

/// A table, and how its rows are in order.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// What a name is the name of.
    pub(super) noun: &'static str,
    /// The titles of the numbers; the most important are the first.
    pub(super) titles: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    /// What the broker has and does not list.
    pub(super) left_out: u64,
}

/// A row of a table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
    pub(super) mark: Mark,
}

/// A number: as it is shown, and by which rows are put in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) rank: f64,
}

/// What is to be seen of a row at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Usual,
    /// It does nothing at the moment.
    Idle,
    /// It takes far more than its share.
    Hot,
    /// Something is refused.
    Wrong,
}

impl Listing {
    /// Puts the rows in order: by their names for 0, else by a number, the largest first.
    pub(super) fn sort(&mut self, column: usize) {
        match column.checked_sub(1) {
            None => self.rows.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name))),
            // What is equal keeps the order of names.
            Some(number) => self.rows.sort_by(|a, b| b.cells[number].rank.total_cmp(&a.cells[number].rank)),
        }
    }

    /// Leaves the rows whose names hold this, whatever their case.
    pub(super) fn filter(&mut self, part: &str) {
        let part = part.to_lowercase();
        self.rows.retain(|row| row.name.to_lowercase().contains(&part));
    }

    /// Draws the title and the rows that fit below it, those around the chosen one. Gives the first and the
    /// number of rows that are shown.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, look: Look) -> (usize, usize) {
        let layout = Layout::of(self, area.width.into());
        let mut lines = area.rows();
        if let Some(area) = lines.next() {
            layout.title(self, look).render(area, buffer);
        }
        let count = usize::from(area.height.saturating_sub(1)).min(self.rows.len());
        let first = look
            .chosen
            .map_or(0, |chosen| chosen.saturating_sub(count.saturating_sub(1) / 2))
            .min(self.rows.len() - count);
        for (index, area) in (first..first + count).zip(lines) {
            layout.row(&self.rows[index], look.chosen == Some(index), look.paint).render(area, buffer);
        }
        (first, count)
    }
}

/// How a table is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) paint: Paint,
    /// The column by which the rows are in order.
    pub(super) sorted_by: usize,
    /// The row that keys act on.
    pub(super) chosen: Option<usize>,
}

/// A name with its numbers as numbers: shard 10 is after shard 9.
fn natural(name: &str) -> (u64, &str) {
    (name.parse().unwrap_or(u64::MAX), name)
}

/// The widths of the columns.
struct Layout {
    name: usize,
    /// Those that fit.
    cells: Vec<usize>,
}

impl Layout {
    fn of(listing: &Listing, width: usize) -> Layout {
        let longest = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let names = &mut listing.rows.iter().map(|row| row.name.as_str()).chain([listing.noun]);
        let name = longest(names);
        let room = name.clamp(NAME_LEAST, NAME_LEAST.max(width / 4));
        let mut left = width.saturating_sub(MARGIN + room);
        let mut cells = Vec::new();
        for (column, title) in listing.titles.iter().enumerate() {
            let texts = &mut listing.rows.iter().map(|row| row.cells[column].text.as_str());
            // One more for the mark of the column by which rows are in order.
            let cell = longest(texts).max(title.chars().count() + 1).max(CELL_LEAST);
            let Some(rest) = left.checked_sub(cell + GAP) else { break };
            (left, _) = (rest, cells.push(cell));
        }
        // Names that were short of room get what is left.
        Layout { name: name.clamp(room, room + left), cells }
    }

    fn title(&self, listing: &Listing, look: Look) -> Line<'static> {
        let style = |column| if column == look.sorted_by { look.paint.strong() } else { look.paint.faint() };
        let arrow = |column| if column == look.sorted_by { "▾" } else { "" };
        let noun = format!("{}{}", listing.noun, if look.sorted_by == 0 { "▴" } else { "" });
        let mut spans = vec![Span::styled(format!("{:MARGIN$}{noun:<1$}", "", self.name), style(0))];
        for (index, (title, width)) in listing.titles.iter().zip(&self.cells).enumerate() {
            let title = format!("{title}{}", arrow(index + 1));
            spans.push(Span::styled(format!("{:GAP$}{title:>width$}", ""), style(index + 1)));
        }
        Line::from(spans)
    }

    fn row(&self, row: &Row, is_chosen: bool, paint: Paint) -> Line<'static> {
        let style = match row.mark {
            Mark::Usual => Style::new(),
            Mark::Idle => paint.faint(),
            Mark::Hot => paint.notable(),
            Mark::Wrong => paint.bad(),
        };
        let style = if is_chosen { style.patch(paint.chosen()) } else { style };
        let pointer = if is_chosen { "> " } else { "" };
        let mut text = format!("{pointer:<MARGIN$}{:<1$}", shortened(&row.name, self.name), self.name);
        for (cell, width) in row.cells.iter().zip(&self.cells) {
            text.push_str(&format!("{:GAP$}{:>width$}", "", cell.text));
        }
        Line::styled(text, style)
    }
}

/// Columns before a name.
const MARGIN: usize = 2;

fn shortened(name: &str, width: usize) -> String {
    match name.chars().count() > width {
        true => name.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(rows: &[(&str, f64)]) -> Listing {
        let row = |(name, rank): &(&str, f64)| Row {
            name: (*name).to_owned(),
            cells: [*rank, 1e9].map(|rank| Cell { text: format!("{rank}"), rank }).to_vec(),
            mark: Mark::Usual,
        };
        Listing { noun: "STREAM", titles: vec!["IN/S", "OUT/S"], rows: rows.iter().map(row).collect(), left_out: 0 }
    }

    fn drawn(listing: &Listing, width: u16, height: u16, chosen: Option<usize>) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        listing.draw(buffer.area, &mut buffer, Look { paint: Paint::plain(), sorted_by: 1, chosen });
        let rows = buffer.content.chunks(width.into());
        rows.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn rows_come_in_order_of_names_or_numbers() {
        let mut listing = listing(&[("10", 1.0), ("9", 3.0), ("b", 2.0), ("a", 2.0)]);
        listing.sort(0);
        assert_eq!(names(&listing), ["9", "10", "a", "b"]);
        listing.sort(1);
        assert_eq!(names(&listing), ["9", "a", "b", "10"]);
        listing.filter("1");
        assert_eq!(names(&listing), ["10"]);
    }

    #[test]
    fn a_table_fits_its_width() {
        let long = "a-name-that-is-far-too-long-for-its-column";
        let listing = listing(&[("orders", 12.0), (long, 1.0)]);
        let wide = drawn(&listing, 80, 3, Some(0));
        assert_eq!(wide[0], format!("  {:<42}{:>9}{:>12}", "STREAM", "IN/S▾", "OUT/S"));
        assert_eq!(wide[1], format!("> {:<42}{:>9}{:>12}", "orders", 12, 1_000_000_000));
        assert_eq!(wide[2], format!("  {long:<42}{:>9}{:>12}", 1, 1_000_000_000));
        let narrow = drawn(&listing, 28, 3, None);
        assert_eq!(narrow[0], format!("  {:<17}{:>9}", "STREAM", "IN/S▾"), "what does not fit is left out");
        assert_eq!(narrow[2], format!("  {:<17}{:>9}", "a-name-that-is-f…", 1));
    }

    #[test]
    fn the_chosen_row_is_shown() {
        let many: Vec<(String, f64)> = (0..1_000).map(|i| (format!("s{i}"), 0.0)).collect();
        let many: Vec<(&str, f64)> = many.iter().map(|(name, rank)| (name.as_str(), *rank)).collect();
        let listing = listing(&many);
        for (chosen, first, last) in [(0, "> s0", "  s9"), (500, "  s496", "  s505"), (999, "  s990", "> s999")] {
            let lines = drawn(&listing, 40, 11, Some(chosen));
            assert!(lines[1].starts_with(first) && lines[10].starts_with(last), "{lines:?}");
            assert!(lines.iter().any(|line| line.starts_with(&format!("> s{chosen}"))), "{lines:?}");
        }
    }
}
