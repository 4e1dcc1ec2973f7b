//! How full the disk is: puts are refused below a low-water mark, before the file system refuses
//! what the broker cannot do without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::directory::{Ballast, DataDirectory};

/// Below this many free bytes puts are refused ...
pub(crate) const LOW_BYTES: u64 = 16 << 20;
/// ... until so many are free.
pub(crate) const ENOUGH_BYTES: u64 = 24 << 20;
/// How often the file system is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Watches the file system of the data directory.
#[derive(Debug)]
pub(super) struct StorageWatch {
    directory: Arc<DataDirectory>,
    /// None before the first look: a first start does not wait for it.
    ballast: Option<Ballast>,
    low: bool,
    looked: Option<Instant>,
}

impl StorageWatch {
    pub(super) fn new(directory: &Arc<DataDirectory>) -> StorageWatch {
        StorageWatch { directory: Arc::clone(directory), ballast: None, low: false, looked: None }
    }

    /// Looks now and then; says when the disk has become low, or is so no more.
    pub(super) fn look(&mut self) -> Option<bool> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return None;
        }
        if self.looked.is_none() {
            self.ballast = Ballast::open(&self.directory)
                .inspect_err(|error| warn!("nothing is held back for the catalog of a full disk: {error}"))
                .ok();
        }
        self.looked = Some(Instant::now());
        let free_bytes = self.directory.free_bytes().ok()?;
        let low = free_bytes < if self.low { ENOUGH_BYTES } else { LOW_BYTES };
        if let Some(ballast) = self.ballast.as_mut().filter(|ballast| !low && !ballast.is_held())
            && free_bytes > 4 * ENOUGH_BYTES
        {
            // Best effort: without it the next full disk is only less comfortable.
            drop(ballast.restore());
        }
        if low == self.low {
            return None;
        }
        self.low = low;
        let free_mib = free_bytes >> 20;
        if low {
            warn!(free_mib, "the disk is nearly full: puts are refused until there is room");
        } else {
            info!(free_mib, "the disk has room again: puts are taken");
        }
        Some(low)
    }

    /// Gives the ballast back to the file system; false when there was none.
    pub(super) fn release_ballast(&mut self) -> bool {
        let held = self.ballast.as_mut().filter(|ballast| ballast.is_held());
        let released = held.and_then(|ballast| ballast.release().ok());
        if let Some(bytes) = released {
            warn!(mib = bytes >> 20, "the disk is full: gave up what was held back for the catalog");
        }
        released.is_some()
    }
}
