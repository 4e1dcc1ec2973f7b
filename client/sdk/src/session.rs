//! One connection to the broker on which we have proved who we are.
//!
//! A session is made once and only ends: who needs another one asks the [link](crate::link).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, ConnectionId, Endpoint, TokioRuntime, VarInt};
use rheos_protocol::error::ErrorCode;
use rheos_protocol::frame::reply_limit;
use rheos_protocol::message::{ALPN, EXPORTER_LABEL, Hello, PROTOCOL_VERSION, Reply, Request, Welcome};
use ring::hmac;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use crate::error::Error;
use crate::frames::{FrameReader, connection_lost, send_request};
use crate::options::ConnectOptions;
use crate::pushes::{Pushes, give_up};
use crate::random;
use crate::transport;
use crate::verifier::{Trust, Verifier, expires_ms};

/// How long a broker may take to answer over UDP, and again to answer Hello.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long a control request may take before it is given up. The largest, ten thousand shards, takes seconds.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// How often the broker is asked whether it is there, while it is waited for.
const PING_EVERY: Duration = Duration::from_millis(400);
/// How long a closing client waits for the broker to hear of it.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// An authenticated connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) welcome: Welcome,
    pub(crate) pushes: Pushes,
    pub(crate) begun: Instant,
    endpoint: Endpoint,
    request_id_next: AtomicU64,
}

impl Session {
    /// Connects to `address`, from a UDP socket of its own, and says Hello. Without a lane, any will do.
    pub(crate) async fn open(
        options: &ConnectOptions,
        address: SocketAddr,
        lane: Option<u8>,
    ) -> Result<Session, Error> {
        let failed = |why: String| Error::Connect { address: options.address(), why };
        let socket = transport::socket(address).map_err(|error| failed(error.to_string()))?;
        let settings = transport::endpoint(options.mtu_bound);
        let endpoint =
            Endpoint::new(settings, None, socket, Arc::new(TokioRuntime)).map_err(|error| failed(error.to_string()))?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Verifier::new(options.trust, Arc::clone(&provider)));
        let mut config = quic_config(provider, Arc::clone(&verifier));
        config.transport_config(Arc::new(transport::connection(options.mtu_bound)));
        config.initial_dst_cid_provider(Arc::new(move || first_connection_id(lane)));
        let connecting =
            endpoint.connect_with(config, address, &options.server_name).map_err(|error| failed(error.to_string()))?;
        let connection = match timeout(ANSWER_MAX, connecting).await {
            Err(_) | Ok(Err(ConnectionError::TimedOut)) => {
                return Err(Error::Unanswered { address, waited: ANSWER_MAX });
            }
            Ok(Err(error)) => return Err(refused(options, address, &verifier, error)),
            Ok(Ok(connection)) => connection,
        };
        let hello = timeout(ANSWER_MAX, hello(&connection, options, address));
        let welcome = hello.await.unwrap_or_else(|_| Err(failed("it does not answer Hello".to_owned())))?;
        let pushes = Pushes::new(&connection);
        Ok(Session { connection, welcome, pushes, begun: Instant::now(), endpoint, request_id_next: AtomicU64::new(1) })
    }

    pub(crate) fn is_live(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Sends a request on a stream of its own and waits for its reply.
    pub(crate) async fn request(&self, request: &Request) -> Result<Reply, Error> {
        let exchange = self.attended(self.exchange(request));
        timeout(REQUEST_MAX, exchange).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// The broker's metrics, which come in pieces.
    pub(crate) async fn metrics(&self) -> Result<String, Error> {
        let exchange = self.attended(async {
            let (mut frames, id) = self.ask(&Request::ReadMetrics).await?;
            frames.metrics(id).await
        });
        timeout(REQUEST_MAX, exchange).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Does what waits for the broker to answer, and asks meanwhile whether it is there.
    pub(crate) async fn attended<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.ask_after(|| true) => match never {},
        }
    }

    /// Asks whether the broker is there, again and again while `is_waiting` says that somebody waits for it.
    ///
    /// QUIC alone does not: when everything that was sent has come, and then the broker dies, there is
    /// nothing to send until the next keep-alive. One that has started again does not know the connection
    /// and says so to whatever comes.
    pub(crate) async fn ask_after(&self, mut is_waiting: impl FnMut() -> bool) -> Infallible {
        loop {
            tokio::time::sleep(PING_EVERY).await;
            if is_waiting() {
                // Whoever waits hears from the connection itself that it is over.
                let _ = self.exchange(&Request::Ping).await;
            }
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, Error> {
        let (mut frames, id) = self.ask(request).await?;
        frames.reply(id).await
    }

    /// Sends a request on a stream of its own; the reply is the caller's to read.
    pub(crate) async fn ask(&self, request: &Request) -> Result<(FrameReader, u64), Error> {
        let id = self.request_id_next.fetch_add(1, Ordering::Relaxed);
        let (mut send, receive) = self.connection.open_bi().await.map_err(connection_lost)?;
        send_request(&mut send, request, id).await?;
        Ok((FrameReader::new(receive, reply_limit()), id))
    }

    /// When the certificate that the broker has shown expires, in ms since 1970, where that can be told.
    pub(crate) fn certificate_expires_ms(&self) -> Option<u64> {
        let shown = self.connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        expires_ms(&shown, &rustls::crypto::ring::default_provider())
    }

    /// Ends the connection because the broker broke the protocol, or says nothing any more.
    pub(crate) fn give_up(&self, why: &Error) {
        give_up(&self.connection, why);
    }

    /// Says goodbye.
    pub(crate) fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"closed by the client");
    }

    /// Waits shortly until the broker has heard the goodbye.
    pub(crate) async fn closed(&self) {
        let _ = timeout(CLOSE_MAX, self.endpoint.wait_idle()).await;
    }
}

