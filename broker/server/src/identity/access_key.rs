//! Access keys: an id that may be seen and a secret that never travels.
//!
//! ```text
//! rheos access key
//! id RKABCDEFGHIJKLMNOPQR
//! secret 40 characters of A-Z a-z 0-9 - _
//! ```
//!
//! What must hold: id and secret need no escaping in a URL; a proof is compared in constant time; the
//! secret is in no `Debug` text.

use std::fmt;

use rheos_kinesis::signature::SigningSecret;
use rheos_protocol::message::KeyPolicy;
use rheos_protocol::name::AccountId;
use ring::hmac;

use crate::directory::random_bytes;
use crate::start_error::StartError;

const TITLE: &str = "rheos access key";
const ID_PREFIX: &str = "RK";
const ID_RANDOM_CHARS: usize = 18;
const SECRET_CHARS: usize = 40;
/// 5 random bits a character.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 6 random bits a character.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// An access key with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `RK` and 18 characters of base 32.
    pub id: String,
    /// 40 characters, 240 random bits.
    pub secret: String,
}

/// Who somebody has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The id of the access key.
    pub key_id: String,
    /// What the key was made for.
    pub name: String,
    /// What the key may do. Never changes during the key's life.
    pub policy: KeyPolicy,
    /// The account that the key belongs to; the broker's own where there is none. Never changes either.
    pub account: Option<AccountId>,
}

/// An access key ready to check proofs.
pub(super) struct Credential {
    key: hmac::Key,
    signing: SigningSecret,
    principal: Principal,
}

impl AccessKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> Result<AccessKey, StartError> {
        let id = random_bytes::<ID_RANDOM_CHARS>("an access key")?;
        let secret = random_bytes::<SECRET_CHARS>("an access key")?;
        Ok(AccessKey { id: format!("{ID_PREFIX}{}", spell(&id, ID_ALPHABET)), secret: spell(&secret, SECRET_ALPHABET) })
    }

    pub(super) fn to_text(&self) -> String {
        format!("{TITLE}\nid {}\nsecret {}\n", self.id, self.secret)
    }

    pub(super) fn from_text(text: &str) -> Result<AccessKey, String> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err("it is no access key".to_owned());
        }
        let id = lines.next().and_then(|line| line.strip_prefix("id ")).unwrap_or_default();
        let secret = lines.next().and_then(|line| line.strip_prefix("secret ")).unwrap_or_default();
        let id_fits = id.strip_prefix(ID_PREFIX).is_some_and(|rest| is_spelled(rest, ID_RANDOM_CHARS, ID_ALPHABET));
        if !id_fits {
            return Err("its id is damaged".to_owned());
        }
        if !is_spelled(secret, SECRET_CHARS, SECRET_ALPHABET) {
            return Err("its secret is damaged".to_owned());
        }
        Ok(AccessKey { id: id.to_owned(), secret: secret.to_owned() })
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({}, secret not shown)", self.id)
    }
}

impl Credential {
    pub(super) fn new(secret: &str, principal: Principal) -> Credential {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Credential { key, signing: SigningSecret::new(secret), principal }
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The secret as signatures of requests are checked with it.
    pub(super) fn signing(&self) -> &SigningSecret {
        &self.signing
    }

    /// Whether `mac` is the secret's over these bytes; takes the same time either way.
    pub(super) fn proves(&self, mac: &[u8; 32], bytes: &[u8; 32]) -> bool {
        hmac::verify(&self.key, bytes, mac).is_ok()
    }
}

/// The low bits of each byte choose a character: every one is as likely, as the alphabet's length is a power of two.
fn spell(bytes: &[u8], alphabet: &[u8]) -> String {
    assert!(alphabet.len().is_power_of_two(), "another length would favour some characters");
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

fn is_spelled(text: &str, chars: usize, alphabet: &[u8]) -> bool {
    text.len() == chars && text.bytes().all(|byte| alphabet.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_hides_its_secret() {
        let key = AccessKey::generate().expect("there are random numbers");
        assert_eq!((key.id.len(), key.secret.len()), (20, 40));
        assert_eq!(AccessKey::from_text(&key.to_text()), Ok(key.clone()));
        assert!(!format!("{key:?}").contains(&key.secret));
        assert_ne!(AccessKey::generate().expect("there are random numbers"), key);
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let text = AccessKey::generate().expect("there are random numbers").to_text();
        for length in 0..text.len() - 1 {
            assert!(AccessKey::from_text(&text[..length]).is_err(), "{length} bytes");
        }
        for (from, to) in [("rheos", "other"), ("id RK", "id XK"), ("id ", "id?"), ("secret ", "secret \"")] {
            assert!(AccessKey::from_text(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
