//! The secret of an access key, as signatures are checked with it.

use std::fmt;

use ring::hmac::{self, HMAC_SHA256};

use super::credential::Credential;

const MAC_CHARS: usize = 64;

/// A secret, ready for the first step of the chain of keys. The secret itself is not kept.
#[derive(Clone)]
pub struct SigningSecret(hmac::Key);

impl SigningSecret {
    /// The secret of an access key.
    pub fn new(secret: &str) -> SigningSecret {
        SigningSecret(hmac::Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes()))
    }

    /// Whether `signature` is this secret's over `text` for the credential's scope. The comparison takes the same
    /// time whatever differs.
    pub(super) fn has_signed(&self, credential: &Credential, text: &[u8], signature: &str) -> bool {
        let Credential { date, region, service, terminator, .. } = credential;
        let day = hmac::sign(&self.0, date.as_bytes());
        let key = [region, service, terminator]
            .into_iter()
            .fold(day, |key, part| hmac::sign(&hmac::Key::new(HMAC_SHA256, key.as_ref()), part.as_bytes()));
        let key = hmac::Key::new(HMAC_SHA256, key.as_ref());
        // AWS compares texts, so a signature in capitals is another one.
        let is_spelled = signature.len() == MAC_CHARS && !signature.bytes().any(|byte| byte.is_ascii_uppercase());
        match hex::decode(signature) {
            Ok(mac) if is_spelled => hmac::verify(&key, text, &mac).is_ok(),
            _ => false,
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(not shown)")
    }
}