fn no_answer() -> Error {
    Error::lost(format!("the broker did not answer for {} s", REQUEST_MAX.as_secs()))
}

/// The QUIC side of a connection to brokers whose CA has this SHA-256, for a program that speaks the
/// protocol itself, such as a load generator; its transport is the program's to set.
///
/// ```
/// let mut config = rheos_client::quic_config_for_ca([0xab; 32]);
/// config.transport_config(std::sync::Arc::new(quinn::TransportConfig::default()));
/// ```
pub fn quic_config_for_ca(ca_sha256: [u8; 32]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    quic_config(Arc::clone(&provider), Arc::new(Verifier::new(Trust::Ca(ca_sha256), provider)))
}

/// TLS 1.3 alone, ALPN `rheos`, no early data and no resumption: every connection proves the CA anew.
fn quic_config(provider: Arc<rustls::crypto::CryptoProvider>, verifier: Arc<Verifier>) -> ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(tls).expect("ring has the suite that QUIC begins with");
    ClientConfig::new(Arc::new(crypto))
}

/// The connection id that the first packet is sent to: its first byte names the lane, the rest nobody guesses.
fn first_connection_id(lane: Option<u8>) -> ConnectionId {
    let mut bytes = random::bytes();
    bytes[0] = lane.unwrap_or(bytes[0]);
    ConnectionId::new(&bytes)
}

/// Why the handshake failed.
fn refused(options: &ConnectOptions, address: SocketAddr, verifier: &Verifier, error: ConnectionError) -> Error {
    if let (Some(found), Trust::Ca(expected)) = (verifier.mismatch(), options.trust) {
        return Error::CaMismatch { address, expected: hex::encode(expected), found: hex::encode(found) };
    }
    Error::Connect { address: options.address(), why: error.to_string() }
}

async fn hello(connection: &Connection, options: &ConnectOptions, address: SocketAddr) -> Result<Welcome, Error> {
    let hello = Request::Hello(Hello {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        features: 0,
        key_id: options.key_id.clone(),
        proof: proof(connection, options.secret.as_deref()),
        client: options.name.clone(),
    });
    let credential = |why: String| Error::Credential { address, key_id: options.key_id.clone(), why };
    let exchange = async {
        let (mut send, receive) = connection.open_bi().await.map_err(connection_lost)?;
        send_request(&mut send, &hello, 0).await?;
        FrameReader::new(receive, reply_limit()).reply(0).await
    };
    match exchange.await {
        Ok(Reply::Welcome(welcome)) if welcome.version == PROTOCOL_VERSION => Ok(welcome),
        Ok(other) => Err(Error::protocol(format!("Hello was answered with {other:?}"))),
        Err(Error::Broker(error)) if error.code == ErrorCode::Unauthenticated => Err(credential(error.to_string())),
        // A broker that closes the connection at once may overtake its own reply.
        Err(Error::Lost { .. }) if closed_with(connection, ErrorCode::Unauthenticated) => {
            Err(credential("it closed the connection".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// HMAC-SHA256 of the connection's TLS exporter under the secret; zeros where there is none.
fn proof(connection: &Connection, secret: Option<&str>) -> [u8; 32] {
    let Some(secret) = secret else { return [0; 32] };
    let mut exporter = [0u8; 32];
    connection
        .export_keying_material(&mut exporter, EXPORTER_LABEL, b"")
        .expect("TLS 1.3 exports 32 bytes after the handshake");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, &exporter).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn closed_with(connection: &Connection, code: ErrorCode) -> bool {
    let expected = VarInt::from_u32(u32::from(code.number()));
    matches!(connection.close_reason(), Some(ConnectionError::ApplicationClosed(close)) if close.error_code == expected)
}
