//! What is charged to a lane, held against what it must at least be: bytes that wait for the disk, and
//! bytes that are kept for readers.

use rheos_core::log::Write;

use super::world::World;

impl World {
    /// A commit is submitted: it is staged until it is durable.
    pub(crate) fn prove_staged(&mut self, at: usize, write: &Write) {
        let bytes: usize = write.batches.iter().map(|batch| batch.len()).sum();
        let charged = self.lanes[self.lane_of_log(at)].budget.staged_bytes();
        if charged < bytes {
            self.fail(format!("log {at} writes {bytes} bytes, and {charged} are charged to its lane"));
        }
    }

    /// A commit has become durable: its last batch is kept for readers, whatever else is.
    pub(crate) fn prove_tail(&mut self, at: usize, last_batch: usize) {
        let charged = self.lanes[self.lane_of_log(at)].budget.tail_bytes();
        if charged < last_batch {
            self.fail(format!("log {at} keeps {last_batch} bytes for readers, and {charged} are charged to its lane"));
        }
    }

    /// Nobody waits for an answer: nothing is staged.
    pub(crate) fn prove_nothing_staged(&mut self) {
        let staged: usize = self.lanes.iter().map(|lane| lane.budget.staged_bytes()).sum();
        if self.tokens.is_empty() && staged > 0 {
            self.fail(format!("every put is answered, and {staged} bytes are charged as staged"));
        }
    }
}
