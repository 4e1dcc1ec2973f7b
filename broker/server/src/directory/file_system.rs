//! Which file systems can keep the promise, and which cannot.
//!
//! ext4 and XFS do. Others start with a warning that says what they cost. What forgets at power-off
//! (memory, and an overlay over it), what answers for a disk it does not have (network, FUSE), and ext4
//! that writes data through its journal, are refused; with `dev` they too only warn.
//!
//! What must hold: the answer comes from the kernel (`statfs`, `/proc`), never from the path's name;
//! and it is known before anything is made in the directory.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Dev, IFlags, ioctl_getflags, major, minor, statfs};

use crate::finding::Finding;
use crate::start_error::StartError;

/// Looks at the file system of `nearest`, on which the directory `path` is or will be.
pub(super) fn check(nearest: &Path, path: &Path, dev: bool) -> Result<Finding, StartError> {
    // By path: a directory above ours need not be readable.
    let magic = statfs(nearest).map_err(|error| StartError::io("look at", nearest)(error.into()))?.f_type;
    let device = fs::metadata(nearest).map_err(StartError::io("look at", nearest))?.dev();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = Mount::find(&mounts, device);

    #[allow(clippy::unnecessary_cast, reason = "the type of f_type differs between architectures")]
    let (mut name, mut standing) = judge(magic as u32, mount.as_ref().map(|mount| mount.kind));
    if name == EXT4 && journals_data(nearest, device, mount.as_ref()) {
        name = "ext4 with data=journal".to_owned();
        standing = Standing::Refused("which writes every byte twice and makes direct writes buffered ones");
    }
    if standing == LAYERED && mount.as_ref().is_some_and(|mount| writes_to_memory(mount.options)) {
        name = "overlayfs over memory".to_owned();
        standing = MEMORY;
    }
    if standing == Standing::Good && mount.as_ref().is_some_and(|mount| says_no_barriers(mount.options)) {
        let what = format!(
            "{} is on {name} mounted without barriers: what is acknowledged is lost with the power, unless the disk's \
             cache is kept by a battery",
            path.display()
        );
        return Ok(Finding::warning(FILE_SYSTEM, what, "mount -o remount,barrier=1 on it, and in /etc/fstab"));
    }
    let place = path.display();
    match standing {
        Standing::Good => Ok(Finding::ok(FILE_SYSTEM, format!("{place} is on {name}"))),
        Standing::Costly(why) => {
            Ok(Finding::warning(FILE_SYSTEM, format!("{place} is on {name}, {why}"), "ext4 or XFS is better"))
        }
        Standing::Refused(why) if dev => Ok(Finding::warning(
            FILE_SYSTEM,
            format!("{place} is on {name}, {why}: what is written there is not durable"),
            "for --dev only",
        )),
        Standing::Refused(why) => Err(StartError::FileSystemRefused { path: path.to_owned(), name, why }),
    }
}

