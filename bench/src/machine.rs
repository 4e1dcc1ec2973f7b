//! The machine under the measurement: cores, how busy a thread was, and an alarm that is on time.

use std::collections::HashMap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::process::nice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Failure;

/// Keeps the calling thread, and the threads it will start, on one core.
pub(crate) fn pin_to_core(core: usize) -> Result<(), Failure> {
    pin_to_cores(&[core])
}

/// Keeps the calling thread, and the threads it will start, on some cores.
pub(crate) fn pin_to_cores(cores: &[usize]) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).map_err(|errno| {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        format!("cannot run on core {}: {errno} (choose one that this process may use)", cores.join(",")).into()
    })
}

/// Gives the calling thread, and the threads it will start, the least claim to their core: any other that
/// wants it goes first.
pub(crate) fn least_claim() -> Result<(), Failure> {
    // On Linux a thread is as nice as itself says, not its process.
    nice(NICE_MAX)?;
    Ok(())
}

const NICE_MAX: i32 = 19;

/// Cores that a thread may run on.
#[derive(Debug, Clone)]
pub(crate) struct Cores(CpuSet);

impl Cores {
    /// Those of the calling thread.
    pub(crate) fn now() -> Result<Self, Failure> {
        Ok(Self(sched_getaffinity(None)?))
    }

    /// Their numbers, in order.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        (0..CpuSet::MAX_CPU).filter(|core| self.0.is_set(*core)).collect()
    }

    /// Keeps the calling thread, and what it will start, to these.
    pub(crate) fn keep_to(&self) -> Result<(), Failure> {
        Ok(sched_setaffinity(None, &self.0)?)
    }
}

/// The time that all threads of a process have run, those that have ended too. The kernel counts it in
/// hundredths of a second, so that it is for runs of seconds.
pub(crate) fn process_time(pid: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(ran_by(&stat).ok_or("the kernel does not say how long a process ran")?)
}

/// The user and system time in a line of `/proc/PID/stat`, proc_pid_stat(5): fields 14 and 15, and the
/// second, a name in parentheses, may hold anything.
fn ran_by(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis((ticks.next()?? + ticks.next()??) * TICK_MS))
}

/// What the kernel counts in for programs, on every architecture that rheos runs on.
const TICK_MS: u64 = 10;

/// Bytes that all files below `directory` take on the disk; what goes meanwhile counts as nothing.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// A moment in the life of the calling thread: by the clock, and by the time it ran.
///
/// Counted by the scheduler to the nanosecond. The core's own counters would show other programs and
/// the disk's interrupts too, but they sample every few milliseconds and a load with a constant
/// schedule fools them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadTime {
    clock: Instant,
    ran: Duration,
}

impl ThreadTime {
    pub(crate) fn now() -> Self {
        let ran = clock_gettime(ClockId::ThreadCPUTime);
        let ran = Duration::new(ran.tv_sec.unsigned_abs(), ran.tv_nsec as u32);
        Self { clock: Instant::now(), ran }
    }

    /// The share, 0 to 1, of the time since then in which the thread ran.
    pub(crate) fn busy_since(&self) -> f64 {
        let now = Self::now();
        (now.ran - self.ran).as_secs_f64() / (now.clock - self.clock).as_secs_f64().max(1e-9)
    }
}

/// How often each device has interrupted each core since the machine started.
#[derive(Debug)]
pub(crate) struct Interrupts(HashMap<String, Vec<u64>>);

impl Interrupts {
    pub(crate) fn now() -> Result<Self, Failure> {
        Ok(Self::parse(&std::fs::read_to_string("/proc/interrupts")?))
    }

