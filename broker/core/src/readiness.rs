//! Whether a broker is ready: it has recovered, every lane serves, and puts can be stored.
//!
//! A single log that takes no puts does not make a broker unready: it is damaged, the rest serves, and a
//! restart would not mend it.

use std::fmt;

/// What a lane says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneReadiness {
    /// Logs that it serves.
    pub logs: u64,
    /// Those of them that take no puts for good.
    pub read_only_logs: u64,
    /// Whether the disk is below its low-water mark, as far as it was told.
    pub storage_low: bool,
}

/// Why a broker is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It is not there yet.
    Starting,
    /// It is on its way out.
    Stopping,
    /// A lane does not answer.
    LaneSilent {
        /// Which.
        lane: u16,
    },
    /// The disk is full.
    StorageLow,
    /// The file system takes no writes.
    StorageReadOnly,
    /// Every log has failed.
    EveryLogReadOnly {
        /// How many there are.
        logs: u64,
    },
}

/// Judges a broker that has started and was not told to stop: by what its lanes say, in their order, and
/// whether its file system takes no writes. Nothing stands for a lane that does not answer. The sum of what
/// they say comes back.
///
/// # Errors
///
/// The first reason for which it is not ready.
pub fn judge(
    lanes: impl IntoIterator<Item = Option<LaneReadiness>>,
    storage_read_only: bool,
) -> Result<LaneReadiness, NotReady> {
    let mut all = LaneReadiness::default();
    for (lane, said) in (0..).zip(lanes) {
        let LaneReadiness { logs, read_only_logs, storage_low } = said.ok_or(NotReady::LaneSilent { lane })?;
        all.logs += logs;
        all.read_only_logs += read_only_logs;
        all.storage_low |= storage_low;
    }
    match all {
        _ if storage_read_only => Err(NotReady::StorageReadOnly),
        LaneReadiness { storage_low: true, .. } => Err(NotReady::StorageLow),
        LaneReadiness { logs, read_only_logs, .. } if logs > 0 && logs == read_only_logs => {
            Err(NotReady::EveryLogReadOnly { logs })
        }
        ready => Ok(ready),
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Starting => f.write_str("the broker is starting: it recovers its logs; ask again in a moment"),
            NotReady::Stopping => f.write_str("the broker is stopping: it was told to, and seals its logs"),
            NotReady::LaneSilent { lane } => {
                write!(f, "lane {lane} does not answer; look at the broker's log and the load of its core")
            }
            NotReady::StorageLow => f.write_str(
                "the disk is nearly full: puts are refused until there is room, reads go on; delete streams that nobody \
                 needs, or move other files away",
            ),
            NotReady::StorageReadOnly => f.write_str(
                "the file system of the data directory is read-only: puts fail, reads go on; look at the kernel's log",
            ),
            NotReady::EveryLogReadOnly { logs } => write!(
                f,
                "none of the {logs} logs takes puts, because of what the disk did; the broker's log says more, and so \
                 does `rheos verify` while it is stopped"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: LaneReadiness = LaneReadiness { logs: 3, read_only_logs: 0, storage_low: false };

    #[test]
    fn a_broker_is_ready_when_all_lanes_serve_and_something_can_be_stored() {
        let some_damaged = LaneReadiness { read_only_logs: 2, ..GOOD };
        let all = judge([Some(GOOD), Some(some_damaged)], false);
        assert_eq!(all, Ok(LaneReadiness { logs: 6, read_only_logs: 2, storage_low: false }));
        assert_eq!(judge([Some(LaneReadiness::default())], false), Ok(LaneReadiness::default()), "it has no log yet");
        let low = LaneReadiness { storage_low: true, ..GOOD };
        let all_damaged = LaneReadiness { read_only_logs: 3, ..GOOD };
        for (lanes, read_only, why) in [
            (vec![Some(GOOD), None], false, NotReady::LaneSilent { lane: 1 }),
            (vec![None, Some(low)], true, NotReady::LaneSilent { lane: 0 }),
            (vec![Some(GOOD), Some(low)], false, NotReady::StorageLow),
            (vec![Some(low)], true, NotReady::StorageReadOnly),
            (vec![Some(all_damaged); 2], false, NotReady::EveryLogReadOnly { logs: 6 }),
        ] {
            assert_eq!(judge(lanes, read_only), Err(why));
            let said = why.to_string();
            assert!(!said.contains('\n') && said.len() > 40, "{said}");
        }
        assert!(judge([Some(all_damaged), Some(GOOD)], false).is_ok());
    }
}
