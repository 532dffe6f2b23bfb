//! Which program comes from which Go module, at which version and with which flags. Invariant: everything that changes
//! a program's bytes is part of [`Module::key`]. Pure.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::release::Release;
use crate::layout::hex;

/// A program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// One of Kubernetes.
    Kubernetes(Release, Program),
    /// The API server's database.
    Etcd,
    /// Fake nodes.
    Kwok,
    /// The JobSet controller.
    JobSet,
}

/// A program of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// The API server.
    KubeApiserver,
    /// The controllers of Kubernetes.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// The Service proxy of every node.
    KubeProxy,
    /// The agent of every node.
    Kubelet,
    /// The command line client.
    Kubectl,
}

impl Program {
    /// All that a cluster with real nodes runs.
    pub const ALL: [Self; 6] = [
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::KubeProxy,
        Self::Kubelet,
        Self::Kubectl,
    ];
}

impl Binary {
    /// The unmodified scheduler that goes into an image: of the oldest release, because it must not be newer than the API
    /// server that it is used with.
    pub const STOCK_SCHEDULER: Self = Self::Kubernetes(Release::OLDEST, Program::KubeScheduler);

    /// Everything that a cluster with real nodes runs.
    pub fn of_cluster(release: Release) -> Vec<Self> {
        let kubernetes = Program::ALL.map(|program| Self::Kubernetes(release, program));
        kubernetes.into_iter().chain([Self::Etcd]).collect()
    }

    /// Name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Kubernetes(_, program) => match program {
                Program::KubeApiserver => "kube-apiserver",
                Program::KubeControllerManager => "kube-controller-manager",
                Program::KubeScheduler => "kube-scheduler",
                Program::KubeProxy => "kube-proxy",
                Program::Kubelet => "kubelet",
                Program::Kubectl => "kubectl",
            },
            Self::Etcd => "etcd",
            Self::Kwok => "kwok",
            Self::JobSet => "jobset",
        }
    }

    /// Go package of its main function.
    pub(super) fn package(self) -> String {
        match self {
            Self::Kubernetes(..) => format!("k8s.io/kubernetes/cmd/{}", self.file()),
            Self::Etcd => "go.etcd.io/etcd/server/v3".to_owned(),
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok".to_owned(),
            Self::JobSet => "sigs.k8s.io/jobset".to_owned(),
        }
    }

    pub(super) fn module(self) -> Module {
        match self {
            Self::Kubernetes(release, _) => Module::Kubernetes(release),
            Self::Etcd => Module::Etcd,
            Self::Kwok => Module::Kwok,
            Self::JobSet => Module::JobSet,
        }
    }
}

/// A `go.mod` of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    Kubernetes(Release),
    Etcd,
    Kwok,
    JobSet,
}

impl Module {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Release::ALL.into_iter().map(Self::Kubernetes).chain([Self::Etcd, Self::Kwok, Self::JobSet])
    }

    /// Short name and version, for example `etcd-v3.6.8`: no two modules share it.
    pub(super) fn title(self) -> String {
        let name = match self {
            Self::Kubernetes(_) => "kubernetes",
            Self::Etcd => "etcd",
            Self::Kwok => "kwok",
            Self::JobSet => "jobset",
        };
        format!("{name}-{}", self.version())
    }

    /// Contents of `go.mod` and `go.sum`.
    pub(super) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::Kubernetes(release) => release.files(),
            Self::Etcd => (include_str!("../../go/etcd/go.mod"), include_str!("../../go/etcd/go.sum")),
            Self::Kwok => (include_str!("../../go/kwok/go.mod"), include_str!("../../go/kwok/go.sum")),
            Self::JobSet => (include_str!("../../go/jobset/go.mod"), include_str!("../../go/jobset/go.sum")),
        }
    }

    /// Go module that the programs come from.
    pub(super) fn upstream(self) -> &'static str {
        match self {
            Self::Kubernetes(_) => "k8s.io/kubernetes",
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Kwok => "sigs.k8s.io/kwok",
            Self::JobSet => "sigs.k8s.io/jobset",
        }
    }

    /// Version of [`Module::upstream`] as `go.mod` pins it, for example `v1.36.3`.
    pub(super) fn version(self) -> &'static str {
        let prefix = format!("{} v", self.upstream());
        let pinned = self
            .files()
            .0
            .lines()
            .map(|line| line.trim().trim_start_matches("require "))
            .find(|l| l.starts_with(&prefix));
        pinned.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("v0.0.0")
    }

    /// Flags of `go build` besides the output.
    pub(super) fn flags(self) -> Vec<String> {
        let mut linker = "-s -w".to_owned();
        if matches!(self, Self::Kubernetes(_)) {
            let version = self.version();
            let minor = version.split('.').nth(1).unwrap_or("0");
            for (name, value) in
                [("gitVersion", version), ("gitMajor", "1"), ("gitMinor", minor), ("gitTreeState", "clean")]
            {
                let _ = write!(linker, " -X k8s.io/component-base/version.{name}={value}");
            }
        }
        vec!["-mod=readonly".to_owned(), "-trimpath".to_owned(), "-ldflags".to_owned(), linker]
    }

    /// Name of the cache directory: title and a hash of all that goes into the build.
    pub(super) fn key(self, go_version: &str) -> String {
        let (module, sum) = self.files();
        let mut hash = Sha256::new();
        for part in [module, sum, go_version, &self.flags().join("\n"), std::env::consts::ARCH] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        format!("{}-{}", self.title(), &hex(&hash.finalize())[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_the_pinned_ones() {
        let check = |module: Module, expect: &str| assert_eq!(module.version(), expect);
        check(Module::Kubernetes(Release::V1_36), "v1.36.3");
        check(Module::Kubernetes(Release::V1_34), "v1.34.4");
        check(Module::Etcd, "v3.6.8");
        check(Module::Kwok, "v0.8.0");
        check(Module::JobSet, "v0.10.1");
    }

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        let of_clusters = Release::ALL.into_iter().flat_map(Binary::of_cluster);
        for binary in of_clusters.chain([Binary::Kwok, Binary::JobSet, Binary::STOCK_SCHEDULER]) {
            let (go_mod, _) = binary.module().files();
            assert!(tools(go_mod).any(|tool| tool == binary.package()), "{binary:?}");
        }
    }

    /// Packages after `tool` in a `go.mod`.
    fn tools(go_mod: &str) -> impl Iterator<Item = &str> {
        let (_, after) = go_mod.split_once("\ntool ").unwrap();
        let end = if after.starts_with('(') { after.find(')') } else { after.find('\n') };
        after[..end.unwrap()].trim_start_matches('(').split_whitespace()
    }

    #[test]
    fn every_staging_module_has_the_version_of_its_release() {
        for release in Release::ALL {
            let version = format!("v0{}", release.version().strip_prefix('1').unwrap());
            let (_, replaced) = release.files().0.split_once("\nreplace (\n").unwrap();
            for line in replaced.lines().take_while(|line| *line != ")") {
                assert!(line.ends_with(&version), "{release}: {line}");
            }
        }
    }

    #[test]
    fn the_key_changes_with_the_compiler_and_the_module() {
        let [new, old] = [Release::V1_36, Release::V1_34].map(Module::Kubernetes);
        let a = new.key("go1.26.0");
        assert!(a.starts_with("kubernetes-v1.36.3-"), "{a}");
        assert_ne!(a, new.key("go1.26.1"));
        let b = old.key("go1.26.0");
        assert!(b.starts_with("kubernetes-v1.34.4-"), "{b}");
        assert_ne!(a[a.len() - 12..], b[b.len() - 12..]);
    }
}
