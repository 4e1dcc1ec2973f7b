//! What a fuzzer runs over the face: each body takes any bytes and asserts what must hold of them.
//!
//! Nothing panics, what is understood is written again as it was or normalised, no token opens that was not sealed,
//! and no request is proved that nobody signed. Where a MAC stands before a decoder, the body sets it right, so that
//! what follows it is reached.

mod choices;
mod claims;
mod control;
mod identifiers;
mod requests;
mod tokens;

pub use claims::claim;
pub use control::control;
pub use identifiers::{name, sequence_number};
pub use requests::{cbor, http, json};
pub use tokens::{iterator, page_token};

/// Takes any bytes.
pub type Body = fn(&[u8]);

/// Every body with its name.
pub const BODIES: &[(&str, Body)] = &[
    ("json", json),
    ("cbor", cbor),
    ("http", http),
    ("claim", claim),
    ("control", control),
    ("name", name),
    ("sequence_number", sequence_number),
    ("iterator", iterator),
    ("page_token", page_token),
];

/// Who the bodies are, and when; anybody at any time would do.
const PRINCIPAL: &str = "RKALICE";
const NOW_MS: u64 = 1_795_590_670_000;
