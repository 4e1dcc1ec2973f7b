//! Shows the demo while it runs: on a terminal as a screen, elsewhere as lines. On a thread of its own, so
//! that a terminal that takes its time holds up nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::crossterm::{event, terminal};
use ratatui::widgets::Widget;
use tokio::sync::{Notify, watch};

use super::screen;
use super::view::{ConsumerView, View};
use crate::screen::{Extent, Paint, Screen, can_be_live, is_interrupt, key_of};
use crate::units::{show_grouped, show_nanos};

/// How often it is looked for a new view or a key.
const POLL: Duration = Duration::from_millis(100);
/// How often a line tells how it goes.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Whoever shows the demo.
#[derive(Debug)]
pub(super) struct Display(JoinHandle<()>);

impl Display {
    /// Begins to show the views that come. `live` wants a screen, if there can be one; `stop` is told when its
    /// user wants the demo to end.
    pub(super) fn start(views: watch::Receiver<View>, live: bool, stop: Arc<Notify>) -> Display {
        Display(thread::spawn(move || match take_screen(live) {
            Some(screen) => show_live(screen, views, &stop),
            None => show_lines(views),
        }))
    }

    /// Waits until the last view is shown. Whoever makes them must have ended.
    pub(super) fn end(self) {
        // A panic there has been told.
        let _ = self.0.join();
    }
}

/// A terminal that cannot be drawn on, or is too low, takes lines.
fn take_screen(live: bool) -> Option<Screen> {
    let (_, height) = terminal::size().ok().filter(|_| live && can_be_live())?;
    // Some lines are for what happens, above the screen.
    let lines = screen::LINES.min(height.saturating_sub(3));
    (lines >= screen::LINES_LEAST).then(|| Screen::take(Extent::Lines(lines)).ok()).flatten()
}

/// Draws until there are no more views. A terminal that is gone is drawn on no more.
fn show_live(mut screen: Screen, mut views: watch::Receiver<View>, stop: &Notify) {
    let (paint, mut told) = (Paint::new(), 0);
    loop {
        let is_over = views.has_changed().is_err();
        let view = views.borrow_and_update().clone();
        if draw(&mut screen, &view, told, paint).is_err() || is_over {
            return;
        }
        told = view.events.len();
        match event::poll(POLL).and_then(|is_there| if is_there { event::read().map(Some) } else { Ok(None) }) {
            Ok(Some(event)) if key_of(&event).is_some_and(is_interrupt) => stop.notify_one(),
            Ok(_) => {}
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn draw(screen: &mut Screen, view: &View, told: usize, paint: Paint) -> io::Result<()> {
    for happened in &view.events[told..] {
        let text = screen::event(happened, screen.terminal.size()?.width, paint);
        let height = text.height().try_into().unwrap_or(u16::MAX);
        screen.terminal.insert_before(height, |buffer| text.render(buffer.area, buffer))?;
    }
    screen.terminal.draw(|frame| screen::draw(frame, view, paint)).map(drop)
}

/// Writes lines on standard error until there are no more views.
fn show_lines(mut views: watch::Receiver<View>) {
    let (mut told, mut line_due) = (0, LINE_EVERY);
    loop {
        let is_over = views.has_changed().is_err();
        let view = views.borrow_and_update().clone();
        let mut stderr = io::stderr().lock();
        for happened in &view.events[told..] {
            // Nobody is left to tell when standard error is gone; the proof is told elsewhere.
            let _ = writeln!(stderr, "{}", screen::event(happened, u16::MAX, Paint::new()));
        }
        told = view.events.len();
        if view.elapsed >= line_due && !is_over {
            let _ = writeln!(stderr, "{}", line(&view));
            line_due = view.elapsed + LINE_EVERY;
        }
        drop(stderr);
        if is_over {
            return;
        }
        thread::sleep(POLL);
    }
}

/// How it goes, in one line.
fn line(view: &View) -> String {
    let latency = |flow: &super::view::Flow| {
        flow.latency.map_or_else(String::new, |of| format!(" p50 {} p99 {}", show_nanos(of.p50), show_nanos(of.p99)))
    };
    let consumer = |ConsumerView { name, pushed, behind, .. }: &ConsumerView| {
        let (rate, records) = (show_grouped(pushed.per_second), show_grouped(behind.records));
        format!("; {name} {rate}/s{}, {records} behind ({})", latency(pushed), show_nanos(behind.ns))
    };
    let consumers: String = view.consumers.iter().map(consumer).collect();
    format!(
        "{:>6.1} s  {}: put {}/s{}, {} acked, {} in flight{consumers}; broker {}",
        view.elapsed.as_secs_f64(),
        view.phase.name(),
        show_grouped(view.put.per_second),
        latency(&view.put),
        show_grouped(view.acked),
        show_grouped(view.in_flight),
        view.health.name(),
    )
}
