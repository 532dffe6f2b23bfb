//! Where a measurement was made: without it figures say nothing.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result};

use super::scene::Scene;

/// What figures depend on.
pub(super) struct Facts {
    cores: usize,
    model: String,
    memory_gib: u64,
    load: String,
    kubernetes: String,
    nodes: usize,
}

/// Reads this machine, and asks the cluster.
pub(super) async fn facts(scene: &Scene) -> Result<Facts> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let load = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let version = scene.client().apiserver_version().await.context("the API server does not say its version")?;
    Ok(Facts {
        cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
        model: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
        memory_gib: field(&memory, "MemTotal").and_then(kib).unwrap_or_default() >> 20,
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        kubernetes: version.git_version,
        nodes: scene.nodes().await?,
    })
}

/// The value of a line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn kib(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse().ok()
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "machine: {} cores, {}, {} GiB; load before: {}",
            self.cores, self.model, self.memory_gib, self.load
        )?;
        writeln!(
            f,
            "Kubernetes {}, control plane and all nodes on this machine; {} nodes before",
            self.kubernetes, self.nodes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_kernel_writes_them() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A B\n", "model name"), Some("A B"));
        assert_eq!(field("MemTotal:       24689764 kB\n", "MemTotal").and_then(kib), Some(24_689_764));
        assert_eq!(field("MemTotal:       1 kB\n", "MemFree"), None);
    }
}
