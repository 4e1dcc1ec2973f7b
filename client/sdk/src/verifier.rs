//! Whether the broker is the one that the connection string names.
//!
//! The server sends its certificate and the CA that signed it. The connection string holds the
//! SHA-256 of that CA: the last certificate of the chain must have it, and the server's own must then
//! verify against it, for the name in the connection string (`rheos` where there is none), whatever the
//! address. No other authority is trusted. A server may show one certificate alone: then that hash is
//! its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The name in the server's certificate, unless the connection string says another.
pub(crate) const SERVER_NAME_DEFAULT: &str = "rheos";

/// Whom a client trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The CA whose certificate has this SHA-256.
    Ca([u8; 32]),
    /// Anybody: only for a broker in development mode, on loopback.
    Anybody,
}

/// Checks the server's certificate; remembers the hash of a CA that was not the right one.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    mismatch: Mutex<Option<[u8; 32]>>,
}

impl Verifier {
    pub(crate) fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Verifier {
        Verifier { trust, provider, mismatch: Mutex::new(None) }
    }

    /// SHA-256 of the CA that was shown instead of the right one.
    pub(crate) fn mismatch(&self) -> Option<[u8; 32]> {
        *self.mismatch.lock().expect("nothing panics while it is locked")
    }

    /// Dates, name and, unless the server's certificate is itself the one that is trusted, the chain.
    fn verify_under(
        &self,
        authority: &CertificateDer<'_>,
        end_entity: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, algorithms) {
            // Many a self-signed certificate says that it is a CA (openssl makes them so), which no server's
            // may be under another; its dates have been looked at before that is found.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if authority == end_entity => {}
            outcome => outcome?,
        }
        verify_server_name(&parsed, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Ca(expected) = self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let (authority, between) = intermediates.split_last().unwrap_or((end_entity, &[]));
        let found: [u8; 32] = digest(&SHA256, authority).as_ref().try_into().expect("SHA-256 has 32 bytes");
        if found != expected {
            *self.mismatch.lock().expect("nothing panics while it is locked") = Some(found);
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        self.verify_under(authority, end_entity, between, name, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// When the certificate that a server has shown expires, in ms since 1970, or one between it and the last of the
/// chain; `None` when that cannot be told.
///
/// Nothing is trusted here: at the end of time every certificate has expired, and the check says when it did.
pub(crate) fn expires_ms(chain: &[CertificateDer<'_>], provider: &CryptoProvider) -> Option<u64> {
    let (end_entity, others) = chain.split_first()?;
    let (authority, between) = others.split_last().unwrap_or((end_entity, &[]));
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).ok()?;
    let parsed = ParsedCertificate::try_from(end_entity).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME_S));
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, end_of_time, algorithms) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs().saturating_mul(1_000))
        }
        _ => None,
    }
}

/// The last second that a certificate can name: the end of the year 9999.
const END_OF_TIME_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    /// The certificates below are good in 2024 and 2025.
    fn parameters(names: &[&str], is_ca: bool) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names.clone()).unwrap();
        (parameters.not_before, parameters.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2026, 1, 1));
        if is_ca {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {names:?}"));
        }
        parameters
    }

    fn year(year: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600 + 100 * 86_400))
    }

    /// What a client that pins `pinned` says to `chain`.
    fn judge(pinned: &Certificate, chain: &[&Certificate], name: &str, at: UnixTime) -> Result<(), Error> {
        let hash = digest(&SHA256, pinned.der()).as_ref().try_into().unwrap();
        let verifier = Verifier::new(Trust::Ca(hash), Arc::new(rustls::crypto::ring::default_provider()));
        let (end_entity, rest) = chain.split_first().unwrap();
        let rest: Vec<CertificateDer<'_>> = rest.iter().map(|certificate| certificate.der().clone()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(end_entity.der(), &rest, &name, &[], at).map(drop)
    }

    /// A root, one that it signed to sign others, and what that one signed for a server.
    fn chain() -> [Certificate; 3] {
        let [root_key, between_key, leaf_key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let (root, between) = (parameters(&["root"], true), parameters(&["between"], true));
        let issuer = Issuer::from_params(&root, &root_key);
        let signed = between.signed_by(&between_key, &issuer).unwrap();
        let leaf = parameters(&["streams.example.com"], false);
        let leaf = leaf.signed_by(&leaf_key, &Issuer::from_params(&between, &between_key)).unwrap();
        [leaf, signed, root.self_signed(&root_key).unwrap()]
    }

    #[test]
    fn a_chain_is_believed_up_to_the_certificate_that_is_pinned() {
        let [leaf, between, root] = &chain();
        let name = "streams.example.com";
        judge(root, &[leaf, between, root], name, year(2025)).unwrap();
        judge(between, &[leaf, between], name, year(2025)).unwrap();
        judge(root, &[leaf, between, root], "rheos", year(2025)).unwrap_err();
        judge(root, &[leaf, between, root], name, year(2027)).unwrap_err();
        judge(root, &[leaf, root], name, year(2025)).unwrap_err();
        // What is pinned must be the last.
        judge(between, &[leaf, between, root], name, year(2025)).unwrap_err();
        judge(leaf, &[leaf, between, root], name, year(2025)).unwrap_err();
        // Another's certificate does not become good by the right one behind it.
        let [other, ..] = &chain();
        judge(root, &[other, between, root], name, year(2025)).unwrap_err();
    }

    #[test]
    fn the_end_of_a_certificate_is_told() {
        let provider = rustls::crypto::ring::default_provider();
        let [leaf, between, root] = chain().map(|certificate| certificate.der().clone());
        let ends_ms = Some(1_767_225_600_000);
        assert_eq!(expires_ms(&[leaf.clone(), between, root], &provider), ends_ms);
        for is_ca in [false, true] {
            let alone = parameters(&["rheos"], is_ca).self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(expires_ms(&[alone.der().clone()], &provider), ends_ms);
        }
        assert_eq!(expires_ms(&[], &provider), None);
        assert_eq!(expires_ms(&[b"none".to_vec().into()], &provider), None);
    }

    #[test]
    fn a_certificate_alone_is_believed_by_its_own_hash() {
        for is_ca in [false, true] {
            let alone = parameters(&["rheos"], is_ca).self_signed(&KeyPair::generate().unwrap()).unwrap();
            let other = parameters(&["rheos"], is_ca).self_signed(&KeyPair::generate().unwrap()).unwrap();
            judge(&alone, &[&alone], "rheos", year(2025)).unwrap_or_else(|error| panic!("CA {is_ca}: {error}"));
            judge(&other, &[&alone], "rheos", year(2025)).unwrap_err();
            for (name, at) in [("localhost", year(2025)), ("rheos", year(2023)), ("rheos", year(2027))] {
                let refused = judge(&alone, &[&alone], name, at).unwrap_err();
                let said = format!("{refused:?}");
                let why = ["NotValidForName", "NotValidYet", "Expired"];
                assert!(why.iter().any(|why| said.contains(why)), "CA {is_ca}: {said}");
            }
        }
    }
}
