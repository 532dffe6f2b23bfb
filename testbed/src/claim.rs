//! Which cluster holds which slot. Invariant: a slot is stored on disk under the machine-wide lock before anything is
//! made in it, so two commands never build in the same one, and whatever was half built is found again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::binaries::{self, Binary, Release};
use crate::files::{self, Lock};
use crate::layout::{BASE, Layout};
use crate::network;
use crate::slot::Slot;

/// What is stored about a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its slot.
    pub(crate) slot: Slot,
    /// The kernel's boot id when it was made: after a reboot nothing of it runs any more.
    pub(crate) boot: String,
    /// Version of Kubernetes that it runs. Not a [`Release`]: what another checkout brought up can be used and taken down
    /// whatever it is. Records of before there was a choice do not have it.
    #[serde(default = "default_version")]
    pub(crate) kubernetes: String,
    /// What it runs.
    pub(crate) programs: Programs,
}

fn default_version() -> String {
    Release::default().version().to_owned()
}

/// Where the programs of a cluster lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Programs {
    /// Directory of everything that is built from Kubernetes.
    pub(crate) kubernetes: PathBuf,
    /// etcd itself.
    pub(crate) etcd: PathBuf,
}

impl Programs {
    /// Builds what is missing.
    pub(crate) fn ensure(release: Release) -> Result<Self> {
        let paths = binaries::ensure(&Binary::of_cluster(release))?;
        let path = |file: &str| paths.iter().find(|path| path.ends_with(file));
        let kubectl =
            path("kubectl").and_then(|path| path.parent()).context("kubectl is one of a cluster's programs")?;
        let etcd = path("etcd").context("etcd is one of a cluster's programs")?;
        Ok(Self { kubernetes: kubectl.to_path_buf(), etcd: etcd.clone() })
    }
}

/// Takes the machine-wide lock.
pub(crate) fn machine_lock() -> Result<Lock> {
    fs::create_dir_all(BASE).with_context(|| format!("cannot make {BASE}"))?;
    Lock::take_file(&Path::new(BASE).join("lock"))
}

/// The release to bring a cluster up with: its own if it is there, which has to be the one asked for.
pub(crate) fn release(layout: &Layout, asked: Option<Release>) -> Result<Release> {
    let own = read(layout)?.map(|record| record.kubernetes);
    settle(layout.name(), own.as_deref(), asked)
}

fn settle(name: &str, own: Option<&str>, asked: Option<Release>) -> Result<Release> {
    let Some(version) = own else { return Ok(asked.unwrap_or_default()) };
    let own = Release::of_version(version);
    if let Some(own) = own.filter(|own| asked.is_none_or(|asked| asked == *own)) {
        return Ok(own);
    }
    let wanted = asked.map_or_else(
        || "of which there are no programs here".to_owned(),
        |asked| format!("and cannot be changed to {asked}"),
    );
    bail!(
        "the cluster `{name}` runs Kubernetes {version}, {wanted}; take it down first: `cargo xtask cluster down --name {name}`"
    )
}

/// The cluster's record, made with a free slot if there is none.
pub(crate) fn claim(layout: &Layout, release: Release, programs: &Programs) -> Result<Record> {
    let _lock = machine_lock()?;
    if let Some(record) = read(layout)? {
        settle(layout.name(), Some(&record.kubernetes), Some(release))?;
        return Ok(record);
    }
    let taken = taken()?;
    let foreign: BTreeSet<Slot> = Slot::all().filter(|slot| network::bridge_exists(*slot)).collect();
    let slot = choose(&taken, &foreign)?;
    let kubernetes = release.version().to_owned();
    let record = Record { slot, boot: boot_id()?, kubernetes, programs: programs.clone() };
    files::write_json(&layout.record(), &record)?;
    Ok(record)
}

/// The cluster's record, if it exists.
pub(crate) fn read(layout: &Layout) -> Result<Option<Record>> {
    files::read_json(&layout.record())
}

/// Every cluster of this machine by slot.
pub(crate) fn taken() -> Result<BTreeMap<Slot, String>> {
    let mut taken = BTreeMap::new();
    let Ok(entries) = fs::read_dir(BASE) else { return Ok(taken) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(layout) = Layout::new(&name) else { continue };
        if let Some(record) = read(&layout)? {
            taken.insert(record.slot, name);
        }
    }
    Ok(taken)
}

/// Identity of the running kernel's boot.
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?.trim().to_owned())
}

/// The lowest slot that no cluster holds and whose bridge nobody else made.
fn choose(taken: &BTreeMap<Slot, String>, foreign: &BTreeSet<Slot>) -> Result<Slot> {
    if let Some(slot) = Slot::all().find(|slot| !taken.contains_key(slot) && !foreign.contains(slot)) {
        return Ok(slot);
    }
    let names: Vec<&str> = taken.values().map(String::as_str).collect();
    bail!(
        "all {} slots are in use (clusters: {}); stop one with `cargo xtask cluster down --name NAME`",
        Slot::COUNT,
        names.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let check = |taken: &[u8], foreign: &[u8], expect: Option<u8>| {
            let taken = taken.iter().map(|n| (Slot::new(*n).unwrap(), format!("c{n}"))).collect();
            let foreign = foreign.iter().map(|n| Slot::new(*n).unwrap()).collect();
            assert_eq!(choose(&taken, &foreign).ok().map(u8::from), expect);
        };
        check(&[], &[], Some(0));
        check(&[0, 2], &[], Some(1));
        check(&[0], &[1], Some(2));
        check(&[0, 1, 2, 3, 4, 5, 6], &[7], None);
    }

    #[test]
    fn a_full_machine_names_its_clusters() {
        let taken = Slot::all().map(|slot| (slot, format!("c{}", u8::from(slot)))).collect();
        let error = choose(&taken, &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("c0, c1") && error.contains("cluster down"), "{error}");
    }
    #[test]
    fn a_cluster_keeps_its_release_and_another_one_is_refused_by_name() {
        use Release::{V1_34, V1_36};
        let check = |own: Option<&str>, asked: Option<Release>, expect: Release| {
            assert_eq!(settle("c", own, asked).unwrap(), expect, "{own:?} {asked:?}");
        };
        check(None, None, V1_36);
        check(None, Some(V1_34), V1_34);
        check(Some("1.34.4"), None, V1_34);
        check(Some("1.34.4"), Some(V1_34), V1_34);
        let refused = |own: &str, asked: Option<Release>, expect: &str| {
            let error = settle("c", Some(own), asked).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("`cargo xtask cluster down --name c`"), "{error}");
        };
        refused("1.34.4", Some(V1_36), "runs Kubernetes 1.34.4, and cannot be changed to 1.36.3");
        refused("1.30.0", Some(V1_34), "runs Kubernetes 1.30.0, and cannot be changed to 1.34.4");
        refused("1.30.0", None, "runs Kubernetes 1.30.0, of which there are no programs here");
    }

    #[test]
    fn a_record_of_before_there_was_a_choice_is_of_the_default_release() {
        let old = r#"{"slot": 3, "boot": "b", "programs": {"kubernetes": "/k", "etcd": "/e"}}"#;
        let record: Record = serde_json::from_str(old).unwrap();
        assert_eq!((record.slot, record.kubernetes.as_str()), (Slot::new(3).unwrap(), "1.36.3"));
    }
}
