//! The cores: how much of them a control group leaves, which are set apart, which share one core, and how the
//! system runs them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cores::Cores;
use crate::finding::Finding;

pub(super) fn examine(cores: &Cores, lanes: u16, tell: &mut impl FnMut(Finding)) {
    tell(quota(cores, lanes));
    siblings(cores.of_lanes()).into_iter().for_each(&mut *tell);
    isolated(cores.of_lanes()).into_iter().for_each(&mut *tell);
    governor(cores.of_lanes()).into_iter().for_each(&mut *tell);
    timer_slack().into_iter().for_each(tell);
}

/// How many cores' worth of time the control groups above this process let it have.
fn quota(cores: &Cores, lanes: u16) -> Finding {
    let Some(quota) = quotas().into_iter().reduce(f64::min) else {
        return Finding::ok(QUOTA, "no control group limits the time of the cores");
    };
    let what = format!("a control group leaves this process {quota:.1} of {} cores", cores.allowed());
    if quota < f64::from(lanes) + 0.5 {
        let fix = "--lanes: fewer than that; or raise it: CPUQuota= of the unit, docker run --cpus";
        return Finding::warning(QUOTA, format!("{what}: lanes are stopped for tens of ms when it is used up"), fix);
    }
    Finding::ok(QUOTA, what)
}

fn quotas() -> Vec<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut quotas = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, read): (&str, fn(&Path) -> Option<f64>) = match controllers {
            "" => ("/sys/fs/cgroup", quota_of_v2),
            _ if controllers.split(',').any(|controller| controller == "cpu") => ("/sys/fs/cgroup/cpu", quota_of_v1),
            _ => continue,
        };
        let group = Path::new(root).join(path.trim_start_matches('/'));
        quotas.extend(group.ancestors().take_while(|group| group.starts_with(root)).filter_map(read));
    }
    quotas
}

fn quota_of_v2(group: &Path) -> Option<f64> {
    quota_in(&fs::read_to_string(group.join("cpu.max")).ok()?)
}

fn quota_of_v1(group: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    quota_in(&format!("{} {}", read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim()))
}

/// `QUOTA PERIOD`, both in microseconds; no number, or one below zero, is no limit.
fn quota_in(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(quota)), Some(Ok(period))) if quota > 0.0 && period > 0.0 => Some(quota / period),
        _ => None,
    }
}

/// Lanes on two threads of one core halve each other.
fn siblings(lanes: &[usize]) -> Option<Finding> {
    let mut shared: Vec<String> = lanes
        .iter()
        .filter_map(|core| {
            let siblings = listed(&read(&cpu(*core).join("topology/thread_siblings_list"))?);
            let of_lanes = siblings.iter().filter(|sibling| lanes.contains(sibling)).count();
            (of_lanes > 1).then(|| siblings.iter().map(usize::to_string).collect::<Vec<_>>().join(" and "))
        })
        .collect();
    shared.sort_unstable();
    shared.dedup();
    if shared.is_empty() {
        return None;
    }
    let what = format!("lanes share a core: {} are threads of one", shared.join(", "));
    Some(Finding::note(SMT, what).with_fix("--cores: one thread of each core, for even latency"))
}

fn isolated(lanes: &[usize]) -> Option<Finding> {
    let isolated = listed(&read(Path::new("/sys/devices/system/cpu/isolated"))?);
    let of_lanes = lanes.iter().filter(|core| isolated.contains(core)).count();
    let shown = isolated.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    match isolated.is_empty() {
        true => None,
        false if of_lanes == lanes.len() => Some(Finding::ok(ISOLATED, format!("{shown}, and all lanes are on them"))),
        false => Some(
            Finding::note(ISOLATED, format!("{shown}, and {of_lanes} of {} lanes are on them", lanes.len()))
                .with_fix(format!("taskset -c {shown} rheos serve --cores {shown}")),
        ),
    }
}

fn governor(lanes: &[usize]) -> Option<Finding> {
    let governor = read(&cpu(*lanes.first().unwrap_or(&0)).join("cpufreq/scaling_governor"))?;
    match governor.as_str() {
        "performance" => Some(Finding::ok(GOVERNOR, governor)),
        _ => Some(
            Finding::note(GOVERNOR, format!("{governor}: a core that was idle is slow for a while"))
                .with_fix("cpupower frequency-set -g performance"),
        ),
    }
}

/// How late the kernel may wake this process for its timers.
fn timer_slack() -> Option<Finding> {
    let nanos: u64 = read(Path::new("/proc/self/timerslack_ns"))?.parse().ok()?;
    let what = format!("timers may be {} us late", nanos / 1_000);
    match nanos {
        0..=TIMER_SLACK_NS_USUAL => Some(Finding::ok(TIMER_SLACK, what)),
        _ => Some(
            Finding::note(TIMER_SLACK, what).with_fix("start it from a process whose timer slack is the usual 50 us"),
        ),
    }
}

fn cpu(core: usize) -> PathBuf {
    Path::new("/sys/devices/system/cpu").join(format!("cpu{core}"))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The numbers of a list such as `0-3,8`.
fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse::<usize>().ok()?.min(CORES_MAX))
    };
    text.split(',').filter_map(range).flatten().collect()
}

const QUOTA: &str = "time of cores";
const SMT: &str = "core threads";
const ISOLATED: &str = "isolated cores";
const GOVERNOR: &str = "core governor";
const TIMER_SLACK: &str = "timer slack";
/// What a process has unless somebody has changed it.
const TIMER_SLACK_NS_USUAL: u64 = 50_000;
/// No list of cores is believed beyond this.
const CORES_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_in_both_forms() {
        for (text, quota) in [
            ("max 100000\n", None),
            ("150000 100000\n", Some(1.5)),
            ("-1 100000", None),
            ("200000 50000", Some(4.0)),
            ("", None),
            ("100000", None),
            ("1 0", None),
        ] {
            assert_eq!(quota_in(text), quota, "{text:?}");
        }
    }

    #[test]
    fn lists_of_cores_are_read() {
        for (text, cores) in
            [("0-3,8", vec![0, 1, 2, 3, 8]), ("5", vec![5]), ("", vec![]), ("x,1", vec![1]), ("3-1", vec![])]
        {
            assert_eq!(listed(text), cores, "{text:?}");
        }
        assert!(listed("0-99999999999").len() <= CORES_MAX + 1);
    }
}
