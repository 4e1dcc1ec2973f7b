use std::time::Duration;

use super::super::page::Page;
use super::super::page::tests::RECORDED;
use super::super::watch::Away;
use super::*;
use crate::units::show_grouped;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

const STATE: fn() -> State = || State::new(Duration::from_secs(2));

/// What is seen of two pages, two seconds apart.
fn seen(before: &str, now: &str) -> Seen {
    let (mut seen, begun) = (Seen::default(), Instant::now());
    for (at, text) in [(begun, before), (begun + Duration::from_secs(2), now)] {
        seen.take(at, Ok(Page::read(text).unwrap()));
    }
    seen
}

fn drawn(seen: &Seen, state: &State, width: u16, height: u16) -> Vec<String> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    Picture { seen, address: "127.0.0.1:4567", paint: Paint::plain() }.draw(state, buffer.area, &mut buffer);
    let rows = buffer.content.chunks(width.into());
    rows.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
}

fn press(state: &mut State, seen: &Seen, key: KeyCode) {
    state.press(KeyEvent::new(key, KeyModifiers::NONE), &seen.status);
}

/// The recorded page, after so many more records were put to one shard.
fn later(records: u64) -> String {
    let more = |text: String, what: &str, count: u64| {
        let line = text.lines().find(|line| line.starts_with(what)).expect("it is recorded").to_owned();
        let (name, number) = line.rsplit_once(' ').unwrap();
        text.replace(&line, &format!("{name} {}", number.parse::<u64>().unwrap() + count))
    };
    let text = more(RECORDED.to_owned(), "rheos_incoming_records_total{stream=\"orders\"}", records);
    let text = more(text, "rheos_shard_incoming_records_total{stream=\"orders\",shard=\"2\"}", records);
    more(text, "rheos_push_records_total", records)
}

#[test]
fn a_screen_of_80_by_24_shows_it_all() {
    let seen = seen(RECORDED, &later(3_000));
    let lines = drawn(&seen, &STATE(), 80, 24);
    assert!(
        lines[0].starts_with("rheos 0.1.0  127.0.0.1:4567  up ") && lines[0].ends_with("ready  every 2s"),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with("2 streams   5 shards   1 consumers   "), "{}", lines[1]);
    assert!(lines[2].starts_with("cpu 0.0 %   memory ") && lines[2].ends_with(" free"), "{}", lines[2]);
    assert!(lines[3].starts_with("in 1,500/s (0 B/s)   out 1,500/s (0 B/s)"), "{}", lines[3]);
    assert!(lines[5].starts_with("  LANE▴") && lines[5].ends_with("MEMORY"), "{}", lines[5]);
    assert!(lines[6].starts_with("  0") && lines[6].ends_with("%"), "{}", lines[6]);
    assert_eq!(lines[8], "[streams] consumers  lanes");
    assert!(lines[9].starts_with("  STREAM  ") && lines[9].contains("PUSH LAG"), "{}", lines[9]);
    let orders: Vec<&str> = lines[10].split_whitespace().collect();
    assert_eq!(orders[..9], [">", "orders", "1,500", "0", "B", "1,500", "0", "s", "0"], "{}", lines[10]);
    assert!(lines[11].starts_with("  logs "), "{}", lines[11]);
    assert!(lines[23].starts_with("↑↓ move") && lines[23].ends_with("q quit"), "{}", lines[23]);
}

#[test]
fn a_hot_shard_is_marked() {
    let (seen, mut state) = (seen(RECORDED, &later(3_000)), STATE());
    press(&mut state, &seen, KeyCode::Enter);
    let lines = drawn(&seen, &state, 80, 24);
    assert_eq!(lines[8], "[streams] consumers  lanes  › shards of orders");
    let hot: Vec<&String> = lines.iter().filter(|line| line.contains("HOT 4.0x")).collect();
    assert!(hot.len() == 1 && hot[0].starts_with("  2 "), "{lines:?}");
}

