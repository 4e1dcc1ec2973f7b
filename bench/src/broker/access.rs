//! A connection string: `rheos://ID:SECRET@HOST:PORT?ca=sha256:HEX`.

use std::net::SocketAddr;

use crate::Failure;

/// How to reach a broker, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) address: SocketAddr,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    /// SHA-256 of the CA's certificate.
    pub(crate) ca_sha256: [u8; 32],
}

impl Access {
    /// Reads a connection string, as `admin.url` in a data directory holds it. The host is an address.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        // The text itself is a secret and stands in no message.
        let wrong = |part: &str| format!("the connection string has no {part}");
        let rest = text.trim().strip_prefix("rheos://").ok_or_else(|| wrong("rheos:// at its front"))?;
        let (credential, rest) = rest.split_once('@').ok_or_else(|| wrong("credential"))?;
        let (key_id, secret) = credential.split_once(':').ok_or_else(|| wrong("secret"))?;
        let (address, query) = rest.split_once('?').ok_or_else(|| wrong("ca=sha256:..."))?;
        let hash = query.split('&').find_map(|pair| pair.strip_prefix("ca=sha256:"));
        let hash = hex::decode(hash.ok_or_else(|| wrong("ca=sha256:..."))?)?;
        Ok(Self {
            address: address.trim_end_matches('/').parse().map_err(|_| wrong("address with a port"))?,
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
            ca_sha256: hash.try_into().map_err(|_| wrong("SHA-256 of 64 digits"))?,
        })
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({} as {}, secret not shown)", self.address, self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_taken_apart() {
        let hash = "ab".repeat(32);
        let access = Access::parse(&format!("rheos://RKA:s-_e@127.0.0.1:4567?ca=sha256:{hash}\n")).expect("it is one");
        assert_eq!((access.key_id.as_str(), access.secret.as_str()), ("RKA", "s-_e"));
        assert_eq!((access.address, access.ca_sha256), (([127, 0, 0, 1], 4567).into(), [0xab; 32]));
        assert!(!format!("{access:?}").contains("s-_e"));
    }

    #[test]
    fn what_is_missing_is_named_and_no_secret_is() {
        let hash = "ab".repeat(32);
        for (text, missing) in [
            (format!("http://RKA:SECRET@127.0.0.1:1?ca=sha256:{hash}"), "rheos://"),
            (format!("rheos://127.0.0.1:1?ca=sha256:{hash}"), "credential"),
            (format!("rheos://SECRET@127.0.0.1:1?ca=sha256:{hash}"), "secret"),
            ("rheos://RKA:SECRET@127.0.0.1:1".to_owned(), "ca="),
            (format!("rheos://RKA:SECRET@127.0.0.1?ca=sha256:{hash}"), "port"),
            ("rheos://RKA:SECRET@127.0.0.1:1?ca=sha256:abab".to_owned(), "64 digits"),
        ] {
            let failure = Access::parse(&text).expect_err("something is missing").to_string();
            assert!(failure.contains(missing) && !failure.contains("SECRET"), "{failure}");
        }
    }
}
