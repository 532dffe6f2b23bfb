//! A pod of which only what is measured is read, so that the client takes little of the machine that it measures.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, Object};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use super::sample;
use super::sight::Seen;

/// A pod.
pub(super) type Lean = Object<Spec, Status>;

/// Of what is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    node_name: Option<String>,
}

/// Of what is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Status {
    phase: Option<String>,
}

/// The kind.
pub(super) fn kind() -> ApiResource {
    ApiResource::erase::<Pod>(&())
}

/// Pods of a namespace.
pub(super) fn pods(client: &Client, namespace: &str) -> Api<Lean> {
    Api::namespaced_with(client.clone(), namespace, &kind())
}

/// What such a pod shows.
pub(super) fn seen(pod: Lean) -> Seen {
    let name = pod.metadata.name.unwrap_or_default();
    let labels = pod.metadata.labels.unwrap_or_default();
    Seen {
        unit: sample::unit(labels.get(sample::UNIT_LABEL), &name).to_owned(),
        uid: pod.metadata.uid.unwrap_or_default(),
        node: pod.spec.node_name,
        running: pod.status.and_then(|status| status.phase).is_some_and(|phase| phase == "Running"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read_as_the_api_server_shows_it() {
        let read = |labels| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "uid": "u", "labels": labels},
                "spec": {"nodeName": "n", "containers": []},
                "status": {"phase": "Running", "conditions": []},
            });
            seen(serde_json::from_value(pod).unwrap())
        };
        let expect = |unit: &str| Seen { unit: unit.into(), uid: "u".into(), node: Some("n".into()), running: true };
        assert_eq!(read(json!({})), expect("p"));
        assert_eq!(read(json!({sample::UNIT_LABEL: "j.3"})), expect("j.3"));
    }
}
