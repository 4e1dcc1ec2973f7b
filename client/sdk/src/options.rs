//! Where the broker is, who we are, and how much a client may hold.
//!
//! What must hold: options that exist can be connected with; a secret is in no `Debug` text and no
//! message.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rheos_protocol::limits::{DATA_STREAMS_MAX, TEXT_BYTES_MAX};
use rustls::pki_types::ServerName;

use crate::error::Error;
use crate::transport::{MTU_BOUND_DEFAULT, MTU_BOUND_LEAST, MTU_BOUND_MAX};
use crate::verifier::{SERVER_NAME_DEFAULT, Trust};

/// The port of a connection string that names none.
const PORT_DEFAULT: u16 = 4567;
/// Longest connection string in a file, in bytes.
const URL_BYTES_MAX: u64 = 4096;

/// How to connect to a broker.
///
/// ```
/// use rheos_client::ConnectOptions;
/// use std::time::Duration;
///
/// let ca = "0f".repeat(32);
/// let options = ConnectOptions::from_url(&format!("rheos://RKEXAMPLE:secret@broker.example:4567?ca=sha256:{ca}"))?
///     .name("billing")
///     .producer_bytes_max(64 << 20)
///     .delivery_timeout(Duration::from_secs(30));
/// assert_eq!(options.address(), "broker.example:4567");
/// assert!(!format!("{options:?}").contains("secret@"));
/// # Ok::<(), rheos_client::Error>(())
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) key_id: String,
    /// `None` proves nothing: a broker in development mode accepts that.
    pub(crate) secret: Option<String>,
    pub(crate) trust: Trust,
    /// The name in the server's certificate.
    pub(crate) server_name: String,
    pub(crate) name: String,
    pub(crate) mtu_bound: u16,
    pub(crate) put_streams: u8,
    pub(crate) producer_bytes_max: usize,
    pub(crate) delivery_timeout: Duration,
}

