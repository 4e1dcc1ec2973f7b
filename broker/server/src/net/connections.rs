//! The admitted connections of the broker by the key that opened them, so that they end with it.
//!
//! What must hold: a connection stands here from before it is asked a last time whether its key is live
//! until it is over; so whoever revokes a key, first where keys are looked up and then here, misses none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Connection;
use rheos_protocol::error::{ErrorCode, WireError};

use super::close_code;

/// The admitted connections of all lanes; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    by_key: BTreeMap<String, BTreeMap<u64, Connection>>,
    next: u64,
}

/// The place of a connection; it is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    key_id: String,
    number: u64,
}

impl Connections {
    /// Lists a connection that the key of this id has opened.
    pub(super) fn add(&self, key_id: &str, connection: &Connection) -> Place {
        let mut listed = self.listed();
        let number = listed.next;
        listed.next += 1;
        listed.by_key.entry(key_id.to_owned()).or_default().insert(number, connection.clone());
        Place { connections: self.clone(), key_id: key_id.to_owned(), number }
    }

    /// Closes every connection of a key that was revoked, whichever lane it is on.
    pub(crate) fn close_revoked(&self, key_id: &str) {
        // Each gives up its own place when it hears of it; none is closed under the lock.
        let open: Vec<Connection> =
            self.listed().by_key.get(key_id).map_or(Vec::new(), |open| open.values().cloned().collect());
        let error = revoked(key_id);
        for connection in open {
            connection.close(close_code(error.code), error.message.as_bytes());
        }
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut listed = self.connections.listed();
        let Some(of_key) = listed.by_key.get_mut(&self.key_id) else { return };
        let gone = of_key.remove(&self.number);
        if of_key.is_empty() {
            listed.by_key.remove(&self.key_id);
        }
        // The last handle of a connection takes its lock; ours is let go first.
        drop(listed);
        drop(gone);
    }
}

/// What is said to whoever uses a key that was revoked.
pub(crate) fn revoked(key_id: &str) -> WireError {
    WireError::new(ErrorCode::Unauthenticated, format!("access key {key_id} was revoked"))
}
