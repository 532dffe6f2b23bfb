//! Whether the API may have a pod made, whatever was stored when: not among the system's, and within Pod Security's baseline but where an admin allows more.
//!
//! Invariant: the pod is judged as it is sent, and its environment as it is now; what cannot be found allows nothing.

use cluster::index::Index;
use model::job::Placed;
use model::names::is_reserved_namespace;
use planning::pod_security::beyond_baseline;
use serde_json::Value;

/// An error is a sentence for the job's reason.
pub(super) fn allowed(pod: &Value, placed: &Placed, index: &Index) -> Result<(), String> {
    if is_reserved_namespace(&placed.namespace) {
        return Err(format!("Namespace {} is not for jobs", placed.namespace));
    }
    let asked = beyond_baseline(&pod["spec"], &pod["metadata"]["annotations"]);
    let environment = &placed.environment;
    let allows =
        || index.compute_environments().iter().any(|it| it.aws_name() == environment && it.spec.allow_privileged);
    if asked.is_empty() || allows() {
        return Ok(());
    }
    Err(format!(
        "Compute environment {environment} does not allow what is beyond the level baseline of Pod Security ({}); spec.allowPrivileged: true would",
        asked.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use api::ComputeEnvironment;
    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use model::names::ArnBase;
    use serde_json::json;

    use super::*;

    fn placed(namespace: &str, environment: &str) -> Placed {
        Placed {
            since: None,
            pod_name: "p".into(),
            namespace: namespace.into(),
            pod_uid: None,
            node: "n".into(),
            node_uid: "u".into(),
            hold: Vec::new(),
            environment: environment.into(),
            environment_uuid: "e".into(),
            trouble: None,
        }
    }

    #[test]
    fn what_is_made_is_judged_by_the_environment_as_it_is_now() {
        let index = Index::new(ArnBase::default());
        let say = |allows: bool| {
            let environment: ComputeEnvironment = serde_json::from_value(json!({
                "metadata": {"name": "ce"}, "spec": {"name": "CE", "type": "UNMANAGED", "allowPrivileged": allows},
            }))
            .unwrap();
            index.feed(Event::Apply(DeserializeGuard(Ok(environment))));
        };
        let plain = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"hostNetwork": true, "containers": [{"name": "c"}]}});
        let host_path = json!({"spec": {"volumes": [{"hostPath": {"path": "/"}}]}});
        assert_eq!(allowed(&plain, &placed("jobs", "gone"), &index), Ok(()));
        assert!(allowed(&host_path, &placed("jobs", "CE"), &index).unwrap_err().contains("(volumes[0].hostPath)"));
        say(true);
        assert_eq!(allowed(&host_path, &placed("jobs", "CE"), &index), Ok(()));
        assert!(allowed(&host_path, &placed("jobs", "Other"), &index).is_err());
        say(false);
        assert!(allowed(&host_path, &placed("jobs", "CE"), &index).is_err());
    }

    #[test]
    fn nothing_is_made_among_the_systems() {
        let index = Index::new(ArnBase::default());
        for namespace in ["kube-system", "kube-public", "bulkhead-system"] {
            assert!(allowed(&json!({}), &placed(namespace, "CE"), &index).is_err(), "{namespace}");
        }
        assert_eq!(allowed(&json!({}), &placed("default", "CE"), &index), Ok(()));
    }
}