#[test]
fn a_broker_that_is_away_is_said_to_be() {
    let mut seen = seen(RECORDED, &later(3_000));
    seen.take(Instant::now(), Err(Away("cannot connect to 127.0.0.1:4567: refused".to_owned())));
    let lines = drawn(&seen, &STATE(), 80, 24);
    assert!(lines[0].contains("up - ") && lines[0].ends_with("no answer for 0 s  every 2s"), "{}", lines[0]);
    assert_eq!(lines[3], "trying again: cannot connect to 127.0.0.1:4567: refused");
    assert!(lines[10].starts_with("> orders"), "what was seen last is still there: {}", lines[10]);
}

#[test]
fn what_is_wrong_stands_out() {
    let wrong = later(3_000)
        .replace("rheos_read_only_logs 0", "rheos_read_only_logs 2")
        .replace("rheos_ready 1", "rheos_ready 0")
        .replace("{stream=\"orders\",reason=\"throttled\"} 0", "{stream=\"orders\",reason=\"throttled\"} 400");
    let lines = drawn(&seen(RECORDED, &wrong), &STATE(), 80, 24);
    assert!(lines[0].ends_with("not ready  every 2s"), "{}", lines[0]);
    assert!(lines[3].ends_with("200/s refused   2 logs take no puts"), "{}", lines[3]);
    let full = RECORDED.replace("rheos_disk_low 0", "rheos_disk_low 1");
    assert!(drawn(&seen(RECORDED, &full), &STATE(), 80, 24)[0].contains("DISK NEARLY FULL"));
}

#[test]
fn an_empty_broker_and_one_not_seen_yet_are_told_apart() {
    let nothing = drawn(&Seen::default(), &STATE(), 80, 24);
    assert!(nothing[0].ends_with("asking  every 2s") && nothing[0].contains("up -"), "{}", nothing[0]);
    assert!(nothing[23].starts_with("asking the broker. "), "{}", nothing[23]);
    let empty: String =
        RECORDED.lines().filter(|line| !line.contains("stream=")).map(|line| format!("{line}\n")).collect();
    let lines = drawn(&seen(&empty, &empty), &STATE(), 80, 24);
    assert!(lines[23].starts_with("there are none yet. "), "{}", lines[23]);
}

#[test]
fn a_thousand_streams_scroll() {
    let stream = |i: u32| format!("rheos_incoming_records_total{{stream=\"s{i:04}\"}} {i}\n");
    let page = (0..1_000).map(stream).collect::<String>() + "rheos_metrics_streams_left_out 1234\n";
    let (seen, mut state) = (seen("", &page), STATE());
    let place = |state: &State| drawn(&seen, state, 80, 24)[5].clone();
    let left_out = show_grouped(1_234);
    let note = format!("(+{left_out} that the broker does not list)");
    assert!(place(&state).ends_with(&format!("1-16 of 1000 {note}")), "{}", place(&state));
    press(&mut state, &seen, KeyCode::End);
    assert!(place(&state).ends_with(&format!("985-1000 of 1000 {note}")), "{}", place(&state));
    assert!(drawn(&seen, &state, 80, 24)[22].starts_with("> s0000"));
    for key in ['/', '9', '9'] {
        press(&mut state, &seen, KeyCode::Char(key));
    }
    let lines = drawn(&seen, &state, 80, 24);
    assert!(lines[23].starts_with("/99█") && lines[7].starts_with("> s0999"), "{lines:?}");
}

#[test]
fn a_small_terminal_does_not_break_it() {
    let seen = seen(RECORDED, &later(3_000));
    let mut helping = STATE();
    helping.is_helping = true;
    for (width, height) in [(60, 20), (40, 10), (20, 5), (5, 2), (1, 1)] {
        for state in [&STATE(), &helping] {
            assert_eq!(drawn(&seen, state, width, height).len(), usize::from(height));
        }
    }
}
