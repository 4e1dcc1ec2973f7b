//! Resharding under load: how long puts on the touched shards wait, and what the other shards notice.
//!
//! The hash space is divided into as many homes as the stream began with shards. At a constant rate a client puts to
//! the homes in turn, while four times a second a home's shard is split in the middle, or its two halves are
//! merged. A reshard's *pause* is the longest latency among the touched home's puts that were unanswered at any time
//! from its request until shortly after its answer. What the others notice is their p99 in these times, against the
//! p99 of all homes in the quiet times between, in the same run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rheos_client::{Client, StreamDescription, StreamSpec};
use rheos_protocol::hash::HashRange;

use super::Walk;
use super::lines::{Goal, Lines, Names};
use crate::Failure;
use crate::broker::keyed::{KeyedPuts, Seen, keys_in};
use crate::drive::drive_scheduled;
use crate::latency::Latencies;
use crate::load::{Schedule, Window};

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("reshard");
    let broker = walk.start_broker(&data)?;
    let homes: Vec<HashRange> = HashRange::even(HOMES).collect();
    let keys = Arc::new(homes.iter().map(|home| keys_in(*home, KEYS_OF_HOME)).collect::<Vec<_>>());
    let window = Window { measured: walk.window().measured * RESHARDED_FOR, ..walk.window() };
    let mut runs = Vec::new();
    let mut busy = Vec::new();
    for number in walk.pairs() {
        let client = walk.client(&data, &broker).await?;
        let stream = format!("reshard-{number}");
        client.create_stream(StreamSpec::new(&stream, HOMES)).await?;
        let schedule = Schedule::begin(super::load(LOAD), window);
        let puts = Arc::new(KeyedPuts::new(client.producer(&stream).await?, Arc::clone(&keys), schedule));
        let (outcome, reshards) =
            tokio::join!(drive_scheduled(&puts, schedule), reshard_until_end(&client, &stream, &homes, schedule));
        busy.push(outcome?.client_busy);
        runs.push(Run::of(&puts.take_seen(), &reshards?));
        client.delete_stream(&stream).await?;
        client.close().await;
    }
    report(&runs, lines);
    lines.client_busy("reshard", "reshard", busy);
    broker.stop()
}

fn report(runs: &[Run], lines: &mut Lines) {
    let (mut pauses, mut touched) = (Latencies::new(), Latencies::new());
    for run in runs {
        run.pauses.iter().for_each(|pause| pauses.record(*pause));
        touched.add(&run.touched);
    }
    let ms = |of: &Latencies, percent| of.percentile_us(percent).unwrap_or(f64::NAN) / 1e3;
    lines.absolute("reshard_pause_p50_ms", &[ms(&pauses, 50.0)], Goal::None);
    lines.absolute("reshard_pause_p99_ms", &[ms(&pauses, 99.0)], Goal::AtMost(PAUSE_P99_MS_MAX));
    lines.absolute("reshard_pause_longest_ms", &[ms(&pauses, 100.0)], Goal::None);
    lines.absolute("reshard_touched_p99_ms", &[ms(&touched, 99.0)], Goal::None);
    let p99s = |run: &Run| [&run.others, &run.quiet].map(|of| of.percentile_us(99.0).unwrap_or(f64::NAN));
    let pairs: Vec<_> = runs.iter().map(p99s).map(|[others, quiet]| (others, quiet)).collect();
    let names =
        Names { ratio: "reshard_other_p99_ratio", ours: "reshard_other_p99_us", yardstick: "reshard_quiet_p99_us" };
    lines.compare(names, &pairs, Goal::AtMost(OTHER_P99_RATIO_MAX));
    lines.fact("reshards", runs.iter().map(|run| run.pauses.len()).sum::<usize>());
}

/// One reshard: of which home, from its request until its answer.
#[derive(Debug, Clone, Copy)]
struct Reshard {
    home: usize,
    asked: Instant,
    done: Instant,
}

