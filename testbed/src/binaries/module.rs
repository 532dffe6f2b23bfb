//! Which program comes from which Go module, at which version and with which flags. Invariant: everything that changes
//! a program's bytes is part of [`Module::key`]. Pure.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::layout::hex;

/// A program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// The API server.
    KubeApiserver,
    /// The controllers of Kubernetes.
    KubeControllerManager,
    /// The scheduler of the cluster.
    KubeScheduler,
    /// The Service proxy of every node.
    KubeProxy,
    /// The agent of every node.
    Kubelet,
    /// The command line client.
    Kubectl,
    /// The API server's database.
    Etcd,
    /// Fake nodes.
    Kwok,
    /// The unmodified scheduler that goes into an image; an older version than the cluster's.
    StockScheduler,
}

impl Binary {
    /// Everything that a cluster with real nodes runs.
    pub const CLUSTER: [Self; 7] = [
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::KubeProxy,
        Self::Kubelet,
        Self::Kubectl,
        Self::Etcd,
    ];

    /// Name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler | Self::StockScheduler => "kube-scheduler",
            Self::KubeProxy => "kube-proxy",
            Self::Kubelet => "kubelet",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
            Self::Kwok => "kwok",
        }
    }

    /// Go package of its main function.
    pub(super) fn package(self) -> String {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3".to_owned(),
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok".to_owned(),
            other => format!("k8s.io/kubernetes/cmd/{}", other.file()),
        }
    }

    pub(super) fn module(self) -> Module {
        match self {
            Self::Etcd => Module::Etcd,
            Self::Kwok => Module::Kwok,
            Self::StockScheduler => Module::Scheduler,
            _ => Module::Kubernetes,
        }
    }
}

/// A `go.mod` of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    Kubernetes,
    Etcd,
    Kwok,
    Scheduler,
}

impl Module {
    pub(super) const ALL: [Self; 4] = [Self::Kubernetes, Self::Etcd, Self::Kwok, Self::Scheduler];

    /// Short name, also of its directory.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
            Self::Kwok => "kwok",
            Self::Scheduler => "scheduler",
        }
    }

    /// Contents of `go.mod` and `go.sum`.
    pub(super) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::Kubernetes => {
                (include_str!("../../go/kubernetes/go.mod"), include_str!("../../go/kubernetes/go.sum"))
            }
            Self::Etcd => (include_str!("../../go/etcd/go.mod"), include_str!("../../go/etcd/go.sum")),
            Self::Kwok => (include_str!("../../go/kwok/go.mod"), include_str!("../../go/kwok/go.sum")),
            Self::Scheduler => (include_str!("../../go/scheduler/go.mod"), include_str!("../../go/scheduler/go.sum")),
        }
    }

    /// Go module that the programs come from.
    pub(super) fn upstream(self) -> &'static str {
        match self {
            Self::Kubernetes | Self::Scheduler => "k8s.io/kubernetes",
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Kwok => "sigs.k8s.io/kwok",
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
        if self.upstream() == "k8s.io/kubernetes" {
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

    /// Name of the cache directory: module, version and a hash of all that goes into the build.
    pub(super) fn key(self, go_version: &str) -> String {
        let (module, sum) = self.files();
        let mut hash = Sha256::new();
        for part in [module, sum, go_version, &self.flags().join("\n"), std::env::consts::ARCH] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        format!("{}-{}-{}", self.name(), self.version(), &hex(&hash.finalize())[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_the_pinned_ones() {
        let check = |module: Module, expect: &str| assert_eq!(module.version(), expect);
        check(Module::Kubernetes, "v1.36.3");
        check(Module::Etcd, "v3.6.8");
        check(Module::Kwok, "v0.8.0");
        check(Module::Scheduler, "v1.34.4");
    }

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        let mut all = Binary::CLUSTER.to_vec();
        all.extend([Binary::Kwok, Binary::StockScheduler]);
        for binary in all {
            assert!(binary.module().files().0.contains(&binary.package()), "{binary:?}");
        }
    }

    #[test]
    fn the_key_changes_with_the_compiler_and_the_module() {
        let a = Module::Kubernetes.key("go1.26.0");
        assert!(a.starts_with("kubernetes-v1.36.3-"));
        assert_ne!(a, Module::Kubernetes.key("go1.26.1"));
        assert_ne!(
            a[a.len() - 12..],
            Module::Scheduler.key("go1.26.0")[Module::Scheduler.key("go1.26.0").len() - 12..]
        );
    }
}
