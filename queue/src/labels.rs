//! Labels of bound pods that the API server did not take from their bindings (Kubernetes before 1.35).
//!
//! Invariant: whoever bound a pod, it is labelled as soon as it is seen bound, and again until it is; nothing waits for that, and one that
//! cannot be labelled is tried less and less often.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use cluster::gone;
use cluster::index::Unlabelled;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::context::Context;
use crate::pods::labels;

/// The watch needs a moment to show what was written.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two tries.
const LAST: Duration = Duration::from_mins(1);

/// What was tried, by UID of the pod: how often, and when it is due again.
#[derive(Debug, Default)]
pub(crate) struct Labels(HashMap<String, (u32, Instant)>);

impl Labels {
    /// Labels what lacks its labels.
    pub(crate) fn look(&mut self, context: &Context) {
        if !context.label_after_bind {
            return;
        }
        for pod in self.due(context.index.unlabelled(), Instant::now()) {
            tokio::spawn(label(context.client.clone(), pod));
        }
    }

    /// Those whose turn it is; forgets those that have their labels.
    fn due(&mut self, unlabelled: Vec<Unlabelled>, now: Instant) -> Vec<Unlabelled> {
        let lacking: HashSet<&str> = unlabelled.iter().map(|pod| pod.uid.as_str()).collect();
        self.0.retain(|uid, _| lacking.contains(uid.as_str()));
        let mut is_due = |pod: &Unlabelled| {
            let (tries, due) = self.0.entry(pod.uid.clone()).or_insert((0, now));
            let is_due = *due <= now;
            if is_due {
                *due = now + (FIRST * (1 << (*tries).min(5))).min(LAST);
                *tries += 1;
            }
            is_due
        };
        unlabelled.into_iter().filter(|pod| is_due(pod)).collect()
    }
}

async fn label(client: Client, pod: Unlabelled) {
    let pods: Api<Pod> = Api::namespaced(client, &pod.key.namespace);
    let patch = json!({"metadata": {"uid": pod.uid, "labels": labels(&pod.node_uid, &pod.environment_uuid)}});
    let answer = pods.patch_metadata(&pod.key.name, &PatchParams::default(), &Patch::Merge(patch)).await;
    if let Err(error) = gone::unless_gone(&pods, &pod.key.name, Some(&pod.uid), answer).await {
        tracing::warn!(pod = %pod.key, error = cluster::telemetry::chain(&error), "cannot label a bound pod");
    }
}

#[cfg(test)]
mod tests {
    use model::snapshot::ObjectKey;

    use super::*;

    #[test]
    fn a_pod_is_labelled_again_and_again_less_and_less_often_until_it_has_its_labels() {
        let pod = Unlabelled {
            key: ObjectKey::new("ns", "pod"),
            uid: "u".into(),
            node_uid: "n".into(),
            environment_uuid: "e".into(),
        };
        let (mut labels, start) = (Labels::default(), Instant::now());
        let mut tried = |second: u64, lacks: bool| {
            let unlabelled = if lacks { vec![pod.clone()] } else { vec![] };
            !labels.due(unlabelled, start + Duration::from_secs(second)).is_empty()
        };
        let seconds: Vec<u64> = (0..200).filter(|second| tried(*second, true)).collect();
        assert_eq!(seconds, [0, 2, 6, 14, 30, 62, 122, 182]);
        assert!(!tried(200, false));
        assert!(tried(201, true), "it was forgotten");
    }
}