    /// The core that took the most interrupts of the busiest device since `earlier`. While a disk is
    /// being written to and nothing else happens, that device is the disk.
    pub(crate) fn busiest_core_since(&self, earlier: &Self) -> Option<usize> {
        let since = |(device, counts): (&String, &Vec<u64>)| {
            let before = earlier.0.get(device)?;
            let deltas = counts.iter().zip(before).map(|(now, before)| now.saturating_sub(*before));
            deltas.enumerate().max_by_key(|(_, count)| *count)
        };
        let busiest = self.0.iter().filter_map(since).max_by_key(|(_, count)| *count)?;
        (busiest.1 > 0).then_some(busiest.0)
    }

    /// Devices have numbers; what has letters is the kernel's own: timers, calls between cores.
    fn parse(table: &str) -> Self {
        let mut lines = table.lines();
        let cores = lines.next().map_or(0, |header| header.split_whitespace().count());
        let device = |line: &str| {
            let (name, rest) = line.trim_start().split_once(':')?;
            let counts = rest.split_whitespace().take(cores).map_while(|word| word.parse().ok()).collect();
            name.bytes().all(|byte| byte.is_ascii_digit()).then(|| (name.to_owned(), counts))
        };
        Self(lines.filter_map(device).collect())
    }
}

/// An alarm of microsecond precision, where tokio's own timer counts milliseconds.
#[derive(Debug)]
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    pub(crate) fn new() -> Result<Self, Failure> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` stays the same open descriptor for as long as the `AsyncFd` owns it.
        let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(Self(registered.map_err(std::io::Error::from)?))
    }

    /// Sets the alarm. Instants that have passed go off at once.
    pub(crate) fn set(&self, at: Instant) -> Result<(), Failure> {
        let wait = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) },
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    /// Ready when an alarm that was set has gone off.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let mut readiness = ready!(self.0.poll_read_ready(cx))?;
            let mut expirations = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut expirations) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(rustix::io::Errno::AGAIN) => readiness.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }

    pub(crate) async fn sleep_until(&self, at: Instant) -> Result<(), Failure> {
        self.set(at)?;
        poll_fn(|cx| self.poll(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_whether_it_ran() {
        let begun = ThreadTime::now();
        std::thread::sleep(Duration::from_millis(50));
        assert!(begun.busy_since() < 0.5, "it slept");
        let begun = ThreadTime::now();
        while begun.ran + Duration::from_millis(20) > ThreadTime::now().ran {
            std::hint::spin_loop();
        }
        assert!(begun.busy_since() > 0.0);
    }

    #[test]
    fn the_time_of_a_process_is_its_user_and_system_time() {
        let stat = "17 (a ) name) S 1 17 17 0 -1 4194560 900 0 0 0 250 50 7 7 20 0 3 0 100 0 0";
        assert_eq!(ran_by(stat), Some(Duration::from_secs(3)));
        assert_eq!(ran_by("17 (name) S 1"), None);
        process_time(std::process::id()).expect("the kernel says so of this process");
    }

    #[test]
    fn the_busiest_device_names_its_core() {
        let before = Interrupts::parse("  CPU0 CPU1\n 36:  5  100 PCI-MSIX req.0\n 9: 1 1 acpi\nLOC: 0 0 timer\n");
        let after = Interrupts::parse("  CPU0 CPU1\n 36:  5  900 PCI-MSIX req.0\n 9: 3 1 acpi\nLOC: 9999 9 timer\n");
        assert_eq!(after.busiest_core_since(&before), Some(1));
        assert_eq!(after.busiest_core_since(&after), None);
    }

    #[test]
    fn refuses_a_core_that_is_not_there() {
        let failure = pin_to_core(100_000).expect_err("no machine has it").to_string();
        assert!(failure.contains("core 100000"), "{failure}");
    }

    #[tokio::test]
    async fn the_alarm_goes_off_and_not_before() {
        let alarm = Alarm::new().expect("a descriptor is free");
        let at = Instant::now() + Duration::from_millis(3);
        alarm.sleep_until(at).await.expect("the timer works");
        assert!(Instant::now() >= at);
        alarm.sleep_until(at).await.expect("one that has passed goes off too");
    }
}
