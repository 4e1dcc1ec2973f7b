//! The metrics: what a scrape a second does to puts, and how long it takes, with a thousand shards.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rheos_protocol::message::StreamDescription;

use super::Walk;
use super::lines::{Goal, Lines};
use super::put::drive_broker;
use crate::Failure;
use crate::drive::Outcome;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("metrics");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("metrics", SHARDS).await?;
    // Making bodies for a thousand shards would take longer than all the rest; the page lists them all the same.
    let put_to = stream.shards.iter().take(walk.arguments.streams.into()).copied().collect();
    let targets = [StreamDescription { shards: put_to, ..stream }];
    let load = super::load("put_10k");
    let (mut pairs, mut scrapes) = (Vec::new(), Vec::new());
    for _ in walk.pairs() {
        let alone = drive_broker(walk, &broker, &targets, load).await?;
        let scraper = Scraper::start(broker.access().address);
        let scraped = drive_broker(walk, &broker, &targets, load).await?;
        scrapes.extend(scraper.end()?);
        pairs.push((scraped, alone));
    }
    let names = ["metrics_put_10k", "metrics_put_10k_scraped", "metrics_put_10k_alone"];
    lines.compare_latencies(names, &pairs, Outcome::us, [Goal::None, Goal::AtMost(P99_RATIO_MAX)]);
    lines.client_busy("metrics_put_10k", "metrics_put_10k", pairs.iter().map(|(scraped, _)| scraped.client_busy));
    let ms: Vec<f64> = scrapes.iter().map(|scrape| scrape.took.as_secs_f64() * 1e3).collect();
    lines.absolute("metrics_scrape_ms", &ms, Goal::AtMost(SCRAPE_MS_MAX));
    lines.absolute("metrics_scrape_slowest_ms", &[ms.iter().copied().fold(0.0, f64::max)], Goal::None);
    lines.fact("metrics_scrapes", scrapes.len());
    lines.fact("metrics_page_bytes", scrapes.last().map_or(0, |scrape| scrape.bytes));
    broker.stop()
}

/// One scrape.
struct Scrape {
    took: Duration,
    bytes: usize,
}

/// Scrapes once a second, on a thread of its own, until it is told to end.
struct Scraper {
    end: Sender<()>,
    thread: JoinHandle<Result<Vec<Scrape>, Failure>>,
}

impl Scraper {
    fn start(address: SocketAddr) -> Scraper {
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut scrapes = Vec::new();
            while ended.recv_timeout(SCRAPE_EVERY) == Err(RecvTimeoutError::Timeout) {
                scrapes.push(scrape(address)?);
            }
            Ok(scrapes)
        });
        Scraper { end, thread }
    }

    fn end(self) -> Result<Vec<Scrape>, Failure> {
        drop(self.end);
        self.thread.join().map_err(|_| "the scraper panicked")?
    }
}

fn scrape(address: SocketAddr) -> Result<Scrape, Failure> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    if !page.starts_with("HTTP/1.1 200 ") {
        return Err(format!("a scrape was answered {:?}", page.lines().next().unwrap_or_default()).into());
    }
    Ok(Scrape { took: began.elapsed(), bytes: page.len() })
}

/// As many as a page lists.
const SHARDS: u32 = 1_000;
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
const SCRAPE_MS_MAX: f64 = 50.0;
const P99_RATIO_MAX: f64 = 1.05;
