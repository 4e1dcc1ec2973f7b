//! The lane's commits: begun in the order of the wishes, written through its ring, and their ends.

use std::task::Context;
use std::time::Instant;

use rheos_core::arrival::Now;
use rheos_core::log::{Event, Write};
use tracing::error;

use super::logs::{Slot, Writing};
use super::{Lane, name};
use crate::disk::WriteDone;

impl Lane {
    /// Takes the writes that have ended, each as an event of its log.
    pub(super) fn take_completions(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        if self.wait.poll(&mut self.ring, cx).is_pending() {
            return false;
        }
        let mut ends = std::mem::take(&mut self.ends);
        self.ring.reap(&mut ends);
        let ended = Instant::now();
        self.replies.set_time(ended);
        for WriteDone { token, buffer, written } in ends.drain(..) {
            let failure = match written {
                Ok(count) if count == buffer.len() => None,
                Ok(count) => Some(format!("{count} of {} bytes were written", buffer.len())),
                Err(error) => Some(error.to_string()),
            };
            self.write_has_ended(now, Slot(token as usize), ended, buffer.len(), failure);
            self.pool.put(buffer);
        }
        self.ends = ends;
        true
    }

    fn write_has_ended(&mut self, now: Now, slot: Slot, ended: Instant, len: usize, failure: Option<String>) {
        let owned = self.logs.at(slot).expect("a slot is kept until its write has ended");
        let writing = owned.writing.take().expect("a write that ends was begun");
        if failure.is_none() {
            self.counts.commits += 1;
            self.counts.commit_bytes += len as u64;
            self.counts.commit_payload_bytes += writing.payload_bytes;
            self.counts.commit.add(ended - writing.began);
        }
        if owned.dropped {
            owned.log.write_ended(&mut self.budget);
            return self.logs.remove(slot);
        }
        let event = match failure {
            None => Event::Durable,
            Some(why) => {
                let log = owned.log.id();
                let stream = self.logs.stream_name(log);
                error!(stream, log = %name(log), "a write failed, what it held is not acknowledged yet: {why}");
                Event::WriteFailed { why }
            }
        };
        self.step(now, slot, event);
    }

    /// Begins commits of logs that want one, oldest wish first, as long as there is a place.
    pub(super) fn begin_commits(&mut self, now: Now) -> bool {
        let mut any = false;
        while self.budget.has_commit_slot() {
            let Some(slot) = self.logs.next_wanting() else { break };
            let before = self.ring.in_flight();
            self.step(now, slot, Event::Flush);
            any |= self.ring.in_flight() > before;
        }
        any
    }

    /// Performs the write of a commit: gathered into one aligned buffer, and submitted at once.
    pub(super) fn write(&mut self, slot: Slot, write: &Write) {
        let mut buffer = self.pool.take(write.len);
        buffer.extend_from_slice(&write.head);
        buffer.extend_from_slice(&write.header);
        for batch in &write.batches {
            buffer.extend_from_slice(batch);
        }
        buffer.extend_zeroed(write.len - buffer.len());
        let owned = self.logs.at(slot).expect("effects are performed before a slot is freed");
        let file = owned.files.get(&write.segment).expect("a segment is written after it was made");
        let payload_bytes = write.batches.iter().map(|batch| batch.len() as u64).sum();
        owned.writing = Some(Writing { began: Instant::now(), payload_bytes });
        self.ring.write(slot.0 as u64, file, write.offset, buffer);
    }
}
