//! Makes and removes control groups on this machine. Where they lie is decided in `cgroup`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cgroup::{Cgroups, MOUNT, chain, detect, directories};

/// Looks at this machine.
pub(crate) fn machine() -> Result<Cgroups> {
    let entries: Vec<String> = fs::read_dir(MOUNT)
        .with_context(|| format!("cannot read {MOUNT}; are control groups mounted?"))?
        .filter_map(|e| e.ok().map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect();
    Ok(detect(&entries))
}

/// Makes a group in every tree and gives it what a kubelet needs to make groups below it.
pub(crate) fn make(kind: &Cgroups, group: &str) -> Result<()> {
    for directory in directories(kind, group) {
        for step in chain(kind, &directory) {
            fs::create_dir_all(&step).with_context(|| format!("cannot make the control group {}", step.display()))?;
            match kind {
                // A new cpuset is empty and takes no process; copy the parent's.
                Cgroups::V1(_) => {
                    for file in ["cpuset.cpus", "cpuset.mems"] {
                        inherit(&step, file)?;
                    }
                }
                Cgroups::V2 => delegate(step.parent().unwrap_or(Path::new(MOUNT)))?,
            }
        }
        if *kind == Cgroups::V2 {
            delegate(&directory)?;
        }
    }
    Ok(())
}

fn inherit(directory: &Path, file: &str) -> Result<()> {
    let own = directory.join(file);
    if !own.exists() || !fs::read_to_string(&own)?.trim().is_empty() {
        return Ok(());
    }
    let parent = directory.parent().context("a control group has a parent")?.join(file);
    let value = fs::read_to_string(&parent).with_context(|| format!("cannot read {}", parent.display()))?;
    fs::write(&own, value).with_context(|| format!("cannot write {}", own.display()))
}

/// Version 2: hands every available controller down to the children.
fn delegate(directory: &Path) -> Result<()> {
    let available = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let control = directory.join("cgroup.subtree_control");
    for controller in available.split_whitespace() {
        fs::write(&control, format!("+{controller}")).with_context(|| {
            format!("cannot enable {controller} in {}; it must hold no process of its own", control.display())
        })?;
    }
    Ok(())
}

/// Removes a group and everything below it, in every tree. Groups that still hold a process stay; the caller has killed
/// those processes.
pub(crate) fn remove(kind: &Cgroups, group: &str) {
    for directory in directories(kind, group) {
        for group in deepest_first(&directory) {
            // A process takes a moment to leave its group after it was killed.
            for _ in 0..50 {
                match fs::remove_dir(&group) {
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                        std::thread::sleep(std::time::Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Removes the parent of all clusters' groups if it is empty.
pub(crate) fn remove_parent_if_empty(kind: &Cgroups) {
    for directory in directories(kind, "/bulkhead") {
        let _ = fs::remove_dir(directory);
    }
}

fn deepest_first(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(entries) = fs::read_dir(directory) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                found.extend(deepest_first(&entry.path()));
            }
        }
        found.push(directory.to_path_buf());
    }
    found
}
