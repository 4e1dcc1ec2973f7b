//! Why the broker does not start: one line for each reason, naming the thing and saying what to do.
//!
//! What must hold: a message is one line; when a start is refused because of what a directory is or
//! holds, nothing in it has been touched. Damage to a single log is no reason here: that log becomes
//! read-only and the rest serves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::durable::DurableError;

/// A reason for which the broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The kernel lacks what the lanes need.
    #[error("this kernel is Linux {release}, and the broker needs 5.19 or newer; run it on a newer one")]
    KernelTooOld {
        /// What the kernel calls itself.
        release: String,
    },
    /// The kernel or a seccomp filter forbids io_uring.
    #[error(
        "io_uring is denied to this process ({source}, kernel.io_uring_disabled = {sysctl}); in a container, run it with \
         a seccomp profile that allows io_uring (the stock one does not), otherwise: sysctl -w kernel.io_uring_disabled=0"
    )]
    IoUringDenied {
        /// The value of the sysctl, or why there is none.
        sysctl: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A ring could not be made for another reason.
    #[error("cannot make an io_uring: {source}; if memory is short, raise the memlock limit (ulimit -l)")]
    IoUringFailed {
        /// What the kernel said.
        source: io::Error,
    },
    /// Another broker holds the directory.
    #[error("data directory {} is in use by {holder}; stop it or choose another directory", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// "process N", as far as known.
        holder: String,
    },
    /// The directory holds something else.
    #[error(
        "{} is no rheos data directory and not empty (it holds {found:?}); choose an empty or a new directory",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of its entries.
        found: String,
    },
    /// A tool that only looks was given a directory without data.
    #[error("{} holds no rheos data; give the directory that `rheos serve --data` uses", path.display())]
    NoData {
        /// The directory.
        path: PathBuf,
    },
    /// There is something else at the path.
    #[error("{} is not a directory; choose another path for the data", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// A later release has written the directory.
    #[error(
        "data directory {} has format {found} and this release knows up to {known}; start it with the newer release",
        path.display()
    )]
    FormatNewer {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The file that identifies the directory cannot be believed.
    #[error("{} is damaged ({why}); restore it from a backup", path.display())]
    FormatDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The catalog cannot be believed.
    #[error(
        "catalog {} is damaged ({why}); restore it together with the rest of the data directory from a backup (no log \
         was touched)",
        path.display()
    )]
    CatalogDamaged {
        /// The catalog.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later release has written the catalog.
    #[error(
        "catalog {} has format {found} and this release knows up to {known}; start it with the newer release",
        path.display()
    )]
    CatalogNewer {
        /// The catalog.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// What is kept of a lane's capacity cannot be believed.
    #[error("{} cannot be used ({why}); rheos calibrate writes it anew", path.display())]
    CapacityDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The directory cannot be written by this user.
    #[error("cannot write {} ({source}); give the data directory to the user that runs the broker", path.display())]
    NotWritable {
        /// The data directory, or what in it refused.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system keeps no promise.
    #[error(
        "{} is on {name}, {why}; use a directory on ext4 or XFS (or --dev, to try things out without that promise)",
        path.display()
    )]
    FileSystemRefused {
        /// The directory.
        path: PathBuf,
        /// What the file system calls itself.
        name: String,
        /// Why it will not do.
        why: &'static str,
    },
    /// The file system takes no direct writes.
    #[error(
        "{} takes no direct durable write of 4 KiB ({source}); use a directory on ext4 or XFS (or --dev)",
        path.display()
    )]
    DirectWriteRefused {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Direct writes need a coarser alignment than a commit has.
    #[error("{} wants direct writes in steps of {bytes} bytes and the broker makes them of 4096; use another disk", path.display())]
    AlignmentTooCoarse {
        /// The data directory.
        path: PathBuf,
        /// The alignment asked for.
        bytes: u32,
    },
    /// What was written did not come back.
    #[error("{} does not give back what was written to it; check the disk before trusting it with data", path.display())]
    ProbeMismatch {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no room for the few files that a start makes.
    #[error("no room left on the disk of {}; free some and start again", path.display())]
    Full {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// A secret can be read by others.
    #[error(
        "{} can be read by others (mode {mode:04o}); the keys in it may be known: chmod go= it, and have new ones made \
         (revoke the access keys, or remove the keys directory)",
        path.display()
    )]
    KeysOpenToOthers {
        /// The key file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file is not what the broker wrote.
    #[error(
        "key file {} cannot be used ({why}); restore it from a backup, or remove the keys directory to have new ones \
         made (clients then need the new key and CA)",
        path.display()
    )]
    KeysUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operator's certificate or its key is of no use.
    #[error("{} cannot be used as the broker's certificate or its key: {why}", path.display())]
    CertificateUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// Making a key or a certificate failed.
    #[error("cannot make {what}: {why}; this is a fault of the broker or of the system's random numbers")]
    Cryptography {
        /// What was to be made.
        what: &'static str,
        /// What the library said.
        why: String,
    },
    /// No such number of lanes.
    #[error("a broker has 1 to 256 lanes, not {lanes}; choose another number with --lanes")]
    LanesOutOfRange {
        /// What was asked for.
        lanes: u16,
    },
    /// Every lane has a core of its own, or none is chosen.
    #[error("--cores names {cores} cores for {lanes} lanes; name one for each lane, or leave it out")]
    CoresMismatch {
        /// How many cores were named.
        cores: usize,
        /// How many lanes there are to be.
        lanes: u16,
    },
    /// The process may not use the core.
    #[error("core {core} is not one that this process may use (those are {allowed}); choose others with --cores")]
    CoreNotAllowed {
        /// What was asked for.
        core: usize,
        /// The cores that it may use.
        allowed: String,
    },
    /// The kernel does not deal datagrams to lanes as it was told to.
    #[error(
        "lane {lane} is not reached at {listen}: something between drops or redirects datagrams of this host to itself; \
         allow them, or start with --lanes 1"
    )]
    LaneNotReached {
        /// The address that is listened on.
        listen: SocketAddr,
        /// The lane.
        lane: usize,
    },
    /// `--dev` trusts everybody, so it is for this host alone.
    #[error(
        "--dev takes any credential, so it listens on loopback only, not on {listen}; use --listen 127.0.0.1:4567, or trust everybody who can reach it with \
         --dev-anyone-on-the-network"
    )]
    DevNotLoopback {
        /// What was asked for.
        listen: SocketAddr,
    },
    /// Somebody else has the port.
    #[error("address {listen} is in use by another process ({over}); stop it or choose another with --listen")]
    AddressInUse {
        /// The address.
        listen: SocketAddr,
        /// UDP or TCP; the broker needs both.
        over: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; choose another address with --listen")]
    Socket {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A process that was killed is still writing.
    #[error("{why}")]
    SegmentHeld {
        /// Which segment, how long it was waited for, and what to do.
        why: String,
    },
    /// A file or directory could not be made or removed.
    #[error("{0}; check the permissions and the disk")]
    Entry(DurableError),
    /// A file could not be opened, read or asked about.
    #[error("cannot {doing} {}: {source}; check the permissions and the disk", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// What is wrong and what is to be done, which follows the first semicolon of a message.
    pub(crate) fn what_and_fix(&self) -> (String, Option<String>) {
        let message = self.to_string();
        match message.split_once("; ") {
            Some((what, fix)) => (what.to_owned(), Some(fix.to_owned())),
            None => (message, None),
        }
    }

    /// A ring that the kernel refuses, for `map_err`.
    pub(crate) fn ring(source: io::Error) -> StartError {
        StartError::IoUringFailed { source }
    }

    /// A failed step on the socket of `listen`, for `map_err`.
    pub(crate) fn socket(listen: SocketAddr) -> impl FnOnce(io::Error) -> StartError {
        move |source| StartError::Socket { listen, source }
    }

    /// A failed step on `path`, for `map_err`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StartError {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartError::Full { path },
            _ => StartError::Io { doing, path, source },
        }
    }
}

impl From<DurableError> for StartError {
    fn from(error: DurableError) -> StartError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartError::Full { path: error.path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StartError::NotWritable { path: error.path, source: error.source }
            }
            _ => StartError::Entry(error),
        }
    }
}
