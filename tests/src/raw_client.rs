//! A client that sends whatever it is told: its own Hello, or none, and any bytes on any stream.
//!
//! It keeps no promise of the protocol; its windows are as small as it is asked, and it reads only
//! when told.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, ConnectionId, Endpoint, RecvStream, SendStream, TransportConfig, VarInt,
};
use rheos_protocol::error::{ErrorCode, WireError};
use rheos_protocol::frame::{FRAME_HEADER_BYTES, FrameHeader, kind, write_frame};
use rheos_protocol::message::{ALPN, EXPORTER_LABEL, Hello, PROTOCOL_VERSION, Reply, Request, Welcome};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// A third of the time after which the broker takes a silent peer for gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// An access key: its id and its secret.
#[derive(Debug, Clone)]
pub struct Key(pub String, pub String);

impl Key {
    /// The administrator's key of a data directory.
    ///
    /// # Panics
    /// When the directory has no connection string.
    pub fn of_admin(data: &Path) -> Key {
        let url = std::fs::read_to_string(data.join("admin.url")).expect("a ready broker has written it");
        let credential = url.strip_prefix("rheos://").and_then(|rest| rest.split_once('@'));
        let (id, secret) =
            credential.and_then(|(both, _)| both.split_once(':')).expect("a connection string has a key");
        Key(id.to_owned(), secret.to_owned())
    }
}

/// A QUIC connection and nothing more.
#[derive(Debug)]
pub struct RawClient {
    /// The connection, to do with as one likes.
    pub connection: Connection,
    endpoint: Endpoint,
}

impl RawClient {
    /// Connects and says nothing.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect(broker: SocketAddr) -> Result<RawClient, ConnectionError> {
        RawClient::connect_with(broker, ALPN, TransportConfig::default()).await
    }

    /// The same with another protocol name and other settings.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect_with(
        broker: SocketAddr,
        alpn: &[u8],
        transport: TransportConfig,
    ) -> Result<RawClient, ConnectionError> {
        RawClient::connect_from(&client_endpoint(), broker, alpn, transport).await
    }

    /// The same from a socket that many clients may share.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect_from(
        endpoint: &Endpoint,
        broker: SocketAddr,
        alpn: &[u8],
        transport: TransportConfig,
    ) -> Result<RawClient, ConnectionError> {
        let connecting = endpoint.connect_with(config(alpn, transport), broker, "rheos");
        let connection = connecting.expect("the settings are whole").await?;
        Ok(RawClient { connection, endpoint: endpoint.clone() })
    }

    /// Connects and says a Hello that is accepted.
    ///
    /// # Panics
    /// When it is not.
    pub async fn admitted(broker: SocketAddr, key: &Key) -> RawClient {
        RawClient::admitted_with(broker, key, TransportConfig::default()).await
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn admitted_with(broker: SocketAddr, key: &Key, transport: TransportConfig) -> RawClient {
        let client = RawClient::connect_with(broker, ALPN, transport).await.expect("the broker takes connections");
        let answer = client.ask(&Request::Hello(client.hello(key))).await;
        assert!(matches!(answer, Ok(Reply::Welcome(_))), "Hello was answered {answer:?}");
        client
    }

    /// Connects to the lane that this byte chooses, and says a Hello that is accepted.
    ///
    /// # Panics
    /// When it is not.
    pub async fn at_lane(broker: SocketAddr, key: &Key, byte: u8) -> (RawClient, Welcome) {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback has free ports");
        RawClient::at_lane_from(endpoint, broker, key, byte).await
    }

    /// Another connection from the same port, to the lane that this byte chooses.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn another(&self, broker: SocketAddr, key: &Key, byte: u8) -> (RawClient, Welcome) {
        RawClient::at_lane_from(self.endpoint.clone(), broker, key, byte).await
    }

    async fn at_lane_from(endpoint: Endpoint, broker: SocketAddr, key: &Key, byte: u8) -> (RawClient, Welcome) {
        let client = RawClient::to_lane(&endpoint, broker, byte).await;
        match client.ask(&Request::Hello(client.hello(key))).await {
            Ok(Reply::Welcome(welcome)) => (client, welcome),
            answer => panic!("Hello was answered {answer:?}"),
        }
    }

    /// Connects to the lane that this byte chooses, and says nothing.
    ///
    /// # Panics
    /// When it takes no connection.
    pub async fn to_lane(endpoint: &Endpoint, broker: SocketAddr, byte: u8) -> RawClient {
        let mut config = config(ALPN, TransportConfig::default());
        config.initial_dst_cid_provider(Arc::new(move || {
            let mut id = [byte; 16];
            SystemRandom::new().fill(&mut id[1..]).expect("there are random numbers");
            ConnectionId::new(&id)
        }));
        let connecting = endpoint.connect_with(config, broker, "rheos").expect("the settings are whole");
        let connection = connecting.await.expect("the broker takes connections");
        RawClient { connection, endpoint: endpoint.clone() }
    }

    /// Goes on from another port, as a client does whose NAT has forgotten it.
    ///
    /// # Panics
    /// When there is no port.
    pub fn rebind(&self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        self.endpoint.rebind(socket).expect("loopback has free ports");
    }

    /// A Hello with this key, right in every way if the key is.
    pub fn hello(&self, key: &Key) -> Hello {
        let mut exporter = [0u8; 32];
        self.connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").expect("TLS 1.3 exports 32 bytes");
        let proof = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.1.as_bytes()), &exporter);
        Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            features: 0,
            key_id: key.0.clone(),
            proof: proof.as_ref().try_into().expect("SHA-256 has 32 bytes"),
            client: "raw".to_owned(),
        }
    }

    /// Opens a stream and sends these bytes on it, which may be half of something.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send(&self, bytes: &[u8]) -> Result<(SendStream, RecvStream), ConnectionError> {
        let (mut send, receive) = self.connection.open_bi().await?;
        // Whoever is listening may stop us on the way: that is seen in the answer.
        let _ = send.write_all(bytes).await;
        Ok((send, receive))
    }

    /// Sends these bytes on a stream of their own, ends it, and reads one reply.
    ///
    /// # Errors
    /// How the broker ended the stream or the connection instead.
    pub async fn exchange(&self, bytes: &[u8]) -> Result<Reply, Ended> {
        let (mut send, mut receive) = self.send(bytes).await.map_err(Ended::from)?;
        let _ = send.finish();
        read_reply(&mut receive).await.map_err(|why| self.ended(why)).map(|(_, reply)| reply)
    }

    /// Sends a request on a stream of its own and reads its reply.
    ///
    /// # Errors
    /// How the broker ended the stream or the connection instead.
    pub async fn ask(&self, request: &Request) -> Result<Reply, Ended> {
        self.exchange(&request_frame(request)).await
    }

    /// Puts one batch on a stream of its own.
    ///
    /// # Errors
    /// As the broker refuses it.
    ///
    /// # Panics
    /// When the answer is neither an ack nor an error.
    pub async fn put(&self, batch: &[u8]) -> Result<u64, WireError> {
        match self.exchange(&put_frame(1, batch)).await {
            Ok(Reply::Ack { first_sequence, .. }) => Ok(first_sequence),
            Ok(Reply::Error(error)) => Err(error),
            other => panic!("a put was answered {other:?}"),
        }
    }

    /// Waits until the broker closes the connection.
    ///
    /// # Panics
    /// When it is closed otherwise than with a code of the protocol.
    pub async fn closed(&self) -> (ErrorCode, String) {
        match Ended::from(self.connection.closed().await) {
            Ended::Closed(code, why) => (code, why),
            other => panic!("the connection ended otherwise: {other:?}"),
        }
    }

    fn ended(&self, why: String) -> Ended {
        self.connection.close_reason().map_or(Ended::Stream(why), Ended::from)
    }
}

