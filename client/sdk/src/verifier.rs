//! Whether the broker is the one that the connection string names.
//!
//! The server sends its certificate and the CA that signed it. The connection string holds the
//! SHA-256 of that CA: the last certificate of the chain must have it, and the server's own must then
//! verify against it, for the name `rheos`, whatever the address. No other authority is trusted.

use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The name in the server's certificate.
pub(crate) const SERVER_NAME: &str = "rheos";

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

    fn verify_under(
        &self,
        authority: &CertificateDer<'_>,
        end_entity: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, &[], name, &[], now)
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
        let authority = intermediates.last().unwrap_or(end_entity);
        let found: [u8; 32] = digest(&SHA256, authority).as_ref().try_into().expect("SHA-256 has 32 bytes");
        if found != expected {
            *self.mismatch.lock().expect("nothing panics while it is locked") = Some(found);
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        self.verify_under(authority, end_entity, name, now)
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
