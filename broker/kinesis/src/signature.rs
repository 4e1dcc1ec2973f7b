//! AWS Signature Version 4, checked: who has signed a request, in a header or in the query.
//!
//! ```text
//! request --Claim::read--> Claim --Claim::verify--> Signed
//!          presence, parts          scope, clock, key, MAC
//! ```
//!
//! What must hold: a [`Signed`] comes of nothing but a MAC that was compared in constant time; everything that the
//! client signed is taken from the request as it came; the body is always under the signature, whatever
//! `X-Amz-Content-SHA256` says; a header with the operation is never trusted unsigned; no secret stands in a
//! message or a `Debug` text. A session token is looked at as any other header is: signed if it is listed.
//!
//! # Why the canonical form is written here
//!
//! Libraries sign; this has to follow what others have signed. `aws-sigv4` always signs `host` and `x-amz-date` (a
//! client may have signed `date`), leaves headers of its own choice out of the query form and always adds
//! `X-Amz-Expires` to it, and brings 20 crates that nothing else here wants, a second SHA-256 and HMAC among them.
//! `scratchstack-aws-signature` verifies, but asynchronously through a tower service, in other texts than
//! Kinesis's, and brings 20 crates too, with chrono and regex. What is left to do beside `ring`'s HMAC is a page of
//! text handling (`canonical.rs`). It is compared with AWS's published vectors and with botocore's requests in the
//! tests of this module, and with `aws-sigv4` by a fuzz body.

mod canonical;
mod credential;
mod freshness;
mod presented;
mod secret;

use std::fmt;

use http::request::Parts;

use crate::arn::Region;
use crate::error::{Error, ErrorKind};

pub use self::canonical::BodyDigest;
pub use self::secret::SigningSecret;

use self::credential::Credential;
use self::freshness::Freshness;
use self::presented::Presented;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kinesis";
/// Stands in for the secret of a key that there is not: nothing is proved with it.
const NOBODYS_SECRET: &str = "nobody's";

/// What a request says of its signature. Nothing of it is proved.
#[derive(Clone)]
pub struct Claim<'a> {
    request: &'a Parts,
    presented: Presented,
    credential: Credential,
}

/// Who has signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The id of the access key.
    pub key_id: String,
    /// The region that it was signed for.
    pub region: Region,
}

impl<'a> Claim<'a> {
    /// Reads what a request says of its signature: all parts are there, in one place, and can be told apart.
    ///
    /// # Errors
    ///
    /// `MissingAuthenticationTokenException`, `IncompleteSignatureException` or, with a signature in both
    /// places, `InvalidSignatureException`.
    pub fn read(request: &'a Parts) -> Result<Claim<'a>, Error> {
        let presented = Presented::read(request)?;
        let credential = Credential::parse(&presented.credential)?;
        Ok(Claim { request, presented, credential })
    }

    /// The id of the access key that is said to have signed.
    pub fn key_id(&self) -> &str {
        &self.credential.key_id
    }

    /// The region that is said to be meant, where it is spelled as one.
    pub fn region(&self) -> Option<Region> {
        Region::new(&self.credential.region).ok()
    }

    /// Proves the claim for the request that it was read from, with this body. `secret_of` knows the keys, by their ids.
    ///
    /// # Errors
    ///
    /// `InvalidSignatureException` for another scope, an old or early date, or a signature that is not the
    /// key's; `UnrecognizedClientException` for a key that there is not.
    pub fn verify(
        &self,
        body: &BodyDigest,
        now_s: u64,
        secret_of: impl FnOnce(&str) -> Option<SigningSecret>,
    ) -> Result<Signed, Error> {
        self.presented.must_sign(self.request)?;
        let region = self.credential.check(SERVICE, &self.presented.date)?;
        Freshness::of(&self.presented)?.check(now_s)?;
        // What the client hears tells an unknown key from a wrong signature, as AWS does; the time need not.
        let secret = secret_of(self.key_id());
        let proved = self.prove(body, secret.as_ref().unwrap_or(&SigningSecret::new(NOBODYS_SECRET)));
        if secret.is_none() {
            return Err(unrecognized());
        }
        proved?;
        Ok(Signed { key_id: self.credential.key_id.clone(), region })
    }

    /// Whether the signature is this secret's over the request, for the scope and the time that it names.
    fn prove(&self, body: &BodyDigest, secret: &SigningSecret) -> Result<(), Error> {
        let Presented { date, signed_headers, signature, .. } = &self.presented;
        let canonical = canonical::request(self.request, signed_headers, body);
        let scope = self.credential.scope();
        let signed = format!("{ALGORITHM}\n{date}\n{scope}\n{}", BodyDigest::of([&canonical[..]]));
        if secret.has_signed(&self.credential, signed.as_bytes(), signature) { Ok(()) } else { Err(mismatch()) }
    }
}

impl fmt::Debug for Claim<'_> {
    /// Without the request: a session token may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Claim");
        shown.field("credential", &self.credential).field("date", &self.presented.date).finish_non_exhaustive()
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSignature, message)
}

fn incomplete(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::IncompleteSignature, message)
}

fn unrecognized() -> Error {
    Error::new(ErrorKind::UnrecognizedClient, "The security token included in the request is invalid.")
}

fn mismatch() -> Error {
    invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.",
    )
}

#[cfg(test)]
mod tests;
