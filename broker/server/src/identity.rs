//! Who the broker is: its certificates, its keys, and the access keys it knows.
//!
//! ```text
//! keys/ca.pem            the certificate authority and its key, made once
//!      server.pem        the server's certificate and its key, renewed when under 30 days are left
//!      transport.keys    reset, token and ticket key: a restarted broker is known again by its clients
//!      admin.key         the administrator's access key
//! ca.pem                 what clients pin, for those that want a file
//! ```
//!
//! What must hold: the directory `keys` appears whole or not at all; nothing in it can be read by
//! group or others; a secret never stands in a message, a log or a `Debug` text. The server sends its
//! CA along with its certificate, so that a client needs no more than the CA's SHA-256. A certificate of
//! the operator's takes the place of both; the broker's own stay where they are.
//!
//! Nothing here listens, and nothing decides what a principal may do.

mod access_key;
mod certificate;
mod live_keys;
mod operator;
mod ticket;
mod transport_keys;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use quinn::crypto::rustls::QuicServerConfig;
use quinn_proto::crypto::HmacKey;
use rheos_core::catalog::KeyRecord;
use rheos_kinesis::signature::SigningSecret;
use rheos_kinesis::token::TokenKey;
use rheos_protocol::message::{ALPN, KeyDescription};
use ring::digest::{SHA256, digest};
use ring::{hkdf, hmac};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::directory::{DIRECTORY_MODE, DataDirectory, FILE_MODE, Layout, refuse_if_open_to_others};
use crate::durable;
use crate::start_error::StartError;

pub use access_key::{AccessKey, Principal};
pub use operator::CertificateFiles;

use certificate::{Authority, SERVER_NAME, ServerCertificate};
use live_keys::LiveKeys;
use operator::OperatorCertificate;
use ticket::TicketSealer;
use transport_keys::TransportKeys;

/// The broker's identity, as its data directory keeps it; every clone knows the same access keys.
#[derive(Clone)]
pub struct BrokerIdentity {
    /// The administrator's access key.
    pub admin: AccessKey,
    authority: Arc<Authority>,
    /// In place of the CA and the certificate that it signed.
    operator: Option<Arc<OperatorCertificate>>,
    keys: Arc<TransportKeys>,
    crypto: Crypto,
    live: Arc<LiveKeys>,
}

/// The TLS sides of the server, one certificate behind both.
#[derive(Clone)]
struct Crypto {
    quic: Arc<rustls::ServerConfig>,
    http: Arc<rustls::ServerConfig>,
}

impl BrokerIdentity {
    /// Reads the identity of a data directory, or makes it at the first start.
    ///
    /// # Errors
    ///
    /// When a key file can be read by others, is missing or damaged, or cannot be written.
    pub fn load_or_create(directory: &DataDirectory) -> Result<BrokerIdentity, StartError> {
        Self::load_or_create_at(directory, SystemTime::now())
    }

    /// The same at a given time, which decides whether the certificate is renewed.
    ///
    /// # Errors
    ///
    /// As [`load_or_create`](Self::load_or_create).
    pub fn load_or_create_at(directory: &DataDirectory, now: SystemTime) -> Result<BrokerIdentity, StartError> {
        let layout = directory.layout();
        let keys_dir = layout.keys_dir();
        if !keys_dir.exists() {
            create_keys(layout, now)?;
        }
        refuse_if_open_to_others(&keys_dir)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = read_key(&keys_dir.join(CA_FILE), Authority::from_pem)?;
        let server = server_certificate(&keys_dir, &authority, &provider, now)?;
        let keys = read_key(&keys_dir.join(TRANSPORT_FILE), TransportKeys::from_text)?;
        let admin = read_key(&keys_dir.join(ADMIN_FILE), AccessKey::from_text)?;

        let chain = vec![server.certificate, authority.certificate().clone()];
        let crypto = Crypto::new(&provider, &chain, &server.key, &keys)
            .map_err(|error| StartError::KeysUnusable { path: keys_dir.join(SERVER_FILE), why: error.to_string() })?;
        let live = Arc::new(LiveKeys::new(&admin)?);
        let (authority, keys) = (Arc::new(authority), Arc::new(keys));
        Ok(BrokerIdentity { admin, authority, operator: None, keys, crypto, live })
    }

