//! A certificate that the operator brought, in place of the broker's own CA.
//!
//! ```text
//! --tls-cert   PEM: the server's certificate, then each that signed the one before it
//! --tls-key    PEM: the private key of the first
//! ```
//!
//! Clients pin the last certificate of the chain, which is the first where it stands alone.
//!
//! What must hold: what a client would refuse is refused at start, with the reason; the key can be read
//! by nobody else. The files are read once: a renewed certificate is taken at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};
use time::OffsetDateTime;

use super::certificate::{CERTIFICATE_END, RENEWED_BEFORE_END, SERVER_NAME};
use crate::directory::refuse_if_open_to_others;
use crate::start_error::StartError;

/// Where the operator's certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM: the server's certificate first.
    pub chain: PathBuf,
    /// Its private key, PEM; group and others may not read it.
    pub key: PathBuf,
}

/// The operator's certificate, proved as a client proves it.
pub(super) struct OperatorCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The last certificate of the chain.
    pub(super) pinned_pem: String,
    /// The name that clients are to ask for.
    pub(super) name: String,
    /// What the operator should know.
    pub(super) warning: Option<String>,
}

impl OperatorCertificate {
    /// Reads and proves both files.
    pub(super) fn read(
        files: &CertificateFiles,
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<(OperatorCertificate, PrivateKeyDer<'static>), StartError> {
        let unusable = |why: String| StartError::CertificateUnusable { path: files.chain.clone(), why };
        let text = read_text(&files.chain)?;
        let (chain, pinned_pem) = parse_chain(&text).map_err(unusable)?;
        let name = name_of(&chain[0]).map_err(unusable)?;
        verify(&chain, &name, provider, now).map_err(unusable)?;
        let ends_soon = verify(&chain, &name, provider, now + RENEWED_BEFORE_END).err();
        let warning = ends_soon.map(|why| format!("renew {} within 30 days: by then, {why}", files.chain.display()));
        let key = read_key(files, &chain, provider)?;
        Ok((OperatorCertificate { chain, pinned_pem, name, warning }, key))
    }
}

fn parse_chain(text: &str) -> Result<(Vec<CertificateDer<'static>>, String), String> {
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).take(CHAIN_MAX + 1).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("it is damaged: {error}"))?;
    if chain.is_empty() {
        return Err("it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    if chain.len() > CHAIN_MAX {
        return Err(format!("it holds more than {CHAIN_MAX} certificates; one and those that signed it are enough"));
    }
    let last = text.rfind(CERTIFICATE_BEGIN).zip(text.rfind(CERTIFICATE_END));
    let (begin, end) = last.filter(|(begin, end)| begin < end).ok_or("its last certificate has no end")?;
    Ok((chain, format!("{}{CERTIFICATE_END}\n", &text[begin..end])))
}

/// The first name that clients can ask for. A wildcard stands for any: `rheos` there, as everywhere.
fn name_of(certificate: &CertificateDer<'_>) -> Result<String, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| format!("it is damaged: {error}"))?;
    let first = parsed.valid_dns_names().next().ok_or(
        "its first certificate, which is to be the server's, has no DNS name, and clients ask for one (with openssl: \
         -addext subjectAltName=DNS:rheos)",
    )?;
    Ok(match first.strip_prefix("*.") {
        Some(domain) => format!("{SERVER_NAME}.{domain}"),
        None => first.to_owned(),
    })
}

/// Proves the chain as the clients do that pin its last certificate.
fn verify(
    chain: &[CertificateDer<'static>],
    name: &str,
    provider: &CryptoProvider,
    at: SystemTime,
) -> Result<(), String> {
    let (end_entity, rest) = chain.split_first().expect("a chain holds a certificate");
    let (authority, between) = rest.split_last().unwrap_or((end_entity, &[]));
    let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default());
    let proved = || {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let algorithms = provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, at, algorithms) {
            // One that stands alone is known by its hash, and may say that it is a CA: openssl makes such.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if rest.is_empty() => {}
            outcome => outcome?,
        }
        let name = ServerName::try_from(name).map_err(|_| CertificateError::NotValidForName)?;
        verify_server_name(&parsed, &name)
    };
    proved().map_err(|error| match error {
        Error::InvalidCertificate(CertificateError::Expired) => "its certificate is expired".to_owned(),
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            format!("its certificate is expired since {}", date(not_after))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            format!("its certificate is not valid before {}", date(not_before))
        }
        error => format!(
            "clients would refuse it ({error}); the server's certificate comes first, then each that signed the one \
             before it"
        ),
    })
}

fn read_key(
    files: &CertificateFiles,
    chain: &[CertificateDer<'static>],
    provider: &CryptoProvider,
) -> Result<PrivateKeyDer<'static>, StartError> {
    let unusable = |why: String| StartError::CertificateUnusable { path: files.key.clone(), why };
    let text = read_text(&files.key)?;
    refuse_if_open_to_others(&files.key).map_err(|error| match error {
        StartError::KeysOpenToOthers { mode, .. } => {
            unusable(format!("it is a secret and its mode {mode:04o} lets others at it: chmod go= it"))
        }
        error => error,
    })?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| unusable(format!("it holds no private key in PEM without a passphrase: {error}")))?;
    let signing = provider.key_provider.load_private_key(key.clone_key());
    let signing = signing.map_err(|error| unusable(format!("its key is of no use for TLS: {error}")))?;
    match CertifiedKey::new(chain.to_vec(), signing).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(key),
        Err(_) => Err(unusable(format!("its key does not fit the first certificate of {}", files.chain.display()))),
    }
}

fn read_text(path: &Path) -> Result<String, StartError> {
    let unusable = |why: String| StartError::CertificateUnusable { path: path.to_owned(), why };
    let about = fs::metadata(path).map_err(|error| unusable(format!("it cannot be read: {error}")))?;
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Err(unusable(format!("it is no file of at most {FILE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => unusable("it is no text; convert it to PEM".to_owned()),
        _ => unusable(format!("it cannot be read: {error}")),
    })
}

/// The day in UTC.
fn date(at: UnixTime) -> String {
    let at = OffsetDateTime::from(UNIX_EPOCH + Duration::from_secs(at.as_secs()));
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// Most certificates of a chain.
const CHAIN_MAX: usize = 8;
/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 256 << 10;
