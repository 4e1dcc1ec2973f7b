//! What iterators and page tokens have in common: fields that a client carries and cannot change.
//!
//! ```text
//! base64, standard alphabet with padding, of: body | MAC (32)
//! MAC = HMAC-SHA256(key, purpose | principal | body), purpose and principal as texts with their lengths
//! ```
//!
//! An HMAC and no AEAD: nothing in a token is a secret of the broker's, and an AES-GCM key must not see one random
//! nonce of 96 bits twice, which a broker that gives ten thousand iterators a second has to fear within days. To an
//! HMAC a repeated nonce does nothing.
//!
//! What must hold: a token opens only for the purpose and the principal that it was sealed for, under the same key,
//! and unchanged to the bit; nothing in it is looked at before that is known; a token from before a restart opens
//! after it, as long as the key is the same. Whether it is too old is its reader's affair.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rheos_protocol::wire::FieldWriter;
use ring::hmac;

const MAC_BYTES: usize = 32;
/// Tokens are taken for this long after they were given, in ms.
pub const TOKEN_LIFE_MS: u64 = 300_000;

/// The key of a broker's tokens. It must be the data directory's own, so that no other broker's tokens open here.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

impl TokenKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> TokenKey {
        TokenKey(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub(crate) fn seal(&self, purpose: &str, principal: &str, mut body: Vec<u8>) -> String {
        let mac = hmac::sign(&self.0, &covered(purpose, principal, &body));
        body.extend_from_slice(mac.as_ref());
        STANDARD.encode(body)
    }

    /// The body of a token of at most `chars_max` characters.
    pub(crate) fn open(&self, purpose: &str, principal: &str, text: &str, chars_max: usize) -> Option<Vec<u8>> {
        if text.len() > chars_max {
            return None;
        }
        let mut bytes = STANDARD.decode(text).ok()?;
        let mac = bytes.split_off(bytes.len().checked_sub(MAC_BYTES)?);
        // Compares in constant time.
        hmac::verify(&self.0, &covered(purpose, principal, &bytes), &mac).ok().map(|()| bytes)
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(not shown)")
    }
}

/// Whether a token of `issued_ms` is no longer taken. One from the future is: the clock was set back.
pub(crate) fn has_expired(issued_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(issued_ms) > TOKEN_LIFE_MS
}

fn covered(purpose: &str, principal: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(purpose.len() + principal.len() + body.len() + 4);
    bytes.text(purpose);
    bytes.text(principal);
    bytes.extend_from_slice(body);
    bytes
}