impl ConnectOptions {
    /// Reads a connection string: `rheos://ID:SECRET@HOST:PORT?ca=sha256:HEX`. The port may be left
    /// out (4567); an IPv6 address stands in brackets. `&name=DNSNAME` says which name the server's
    /// certificate is for, whatever the host; without it that is `rheos`.
    ///
    /// # Errors
    ///
    /// [`Error::BadUrl`], which says what is wrong and never shows the secret.
    pub fn from_url(url: &str) -> Result<ConnectOptions, Error> {
        let rest = url.trim().strip_prefix("rheos://").ok_or_else(|| bad("it does not begin with rheos://"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credential, host) = place.rsplit_once('@').ok_or_else(|| bad("it has no access key before the @"))?;
        let (key_id, secret) = credential.split_once(':').ok_or_else(|| bad("its access key has no secret"))?;
        if key_id.is_empty() || secret.is_empty() || key_id.len() > TEXT_BYTES_MAX {
            return Err(bad("its access key is empty or too long"));
        }
        let (host, port) = host_and_port(host)?;
        let trust = Trust::Ca(ca_of(query)?);
        let options = ConnectOptions::new(host, port, key_id.to_owned(), Some(secret.to_owned()), trust);
        Ok(ConnectOptions { server_name: server_name_of(query)?, ..options })
    }

    /// Reads a connection string from a file, such as `admin.url` in a broker's data directory.
    ///
    /// # Errors
    ///
    /// [`Error::UrlFile`] when the file cannot be read, when group or others may read it (on Unix), or when
    /// what it holds cannot be used.
    pub fn from_file(path: impl AsRef<Path>) -> Result<ConnectOptions, Error> {
        let path = path.as_ref();
        let unusable = |why: String| Error::UrlFile { path: path.to_owned(), why };
        let about = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        if let Some(why) = open_to_others(&about) {
            return Err(unusable(why));
        }
        if about.len() > URL_BYTES_MAX {
            return Err(unusable(format!("it is longer than {URL_BYTES_MAX} bytes; it holds no connection string")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        ConnectOptions::from_url(&text).map_err(|error| match error {
            Error::BadUrl { why } => unusable(format!("it holds no connection string that can be used: {why}")),
            error => error,
        })
    }

    /// Connects without a credential to a broker in development mode (`rheos serve --dev`) on this
    /// host, trusting any certificate.
    ///
    /// # Errors
    ///
    /// [`Error::BadUrl`] when the address is not a loopback address.
    pub fn dev(address: SocketAddr) -> Result<ConnectOptions, Error> {
        if !address.ip().is_loopback() {
            return Err(bad(format!(
                "{address} is not on this host, and a connection without credential is for loopback only"
            )));
        }
        Ok(ConnectOptions::new(address.ip().to_string(), address.port(), "dev".to_owned(), None, Trust::Anybody))
    }

    fn new(host: String, port: u16, key_id: String, secret: Option<String>, trust: Trust) -> ConnectOptions {
        ConnectOptions {
            host,
            port,
            key_id,
            secret,
            trust,
            server_name: SERVER_NAME_DEFAULT.to_owned(),
            name: concat!("rheos-client ", env!("CARGO_PKG_VERSION")).to_owned(),
            mtu_bound: MTU_BOUND_DEFAULT,
            put_streams: 8,
            producer_bytes_max: 32 << 20,
            delivery_timeout: Duration::from_secs(120),
        }
    }

    /// How far MTU discovery looks, in bytes of UDP payload; 1,452 where nothing is set. The broker's
    /// own bound counts as well.
    ///
    /// # Panics
    ///
    /// When it is not 1,200 to 6,500.
    pub fn mtu_bound(mut self, bytes: u16) -> ConnectOptions {
        assert!((MTU_BOUND_LEAST..=MTU_BOUND_MAX).contains(&bytes), "an MTU bound of {bytes} bytes");
        self.mtu_bound = bytes;
        self
    }

    /// How many QUIC streams carry the puts of a connection at most; 8 where nothing is set, and fewer where
    /// a broker has many lanes. A shard keeps to one.
    ///
    /// # Panics
    ///
    /// When it is not 1 to 64.
    pub fn put_streams(mut self, count: u8) -> ConnectOptions {
        assert!(count >= 1 && u32::from(count) <= DATA_STREAMS_MAX, "{count} put streams");
        self.put_streams = count;
        self
    }

    /// How many bytes of unanswered records each producer holds before a put has to wait; 32 MiB where
    /// nothing is set, 4 GiB at most. A record that is larger still goes, alone.
    ///
    /// # Panics
    ///
    /// When it is 0.
    pub fn producer_bytes_max(mut self, bytes: usize) -> ConnectOptions {
        assert!(bytes > 0, "a producer holds at least one byte");
        self.producer_bytes_max = bytes;
        self
    }

    /// How long a record is tried to be delivered, broken connections and refusals included; 120 s
    /// where nothing is set.
    pub fn delivery_timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.delivery_timeout = timeout;
        self
    }

    /// What the broker's log calls this client; at most 1,024 bytes, the rest is cut.
    pub fn name(mut self, name: impl Into<String>) -> ConnectOptions {
        self.name = name.into();
        self.name.truncate(self.name.floor_char_boundary(TEXT_BYTES_MAX));
        self
    }

    /// The same broker at another address, `HOST` or `HOST:PORT`: where others reach it.
    ///
    /// # Errors
    ///
    /// [`Error::BadUrl`], which says what is wrong with the address.
    pub fn at(mut self, address: &str) -> Result<ConnectOptions, Error> {
        (self.host, self.port) = host_and_port(address)?;
        Ok(self)
    }

    /// The connection string of another access key at the same broker.
    ///
    /// It holds the secret: it belongs into a file of mode 0600, never into a log.
    ///
    /// ```
    /// use rheos_client::ConnectOptions;
    ///
    /// let ca = "0f".repeat(32);
    /// let admin = ConnectOptions::from_url(&format!("rheos://RKADMIN:hush@broker:4567?ca=sha256:{ca}"))?;
    /// assert_eq!(admin.url_with("RKBILLING", "s3cret")?, format!("rheos://RKBILLING:s3cret@broker:4567?ca=sha256:{ca}"));
    /// # Ok::<(), rheos_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::BadUrl`] where these options name no CA: they are for a broker in development mode.
    pub fn url_with(&self, key_id: &str, secret: &str) -> Result<String, Error> {
        self.url_of(&format!("{key_id}:{secret}"))
    }

    /// The connection string without its secret, for people to see.
    ///
    /// # Errors
    ///
    /// As for [`url_with`](Self::url_with).
    pub fn url_without_secret(&self) -> Result<String, Error> {
        self.url_of(&self.key_id)
    }

    fn url_of(&self, credential: &str) -> Result<String, Error> {
        let Trust::Ca(ca) = self.trust else {
            return Err(bad("a connection to a broker in development mode does not know the broker's CA"));
        };
        let mut url = format!("rheos://{credential}@{}?ca=sha256:{}", self.address(), hex::encode(ca));
        if self.server_name != SERVER_NAME_DEFAULT {
            url += &format!("&name={}", self.server_name);
        }
        Ok(url)
    }

    /// Id of the access key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether the broker is on this host, as far as its address says.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Host and port as they were given.
    pub fn address(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("address", &self.address())
            .field("key_id", &self.key_id)
            .field("trust", &self.trust)
            .field("server_name", &self.server_name)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), Error> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| bad("its IPv6 address has no closing bracket"))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad(format!("{host:?} is not an IPv6 address")))?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some("") => PORT_DEFAULT,
        Some(port) => port.parse().map_err(|_| bad(format!("{port:?} is not a port")))?,
        None => return Err(bad("after its IPv6 address there is no port")),
    };
    if host.is_empty() || port == 0 {
        return Err(bad("it names no host, or port 0"));
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "@/?#&".contains(c)) {
        return Err(bad(format!("{host:?} is not a host")));
    }
    Ok((host.to_owned(), port))
}

