//! Others' servers of the Kinesis API, with which the face is compared: kinesalite and moto's, in memory.
//!
//! They are installed below `target/clients` by `tests/clients/install peers`, which is run when they are not there.
//! A peer may use every core of the machine.
//!
//! What must hold: a peer ends with its value; one that is not installed or does not start is a reason and no failure
//! of the rig's.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Failure;
use crate::http::connections::ask;
use crate::http::endpoint::Endpoint;
use crate::machine::Cores;

/// Somebody else's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// npm's kinesalite, on node.
    Kinesalite,
    /// PyPI's moto, with its own server.
    Moto,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Kinesalite => "kinesalite",
            Kind::Moto => "moto",
        }
    }

    fn command(self, port: u16) -> Command {
        let port = port.to_string();
        match self {
            Kind::Kinesalite => {
                let mut command = Command::new("node");
                command.arg(installed().join("kinesalite/node_modules/kinesalite/cli.js")).args(["--port", &port]);
                command.args(["--createStreamMs", "0", "--deleteStreamMs", "0", "--shardLimit", "1000"]);
                command
            }
            Kind::Moto => {
                let mut command = Command::new(installed().join("moto/bin/moto_server"));
                command.args(["-H", "127.0.0.1", "-p", &port]);
                command
            }
        }
    }
}

/// A server that runs.
pub(crate) struct Peer {
    child: Child,
    endpoint: Endpoint,
}

impl Peer {
    /// Starts a peer on these cores, installed if it is not there.
    pub(crate) async fn start(kind: Kind, cores: &Cores) -> Result<Peer, Failure> {
        install(kind)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = kind.command(address.port());
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let cores = cores.clone();
        // From a thread that may run everywhere, because a child may run where its parent does.
        let spawned = std::thread::spawn(move || cores.keep_to().map(|()| command.spawn()));
        let spawned = spawned.join().map_err(|_| "starting a process panicked")??;
        let child = spawned.map_err(|error| format!("cannot start {}: {error}", kind.name()))?;
        let mut peer = Peer { child, endpoint: Endpoint::unproved(address) };
        peer.serves(kind).await?;
        Ok(peer)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Makes a stream and waits until it can be put to.
    pub(crate) async fn create_stream(&self, name: &str, shards: u32) -> Result<(), Failure> {
        ask(&self.endpoint, "CreateStream", &json!({"StreamName": name, "ShardCount": shards})).await?;
        let deadline = Instant::now() + PATIENCE;
        while self.status(name).await? != "ACTIVE" {
            if Instant::now() >= deadline {
                return Err(format!("{name} is not ACTIVE after {} s", PATIENCE.as_secs()).into());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    pub(crate) async fn delete_stream(&self, name: &str) -> Result<(), Failure> {
        ask(&self.endpoint, "DeleteStream", &json!({"StreamName": name})).await.map(drop)
    }

    async fn status(&self, name: &str) -> Result<Value, Failure> {
        let described = ask(&self.endpoint, "DescribeStreamSummary", &json!({"StreamName": name})).await?;
        Ok(described["StreamDescriptionSummary"]["StreamStatus"].clone())
    }

    /// Waits until it takes connections.
    async fn serves(&mut self, kind: Kind) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.endpoint.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended before it served: {status}", kind.name()).into());
            }
            if Instant::now() >= deadline {
                return Err(format!("{} does not serve after {} s", kind.name(), PATIENCE.as_secs()).into());
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // By its own id. It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn install(kind: Kind) -> Result<(), Failure> {
    let stamp = installed().join(kind.name()).with_extension("stamp");
    if stamp.is_file() {
        return Ok(());
    }
    let installer = Path::new(WORKSPACE).join("tests/clients/install");
    // What it says is no result of the rig's.
    let ended = Command::new(&installer).arg("peers").stdout(Stdio::null()).status();
    ended.map_err(|error| format!("cannot run {}: {error}", installer.display()))?;
    let failed = || format!("{} is not installed; tests/clients/install peers says why", kind.name());
    if stamp.is_file() { Ok(()) } else { Err(failed().into()) }
}

/// A port that nobody had a moment ago.
fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn installed() -> PathBuf {
    Path::new(WORKSPACE).join("target/clients")
}

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// How long a peer may take to serve, and to make a stream.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
