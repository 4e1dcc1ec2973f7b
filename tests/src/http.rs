//! The least of an HTTP client, one request on a connection of its own, and what a page of metrics says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Debug)]
pub struct HttpAnswer {
    /// 200 when all is well.
    pub status: u16,
    /// The lines above the body.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Asks for a path of the broker at an address.
///
/// # Panics
/// When it is not answered.
pub async fn http_get(address: SocketAddr, path: &str) -> HttpAnswer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let sent = http_send(address, request.as_bytes()).await;
    sent.unwrap_or_else(|| panic!("{path} is answered at {address}"))
}

/// Sends any bytes on a connection of their own; what was answered before it ended, if anything was.
///
/// # Panics
/// When the connection cannot be made, does not end, or what comes is no answer.
pub async fn http_send(address: SocketAddr, bytes: &[u8]) -> Option<HttpAnswer> {
    let mut stream = TcpStream::connect(address).await.expect("the broker listens for HTTP");
    let mut said = Vec::new();
    let exchange = async {
        // Who is refused early may not take the rest.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut said).await;
    };
    timeout(PATIENCE, exchange).await.expect("the connection ends");
    if said.is_empty() {
        return None;
    }
    let said = String::from_utf8(said).expect("answers are text");
    let (head, body) = said.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    Some(HttpAnswer { status, head: head.to_owned(), body: body.to_owned() })
}

/// The samples of a page of metrics, by name and labels as they stand there.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads a page.
    ///
    /// # Panics
    /// When a line is no sample, or one is there twice.
    pub fn read(page: &str) -> Samples {
        let mut samples = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
            let value = value.parse().unwrap_or_else(|_| panic!("{line:?} has no value"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
        }
        Samples(samples)
    }

    /// The metrics that the broker at an address shows now.
    ///
    /// # Panics
    /// When it does not.
    pub async fn of(address: SocketAddr) -> Samples {
        let answer = http_get(address, "/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Samples::read(&answer.body)
    }

    /// The value of a series, such as `rheos_reads_total{stream="orders"}`; none when it is not there.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// The value of a series that must be there, as a whole number.
    ///
    /// # Panics
    /// When it is not there, or no whole number.
    pub fn whole(&self, series: &str) -> u64 {
        let value = self.get(series).unwrap_or_else(|| panic!("{series} is not there"));
        assert!(value >= 0.0 && value.fract() == 0.0, "{series} is {value}");
        value as u64
    }

    /// All series whose name and labels hold a text.
    pub fn with<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter(move |(series, _)| series.contains(text)).map(|(series, value)| (series.as_str(), *value))
    }
}