fn ca_of(query: &str) -> Result<[u8; 32], Error> {
    let hash = parameter(query, "ca=").ok_or_else(|| bad("it does not name the broker's CA (?ca=sha256:...)"))?;
    let hash = hash.strip_prefix("sha256:").ok_or_else(|| bad("its ca does not begin with sha256:"))?;
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(hash, &mut bytes).map_err(|_| bad("its ca is not 64 hexadecimal digits"))?;
    Ok(bytes)
}

fn server_name_of(query: &str) -> Result<String, Error> {
    let name = parameter(query, "name=").unwrap_or(SERVER_NAME_DEFAULT);
    match ServerName::try_from(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(bad(format!("its name {name:?} is not a DNS name"))),
    }
}

fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key))
}

fn bad(why: impl Into<String>) -> Error {
    Error::BadUrl { why: why.into() }
}

#[cfg(unix)]
fn open_to_others(about: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!("it holds a secret and its mode {mode:o} lets others read it; run chmod 600 on it (and renew the key if someone may have)")
    })
}

#[cfg(not(unix))]
fn open_to_others(_about: &std::fs::Metadata) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_read() {
        let ca = "ab".repeat(32);
        for (host, expected) in [
            ("broker:1234", "broker:1234"),
            ("broker", "broker:4567"),
            ("10.0.0.1:9/", "10.0.0.1:9"),
            ("[fd00::1]:9", "[fd00::1]:9"),
            ("[::1]", "[::1]:4567"),
        ] {
            let options = ConnectOptions::from_url(&format!("rheos://RK1:s-_3@{host}?ca=sha256:{ca}\n"))
                .unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!(options.address(), expected);
            assert_eq!((options.key_id.as_str(), options.secret.as_deref()), ("RK1", Some("s-_3")));
            assert_eq!(options.trust, Trust::Ca([0xab; 32]));
            assert_eq!(options.server_name, "rheos");
        }
    }

    #[test]
    fn connection_strings_are_written_as_they_were_read() {
        let ca = "ab".repeat(32);
        for host in ["broker:4567", "[fd00::1]:9"] {
            for name in ["", "&name=streams.example.com"] {
                let url = format!("rheos://RK1:hush@{host}?ca=sha256:{ca}{name}");
                let options = ConnectOptions::from_url(&url).unwrap();
                assert_eq!(options.url_with("RK1", "hush").unwrap(), url);
                assert_eq!(options.url_without_secret().unwrap(), url.replace(":hush", ""));
                assert!(!format!("{options:?}").contains("hush"), "{options:?}");
                let moved = options.at("10.0.0.1:7").unwrap();
                assert_eq!(moved.url_with("RK1", "hush").unwrap(), url.replace(host, "10.0.0.1:7"));
            }
        }
        let dev = ConnectOptions::dev("127.0.0.1:4567".parse().unwrap()).unwrap();
        assert!(dev.url_with("RK1", "hush").is_err_and(|error| !error.to_string().contains("hush")));
        assert!(dev.is_loopback());
    }

    #[test]
    fn what_is_wrong_is_named_and_the_secret_is_not() {
        let ca = "ab".repeat(32);
        for (url, why) in [
            ("http://x".to_owned(), "begin with rheos://"),
            (format!("rheos://host:1?ca=sha256:{ca}"), "no access key"),
            (format!("rheos://RK1@host:1?ca=sha256:{ca}"), "no secret"),
            (format!("rheos://RK1:hush@host:port?ca=sha256:{ca}"), "\"port\" is not a port"),
            (format!("rheos://RK1:hush@[::1?ca=sha256:{ca}"), "closing bracket"),
            ("rheos://RK1:hush@host".to_owned(), "does not name the broker's CA"),
            ("rheos://RK1:hush@host?ca=sha256:12".to_owned(), "64 hexadecimal"),
            (format!("rheos://RK1:hush@?ca=sha256:{ca}"), "no host"),
            (format!("rheos://RK1:hush@ho/st?ca=sha256:{ca}"), "\"ho/st\" is not a host"),
            (format!("rheos://RK1:hush@host?ca=sha256:{ca}&name="), "\"\" is not a DNS name"),
            (format!("rheos://RK1:hush@host?name=a b&ca=sha256:{ca}"), "\"a b\" is not a DNS name"),
        ] {
            let message = ConnectOptions::from_url(&url).expect_err(&url).to_string();
            assert!(message.contains(why) && !message.contains("hush"), "{url}: {message}");
        }
    }

    #[test]
    fn development_is_for_this_host() {
        assert!(ConnectOptions::dev("127.0.0.1:4567".parse().unwrap()).is_ok());
        assert!(ConnectOptions::dev("[::1]:4567".parse().unwrap()).is_ok());
        let message = ConnectOptions::dev("10.0.0.1:4567".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("10.0.0.1:4567") && message.contains("loopback"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.url");
        std::fs::write(&path, format!("rheos://RK1:hush@host?ca=sha256:{}\n", "cd".repeat(32))).unwrap();
        for (mode, accepted) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = ConnectOptions::from_file(&path);
            assert_eq!(read.is_ok(), accepted, "mode {mode:o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("admin.url") && error.to_string().contains("chmod 600"), "{error}");
            }
        }
    }
}
