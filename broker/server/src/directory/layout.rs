//! Where everything in a data directory is, and which segment a path belongs to.
//!
//! What must hold: names of one kind all have the same length, so that they sort as their numbers
//! do; and [`Layout::segment_place`] is the inverse of [`Layout::segment_path`], for no other path
//! than those. Nothing here touches the disk except [`Layout::space`].

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

pub(super) const LOCK_NAME: &str = "LOCK";
const SEGMENT_SUFFIX: &str = ".segment";
const INCARNATION_DIGITS: usize = 16;
const LOG_DIGITS: usize = 10;
const SEGMENT_DIGITS: usize = 20;

/// The paths below one data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// Which segment of which log a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentPlace {
    /// The stream's incarnation.
    pub incarnation: u64,
    /// The log's number in the stream.
    pub log: u32,
    /// The segment's number in the log.
    pub segment: u64,
}

impl Layout {
    /// The layout of the directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Layout {
        Layout { root: root.into() }
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says whose directory this is.
    pub fn format_path(&self) -> PathBuf {
        self.root.join("FORMAT")
    }

    /// The file that the running broker holds locked.
    pub fn lock_path(&self) -> PathBuf {
        self.root.join(LOCK_NAME)
    }

    /// The file that is written at each start to see whether the disk takes direct writes.
    pub fn probe_path(&self) -> PathBuf {
        self.root.join("probe")
    }

    /// The catalog.
    pub fn catalog_path(&self) -> PathBuf {
        self.root.join("catalog.redb")
    }

    /// The catalog while it is being made. A crash leaves it; the next start removes it.
    pub fn catalog_unfinished_path(&self) -> PathBuf {
        self.root.join(".catalog.redb.tmp")
    }

    /// The space held back for a full disk.
    pub fn ballast_path(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// What a lane can push.
    pub fn capacity_path(&self) -> PathBuf {
        self.root.join("capacity")
    }

    /// Where `rheos calibrate` works; nothing in it is of any use afterwards.
    pub fn calibration_dir(&self) -> PathBuf {
        self.root.join("calibration")
    }

    /// The secrets.
    pub fn keys_dir(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The secrets while they are being made. A crash leaves it; the next start removes it.
    pub fn keys_unfinished_dir(&self) -> PathBuf {
        self.root.join(".keys.tmp")
    }

    /// The administrator's connection string.
    pub fn admin_url_path(&self) -> PathBuf {
        self.root.join("admin.url")
    }

    /// The certificate that clients pin.
    pub fn ca_path(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// Where files go that the catalog does not know.
    pub fn aside_dir(&self) -> PathBuf {
        self.root.join("aside")
    }

    /// The logs of all streams.
    pub fn logs_dir(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The logs of one life of a stream.
    pub fn incarnation_dir(&self, incarnation: u64) -> PathBuf {
        self.logs_dir().join(format!("{incarnation:0INCARNATION_DIGITS$x}"))
    }

    /// The segments of one log.
    pub fn log_dir(&self, incarnation: u64, log: u32) -> PathBuf {
        self.incarnation_dir(incarnation).join(format!("{log:0LOG_DIGITS$}"))
    }

    /// One segment.
    pub fn segment_path(&self, incarnation: u64, log: u32, segment: u64) -> PathBuf {
        self.log_dir(incarnation, log).join(format!("{segment:0SEGMENT_DIGITS$}{SEGMENT_SUFFIX}"))
    }

    /// The losses of one log that somebody has accepted.
    pub fn accepted_path(&self, incarnation: u64, log: u32) -> PathBuf {
        self.log_dir(incarnation, log).join("accepted-losses.json")
    }

    /// Which segment is at `path`; `None` for a path that [`segment_path`](Self::segment_path) never gives.
    pub fn segment_place(&self, path: &Path) -> Option<SegmentPlace> {
        let log_dir = path.parent()?;
        let incarnation_dir = log_dir.parent()?;
        let place = SegmentPlace {
            incarnation: Self::incarnation_of(incarnation_dir.file_name()?)?,
            log: Self::log_of(log_dir.file_name()?)?,
            segment: Self::segment_of(path.file_name()?)?,
        };
        (incarnation_dir.parent()? == self.logs_dir()).then_some(place)
    }

    /// The incarnation whose directory has this name.
    pub fn incarnation_of(name: &OsStr) -> Option<u64> {
        let digits = name.to_str()?;
        let fits = digits.len() == INCARNATION_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if fits { u64::from_str_radix(digits, 16).ok() } else { None }
    }

    /// The number of the log whose directory has this name.
    pub fn log_of(name: &OsStr) -> Option<u32> {
        decimal(name.to_str()?, LOG_DIGITS)?.try_into().ok()
    }

    /// The number of the segment whose file has this name.
    pub fn segment_of(name: &OsStr) -> Option<u64> {
        decimal(name.to_str()?.strip_suffix(SEGMENT_SUFFIX)?, SEGMENT_DIGITS)
    }

    /// How many bytes of the file system an ordinary user can still write.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.space()?.free_bytes)
    }

    /// The space of the file system.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn space(&self) -> io::Result<Space> {
        let system = statvfs(&self.root)?;
        Ok(Space {
            free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
            size_bytes: system.f_blocks.saturating_mul(system.f_frsize),
            is_read_only: system.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// The space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an ordinary user can still write.
    pub free_bytes: u64,
    /// Bytes that it has in all.
    pub size_bytes: u64,
    /// Whether it takes no writes.
    pub is_read_only: bool,
}

/// Reads a number of exactly so many digits. `u64::from_str` alone would also take a sign.
fn decimal(text: &str, digits: usize) -> Option<u64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_path_reads_back_as_its_place() {
        let layout = Layout::new("/data");
        for incarnation in [0, 1, 0xdead_beef, u64::MAX] {
            for log in [0, 7, u32::MAX] {
                for segment in [0, 42, u64::MAX] {
                    let path = layout.segment_path(incarnation, log, segment);
                    assert_eq!(layout.segment_place(&path), Some(SegmentPlace { incarnation, log, segment }));
                }
            }
        }
        assert_eq!(
            layout.segment_path(0xab, 3, 12),
            Path::new("/data/logs/00000000000000ab/0000000003/00000000000000000012.segment")
        );
    }

    #[test]
    fn other_paths_are_no_segments() {
        let layout = Layout::new("/data");
        for path in [
            "/data/logs/00000000000000ab/0000000003/12.segment",
            "/data/logs/00000000000000ab/0000000003/+0000000000000000012.segment",
            "/data/logs/00000000000000ab/0000000003/99999999999999999999.segment",
            "/data/logs/00000000000000ab/0000000003/00000000000000000012.footer",
            "/data/logs/00000000000000ab/9999999999/00000000000000000012.segment",
            "/data/logs/00000000000000AB/0000000003/00000000000000000012.segment",
            "/data/logs/ab/0000000003/00000000000000000012.segment",
            "/data/aside/00000000000000ab/0000000003/00000000000000000012.segment",
            "/other/logs/00000000000000ab/0000000003/00000000000000000012.segment",
            "00000000000000000012.segment",
            "/",
        ] {
            assert_eq!(layout.segment_place(Path::new(path)), None, "{path}");
        }
    }
}