/// A socket for clients.
///
/// # Panics
/// When loopback has no free port.
pub fn client_endpoint() -> Endpoint {
    Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback has free ports")
}

/// How the broker ended what should have been an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It closed the connection with a code and a sentence.
    Closed(ErrorCode, String),
    /// The connection is over in another way.
    Lost(String),
    /// The stream alone is over.
    Stream(String),
}

impl From<ConnectionError> for Ended {
    fn from(error: ConnectionError) -> Ended {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                let number = u64::from(close.error_code);
                let code = u16::try_from(number).map_or(ErrorCode::Unknown(u16::MAX), ErrorCode::from_number);
                Ended::Closed(code, String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => Ended::Lost(other.to_string()),
        }
    }
}

/// A request as a frame.
pub fn request_frame(request: &Request) -> BytesMut {
    let mut out = BytesMut::new();
    request.write(1, &mut out);
    out
}

/// A batch as a put frame.
pub fn put_frame(id: u64, batch: &[u8]) -> BytesMut {
    frame(kind::PUT, id, batch)
}

/// Any payload as a frame of any kind.
pub fn frame(kind: u16, id: u64, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    write_frame(&mut out, kind, id, |out| out.extend_from_slice(payload));
    out
}

/// A header alone, whatever it declares.
pub fn header(kind: u16, len: u32) -> BytesMut {
    let mut out = BytesMut::new();
    FrameHeader { len, kind, id: 1 }.encode(&mut out);
    out
}

/// Reads the next reply of a stream and the frame that it names.
///
/// # Errors
/// Why there is none.
pub async fn read_reply(receive: &mut RecvStream) -> Result<(u64, Reply), String> {
    let mut bytes = [0; FRAME_HEADER_BYTES];
    receive.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
    let header = FrameHeader::decode(&bytes);
    let mut payload = vec![0; header.len as usize];
    receive.read_exact(&mut payload).await.map_err(|error| error.to_string())?;
    match Reply::decode(header.kind, Bytes::from(payload)) {
        Ok(Some(reply)) => Ok((header.id, reply)),
        other => Err(format!("a frame of kind {} reads as {other:?}", header.kind)),
    }
}

/// Settings of a client that lets each stream bring it so many bytes before it reads them.
pub fn narrow(stream_window_bytes: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(stream_window_bytes));
    transport
}

fn config(alpn: &[u8], mut transport: TransportConfig) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyBroker(provider)))
        .with_no_client_auth();
    // No name at all is no name to be sent.
    tls.alpn_protocols = if alpn.is_empty() { Vec::new() } else { vec![alpn.to_vec()] };
    let crypto = QuicClientConfig::try_from(tls).expect("ring has the suite that QUIC begins with");
    let mut config = ClientConfig::new(Arc::new(crypto));
    // What the broker does about a silent peer is its own affair; this one is never silent.
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    config.transport_config(Arc::new(transport));
    config
}

/// Trusts whoever answers.
#[derive(Debug)]
struct AnyBroker(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyBroker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
