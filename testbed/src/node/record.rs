//! What a node is asked to be, and the stored record of it. Invariant: names and indices are unique within a cluster;
//! `claim` is the only place that gives out an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Result, bail};
use api::provider::Taint;
use serde::{Deserialize, Serialize};

use crate::files::{self, Lock};
use crate::layout::Layout;
use crate::shape::{Machine, Reserved};

/// What a node is asked to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// CPU that pods can request in all, for example `500m`; the whole machine's if not given.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Memory that pods can request in all, for example `2Gi`; the whole machine's if not given.
    #[serde(default)]
    pub memory: Option<String>,
    /// Labels it registers with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints it registers with.
    #[serde(default)]
    pub taints: Vec<Taint>,
}

impl NodeOptions {
    /// A node as large as this machine.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Refuses what could not become a node here; otherwise says what to hold back from pods.
    pub(crate) fn check(&self, machine: &Machine) -> Result<Reserved> {
        check_name(&self.name)?;
        for label in self.labels.keys() {
            if !self_settable(label) {
                bail!(
                    "a kubelet may not give itself the label `{label}` (admission plugin NodeRestriction); add the node \
                     without it and run `kubectl label node {} {label}=…`",
                    self.name
                );
            }
        }
        for taint in &self.taints {
            if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
                bail!(
                    "the taint `{}` has the effect `{}`; it must be NoSchedule, PreferNoSchedule or NoExecute",
                    taint.key,
                    taint.effect
                );
            }
        }
        machine.reserve(self.cpu.as_deref(), self.memory.as_deref())
    }
}

/// A node that exists, or that a crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    /// Number its addresses follow from.
    pub(crate) index: u8,
    /// What it was asked to be.
    pub(crate) options: NodeOptions,
}

/// The node's record, made if there is none of this name. An existing node keeps what it was asked to be.
pub(crate) fn claim(layout: &Layout, options: &NodeOptions) -> Result<NodeRecord> {
    fs::create_dir_all(layout.nodes())?;
    let _lock = Lock::take_file(&layout.nodes().join("lock"))?;
    let known = all(layout);
    if let Some(record) = known.iter().find(|record| record.options.name == options.name) {
        if record.options != *options {
            bail!(
                "there is a node `{0}` already and it was asked to be different; remove it first with `cluster node rm {0}`",
                options.name
            );
        }
        return Ok(record.clone());
    }
    let index = free_index(&known.iter().map(|record| record.index).collect())?;
    let record = NodeRecord { index, options: options.clone() };
    files::write_json(&layout.node(index).join("node.json"), &record)?;
    Ok(record)
}

/// Every recorded node by index.
pub(crate) fn all(layout: &Layout) -> Vec<NodeRecord> {
    let mut records = Vec::new();
    let Ok(entries) = fs::read_dir(layout.nodes()) else { return records };
    for entry in entries.flatten() {
        if let Some(record) = files::read_json(&entry.path().join("node.json")).ok().flatten() {
            records.push(record);
        }
    }
    records.sort_by_key(|record: &NodeRecord| record.index);
    records
}

/// The record of the node with this name.
pub(crate) fn find(layout: &Layout, name: &str) -> Option<NodeRecord> {
    all(layout).into_iter().find(|record| record.options.name == name)
}

fn free_index(taken: &BTreeSet<u8>) -> Result<u8> {
    match (1..=254).find(|index| !taken.contains(index)) {
        Some(index) => Ok(index),
        None => bail!("a cluster has at most 254 real nodes; remove one, or use `cluster kwok` for fake ones"),
    }
}

fn check_name(name: &str) -> Result<()> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |p: &str| p.starts_with(edge) && p.ends_with(edge) && p.chars().all(|c| edge(c) || c == '-');
    // 63, not 253: the name is also the value of the label kubernetes.io/hostname.
    if name.len() > 63 || !name.split('.').all(part) {
        bail!(
            "`{name}` cannot be a node's name: use at most 63 of a-z, 0-9, - and ., with a letter or digit at both ends"
        );
    }
    Ok(())
}

/// True for labels that NodeRestriction lets a kubelet set on itself.
fn self_settable(label: &str) -> bool {
    const ALLOWED: [&str; 9] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "beta.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
    ];
    let Some((domain, _)) = label.split_once('/') else { return true };
    let below = |parent: &str| domain == parent || domain.ends_with(&format!(".{parent}"));
    ALLOWED.contains(&label)
        || below("kubelet.kubernetes.io")
        || (below("node.kubernetes.io"))
        || !(below("kubernetes.io") || below("k8s.io"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cpu_milli: 2000, memory: 8 << 30 };

    #[test]
    fn indices_are_reused_from_the_lowest() {
        let check =
            |taken: &[u8], expect: u8| assert_eq!(free_index(&taken.iter().copied().collect()).unwrap(), expect);
        check(&[], 1);
        check(&[1, 3], 2);
        assert!(free_index(&(1..=254).collect()).is_err());
    }

    #[test]
    fn labels_that_a_kubelet_may_not_set_are_refused() {
        let check = |label: &str, ok: bool| assert_eq!(self_settable(label), ok, "{label}");
        check("plain", true);
        check("batch.amazonaws.com/compute-environment-uuid", true);
        check("node.kubernetes.io/instance-type", true);
        check("topology.kubernetes.io/zone", true);
        check("node-role.kubernetes.io/worker", false);
        check("node-restriction.kubernetes.io/x", false);
        check("kubernetes.io/whatever", false);
        check("app.k8s.io/x", false);
    }

    #[test]
    fn what_cannot_become_a_node_is_refused() {
        let check = |options: NodeOptions, expect: &str| {
            let error = format!("{:#}", options.check(&MACHINE).unwrap_err());
            assert!(error.contains(expect), "{error}");
        };
        check(NodeOptions::named("A"), "cannot be a node's name");
        check(NodeOptions::named(&"a".repeat(64)), "cannot be a node's name");
        check(NodeOptions { cpu: Some("3".into()), ..NodeOptions::named("a") }, "this machine has");
        let taint = Taint { key: "k".into(), value: String::new(), effect: "Never".into() };
        check(NodeOptions { taints: vec![taint], ..NodeOptions::named("a") }, "effect `Never`");
        assert_eq!(NodeOptions::named("a.b-1").check(&MACHINE).unwrap(), Reserved::default());
    }
}
