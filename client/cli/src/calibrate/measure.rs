//! A measurement: a broker of its own on the data directory's file system, a load that saturates its lane, and what
//! the broker counts of it between two moments.
//!
//! What must hold: it ends by itself, and within a bound of time and of bytes on the disk; whatever ends it, nothing
//! of it is left, or the next one removes it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rheos_broker::directory::DataDirectory;
use rheos_client::{Client, ConnectOptions, StreamSpec};
use tokio::time::sleep;

use super::load::Load;
use crate::broker_process::BrokerProcess;
use crate::exposition::samples;
use crate::failure::{Failure, note};
use crate::stop::stop_signal;
use crate::units::show_bytes;

/// What was measured, a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Bytes of records that were pushed, to all consumers together.
    pub(super) pushed_bytes: u64,
    /// Bytes of records that were put.
    pub(super) put_bytes: u64,
    /// The part of its core that the lane used, up to 1.
    pub(super) lane_busy: f64,
}

/// Measures what a lane pushes, with the file system of a data directory below it.
///
/// # Errors
///
/// That there is no room, what the broker or a client failed of, or that it was told to stop.
pub(super) async fn measure(directory: &DataDirectory, dev: bool) -> Result<Measured, Failure> {
    let room = directory.free_bytes().unwrap_or(u64::MAX);
    if room < ROOM_BYTES_LEAST {
        return Err(Failure::new(format!(
            "nothing was measured: it writes up to {}, and {} are free; free some, or say what a lane pushes: \
             rheos calibrate --set",
            show_bytes(ROOM_BYTES_LEAST),
            show_bytes(room)
        )));
    }
    let place = Scratch::make(directory.layout().calibration_dir())?;
    note(&format!("measures for {} s, with a broker of its own and {CONSUMERS} consumers", (WARM + WINDOW).as_secs()));
    let measured = tokio::select! {
        measured = measure_in(&place, dev) => measured,
        signal = stop_signal() => Err(signal.map_or_else(|failure| failure, Failure::Stopped)),
    };
    place.remove()?;
    measured
}

async fn measure_in(place: &Scratch, dev: bool) -> Result<Measured, Failure> {
    let flags: &[&str] = if dev { &["--lanes", "1", "--dev"] } else { &["--lanes", "1"] };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut broker = BrokerProcess::start(&place.data(), place.log(), listen, flags)?;
    let deadline = Instant::now() + START_MAX;
    while broker.ready()?.is_none() {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("the broker did not start within {START_MAX:?}")));
        }
        sleep(POLL).await;
    }
    let options = ConnectOptions::from_file(place.data().join("admin.url"))?;
    let client = Client::connect(options.clone()).await?;
    client.create_stream(StreamSpec::new(STREAM, 1)).await?;
    let mut load = Load::start(&options, STREAM, CONSUMERS);

    wait(WARM, &mut load, &mut broker).await?;
    let (begin, began) = (Counted::now(&client).await?, Instant::now());
    wait(WINDOW, &mut load, &mut broker).await?;
    let (end, took) = (Counted::now(&client).await?, began.elapsed().as_secs_f64());
    load.stop()?;
    client.close().await;
    let a_second = |begin: f64, end: f64| (end - begin) / took;
    Ok(Measured {
        pushed_bytes: a_second(begin.pushed, end.pushed) as u64,
        put_bytes: a_second(begin.put, end.put) as u64,
        lane_busy: a_second(begin.busy, end.busy).min(1.0),
    })
}

/// Lets the load go on for a while, or until as much was put as the disk is to bear.
async fn wait(time: Duration, load: &mut Load, broker: &mut BrokerProcess) -> Result<(), Failure> {
    let until = Instant::now() + time;
    while Instant::now() < until && load.put_bytes() < PUT_BYTES_MAX {
        broker.check()?;
        load.check()?;
        sleep(POLL).await;
    }
    Ok(())
}

/// What a broker has counted, as of one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// Bytes.
    pushed: f64,
    /// Bytes.
    put: f64,
    /// Seconds.
    busy: f64,
}

impl Counted {
    async fn now(client: &Client) -> Result<Counted, Failure> {
        Counted::read(&client.metrics().await?)
    }

    fn read(page: &str) -> Result<Counted, Failure> {
        let mut counted = Counted::default();
        for sample in samples(page) {
            let sample = sample.map_err(|why| Failure::new(format!("the broker's metrics are no metrics: {why}")))?;
            match sample.name {
                "rheos_push_bytes_total" => counted.pushed += sample.value,
                "rheos_incoming_bytes_total" => counted.put += sample.value,
                "rheos_lane_busy_seconds_total" => counted.busy += sample.value,
                _ => {}
            }
        }
        Ok(counted)
    }
}

/// A directory of our own inside the data directory, which only we have.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make(path: PathBuf) -> Result<Scratch, Failure> {
        // What an earlier one left that was killed.
        removed(&path)?;
        let scratch = Scratch(path);
        fs::create_dir(&scratch.0)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", scratch.0.display())))?;
        Ok(scratch)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.join("broker.log")
    }

    fn remove(self) -> Result<(), Failure> {
        removed(&self.0)
    }
}

fn removed(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(format!("{} cannot be removed: {error}; remove it by hand", path.display())))
        }
        _ => Ok(()),
    }
}

const STREAM: &str = "calibration";
/// As many as a busy stream has; few enough that what is put counts, too.
const CONSUMERS: usize = 4;
/// Until segments, windows and caches are as large as they get.
const WARM: Duration = Duration::from_secs(2);
/// What is counted.
const WINDOW: Duration = Duration::from_secs(4);
/// How often it is looked whether the load and the broker still run.
const POLL: Duration = Duration::from_millis(50);
/// How long a broker may take to start. Far more than it does.
const START_MAX: Duration = Duration::from_secs(60);
/// A fast disk is not filled: the measurement then ends early.
const PUT_BYTES_MAX: u64 = 4 << 30;
/// Free space without which nothing is measured: what is put, and what the next segments are given.
const ROOM_BYTES_LEAST: u64 = PUT_BYTES_MAX + (1 << 30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_counts_is_added_up() {
        let page = "rheos_push_bytes_total{stream=\"a\",consumer=\"1\"} 5\n\
                    rheos_push_bytes_total{stream=\"a\",consumer=\"2\"} 7\n\
                    rheos_incoming_bytes_total{stream=\"a\"} 3\n\
                    rheos_lane_busy_seconds_total{lane=\"0\"} 0.5\nrheos_ready 1\n";
        let counted = Counted::read(page).expect("they are metrics");
        assert_eq!((counted.pushed, counted.put, counted.busy), (12.0, 3.0, 0.5));
        assert!(Counted::read("{").is_err());
    }
}
