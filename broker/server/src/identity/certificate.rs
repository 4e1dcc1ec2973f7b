//! The certificate authority of one data directory, and the server certificate that it signs.
//!
//! What must hold: each is kept with its key in one file, so that a crash cannot part them; a server
//! certificate is used only when a client's own check of it, against this CA and for [`SERVER_NAME`],
//! passes. Clients that check a CA's own dates must get a new one after ten years; those built on
//! rustls do not.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use time::OffsetDateTime;

use crate::start_error::StartError;

/// The name that a client asks for, whatever the address.
pub(super) const SERVER_NAME: &str = "rheos";
/// A server certificate with less than this left is replaced at start.
pub(super) const RENEWED_BEFORE_END: Duration = Duration::from_secs(30 * DAY_SECONDS);

pub(super) const CERTIFICATE_END: &str = "-----END CERTIFICATE-----";
const DAY_SECONDS: u64 = 86_400;
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * DAY_SECONDS);
const SERVER_LIFE: Duration = Duration::from_secs(365 * DAY_SECONDS);
/// Certificates begin in the past, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(DAY_SECONDS);

/// The CA: its certificate and its key.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

/// The server's certificate and its key.
pub(super) struct ServerCertificate {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    pem: String,
}

impl Authority {
    pub(super) fn generate(now: SystemTime) -> Result<Authority, StartError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = authority_parameters();
        (parameters.not_before, parameters.not_after) = valid(now, AUTHORITY_LIFE);
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        Ok(Authority { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), key })
    }

    pub(super) fn from_pem(text: &str) -> Result<Authority, String> {
        let (certificate, key) = parse_pair(text)?;
        let key = KeyPair::try_from(&key).map_err(|error| format!("its key: {error}"))?;
        // The certificate comes first, the key after it.
        let end = text.find(CERTIFICATE_END).ok_or("its certificate has no end")? + CERTIFICATE_END.len();
        Ok(Authority { certificate, certificate_pem: text[..end].to_owned() + "\n", key })
    }

    pub(super) fn to_pem(&self) -> String {
        self.certificate_pem.clone() + &self.key.serialize_pem()
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
}

impl ServerCertificate {
    /// A new certificate under a new key.
    pub(super) fn issue(authority: &Authority, now: SystemTime) -> Result<ServerCertificate, StartError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters =
            CertificateParams::new([SERVER_NAME.to_owned(), "localhost".to_owned()]).map_err(failed)?;
        parameters.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        parameters.subject_alt_names.push(SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()));
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, SERVER_NAME);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        (parameters.not_before, parameters.not_after) = valid(now, SERVER_LIFE);

        let authority_parameters = authority_parameters();
        let issuer = Issuer::from_params(&authority_parameters, &authority.key);
        let certificate = parameters.signed_by(&key, &issuer).map_err(failed)?;
        let pem = certificate.pem() + &key.serialize_pem();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(ServerCertificate { certificate: certificate.der().clone(), key, pem })
    }

    pub(super) fn from_pem(text: &str) -> Result<ServerCertificate, String> {
        let (certificate, key) = parse_pair(text)?;
        Ok(ServerCertificate { certificate, key, pem: text.to_owned() })
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Checks the certificate as a client does that trusts this CA, at a given time.
    pub(super) fn verify(
        &self,
        authority: &Authority,
        provider: &Arc<CryptoProvider>,
        at: SystemTime,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let name = ServerName::try_from(SERVER_NAME).expect("the name is a DNS name");
        let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default());
        verifier.verify_server_cert(&self.certificate, &[], &name, &[], at).map(|_| ())
    }
}

/// Without dates: these parameters also stand for a CA that was made long ago.
fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "rheos CA");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn valid(now: SystemTime, life: Duration) -> (OffsetDateTime, OffsetDateTime) {
    (OffsetDateTime::from(now - BACKDATED), OffsetDateTime::from(now + life))
}

fn parse_pair(text: &str) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), String> {
    let certificate =
        CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| format!("its certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| format!("its key: {error}"))?;
    Ok((certificate, key))
}

fn failed(error: rcgen::Error) -> StartError {
    StartError::Cryptography { what: "a certificate", why: error.to_string() }
}
