//! Connection ids that name their lane.
//!
//! ```text
//! | lane 1 | random 3 | keyed hash of those 4, 4 bytes |
//! ```
//!
//! What must hold: an id is known again by every run of the broker that has the key, so that a client
//! of a run before is told of its end; and only by the lane that the kernel steers it to now, so that a
//! packet that has gone astray never ends a connection that lives on another lane.

use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

/// Makes and knows the connection ids of one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneConnectionIds {
    lane: u8,
    lanes: u16,
    key: hmac::Key,
    random: SystemRandom,
}

impl LaneConnectionIds {
    /// Those of a lane of so many; the key is the same on all lanes and in all runs.
    pub(crate) fn new(lane: u16, lanes: u16, key: u64) -> LaneConnectionIds {
        assert!(lane < lanes, "lane {lane} of {lanes}");
        let lane = u8::try_from(lane).expect("a lane is named by one byte");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.to_le_bytes());
        LaneConnectionIds { lane, lanes, key, random: SystemRandom::new() }
    }

    fn hash(&self, named: &[u8]) -> [u8; HASH_BYTES] {
        *hmac::sign(&self.key, named).as_ref().first_chunk().expect("a digest has 32 bytes")
    }
}

impl ConnectionIdGenerator for LaneConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [self.lane; NAMED_BYTES + HASH_BYTES];
        self.random.fill(&mut id[1..NAMED_BYTES]).expect("a system that has started has random numbers");
        let hash = self.hash(&id[..NAMED_BYTES]);
        id[NAMED_BYTES..].copy_from_slice(&hash);
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let (named, hash) = id.split_at_checked(NAMED_BYTES).ok_or(InvalidCid)?;
        let here = u16::from(named[0]) % self.lanes == u16::from(self.lane);
        // Of a hash this short nothing is given away by the time it takes to compare it.
        if here && self.hash(named) == hash { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        NAMED_BYTES + HASH_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The lane and what tells its ids apart.
const NAMED_BYTES: usize = 4;
const HASH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_lane_and_is_known_there_alone() {
        for lanes in [1, 4, 256] {
            for lane in [0, lanes / 2, lanes - 1] {
                let mut ids = LaneConnectionIds::new(lane, lanes, 7);
                let id = ids.generate_cid();
                assert_eq!((u16::from(id[0]), id.len(), ids.cid_len()), (lane, 8, 8));
                assert_ne!(id, ids.generate_cid());
                for other in 0..lanes {
                    let known = LaneConnectionIds::new(other, lanes, 7).validate(&id).is_ok();
                    assert_eq!(known, other == lane, "lane {other} of {lanes}");
                }
            }
        }
    }

    #[test]
    fn an_id_of_another_run_is_known_where_it_is_steered_to() {
        let id = LaneConnectionIds::new(6, 8, 7).generate_cid();
        for lanes in [1, 2, 4, 256] {
            let known = (0..lanes).filter(|lane| LaneConnectionIds::new(*lane, lanes, 7).validate(&id).is_ok());
            assert_eq!(known.collect::<Vec<_>>(), [6 % lanes]);
        }
    }

    #[test]
    fn nobody_else_makes_an_id_that_is_known() {
        let mut ids = LaneConnectionIds::new(1, 2, 7);
        let id = ids.generate_cid();
        assert!(LaneConnectionIds::new(1, 2, 8).validate(&id).is_err(), "another key");
        for at in 0..id.len() {
            let mut bytes = id.to_vec();
            bytes[at] ^= 2;
            assert!(ids.validate(&ConnectionId::new(&bytes)).is_err(), "byte {at} was changed");
        }
        for len in 0..id.len() {
            assert!(ids.validate(&ConnectionId::new(&id[..len])).is_err(), "{len} bytes");
        }
        assert!(ids.validate(&ConnectionId::new(&[&id[..], &[0]].concat())).is_err());
    }
}
