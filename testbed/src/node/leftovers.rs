//! Clearing away what a node leaves on the machine: processes, mounts, sockets, control groups, cables.
//! Invariant: finds everything by the node's place (index, directory, group), not by what was written down about it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

use crate::layout::Layout;
use crate::slot::Slot;
use crate::{cgroup, cgroup_tree, config, files, network, process};

/// Marker of a node's processes; containers' shims inherit it.
pub(super) fn marker(cluster: &str, index: u8) -> String {
    format!("{cluster}/n{index}")
}

/// Kills everything on the node and removes what a reboot would lose. The disk stays.
pub(super) fn switch_off(layout: &Layout, index: u8) -> Result<()> {
    let (marker, group) = (marker(layout.name(), index), cgroup::node_group(layout.name(), index));
    process::sweep(|found| {
        found.marker.as_ref() == Some(&marker) || found.cgroups.lines().any(|line| cgroup::is_member(line, &group))
    })?;
    let directory = layout.node(index);
    remove_shim_sockets(&directory);
    unmount_below(&directory);
    for part in ["run", "ipam"] {
        files::remove_tree(&directory.join(part))?;
    }
    for component in super::COMPONENTS {
        let _ = fs::remove_file(directory.join(format!("{component}.pid")));
    }
    cgroup_tree::remove(&cgroup_tree::machine()?, &group);
    Ok(())
}

/// Removes the node altogether.
pub(super) fn scrap(layout: &Layout, slot: Slot, index: u8) -> Result<()> {
    switch_off(layout, index)?;
    network::remove_node(slot, index);
    remove_network_cache(slot, index);
    // Moved aside in one step: the index is free only when nothing of the old node can be mistaken for the next one's.
    let gone = layout.root().join(format!("gone-{index}-{}", std::process::id()));
    files::remove_tree(&gone)?;
    match fs::rename(layout.node(index), &gone) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove node {index}"))
        }
        _ => files::remove_tree(&gone),
    }
}

/// Removes what all nodes of a cluster left outside their directories. Their processes are dead already.
pub(crate) fn remove_leftovers(layout: &Layout, slot: Option<Slot>) -> Result<()> {
    unmount_below(layout.root());
    let Ok(entries) = fs::read_dir(layout.nodes()) else { return Ok(()) };
    for index in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u8>().ok()) {
        match slot {
            Some(slot) => scrap(layout, slot, index)?,
            None => switch_off(layout, index)?,
        }
    }
    Ok(())
}

/// containerd's shims listen at sockets outside the node's directory; each container's `address` file names one.
fn remove_shim_sockets(node: &Path) {
    let tasks = node.join("run/containerd/io.containerd.runtime.v2.task/k8s.io");
    let Ok(entries) = fs::read_dir(tasks) else { return };
    for entry in entries.flatten() {
        if let Ok(address) = fs::read_to_string(entry.path().join("address"))
            && let Some(socket) = address.trim().strip_prefix("unix://")
        {
            let _ = fs::remove_file(socket);
        }
    }
}

/// The CNI library remembers every pod's addresses in a directory of the machine.
fn remove_network_cache(slot: Slot, index: u8) {
    let directory = Path::new("/var/lib/cni/results");
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(files) = cached(&name, &config::pod_network(slot, index)) {
            for file in files {
                let _ = fs::remove_file(directory.join(file));
            }
        }
    }
}

/// The files of the pod that one file of the cache belongs to, if it is a pod of this network.
fn cached(name: &str, network: &str) -> Option<[String; 2]> {
    let pod = name.strip_prefix(network)?.strip_prefix('-')?.strip_suffix("-eth0")?;
    Some([name.to_owned(), format!("cni-loopback-{pod}-lo")])
}

/// Unmounts everything below a directory, the deepest first.
fn unmount_below(directory: &Path) {
    // Mounts may lie on top of each other: look again until none is left.
    for _ in 0..10 {
        let mounts = mounts_below(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), directory);
        if mounts.is_empty() {
            return;
        }
        for mount in mounts {
            let _ = unmount(&mount, UnmountFlags::DETACH);
        }
    }
}

/// Mount points below a directory, from the text of `/proc/self/mountinfo`, the latest first.
fn mounts_below(mountinfo: &str, directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(path.replace("\\040", " ").replace("\\134", "\\")))
        .filter(|path| path.starts_with(directory) && path != directory)
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_are_found_latest_first() {
        let line = |path: &str| format!("36 35 98:0 / {path} rw,noatime - tmpfs tmpfs rw\n");
        let text =
            ["/", "/run/bulkhead/a/n/1/x", "/run/bulkhead/a/n/1/x/y\\040z", "/run/bulkhead/ab/n", "/run/bulkhead/a"]
                .map(line)
                .concat();
        let got = mounts_below(&text, Path::new("/run/bulkhead/a"));
        assert_eq!(got, ["/run/bulkhead/a/n/1/x/y z", "/run/bulkhead/a/n/1/x"].map(PathBuf::from));
    }

    #[test]
    fn a_pods_cached_addresses_are_told_from_those_of_other_networks() {
        let check = |name: &str, expect: Option<&str>| {
            assert_eq!(cached(name, "bulkhead-bh0n1").map(|files| files[1].clone()).as_deref(), expect, "{name}");
        };
        check("bulkhead-bh0n1-4f-eth0", Some("cni-loopback-4f-lo"));
        check("bulkhead-bh0n12-4f-eth0", None);
        check("cni-loopback-4f-lo", None);
    }
}
