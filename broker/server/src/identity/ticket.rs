//! TLS session tickets under a key that outlives the process and is shared by all lanes.
//!
//! A ticket is sealed with AES-256-GCM under a key of its period, derived from the kept one:
//!
//! ```text
//! 12 nonce | sealed session | 16 tag
//! ```
//!
//! What must hold: a ticket is taken in its period and the one after, no longer; nonces are random,
//! which is safe for 2^32 tickets a period; whatever a peer sends as a ticket is an answer of `None`
//! at worst. There is no early data, and every resumed session still agrees on a fresh secret, so a
//! stolen ticket key reads no recorded traffic.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

/// How long one derived key is used to seal: 12 hours.
const PERIOD_SECONDS: u64 = 12 * 3600;

/// Seals and opens session tickets.
pub(super) struct TicketSealer {
    key: hmac::Key,
    random: SystemRandom,
}

impl TicketSealer {
    pub(super) fn new(key: &[u8; 32]) -> TicketSealer {
        TicketSealer { key: hmac::Key::new(hmac::HMAC_SHA256, key), random: SystemRandom::new() }
    }

    fn period_key(&self, period: u64) -> LessSafeKey {
        let derived = hmac::sign(&self.key, &period.to_le_bytes());
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_ref()).expect("HMAC-SHA256 gives 32 bytes"))
    }

    fn seal(&self, plain: &[u8], period: u64) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        self.period_key(period)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn open(&self, ticket: &[u8], period: u64) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        [Some(period), period.checked_sub(1)].into_iter().flatten().find_map(|period| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let plain = self.period_key(period).open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
            Some(plain.to_vec())
        })
    }
}

impl ProducesTickets for TicketSealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD_SECONDS as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, period_now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, period_now())
    }
}

impl fmt::Debug for TicketSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSealer")
    }
}

/// By the wall clock: a ticket may outlive the process, and a wrong clock only costs a full handshake.
fn period_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / PERIOD_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_in_its_period_and_the_next() {
        let before = TicketSealer::new(&[7; 32]);
        let after_a_restart = TicketSealer::new(&[7; 32]);
        let ticket = before.seal(b"session", 40).expect("there are random numbers");
        assert_eq!(after_a_restart.open(&ticket, 40).as_deref(), Some(&b"session"[..]));
        assert_eq!(after_a_restart.open(&ticket, 41).as_deref(), Some(&b"session"[..]));
        assert_eq!(after_a_restart.open(&ticket, 42), None);
        assert_eq!(after_a_restart.open(&ticket, 39), None);
        assert_eq!(TicketSealer::new(&[8; 32]).open(&ticket, 40), None);
    }

    #[test]
    fn a_forged_ticket_is_no_ticket() {
        let sealer = TicketSealer::new(&[7; 32]);
        let ticket = sealer.seal(b"session", 0).expect("there are random numbers");
        for length in 0..ticket.len() {
            assert_eq!(sealer.open(&ticket[..length], 0), None, "{length} bytes");
        }
        for place in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[place] ^= 1;
            assert_eq!(sealer.open(&forged, 0), None, "byte {place}");
        }
    }
}
