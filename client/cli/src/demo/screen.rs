//! The demo on a terminal: a few lines that are drawn again and again, with what happened above them.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Row, Sparkline, Table};

use super::board::{Event, Health, Phase};
use super::course::{SHARDS, STREAM};
use super::view::{ConsumerView, Flow, View};
use crate::screen::Paint;
use crate::units::{show_grouped, show_nanos};

/// Lines that the screen takes where there is room, and at least; with fewer it has gaps and a history no more.
pub(super) const LINES: u16 = 14;
pub(super) const LINES_LEAST: u16 = 7;
/// With fewer columns than this, some numbers are left out.
const WIDE: u16 = 78;
/// Width of the names before the lines of the history.
const NAME_WIDTH: u16 = 9;

/// Columns of the time before what happened.
const TIME_WIDTH: usize = 10;

/// What happened, as lines of so many columns.
pub(super) fn event(event: &Event, width: u16, paint: Paint) -> Text<'static> {
    let at = format!("{:>6.1} s  ", Duration::from_nanos(event.at_ns).as_secs_f64());
    let lines = wrapped(&event.text, usize::from(width).saturating_sub(TIME_WIDTH));
    let times = std::iter::once(at).chain(std::iter::repeat(" ".repeat(TIME_WIDTH)));
    let line = |(at, line)| Line::from(vec![Span::styled(at, paint.faint()), Span::raw(line)]);
    Text::from(times.zip(lines).map(line).collect::<Vec<_>>())
}

/// A text in lines of so many columns, as far as its words allow.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        match line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width {
            true if line.is_empty() => line.push_str(word),
            true => line.extend([" ", word]),
            false => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Draws a view.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, paint: Paint) {
    let area = frame.area();
    let gap = Constraint::Length(u16::from(area.height >= LINES));
    let (line, lines) = (Constraint::Length(1), Constraint::Length);
    let [_, title, bar, phases, _, numbers, _, history, foot] =
        Layout::vertical([gap, line, line, line, gap, lines(4), gap, Constraint::Max(3), Constraint::Max(1)])
            .areas(area);
    draw_title(frame, title, view, paint);
    frame.render_widget(bar_of(view, bar.width, paint), bar);
    frame.render_widget(phases_of(view.phase, paint), phases);
    draw_numbers(frame, numbers, view, paint);
    draw_history(frame, history, view, paint);
    let explained = "Ctrl-C stops. Each column: records/s in a stretch of time";
    frame.render_widget(Line::styled(explained, paint.faint()), foot);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, view: &View, paint: Paint) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(38)]).areas(area);
    let stream = if area.width < WIDE { String::new() } else { format!("  stream {STREAM}, {SHARDS} shards") };
    frame.render_widget(Line::from(vec![Span::styled("rheos demo", paint.strong()), Span::raw(stream)]), left);
    let health = Span::styled(view.health.name(), health_style(view.health, paint));
    let time = format!("  {:.0} of {} s", view.elapsed.as_secs_f64(), view.plan.total.as_secs());
    let broker = Line::from(vec![Span::raw(format!("broker {} ", view.pid)), health, Span::raw(time)]);
    frame.render_widget(broker.right_aligned(), right);
}

fn health_style(health: Health, paint: Paint) -> Style {
    match health {
        Health::Serving => paint.good(),
        Health::Killed => paint.bad(),
        Health::Starting | Health::Recovering => paint.notable(),
    }
}

fn bar_of(view: &View, width: u16, paint: Paint) -> Line<'static> {
    let part = (view.elapsed.as_secs_f64() / view.plan.total.as_secs_f64()).min(1.0);
    let done = (part * f64::from(width)).round() as usize;
    let style = if view.phase == Phase::Kill { paint.bad() } else { paint.good() };
    Line::from(vec![
        Span::styled("━".repeat(done), style),
        Span::styled("─".repeat(usize::from(width) - done), paint.faint()),
    ])
}

fn phases_of(now: Phase, paint: Paint) -> Line<'static> {
    let spans = Phase::ALL.into_iter().enumerate().flat_map(|(index, phase)| {
        let style = match (phase == now, phase) {
            (true, Phase::Kill) => paint.bad(),
            (true, _) => paint.good().patch(paint.strong()),
            (false, _) if phase < now => Style::new(),
            (false, _) => paint.faint(),
        };
        let name = if phase == now { format!("[{}]", phase.name()) } else { phase.name().to_owned() };
        let between = if index == 0 { "" } else { " › " };
        [Span::styled(between, paint.faint()), Span::styled(name, style)]
    });
    Line::from(spans.collect::<Vec<_>>())
}

fn draw_numbers(frame: &mut Frame<'_>, area: Rect, view: &View, paint: Paint) {
    let is_wide = area.width >= WIDE;
    let titles = ["", "rate/s", "records", "behind", "p50", "p99", "max"];
    let mut rows = vec![Row::new(cells(titles.map(str::to_owned), is_wide)).style(paint.faint())];
    let in_flight = format!("{} in flight", show_grouped(view.in_flight));
    rows.push(row("put to ack", &view.put, in_flight, is_wide));
    for ConsumerView { name, is_slow, pushed, behind } in &view.consumers {
        let name = if *is_slow { format!("to {name}, slow") } else { format!("to {name}") };
        let behind = match behind.records {
            0 => "0".to_owned(),
            records => format!("{} ({})", show_grouped(records), show_nanos(behind.ns)),
        };
        rows.push(row(&name, pushed, behind, is_wide));
    }
    let widths: &[u16] = if is_wide { &[16, 9, 9, 18, 7, 7, 7] } else { &[16, 8, 18, 7, 7] };
    frame.render_widget(Table::new(rows, widths.iter().map(|width| Constraint::Length(*width))), area);
}

