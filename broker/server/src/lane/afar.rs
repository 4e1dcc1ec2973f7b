//! What a lane asks of other lanes, and what it does for them.

use std::task::Context;

use rheos_core::arrival::Now;
use rheos_core::counts::Refusal;
use rheos_core::log::Acked;
use rheos_protocol::batch::PutBatch;
use rheos_protocol::error::WireError;

use super::Lane;
use crate::mesh::{Answer, Asked, Asker};

impl Lane {
    /// A put of this lane's connection to a shard that another lane serves: its reply waits here.
    pub(super) fn put_afar(&mut self, lane: u16, stream: u64, frame: u64, batch: PutBatch) {
        let token = self.replies.expect(stream, frame);
        let header = *batch.header();
        if let Some(number) = self.held_back.waits_for(stream, &header) {
            self.turned_away.put(&header, Refusal::Behind);
            return self.replies.answer(token, Err(WireError::behind(number)));
        }
        let mesh = self.mesh.as_mut().expect("where there are other lanes there is a mesh");
        if let Err(busy) = mesh.put(lane, token, batch) {
            self.held_back.refuse(stream, &header);
            self.turned_away.put(&header, Refusal::of(busy.code));
            self.replies.answer(token, Err(busy));
        }
    }

    /// Does what others ask and takes what they answer, as much as lay there when it began, about.
    pub(super) fn take_mesh(&mut self, now: Now) -> bool {
        let Some(mesh) = &self.mesh else { return false };
        mesh.get_up();
        let mut any = self.take_answers();
        for _ in 0..ASKED_OF_TURN_MAX {
            let Some(asked) = self.mesh.as_ref().and_then(|mesh| mesh.next_asked()) else { break };
            any = true;
            match asked {
                Asked::Put { asker, batch } => self.put(now, asker.to_log_token(), batch),
                // Whoever asked may have gone: then nobody is told.
                Asked::Read { read, reply } => drop(reply.send(self.read(now, &read))),
                Asked::Subscribing(subscribing) => self.subscribing(subscribing),
            }
        }
        any
    }

    /// Answers a put, of this lane or another.
    pub(super) fn reply(&mut self, token: u64, outcome: Result<Acked, WireError>) {
        match Asker::of_log_token(token) {
            None => self.replies.answer(token, outcome),
            Some(asker) => {
                self.mesh.as_ref().expect("others ask through the mesh alone").answer(asker, outcome);
            }
        }
    }

    /// Whether the lane may sleep, as far as other lanes are concerned.
    pub(super) fn may_sleep(&mut self, cx: &mut Context<'_>) -> bool {
        self.mesh.as_mut().is_none_or(|mesh| mesh.lie_down(cx).is_pending())
    }

    /// This lane's logs have stopped. True when those of all others have too: then no answer is to come.
    pub(super) fn others_have_stopped(&mut self) -> bool {
        let Some(mesh) = &mut self.mesh else { return true };
        mesh.stopped();
        mesh.all_stopped()
    }

    /// Takes the answers of other lanes to puts of this one.
    pub(super) fn take_answers(&mut self) -> bool {
        let Some(mesh) = &mut self.mesh else { return false };
        let mut any = false;
        while let Some(Answer { token, outcome }) = mesh.next_answer() {
            self.replies.answer(token, outcome);
            any = true;
        }
        any
    }
}

/// Most requests of others that are done in one turn, so that the lane's own are not forgotten.
const ASKED_OF_TURN_MAX: usize = 256;