    /// The same broker behind a certificate that the operator brought.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, the key does not fit or can be read by others, or a client would
    /// refuse the certificate.
    pub fn with_certificate(mut self, files: &CertificateFiles) -> Result<BrokerIdentity, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (operator, key) = OperatorCertificate::read(files, &provider, SystemTime::now())?;
        self.crypto = Crypto::new(&provider, &operator.chain, &key, &self.keys)
            .map_err(|error| StartError::CertificateUnusable { path: files.chain.clone(), why: error.to_string() })?;
        self.operator = Some(Arc::new(operator));
        Ok(self)
    }

    /// What the operator should know of the certificate.
    pub fn warning(&self) -> Option<String> {
        self.operator.as_ref().and_then(|operator| operator.warning.clone())
    }

    /// The TLS side of the server: TLS 1.3 alone, ALPN `rheos`, no early data. Shared by all lanes.
    pub fn server_crypto(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.crypto.quic)
    }

    /// The TLS side of the HTTP face: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn http_crypto(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.crypto.http)
    }

    /// A server configuration for quinn with the TLS side and the token key; its transport is the
    /// caller's to set (`transport::configure_server`).
    pub fn quic_server(&self) -> quinn::ServerConfig {
        let crypto =
            QuicServerConfig::try_from(self.server_crypto()).expect("ring has the suite that QUIC begins with");
        let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&self.keys.token);
        quinn::ServerConfig::new(Arc::new(crypto), Arc::new(token_key))
    }

    /// The key of stateless resets, for [`quinn::EndpointConfig::new`] or its `reset_key`. With it the
    /// clients of a broker that was killed hear from the next one that their connections are gone.
    pub fn endpoint_reset_key(&self) -> Arc<dyn HmacKey> {
        Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.keys.reset))
    }

    /// The key with which connection ids are hashed, derived from the reset key: a broker resets only
    /// connections whose ids it, or its predecessor, can have given.
    pub fn connection_id_key(&self) -> u64 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.keys.reset);
        let derived = hmac::sign(&key, b"rheos connection ids");
        u64::from_le_bytes(*derived.as_ref().first_chunk().expect("a digest has 32 bytes"))
    }

    /// The key of the iterators and page tokens that the Kinesis face gives, derived from the reset key: they are
    /// taken after a restart, and by no broker of another data directory.
    pub fn kinesis_token_key(&self) -> TokenKey {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.keys.reset);
        let derived = hmac::sign(&key, b"rheos kinesis tokens");
        TokenKey::new(derived.as_ref().try_into().expect("a digest has 32 bytes"))
    }

    /// The bytes of the key that seals QUIC's address tokens.
    pub fn token_key(&self) -> &[u8; 64] {
        &self.keys.token
    }

    /// The CA's certificate, for those who want to trust it by a file. Never its key.
    pub fn ca_pem(&self) -> &str {
        self.operator.as_ref().map_or(self.authority.certificate_pem(), |operator| &operator.pinned_pem)
    }

    /// The CA's certificate as the server sends it, last in its chain.
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        let brought = self.operator.as_ref().and_then(|operator| operator.chain.last());
        brought.unwrap_or(self.authority.certificate())
    }

    /// The name in the server's certificate: what clients ask for, whatever the address.
    pub fn server_name(&self) -> &str {
        self.operator.as_ref().map_or(SERVER_NAME, |operator| &operator.name)
    }

    /// SHA-256 of the CA's certificate (DER): what a connection string carries.
    pub fn ca_sha256(&self) -> [u8; 32] {
        let hash = digest(&SHA256, self.ca_der());
        hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Who proves, with HMAC-SHA256 of this connection's TLS exporter, to have the secret of `key_id`.
    ///
    /// An id that nobody has costs the same time as a wrong proof.
    pub fn verify_hello(&self, key_id: &str, mac: &[u8; 32], tls_exporter: &[u8; 32]) -> Option<Principal> {
        self.live.verify(key_id, mac, tls_exporter)
    }

    /// With what a request is proved to be signed by the key of this id, and who has then signed it; `None` for an
    /// id that nobody has.
    ///
    /// Whoever checks a signature must spend the time of one on such an id too, as `rheos_kinesis::signature` does.
    pub fn signing_key(&self, key_id: &str) -> Option<(SigningSecret, Principal)> {
        self.live.signing_key(key_id)
    }

    /// From here on the key opens the broker.
    pub fn add_key(&self, record: &KeyRecord) {
        self.live.add(record);
    }

    /// From here on the key of this id opens nothing. The connections that it has opened are the caller's affair.
    pub fn revoke_key(&self, key_id: &str) {
        self.live.revoke(key_id);
    }

    /// Whether the key of this id opens the broker: the administrator's own, or one that was made and not revoked.
    pub fn is_live(&self, key_id: &str) -> bool {
        self.live.is_live(key_id)
    }

    /// The id of the made key of this id or name, if it opens the broker.
    pub fn live_key_id(&self, id_or_name: &str) -> Option<String> {
        self.live.made_id(id_or_name)
    }

    /// Whether this is the id or the name of the administrator's own key.
    pub fn is_admins(&self, id_or_name: &str) -> bool {
        id_or_name == self.admin.id || id_or_name == ADMIN_NAME
    }

    /// Up to `limit` of the keys that were made, whose ids sort after `after`, and whether more follow. The
    /// administrator's own is not among them: it cannot be revoked.
    pub fn keys_page(&self, after: &str, limit: usize) -> (Vec<KeyDescription>, bool) {
        self.live.page(after, limit)
    }

    /// How a client connects as the administrator to the broker that listens on `listen`.
    ///
    /// Holds the secret: it goes to a file of the administrator's, never to a log.
    pub fn admin_url(&self, listen: SocketAddr) -> String {
        let AccessKey { id, secret } = &self.admin;
        let mut url =
            format!("rheos://{id}:{secret}@{}?ca=sha256:{}", reachable(listen), hex::encode(self.ca_sha256()));
        if self.server_name() != SERVER_NAME {
            url += &format!("&name={}", self.server_name());
        }
        url
    }

    /// Writes [`admin_url`](Self::admin_url) to `admin.url` in the data directory, and
    /// [`ca_pem`](Self::ca_pem) to `ca.pem`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_admin_url(&self, directory: &DataDirectory, listen: SocketAddr) -> Result<(), StartError> {
        let layout = directory.layout();
        write_unless_there(&layout.ca_path(), self.ca_pem())?;
        write_unless_there(&layout.admin_url_path(), &(self.admin_url(listen) + "\n"))
    }
}

