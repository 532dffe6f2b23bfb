//! What is on the cluster while pods are created: a namespace with a queue, and one that Bulkhead has nothing to do with.
//!
//! Invariant: all of it has fixed names, making it again is harmless, and removing it works from whatever is there.

use anyhow::Result;
use model::keys;

use super::super::ground::Ground;
use super::sample::NAMESPACE;

/// The namespace without a queue.
pub(super) const PLAIN: &str = "bench-admission-plain";

/// The place on one cluster.
pub(super) struct Place {
    ground: Ground,
}

impl Place {
    /// On a cluster; makes nothing yet.
    pub(super) fn new(ground: Ground) -> Self {
        Self { ground }
    }

    /// The cluster.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Makes everything, and waits until pods can be created.
    pub(super) async fn make(&self) -> Result<()> {
        eprintln!("making namespaces, a queue and an environment");
        let work = |cluster: &testbed::Cluster| {
            cluster.kubectl_input(&["apply", "-f", "-"], &objects())?;
            let environment = format!("computeenvironment/{NAMESPACE}");
            let valid = "--for=jsonpath={.status.status}=VALID";
            cluster.kubectl_run(&["wait", valid, "--timeout=60s", &environment])?;
            for namespace in [NAMESPACE, PLAIN] {
                let account = "serviceaccount/default";
                cluster.kubectl_run(&["wait", "-n", namespace, "--for=create", "--timeout=60s", account])?;
            }
            Ok(())
        };
        self.ground.blocking(work).await
    }

    /// Removes everything.
    pub(super) async fn remove(&self) -> Result<()> {
        let work = |cluster: &testbed::Cluster| {
            let gone = ["--ignore-not-found", "--timeout=2m"];
            cluster.kubectl_run(&[&["delete", "namespace"][..], &gone, &[NAMESPACE, PLAIN]].concat())?;
            cluster.kubectl_run(&[&["delete", "jobqueue"][..], &gone, &[NAMESPACE]].concat())?;
            cluster.kubectl_run(&[&["delete", "computeenvironment"][..], &gone, &[NAMESPACE]].concat())?;
            Ok(())
        };
        self.ground.blocking(work).await
    }
}

fn objects() -> String {
    let queue = keys::QUEUE;
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {PLAIN}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}, labels: {{{queue}: {NAMESPACE}}}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {NAMESPACE}}}
spec: {{type: UNMANAGED}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {NAMESPACE}}}
spec: {{computeEnvironments: [{NAMESPACE}]}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_as_the_types_have_them() {
        let all: Vec<serde_json::Value> = serde_saphyr::from_multiple(&objects()).unwrap();
        for one in all {
            match one["kind"].as_str() {
                Some("ComputeEnvironment") => drop(serde_json::from_value::<api::ComputeEnvironment>(one).unwrap()),
                Some("JobQueue") => drop(serde_json::from_value::<api::JobQueue>(one).unwrap()),
                kind => assert_eq!(kind, Some("Namespace")),
            }
        }
    }
}
