//! Which namespaces network policies may apply to: objects of a fixed list of kinds, as far as the cluster has those.
//!
//! A pod on the host's network slips past all of them, so whoever gives pods that network asks here first. No selectors are evaluated:
//! one policy in a namespace is one too many there, one for the whole cluster everywhere.
//!
//! Invariant: what is not known counts as yes. Of an object only its name is kept.

mod known;
mod named;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};

use known::Known;
use planning::admission::pod::Surroundings;
use planning::admission::policy::NamespaceFacts;

use crate::admin::Check;

pub use watch::spawn;

/// A kind of network policy: its API group and plural. Whether an object of it has a namespace shows on the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// API group.
    pub group: &'static str,
    /// Plural name of the resource.
    pub plural: &'static str,
}

const fn kind(group: &'static str, plural: &'static str) -> Kind {
    Kind { group, plural }
}

/// Every kind that is looked for, in whatever version the cluster serves it.
pub const KINDS: [Kind; 15] = [
    kind("networking.k8s.io", "networkpolicies"),
    // https://network-policy-api.sigs.k8s.io
    kind("policy.networking.k8s.io", "adminnetworkpolicies"),
    kind("policy.networking.k8s.io", "baselineadminnetworkpolicies"),
    kind("policy.networking.k8s.io", "clusternetworkpolicies"),
    kind("cilium.io", "ciliumclusterwidenetworkpolicies"),
    kind("cilium.io", "ciliumnetworkpolicies"),
    // Calico, by its CRDs and by its own API server.
    kind("crd.projectcalico.org", "globalnetworkpolicies"),
    kind("crd.projectcalico.org", "networkpolicies"),
    kind("projectcalico.org", "globalnetworkpolicies"),
    kind("projectcalico.org", "networkpolicies"),
    kind("crd.antrea.io", "clusternetworkpolicies"),
    kind("crd.antrea.io", "networkpolicies"),
    // Amazon EKS.
    kind("networking.k8s.aws", "clusternetworkpolicies"),
    kind("networking.k8s.aws", "applicationnetworkpolicies"),
    // OVN-Kubernetes.
    kind("k8s.ovn.org", "egressfirewalls"),
];

/// What is known about network policies, and what the installation says. Cheap to clone: all clones are the same.
#[derive(Clone, Debug)]
pub struct Policies {
    known: Arc<RwLock<Known>>,
    /// The installation never gives a pod the host network.
    never: bool,
    /// Holds once every kind has been asked for.
    asked: Option<Check>,
}

impl Policies {
    /// Nothing is known yet. `never`: the installation never gives a pod the host network. `asked` is told when every kind has been
    /// asked for, with whatever answer.
    pub fn unknown(never: bool, asked: Option<Check>) -> Self {
        Self { known: Arc::new(RwLock::new(Known::nothing(&KINDS))), never, asked }
    }

    /// There is none, and never will be: for measurements and tests, which have no watches.
    pub fn none() -> Self {
        Self { known: Arc::new(RwLock::new(Known::nothing(&[]))), never: false, asked: None }
    }

    /// What speaks against the host network for pods of this namespace.
    pub fn around(&self, namespace: &str, facts: &NamespaceFacts) -> Surroundings {
        Surroundings {
            never: self.never,
            pod_security: facts.pod_security,
            network_policy: self.known.read().unwrap_or_else(PoisonError::into_inner).may_apply(namespace),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        if let Some(asked) = &self.asked {
            asked.set(known.all_asked());
        }
    }
}