impl std::fmt::Debug for BrokerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerIdentity").field("admin", &self.admin.id).finish_non_exhaustive()
    }
}

/// The name of the administrator's own key.
const ADMIN_NAME: &str = "admin";
const CA_FILE: &str = "ca.pem";
const SERVER_FILE: &str = "server.pem";
const TRANSPORT_FILE: &str = "transport.keys";
const ADMIN_FILE: &str = "admin.key";

/// Makes all keys at once, so that the directory appears whole.
fn create_keys(layout: &Layout, now: SystemTime) -> Result<(), StartError> {
    let authority = Authority::generate(now)?;
    let files = [
        (CA_FILE, authority.to_pem()),
        (SERVER_FILE, ServerCertificate::issue(&authority, now)?.pem().to_owned()),
        (TRANSPORT_FILE, TransportKeys::generate()?.to_text()),
        (ADMIN_FILE, AccessKey::generate()?.to_text()),
    ];
    let (unfinished, keys_dir) = (layout.keys_unfinished_dir(), layout.keys_dir());
    Ok(durable::create_dir_with(&unfinished, &keys_dir, &files, (DIRECTORY_MODE, FILE_MODE))?)
}

/// The certificate that is kept, or a new one when that will not do for another 30 days.
fn server_certificate(
    keys_dir: &Path,
    authority: &Authority,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<ServerCertificate, StartError> {
    let path = keys_dir.join(SERVER_FILE);
    if path.exists() {
        let kept = read_key(&path, ServerCertificate::from_pem)?;
        let later = now + certificate::RENEWED_BEFORE_END;
        if [now, later].into_iter().all(|at| kept.verify(authority, provider, at).is_ok()) {
            return Ok(kept);
        }
    }
    let issued = ServerCertificate::issue(authority, now)?;
    if let Err(error) = issued.verify(authority, provider, now) {
        return Err(StartError::KeysUnusable { path: keys_dir.join(CA_FILE), why: error.to_string() });
    }
    durable::create_file(&path, issued.pem().as_bytes(), FILE_MODE)?;
    Ok(issued)
}

/// A start with a full disk needs no room for what stands there already.
fn write_unless_there(path: &Path, text: &str) -> Result<(), StartError> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) && refuse_if_open_to_others(path).is_ok() {
        return Ok(());
    }
    Ok(durable::create_file(path, text.as_bytes(), FILE_MODE)?)
}

fn read_key<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, StartError> {
    let unusable = |why: String| StartError::KeysUnusable { path: path.to_owned(), why };
    if !path.exists() {
        return Err(unusable("it is missing".to_owned()));
    }
    refuse_if_open_to_others(path)?;
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(unusable("it is no text".to_owned())),
        Err(error) => Err(StartError::io("read", path)(error)),
    }
}

impl Crypto {
    /// The provider is named, never the process's default: a program that embeds the broker may have another.
    fn new(
        provider: &Arc<CryptoProvider>,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
        keys: &TransportKeys,
    ) -> Result<Crypto, rustls::Error> {
        let config = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_single_cert(chain.to_vec(), key.clone_key())
        };
        let mut quic = config(&[&rustls::version::TLS13])?;
        quic.alpn_protocols = vec![ALPN.to_vec()];
        quic.max_early_data_size = 0;
        quic.ticketer = Arc::new(TicketSealer::new(&keys.ticket));
        let mut http = config(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Crypto { quic: Arc::new(quic), http: Arc::new(http) })
    }
}

/// An address at which a client on this host finds a broker that listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_listens_everywhere_is_found_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:4567", "127.0.0.1:4567"),
            ("[::]:1", "[::1]:1"),
            ("10.1.2.3:9", "10.1.2.3:9"),
            ("[fd00::1]:9", "[fd00::1]:9"),
        ] {
            let listen = listen.parse().expect("it is an address");
            assert_eq!(reachable(listen).to_string(), expected);
        }
    }
}