fn row(name: &str, flow: &Flow, behind: String, is_wide: bool) -> Row<'static> {
    let latency = |of: fn(&super::timing::Percentiles) -> u64| {
        flow.latency.as_ref().map_or_else(|| "-".to_owned(), |latency| show_nanos(of(latency)))
    };
    let numbers = [
        name.to_owned(),
        show_grouped(flow.per_second),
        show_grouped(flow.count),
        behind,
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
        latency(|latency| latency.max),
    ];
    Row::new(cells(numbers, is_wide))
}

/// Names stand at the left, numbers at the right.
fn cells(texts: [String; 7], is_wide: bool) -> Vec<Text<'static>> {
    let kept = |index: usize| is_wide || !matches!(index, 2 | 6);
    let texts = texts.into_iter().enumerate().filter(|(index, _)| kept(*index));
    texts.map(|(index, text)| if index == 0 { Text::from(text) } else { Text::from(text).right_aligned() }).collect()
}

fn draw_history(frame: &mut Frame<'_>, area: Rect, view: &View, paint: Paint) {
    let acked: Vec<u64> = view.history.iter().map(|column| column.acked).collect();
    let mut lines = vec![("acked", acked, Style::new())];
    for (index, consumer) in view.consumers.iter().enumerate() {
        let pushed = view.history.iter().map(|column| column.pushed[index]).collect();
        lines.push((consumer.name, pushed, if consumer.is_slow { paint.notable() } else { paint.good() }));
    }
    // One scale for all, so that their heights can be compared; what catches up goes over its top.
    let most = view.plan.rate * 16 / 13;
    for (line, (name, numbers, style)) in area.rows().zip(lines) {
        let [left, right] = Layout::horizontal([Constraint::Length(NAME_WIDTH), Constraint::Fill(1)]).areas(line);
        frame.render_widget(Line::styled(name, paint.faint()), left);
        let shown = numbers.len().saturating_sub(usize::from(right.width));
        frame.render_widget(Sparkline::default().data(&numbers[shown..]).max(most).style(style), right);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::board::{Behind, Board, SharedBoard};
    use super::super::consumers::NAMES;
    use super::super::course::Plan;
    use super::super::timing::Percentiles;
    use super::super::view::{Column, Sampler};
    use super::*;

    fn view() -> View {
        let board = SharedBoard::new(Board::new(4, &NAMES));
        let mut view = Sampler::new(&board, Plan { rate: 13, total: Duration::from_secs(25) }).sample();
        let latency = Some(Percentiles { count: 9, p50: 420_000, p99: 1_200_000, max: 1_210_000_000 });
        view.elapsed = Duration::from_secs(12);
        (view.phase, view.health, view.pid, view.in_flight) = (Phase::Kill, Health::Killed, 4_194_304, 7_123);
        view.put = Flow { count: 3_000_000, per_second: 200_000, latency };
        view.consumers[1].pushed = view.put;
        view.consumers[1].behind = Behind { records: 1_234_567, ns: 12_300_000_000 };
        view.history = vec![Column { acked: 8, pushed: [20, 0] }; 60];
        view
    }

    fn drawn(width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &view(), Paint::plain())).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content.chunks(usize::from(width));
        rows.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn everything_fits_into_80_columns() {
        let lines = drawn(80, LINES);
        assert_eq!(lines[1].chars().count(), 80);
        assert!(lines[1].starts_with("rheos demo  stream trades, 4 shards "), "{}", lines[1]);
        assert!(lines[1].ends_with(" broker 4194304 killed  12 of 25 s"), "{}", lines[1]);
        assert_eq!(lines[3], "warm up › steady › [KILL] › recovered › drain › proof");
        assert!(lines[5].ends_with("rate/s   records             behind     p50     p99     max"), "{}", lines[5]);
        assert_eq!(lines[6], "put to ack         200,000 3,000,000    7,123 in flight  420 µs 1.20 ms  1.21 s");
        assert!(lines[8].starts_with("to archive, slow   200,000 3,000,000 1,234,567 (12.3 s)"), "{}", lines[8]);
        assert_eq!(lines[10], format!("acked    {}", "▄".repeat(60)));
        assert_eq!(lines[11], format!("alerts   {}", "█".repeat(60)));
    }

    #[test]
    fn where_there_are_few_lines_the_numbers_are_left() {
        let lines = drawn(80, LINES_LEAST);
        assert!(lines[0].starts_with("rheos demo") && lines[6].starts_with("to archive, slow"), "{lines:?}");
        let lines = drawn(80, 9);
        assert!(lines[6].starts_with("to archive, slow") && lines[7].starts_with("acked"), "{lines:?}");
    }

    #[test]
    fn what_happened_is_wrapped_below_itself() {
        let happened = Event { at_ns: 12_300_000_000, text: "the broker warns: words of some length".to_owned() };
        let text = event(&happened, 30, Paint::plain());
        let lines: Vec<String> = text.lines.iter().map(Line::to_string).collect();
        assert_eq!(lines, ["  12.3 s  the broker warns:", "          words of some length"]);
    }

    #[test]
    fn in_60_columns_what_matters_is_left() {
        let lines = drawn(60, LINES);
        assert!(lines[1].ends_with("broker 4194304 killed  12 of 25 s"), "{}", lines[1]);
        assert!(lines[6].ends_with(" 200,000    7,123 in flight  420 µs 1.20 ms"), "{}", lines[6]);
        assert_eq!(lines[10], format!("acked    {}", "▄".repeat(51)));
    }
}
