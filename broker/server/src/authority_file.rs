//! The certificate that clients of a data directory's broker pin, for tools that want it as a file.
//!
//! It is what the broker wrote at its last start. Nothing here needs the directory's lock, and nothing
//! here sees a secret.

use std::fs;
use std::io;
use std::path::Path;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

use crate::directory::Layout;
use crate::start_error::StartError;

/// A certificate that clients trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorityFile {
    /// The certificate in PEM.
    pub pem: String,
    /// Its SHA-256, as connection strings have it.
    pub sha256: String,
}

/// The certificate that clients of the broker of `data` pin.
///
/// # Errors
///
/// [`StartError::NoData`] where no broker has been started, or that the file cannot be read.
pub fn authority_file(data: &Path) -> Result<AuthorityFile, StartError> {
    let path = Layout::new(data).ca_path();
    let pem = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StartError::NoData { path: data.to_owned() },
        _ => StartError::io("read", &path)(error),
    })?;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
        let why = format!("it is damaged ({error}); the next start of the broker writes it anew");
        StartError::CertificateUnusable { path, why }
    })?;
    Ok(AuthorityFile { sha256: hex::encode(digest(&SHA256, &certificate)), pem })
}
