//! The keys of the transport that must outlive the process, and be the same on every lane.
//!
//! ```text
//! rheos transport keys
//! reset  128 hexadecimal digits      stateless resets: clients of a killed broker hear of its end
//! token  128                         address validation: a token of before is taken after a restart
//! ticket 64                          TLS tickets: a client need not check the certificate anew
//! ```

use crate::directory::random_bytes;
use crate::start_error::StartError;

const TITLE: &str = "rheos transport keys";

/// The three keys.
pub(super) struct TransportKeys {
    pub(super) reset: [u8; 64],
    pub(super) token: [u8; 64],
    pub(super) ticket: [u8; 32],
}

impl TransportKeys {
    pub(super) fn generate() -> Result<TransportKeys, StartError> {
        Ok(TransportKeys {
            reset: random_bytes("the reset key")?,
            token: random_bytes("the token key")?,
            ticket: random_bytes("the ticket key")?,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let TransportKeys { reset, token, ticket } = self;
        format!("{TITLE}\nreset {}\ntoken {}\nticket {}\n", hex::encode(reset), hex::encode(token), hex::encode(ticket))
    }

    pub(super) fn from_text(text: &str) -> Result<TransportKeys, String> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err("it holds no transport keys".to_owned());
        }
        Ok(TransportKeys {
            reset: field(lines.next(), "reset ")?,
            token: field(lines.next(), "token ")?,
            ticket: field(lines.next(), "ticket ")?,
        })
    }
}

fn field<const COUNT: usize>(line: Option<&str>, name: &str) -> Result<[u8; COUNT], String> {
    let mut key = [0; COUNT];
    match line.and_then(|line| line.strip_prefix(name)).map(|digits| hex::decode_to_slice(digits, &mut key)) {
        Some(Ok(())) => Ok(key),
        _ => Err(format!("its {name}key is damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_damage_is_refused() {
        let keys = TransportKeys::generate().expect("there are random numbers");
        let text = keys.to_text();
        let read = TransportKeys::from_text(&text).expect("it was just written");
        assert_eq!((read.reset, read.token, read.ticket), (keys.reset, keys.token, keys.ticket));
        for length in 0..text.len() - 1 {
            assert!(TransportKeys::from_text(&text[..length]).is_err(), "{length} bytes");
        }
    }
}