/// Splits and merges the homes in turn for as long as is measured.
async fn reshard_until_end(
    client: &Client,
    stream: &str,
    homes: &[HashRange],
    schedule: Schedule,
) -> Result<Vec<Reshard>, Failure> {
    let mut reshards = Vec::new();
    let mut described = client.describe_stream(stream).await?;
    for turn in 0.. {
        let at = schedule.measure_from + EVERY * turn;
        if at + EVERY > schedule.end {
            break;
        }
        tokio::time::sleep_until(at.into()).await;
        let home = turn as usize / 2 % homes.len();
        let asked = Instant::now();
        described = match open_shards(&described, homes[home])[..] {
            [whole] => client.split_shard(stream, whole, None).await?,
            [first, second] => client.merge_shards(stream, first, second).await?,
            ref found => return Err(format!("a home has {} open shards", found.len()).into()),
        };
        reshards.push(Reshard { home, asked, done: Instant::now() });
    }
    Ok(reshards)
}

fn open_shards(stream: &StreamDescription, home: HashRange) -> Vec<u32> {
    let of_home = stream.shards.iter().filter(|shard| shard.open && home.contains(shard.range.first));
    of_home.map(|shard| shard.shard).collect()
}

/// What a run found.
struct Run {
    pauses: Vec<Duration>,
    touched: Latencies,
    others: Latencies,
    quiet: Latencies,
}

impl Run {
    fn of(seen: &[Seen], reshards: &[Reshard]) -> Run {
        let latencies = Latencies::new;
        let mut run = Run { pauses: vec![], touched: latencies(), others: latencies(), quiet: latencies() };
        let mut pauses = vec![Duration::ZERO; reshards.len()];
        for puts in seen {
            // The last that was asked for before these puts were answered; reshards do not overlap.
            let at = reshards.partition_point(|reshard| reshard.asked <= puts.due + puts.took);
            let class = match at.checked_sub(1).map(|at| (at, reshards[at])) {
                Some((at, reshard)) if puts.due <= reshard.done + SETTLED => {
                    if puts.home == reshard.home {
                        pauses[at] = pauses[at].max(puts.took);
                        &mut run.touched
                    } else {
                        &mut run.others
                    }
                }
                _ => &mut run.quiet,
            };
            class.record_many(puts.took, puts.records);
        }
        run.pauses = pauses;
        run
    }
}

/// The load whose puts are looked at.
const LOAD: &str = "put_50k";
/// Shards of the stream at first.
const HOMES: u32 = 8;
const KEYS_OF_HOME: usize = 64;
const EVERY: Duration = Duration::from_millis(250);
/// How long after its answer a reshard is still looked at.
const SETTLED: Duration = Duration::from_millis(50);
/// A run is so many times as long as others, that there be reshards enough for a p99.
const RESHARDED_FOR: u32 = 3;
const PAUSE_P99_MS_MAX: f64 = 50.0;
const OTHER_P99_RATIO_MAX: f64 = 1.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_sorted_by_what_went_on_while_they_waited() {
        let begun = Instant::now();
        let ms = |ms| begun + Duration::from_millis(ms);
        let reshards = [(0, 100, 110), (3, 350, 365)].map(|(home, asked, done)| Reshard {
            home,
            asked: ms(asked),
            done: ms(done),
        });
        let seen = |home, due, took_ms| Seen { home, due: ms(due), took: Duration::from_millis(took_ms), records: 5 };
        let puts = [
            seen(0, 50, 1),   // quiet: answered before
            seen(0, 90, 20),  // touched: unanswered when it was asked for
            seen(0, 105, 12), // touched
            seen(3, 105, 2),  // another
            seen(3, 150, 2),  // another: not settled
            seen(3, 170, 2),  // quiet
            seen(3, 365, 9),  // touched by the second
            seen(0, 365, 9),  // another
        ];
        let run = Run::of(&puts, &reshards);
        assert_eq!(run.pauses, [20, 9].map(Duration::from_millis));
        assert_eq!([&run.touched, &run.others, &run.quiet].map(Latencies::count), [15, 15, 10]);
    }
}
