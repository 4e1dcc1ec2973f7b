//! Whose turn it is: peers one after the other, by deficit round robin, and within a peer its
//! subscriptions.
//!
//! Each visit allows a peer so many bytes more; what it is given beyond that it has less at the next.
//! What must hold: a subscription stands in line once; a peer without room is not visited; a peer with
//! room and a subscription in line is visited in every round.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::SubscriptionId;
use crate::limits::PUSH_QUANTUM_BYTES;

#[derive(Debug, Default)]
pub(super) struct Turns {
    peers: BTreeMap<u64, Peer>,
    /// Peers to be visited, the next one first.
    round: VecDeque<u64>,
}

#[derive(Debug, Default)]
struct Peer {
    subscriptions: usize,
    /// Its subscriptions that may have something to be given.
    line: VecDeque<u64>,
    in_line: BTreeSet<u64>,
    in_round: bool,
    /// It has no room.
    parked: bool,
    /// Bytes it may still be given in this visit; below zero, those it was given too much.
    allowance: i64,
    /// Whether this visit has begun.
    visited: bool,
}

impl Turns {
    /// A peer has one subscription more.
    pub(super) fn enter(&mut self, peer: u64) {
        self.peers.entry(peer).or_default().subscriptions += 1;
    }

    /// Subscriptions of a peer.
    pub(super) fn subscriptions(&self, peer: u64) -> usize {
        self.peers.get(&peer).map_or(0, |peer| peer.subscriptions)
    }

    /// A subscription has ended.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        // It may have left with all its subscriptions at once.
        let Some(peer) = self.peers.get_mut(&id.peer) else { return };
        peer.subscriptions -= 1;
        if peer.in_line.remove(&id.id) {
            peer.line.retain(|waiting| *waiting != id.id);
        }
        if peer.subscriptions == 0 && !peer.parked {
            self.leave(id.peer);
        }
    }

    /// A peer has gone.
    pub(super) fn leave(&mut self, peer: u64) {
        if self.peers.remove(&peer).is_some_and(|gone| gone.in_round) {
            self.round.retain(|waiting| *waiting != peer);
        }
    }

    /// A subscription may have something to be given.
    pub(super) fn line_up(&mut self, id: SubscriptionId) {
        let Some(peer) = self.peers.get_mut(&id.peer) else { return };
        if peer.in_line.insert(id.id) {
            peer.line.push_back(id.id);
        }
        if !peer.parked && !peer.in_round {
            peer.in_round = true;
            self.round.push_back(id.peer);
        }
    }

    /// A peer has room again.
    pub(super) fn unpark(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        peer.parked = false;
        if peer.subscriptions == 0 {
            return self.leave(number);
        }
        if !peer.line.is_empty() && !peer.in_round {
            peer.in_round = true;
            self.round.push_back(number);
        }
    }

    /// Whether a peer has no room.
    pub(super) fn is_parked(&self, peer: u64) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.parked)
    }

    /// Whether a subscription stands in line.
    pub(super) fn stands_in_line(&self, id: SubscriptionId) -> bool {
        self.peers.get(&id.peer).is_some_and(|peer| peer.in_line.contains(&id.id))
    }

    /// Takes the next subscription out of its line.
    pub(super) fn next(&mut self, room: &mut impl FnMut(u64) -> usize) -> Option<SubscriptionId> {
        loop {
            let number = *self.round.front()?;
            let peer = self.peers.get_mut(&number).expect("who is visited is there");
            if !peer.visited {
                peer.visited = true;
                peer.allowance += PUSH_QUANTUM_BYTES;
            }
            if room(number) == 0 {
                peer.parked = true;
                // Who takes nothing saves nothing up, and owes what it owed.
                peer.allowance = peer.allowance.min(0);
            } else if peer.allowance > 0 {
                if let Some(id) = peer.line.pop_front() {
                    peer.in_line.remove(&id);
                    return Some(SubscriptionId { peer: number, id });
                }
                // Who wants nothing saves nothing up.
                peer.allowance = 0;
            }
            self.end_visit(number);
        }
    }

    /// A peer was given so many bytes.
    pub(super) fn spend(&mut self, peer: u64, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.allowance -= bytes as i64;
        }
    }

    fn end_visit(&mut self, number: u64) {
        self.round.pop_front();
        let peer = self.peers.get_mut(&number).expect("who is visited is there");
        peer.visited = false;
        peer.in_round = !peer.parked && !peer.line.is_empty();
        if peer.in_round {
            self.round.push_back(number);
        }
    }
}
