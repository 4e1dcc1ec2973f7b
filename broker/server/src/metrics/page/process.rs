//! What the kernel says of this process, under the names that every Prometheus client gives it.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::metrics::text::{Family, Kind, Value};

/// The process at a moment.
pub(super) struct Process {
    cpu_seconds: f64,
    resident_memory_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Process {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Process {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_memory_bytes: resident_memory_bytes(),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

pub(super) const FAMILIES: &[Family<Process>] = &[
    Family {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "CPU time that all threads of the broker have used.",
        value: |process| Some(Value::Seconds(process.cpu_seconds)),
    },
    Family {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory of the broker that is in RAM.",
        value: |process| process.resident_memory_bytes.map(Value::Whole),
    },
    Family {
        name: "process_open_fds",
        kind: Kind::Gauge,
        help: "File descriptors that are open: each log that is written has two, each client of HTTP one.",
        value: |process| process.open_fds.map(Value::Whole),
    },
    Family {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "File descriptors that may be open at once.",
        value: |process| process.max_fds.map(Value::Whole),
    },
];

fn resident_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

fn open_fds() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_kernel_says_all_of_it() {
        let before = Process::now();
        let held: Vec<File> = (0..50).map(|_| File::open("/proc/self/status").expect("it is there")).collect();
        let now = Process::now();
        assert!(now.cpu_seconds > 0.0 && now.cpu_seconds >= before.cpu_seconds);
        assert!(now.resident_memory_bytes.expect("it has memory") > 1 << 20);
        // Other tests of the process open and close some, too.
        assert!(now.open_fds.expect("it has some") > held.len() as u64);
        assert!(now.max_fds.is_none_or(|max| max > held.len() as u64));
    }
}
