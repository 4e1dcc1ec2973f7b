//! What the logs of one lane share: bytes, and places for commits in flight.

use crate::limits::{COMMITS_AT_STOP_MAX, COMMITS_IN_FLIGHT_MAX, STAGED_BYTES_MAX, TAIL_BYTES_MAX};
use crate::planted::Bug;

/// The budget of a lane. A log is handed it in every step and keeps it true.
#[derive(Debug, Clone, Default)]
pub struct LaneBudget {
    staged_bytes: usize,
    tail_bytes: usize,
    commits_in_flight: usize,
    storage_low: bool,
    pushes_late: bool,
    stops: bool,
}

impl LaneBudget {
    /// Says whether the disk is below its low-water mark: puts are refused until it is not.
    pub fn set_storage_low(&mut self, low: bool) {
        self.storage_low = low;
    }

    /// Whether the disk is below its low-water mark.
    pub fn storage_low(&self) -> bool {
        self.storage_low
    }

    /// Says whether the lane is late with what it has promised to consumers: puts are refused until it is not.
    pub fn set_pushes_late(&mut self, late: bool) {
        self.pushes_late = late;
    }

    /// Whether the lane is late with what it has promised to consumers.
    pub fn pushes_late(&self) -> bool {
        self.pushes_late
    }

    /// Bytes staged and submitted, all logs together.
    pub fn staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// Bytes kept in memory for readers, all logs together.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// From here on the lane stops: more commits may be in flight.
    pub fn hurry_to_stop(&mut self) {
        self.stops = true;
    }

    /// Whether another commit may be submitted.
    pub fn has_commit_slot(&self) -> bool {
        self.commits_in_flight < if self.stops { COMMITS_AT_STOP_MAX } else { COMMITS_IN_FLIGHT_MAX }
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.staged_bytes + bytes <= STAGED_BYTES_MAX
    }

    pub(crate) fn stage(&mut self, bytes: usize) {
        self.staged_bytes += if Bug::StagedNotCharged.is_planted() { 0 } else { bytes };
    }

    pub(crate) fn unstage(&mut self, bytes: usize) {
        self.staged_bytes = self
            .staged_bytes
            .checked_sub(if Bug::StagedNotCharged.is_planted() { 0 } else { bytes })
            .expect("what leaves was staged");
    }

    pub(crate) fn submit(&mut self) {
        assert!(self.has_commit_slot(), "a commit is submitted into a free place");
        self.commits_in_flight += 1;
    }

    pub(crate) fn complete(&mut self) {
        self.commits_in_flight = self.commits_in_flight.checked_sub(1).expect("what completes was submitted");
    }

    pub(crate) fn keep_tail(&mut self, bytes: usize) {
        self.tail_bytes += if Bug::TailNotCharged.is_planted() { 0 } else { bytes };
    }

    pub(crate) fn drop_tail(&mut self, bytes: usize) {
        self.tail_bytes = self
            .tail_bytes
            .checked_sub(if Bug::TailNotCharged.is_planted() { 0 } else { bytes })
            .expect("what is dropped was kept");
    }

    pub(crate) fn tail_is_full(&self) -> bool {
        self.tail_bytes > TAIL_BYTES_MAX
    }
}