const FILE_SYSTEM: &str = "file system";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Costly(&'static str),
    Refused(&'static str),
}

const EXT4: &str = "ext4";
const MEMORY: Standing = Standing::Refused("which is gone when the machine stops");
const NETWORK: Standing = Standing::Refused("a network file system, whose server decides when data is on a disk");
const FUSE: Standing = Standing::Refused("a user-space file system, which need not keep what it acknowledges");
const LAYERED: Standing = Standing::Costly("a container's layer, which goes with the container");
const COPYING: Standing = Standing::Costly("which copies on write: a commit of 4 KiB writes 100 KiB and more");
const UNTRIED: Standing = Standing::Costly("on which the broker has not been tried");

/// The numbers that the kernel gives file systems (linux/magic.h and the file systems' own headers).
const KNOWN: &[(u32, &str, Standing)] = &[
    (0x0000_ef53, EXT4, Standing::Good),
    (0x5846_5342, "XFS", Standing::Good),
    (0x9123_683e, "btrfs", COPYING),
    (0xca45_1a4e, "bcachefs", COPYING),
    (0x2fc1_2fc1, "ZFS", COPYING),
    (0xf2f5_2010, "F2FS", UNTRIED),
    (0x794c_7630, "overlayfs", LAYERED),
    (0x0102_1994, "tmpfs", MEMORY),
    (0x8584_58f6, "ramfs", MEMORY),
    (0x9584_58f6, "hugetlbfs", MEMORY),
    (0x0000_6969, "NFS", NETWORK),
    (0xff53_4d42, "CIFS", NETWORK),
    (0xfe53_4d42, "SMB", NETWORK),
    (0x0000_517b, "SMB", NETWORK),
    (0x0102_1997, "9p", NETWORK),
    (0x00c3_6400, "Ceph", NETWORK),
    (0x5346_414f, "AFS", NETWORK),
    (0x6b41_4653, "AFS", NETWORK),
    (0x7375_7245, "Coda", NETWORK),
    (0x0bd0_0bd0, "Lustre", NETWORK),
    (0x786f_4256, "VirtualBox shared folders", NETWORK),
    (0x6573_5546, "FUSE", FUSE),
];

/// `kind` is what the mount table calls the file system; it tells ext2 from ext4 and names what is unknown here.
fn judge(magic: u32, kind: Option<&str>) -> (String, Standing) {
    match KNOWN.iter().find(|known| known.0 == magic) {
        Some((_, EXT4, _)) if kind == Some("ext2") => {
            ("ext2".to_owned(), Standing::Costly("which has no journal: after a crash it must be checked"))
        }
        Some((_, name, standing)) => ((*name).to_owned(), *standing),
        None => (kind.map_or_else(|| format!("a file system of type {magic:#x}"), str::to_owned), UNTRIED),
    }
}

/// A line of the mount table.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// The mount of this device. Which one does not matter where there are several: they share the
    /// file system and its options.
    fn find(table: &'a str, device: Dev) -> Option<Mount<'a>> {
        let device = format!("{}:{}", major(device), minor(device));
        table.lines().find_map(|line| {
            // Optional fields of any number stand before the lone dash, three after it.
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let mount = Mount { kind: after.next()?, options: after.nth(1)? };
            (before.split(' ').nth(2)? == device).then_some(mount)
        })
    }
}

fn journals_data(directory: &Path, device: Dev, mount: Option<&Mount<'_>>) -> bool {
    let by_mount = mount.is_some_and(|mount| says_data_journal(mount.options));
    // As the file system's own default it is not in the mount table, only here.
    let link = fs::read_link(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok();
    let by_default = link
        .and_then(|link| fs::read_to_string(Path::new("/proc/fs/ext4").join(link.file_name()?).join("options")).ok())
        .is_some_and(|options| says_data_journal(&options));
    // New files inherit this attribute from their directory.
    let by_attribute = File::open(directory)
        .is_ok_and(|directory| ioctl_getflags(directory).is_ok_and(|flags| flags.contains(IFlags::JOURNALING)));
    by_mount || by_default || by_attribute
}

/// Whether what is written to an overlay lands in memory, as far as its upper layer can be seen from here: in
/// a container its path is the host's.
fn writes_to_memory(options: &str) -> bool {
    let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
    #[allow(clippy::unnecessary_cast, reason = "the type of f_type differs between architectures")]
    let magic = upper.and_then(|upper| statfs(upper).ok()).map(|about| about.f_type as u32);
    magic.is_some_and(|magic| judge(magic, None).1 == MEMORY)
}

/// Whether the disk is not told to keep what is written.
fn says_no_barriers(options: &str) -> bool {
    options.split(',').any(|option| matches!(option, "nobarrier" | "barrier=0"))
}

fn says_data_journal(options: &str) -> bool {
    options.split([',', '\n']).any(|option| option.trim() == "data=journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_file_system_has_its_standing() {
        let good = [0xef53, 0x5846_5342];
        let costly = [0x9123_683e, 0xca45_1a4e, 0x2fc1_2fc1, 0xf2f5_2010, 0x794c_7630];
        for (magic, name, standing) in KNOWN {
            let expected = match standing {
                Standing::Good => good.contains(magic),
                Standing::Costly(_) => costly.contains(magic),
                Standing::Refused(_) => !good.contains(magic) && !costly.contains(magic),
            };
            assert!(expected, "{name}");
            assert_eq!(judge(*magic, None), ((*name).to_owned(), *standing));
        }
        assert_eq!(KNOWN.len(), 22);
        assert_eq!(judge(0xef53, Some("ext2")).0, "ext2");
        assert_eq!(judge(0xef53, Some("ext4")), ("ext4".to_owned(), Standing::Good));
        assert_eq!(judge(0x1234, Some("newfs")), ("newfs".to_owned(), UNTRIED));
        assert_eq!(judge(0x1234, None).0, "a file system of type 0x1234");
    }

    #[test]
    fn the_mount_table_is_read_by_device() {
        let table = "22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
                     broken line\n\
                     27 1 8:2 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw,discard\n\
                     40 27 259:3 /sub /mnt/with\\040space rw - ext4 /dev/nvme0n1p3 rw,data=journal,errors=remount-ro\n";
        let device = |major, minor| rustix::fs::makedev(major, minor);
        assert_eq!(Mount::find(table, device(8, 2)), Some(Mount { kind: "ext4", options: "rw,discard" }));
        let journal = Mount::find(table, device(259, 3)).expect("it is in the table");
        assert!(says_data_journal(journal.options));
        assert_eq!(Mount::find(table, device(8, 3)), None);
        assert_eq!(Mount::find("", device(8, 2)), None);
    }

    #[test]
    fn an_overlay_is_what_its_upper_layer_is() {
        let of = |upper: &str| writes_to_memory(&format!("rw,lowerdir=/a:/b,upperdir={upper},workdir=/w"));
        assert!(!of("/nowhere/to/be/seen") && !of("/proc") && !writes_to_memory("ro,lowerdir=/a:/b"));
        // Where nothing in memory is mounted at the usual place, there is nothing to look at.
        let is_memory = statfs("/dev/shm").is_ok_and(|about| judge(about.f_type as u32, None).1 == MEMORY);
        assert_eq!(of("/dev/shm"), is_memory);
    }

    #[test]
    fn only_the_options_themselves_mean_no_barriers() {
        assert!(says_no_barriers("rw,nobarrier") && says_no_barriers("rw,barrier=0,discard"));
        assert!(!says_no_barriers("rw,relatime,barrier=1") && !says_no_barriers(""));
    }

    #[test]
    fn only_the_option_itself_means_a_data_journal() {
        assert!(says_data_journal("rw\nbsddf\ndata=journal\n"));
        for options in ["", "rw", "rw,data=ordered", "rw\ndata=writeback\n", "rw,xdata=journal", "rw,data=journalled"] {
            assert!(!says_data_journal(options), "{options}");
        }
    }
}
