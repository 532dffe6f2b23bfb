//! Where a cluster keeps its state: one directory per cluster, short because a unix socket's path has 107 bytes at most.
//! Invariant: everything a cluster writes lies below [`Layout::root`] or is [`Layout::etcd_data`]. Touches nothing.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

/// Directory above all clusters.
pub(crate) const BASE: &str = "/run/bulkhead";
/// Longest cluster name.
pub(crate) const NAME_MAX: usize = 32;

/// The files of one cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    name: String,
    root: PathBuf,
}

impl Layout {
    /// The files of the cluster with this name.
    pub fn new(name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), root: Path::new(BASE).join(name) })
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Directory of everything but etcd's data.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the cluster is, stored before anything is made.
    pub fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// A file of the cluster's keys and certificates.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// Configuration of a component; `admin.kubeconfig` is the user's.
    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// Log of a component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("log").join(format!("{component}.log"))
    }

    /// Pid file of a component of the control plane.
    pub fn pid(&self, component: &str) -> PathBuf {
        self.root.join("pid").join(component)
    }

    /// Directory of all nodes.
    pub fn nodes(&self) -> PathBuf {
        self.root.join("n")
    }

    /// Directory of the node with this index.
    pub fn node(&self, index: u8) -> PathBuf {
        self.nodes().join(index.to_string())
    }

    /// Directory of the node provider's records.
    pub fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// etcd's data, in memory so that a slow disk does not matter. It is empty after a reboot.
    pub fn etcd_data(&self) -> PathBuf {
        Path::new("/dev/shm").join(format!("bulkhead-{}", self.name))
    }
}

/// Refuses a name that would not do as a file, cgroup and host name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.chars().all(|c| edge(c) || c == '-')
        && name.starts_with(edge)
        && name.ends_with(edge);
    if !fits || name == "lock" {
        bail!(
            "`{name}` cannot be a cluster's name: use at most {NAME_MAX} of a-z, 0-9 and -, beginning and ending with a \
             letter or digit (and not `lock`)"
        );
    }
    Ok(())
}

/// The name a checkout's cluster has unless told otherwise: the directory's name and a short hash of its whole path.
pub fn default_name(checkout: &Path) -> String {
    let hash = hex(&Sha256::digest(checkout.to_string_lossy().as_bytes()));
    let word: String = checkout
        .file_name()
        .map(|n| n.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(16)
        .collect();
    let word = if word.is_empty() { "c" } else { &word };
    format!("{word}-{}", &hash[..6])
}

/// Lower-case hexadecimal digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let check = |name: &str, ok: bool| assert_eq!(check_name(name).is_ok(), ok, "{name}");
        check("a", true);
        check("main-3f9a1c", true);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("A", false);
        check("a/b", false);
        check("..", false);
        check("lock", false);
        check(&"a".repeat(NAME_MAX), true);
        check(&"a".repeat(NAME_MAX + 1), false);
    }

    #[test]
    fn a_checkout_has_a_default_name_of_its_own() {
        let names =
            ["/src/bulkhead", "/home/me/Bulk Head!", "/", "/src/other/bulkhead"].map(|p| default_name(Path::new(p)));
        for name in &names {
            check_name(name).unwrap();
        }
        assert!(names[0].starts_with("bulkhead-"));
        assert!(names[1].starts_with("bulkhead-"));
        assert_ne!(names[0], names[3]);
    }

    #[test]
    fn the_longest_socket_path_fits() {
        let layout = Layout::new(&"n".repeat(NAME_MAX)).unwrap();
        let socket = layout.node(254).join("kubelet/pod-resources/kubelet.sock");
        assert!(socket.as_os_str().len() <= 107, "{}", socket.display());
        let socket = layout.node(254).join("run/containerd.sock.ttrpc");
        assert!(socket.as_os_str().len() <= 107, "{}", socket.display());
    }
}
