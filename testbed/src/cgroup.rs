//! Where a node's control groups lie, for version 1 (one tree per controller) and version 2 (one tree).
//! Invariant: every directory named here is below `bulkhead/<cluster>`. Pure; `cgroup_tree` does the work.
//!
//! Clusters have been run on version 1; version 2 has been checked by the tables below only.

use std::path::{Path, PathBuf};

/// Which control groups a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// One tree per controller; these are mounted.
    V1(Vec<String>),
    /// One tree.
    V2,
}

/// Trees of version 1 that a kubelet makes groups in; `unified` is the version 2 tree beside them on some machines.
const CONTROLLERS: [&str; 11] =
    ["blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "pids", "systemd", "unified"];
/// Mount point of both versions.
pub(crate) const MOUNT: &str = "/sys/fs/cgroup";

/// Tells the version from the names found in [`MOUNT`].
pub(crate) fn detect<S: AsRef<str>>(entries: &[S]) -> Cgroups {
    let has = |name: &str| entries.iter().any(|e| e.as_ref() == name);
    if has("cgroup.controllers") {
        return Cgroups::V2;
    }
    Cgroups::V1(CONTROLLERS.iter().filter(|c| has(c)).map(|c| (*c).to_owned()).collect())
}

/// Group of a cluster as processes see it; a kubelet's `cgroupRoot` is below it.
pub(crate) fn cluster_group(cluster: &str) -> String {
    format!("/bulkhead/{cluster}")
}

/// A kubelet's `cgroupRoot`.
pub(crate) fn node_group(cluster: &str, index: u8) -> String {
    format!("{}/{index}", cluster_group(cluster))
}

/// The directories of a group in every tree.
pub(crate) fn directories(kind: &Cgroups, group: &str) -> Vec<PathBuf> {
    let mount = Path::new(MOUNT);
    let below = group.trim_start_matches('/');
    match kind {
        Cgroups::V1(controllers) => controllers.iter().map(|c| mount.join(c).join(below)).collect(),
        Cgroups::V2 => vec![mount.join(below)],
    }
}

/// The directories above and including `directory`, outermost first, without the mount point and the controller.
pub(crate) fn chain(kind: &Cgroups, directory: &Path) -> Vec<PathBuf> {
    let depth = Path::new(MOUNT).components().count() + usize::from(matches!(kind, Cgroups::V1(_)));
    let mut chain: Vec<PathBuf> =
        directory.ancestors().filter(|a| a.components().count() > depth).map(Path::to_path_buf).collect();
    chain.reverse();
    chain
}

/// True if a line of `/proc/<pid>/cgroup` puts the process into the group or below it.
pub(crate) fn is_member(line: &str, group: &str) -> bool {
    // "4:memory:/path" or "0::/path"; the path may have a prefix when the machine is itself a container.
    let Some(path) = line.splitn(3, ':').nth(2) else { return false };
    path.find(group).is_some_and(|at| {
        let rest = &path[at + group.len()..];
        rest.is_empty() || rest.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1() -> Cgroups {
        Cgroups::V1(vec!["cpu".into(), "memory".into()])
    }

    #[test]
    fn the_version_is_told_from_the_mount() {
        let check = |entries: &[&str], expect: Cgroups| assert_eq!(detect(entries), expect);
        check(&["cgroup.controllers", "cgroup.procs", "system.slice"], Cgroups::V2);
        check(&["memory", "cpu", "cpu,cpuacct", "net_cls"], v1());
        check(&[], Cgroups::V1(vec![]));
    }

    #[test]
    fn a_group_has_a_directory_per_tree() {
        let check = |kind: Cgroups, expect: &[&str]| {
            let got = directories(&kind, &node_group("main", 3));
            assert_eq!(got, expect.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check(v1(), &["/sys/fs/cgroup/cpu/bulkhead/main/3", "/sys/fs/cgroup/memory/bulkhead/main/3"]);
        check(Cgroups::V2, &["/sys/fs/cgroup/bulkhead/main/3"]);
    }

    #[test]
    fn a_group_is_made_from_the_outside_in() {
        let check = |kind: Cgroups, directory: &str, expect: &[&str]| {
            let got = chain(&kind, Path::new(directory));
            assert_eq!(got, expect.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check(
            v1(),
            "/sys/fs/cgroup/cpu/bulkhead/main/3",
            &["/sys/fs/cgroup/cpu/bulkhead", "/sys/fs/cgroup/cpu/bulkhead/main", "/sys/fs/cgroup/cpu/bulkhead/main/3"],
        );
        check(
            Cgroups::V2,
            "/sys/fs/cgroup/bulkhead/main/3",
            &["/sys/fs/cgroup/bulkhead", "/sys/fs/cgroup/bulkhead/main", "/sys/fs/cgroup/bulkhead/main/3"],
        );
    }

    #[test]
    fn members_are_told_from_strangers() {
        let check = |line: &str, expect: bool| assert_eq!(is_member(line, "/bulkhead/a/1"), expect, "{line}");
        check("4:memory:/bulkhead/a/1", true);
        check("0::/bulkhead/a/1/kubepods/pod7/8", true);
        check("0::/outer/bulkhead/a/1/kubepods", true);
        check("0::/bulkhead/a/12/kubepods", false);
        check("0::/bulkhead/aa/1", false);
        check("0::/", false);
        check("", false);
    }
}
