//! `rheos top`: a broker at work, as it goes on.
//!
//! What must hold: it costs the broker one page of metrics for each look and nothing between; a broker that
//! is away for a while ends nothing.

mod frame;
mod listing;
mod page;
mod screen;
mod state;
mod status;
mod tables;
mod watch;

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event;
use rheos_client::Client;
use tokio::sync::{mpsc, watch as latest};
use tokio::time::sleep;

use screen::Picture;
use state::{INTERVAL_LEAST, INTERVAL_MAX, State, Wish};
use watch::{Away, Look, Seen};

use crate::arguments::{Global, Output};
use crate::broker;
use crate::failure::Failure;
use crate::output;
use crate::screen::{Extent, Paint, Screen, can_be_live};
use crate::stop::stop_signal;
use crate::units::{parse_duration_ms, show_duration_ms};

/// Keys that were pressed and not looked at yet.
const KEYS_MAX: usize = 64;
/// How long apart the two looks of `--once` are.
const APART: Duration = Duration::from_secs(1);
/// How often the screen is drawn when nothing happens, so that its clocks go on.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// Watch a broker at work: streams, shards, consumers, lanes, rates, lag, memory
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopCommand {
    /// How often to look at the broker: 500ms to 60s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one frame of what happens within a second, and end; so it is where there is no terminal
    #[arg(long)]
    once: bool,
}

const AFTER_HELP: &str = "\
Needs a key that may do everything, such as the administrator's. ? on the screen explains the keys and the \
columns. With --output json it prints one object, as --once does.

Examples:
  rheos top
  rheos top --once | less
  rheos top --output json";

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = Duration::from_millis(parse_duration_ms(text)?);
    match (INTERVAL_LEAST..=INTERVAL_MAX).contains(&interval) {
        true => Ok(interval),
        false => {
            let [least, most] = [INTERVAL_LEAST, INTERVAL_MAX].map(|bound| show_duration_ms(bound.as_millis() as u64));
            Err(format!("{text} is not between {least} and {most}"))
        }
    }
}

pub(crate) async fn run(command: &TopCommand, global: &Global) -> Result<(), Failure> {
    let address = broker::options(global)?.address();
    let client = broker::connect(global).await?;
    let outcome = match command.once || !global.output.is_text() || !can_be_live() {
        true => once(&client, &address, global.output).await,
        false => live(&client, &address, command.interval).await,
    };
    client.close().await;
    outcome
}

/// Prints what happens between two looks.
async fn once(client: &Client, address: &str, how: Output) -> Result<(), Failure> {
    let mut seen = Seen::default();
    for pause in [Duration::ZERO, APART] {
        sleep(pause).await;
        let look = watch::look(client).await?.map_err(|Away(why)| Failure::new(why))?;
        seen.take(Instant::now(), Ok(look));
    }
    match how.is_text() {
        true => frame::as_lines(&seen, address).iter().try_for_each(|line| output::line(line)),
        false => output::json(&frame::as_json(&seen, address)),
    }
}

/// Draws until the user has seen enough.
async fn live(client: &Client, address: &str, interval: Duration) -> Result<(), Failure> {
    let (wanted, interval_wanted) = latest::channel(interval);
    let (looked, mut looks) = mpsc::channel::<Look>(1);
    let watching = tokio::spawn(watch::watch(client.clone(), interval_wanted, looked));
    let taken = Screen::take(Extent::Whole);
    let mut screen =
        taken.map_err(|error| Failure::new(format!("cannot draw on this terminal: {error}; try --once")))?;
    let mut events = read_events();
    let (mut seen, mut state, paint) = (Seen::default(), State::new(interval), Paint::new());
    let mut stop = std::pin::pin!(stop_signal());
    let outcome = loop {
        let picture = Picture { seen: &seen, address, paint };
        let drawn = screen.terminal.draw(|frame| picture.draw(&state, frame.area(), frame.buffer_mut()));
        if let Err(error) = drawn {
            break Err(Failure::new(format!("cannot draw on this terminal: {error}")));
        }
        tokio::select! {
            signal = &mut stop => break signal.and_then(|signal| Err(Failure::Stopped(signal))),
            event = events.recv() => match event {
                Some(event) => match press(&mut state, &event, &seen) {
                    Wish::End => break Ok(()),
                    Wish::GoOn => drop(wanted.send_if_modified(|wanted| std::mem::replace(wanted, state.interval) != state.interval)),
                },
                None => break Err(Failure::new("the terminal is gone")),
            },
            Some((at, look)) = looks.recv() => match look {
                Ok(look) => seen.take(at, look),
                Err(failure) => break Err(failure),
            },
            () = sleep(DRAW_EVERY) => {}
        }
    };
    watching.abort();
    outcome
}

fn press(state: &mut State, event: &event::Event, seen: &Seen) -> Wish {
    match crate::screen::key_of(event) {
        Some(key) => state.press(key, &seen.status),
        // Another size is seen when it is drawn.
        None => Wish::GoOn,
    }
}

/// Reads what happens on the terminal, on a thread that ends when nobody listens or the terminal is gone.
fn read_events() -> mpsc::Receiver<event::Event> {
    let (events, read) = mpsc::channel(KEYS_MAX);
    thread::spawn(move || while event::read().is_ok_and(|event| events.blocking_send(event).is_ok()) {});
    read
}
