//! Where a measurement was made: without it figures say nothing.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::ground::Ground;

/// What figures depend on, of the machine.
pub(super) struct Machine {
    cores: usize,
    model: String,
    memory_gib: u64,
    load: String,
}

/// Reads this machine.
pub(super) fn machine() -> Result<Machine> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let load = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    Ok(Machine {
        cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
        model: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
        memory_gib: field(&memory, "MemTotal").and_then(kib).unwrap_or_default() >> 20,
        load: load.split(' ').next().unwrap_or_default().to_owned(),
    })
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, model, memory_gib, load } = self;
        writeln!(f, "machine: {cores} cores, {model}, {memory_gib} GiB; load before: {load}")
    }
}

/// What figures depend on, of the cluster.
pub(super) struct Kubernetes {
    version: String,
    nodes: usize,
}

/// Asks the cluster.
pub(super) async fn kubernetes(ground: &Ground) -> Result<Kubernetes> {
    let version = ground.client().apiserver_version().await.context("the API server does not say its version")?;
    Ok(Kubernetes { version: version.git_version, nodes: ground.nodes().await? })
}

impl fmt::Display for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, nodes } = self;
        writeln!(f, "Kubernetes {version}, control plane and all nodes on this machine; {nodes} nodes before")
    }
}

/// What a process takes of the memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) now: u64,
    pub(super) most: u64,
}

/// Asks the kernel about a process.
pub(super) fn resident(pid: u32) -> Result<Resident> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let read = |name| field(&status, name).and_then(kib).with_context(|| format!("{path} has no {name}"));
    let (now, most) = (read("VmRSS")?, read("VmHWM")?);
    // The kernel notes the maximum late.
    Ok(Resident { now, most: most.max(now) })
}

/// How long threads of a process have run on a processor so far, as far as they still live.
pub(super) fn processor_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/task");
    let mut all = Duration::ZERO;
    for task in fs::read_dir(&path).with_context(|| format!("cannot read {path}"))? {
        let path = task?.path().join("schedstat");
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        all += ran(&text).with_context(|| format!("{} says {text:?}", path.display()))?;
    }
    Ok(all)
}

/// The first number is nanoseconds on a processor.
fn ran(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The value of a line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn kib(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_kernel_writes_them() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A B\n", "model name"), Some("A B"));
        assert_eq!(field("MemTotal:       24689764 kB\n", "MemTotal").and_then(kib), Some(24_689_764));
        assert_eq!(field("VmHWM:\t    1424 kB\nVmRSS:\t    1421 kB\n", "VmRSS").and_then(kib), Some(1421));
        assert_eq!(field("MemTotal:       1 kB\n", "MemFree"), None);
        assert_eq!(ran("1500 20 3\n"), Some(Duration::from_nanos(1500)));
    }

    #[test]
    fn this_process_takes_some_memory_and_time() {
        let found = resident(std::process::id()).unwrap();
        assert!(found.now > 0 && found.most >= found.now, "{found:?}");
        assert!(processor_time(std::process::id()).unwrap() > Duration::ZERO);
    }
}
