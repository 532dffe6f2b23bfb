//! What a job of the API may ask of the nodes beyond its containers: nothing that Pod Security's level `baseline` forbids, but where an admin allows it.
//!
//! Invariant: pure. A definition can be registered if some environment allows what it asks for; a job is taken if every environment of its queue does, because it may go to each
//! of them. The pod is judged once more where it is made.

use api::{ComputeEnvironment, JobQueue};
use planning::pod_security::beyond_baseline;
use serde_json::Value;

use crate::failure::Invalid;

/// What `podProperties` ask for beyond the baseline.
pub(crate) fn asked(pod: &Value) -> Vec<String> {
    beyond_baseline(pod, &pod["metadata"]["annotations"])
}

/// The member that asks, where that is not `podProperties`.
const CONTAINER: &str = "containerProperties";

/// The same of the pod that `containerProperties` have become, in their words.
pub(crate) fn asked_of_container(pod: &Value) -> Vec<String> {
    let word = |asked: String| match asked.split_once('.') {
        Some(("containers[0]", "securityContext.privileged: true")) => format!("{CONTAINER}.privileged: true"),
        Some((volume, "hostPath")) => format!("{CONTAINER}.{volume}.host.sourcePath"),
        _ => asked,
    };
    asked(pod).into_iter().map(word).collect()
}

/// Whether a definition that asks for this can be of use.
pub(crate) fn may_register(asked: &[String], environments: &[ComputeEnvironment]) -> Result<(), Invalid> {
    if environments.iter().any(|environment| environment.spec.allow_privileged) {
        return Ok(());
    }
    refuse(asked, "No compute environment allows that")
}

/// Whether a job that asks for this may go into a queue.
pub(crate) fn may_submit(
    asked: &[String],
    queue: &JobQueue,
    environments: &[ComputeEnvironment],
) -> Result<(), Invalid> {
    let allows = |name: &&String| {
        let mut called =
            environments.iter().filter(|it| it.aws_name() == *name || it.metadata.name.as_ref() == Some(name));
        called.any(|it| it.spec.allow_privileged)
    };
    match queue.spec.compute_environments.iter().find(|name| !allows(name)) {
        None => Ok(()),
        Some(name) => {
            refuse(asked, &format!("Compute environment {name} of job queue {} does not allow that", queue.aws_name()))
        }
    }
}

fn refuse(asked: &[String], who: &str) -> Result<(), Invalid> {
    let by = if asked.iter().any(|one| one.starts_with(CONTAINER)) { CONTAINER } else { "podProperties" };
    Invalid::err(format!(
        "{by} ask for more than the level baseline of Pod Security allows ({}). {who}: an administrator of the cluster can, with \
         kubectl and spec.allowPrivileged: true",
        asked.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(name: &str, allows: bool) -> ComputeEnvironment {
        let spec = json!({"name": name, "type": "UNMANAGED", "allowPrivileged": allows});
        serde_json::from_value(json!({"metadata": {"name": name.to_lowercase()}, "spec": spec})).unwrap()
    }

    #[test]
    fn some_environment_allows_a_definition_and_all_of_a_queue_a_job() {
        let all = [environment("Yes", true), environment("Also", true), environment("No", false)];
        let asked = asked(&json!({"containers": [{"securityContext": {"privileged": true}}]}));
        assert_eq!(asked, ["containers[0].securityContext.privileged: true"]);
        assert_eq!(may_register(&asked, &all), Ok(()));
        assert!(
            may_register(&asked, &all[2..]).unwrap_err().0.contains("privileged: true). No compute environment allows")
        );
        let submit = |environments: Value| {
            let queue = json!({"metadata": {"name": "q"}, "spec": {"computeEnvironments": environments}});
            may_submit(&asked, &serde_json::from_value(queue).unwrap(), &all).map_err(|it| it.0)
        };
        assert_eq!(submit(json!(["Yes", "also"])), Ok(()));
        for refusing in [json!(["Yes", "No"]), json!(["no"]), json!(["Yes", "gone"])] {
            let said = submit(refusing.clone()).unwrap_err();
            assert!(said.contains("of job queue q does not allow that"), "{refusing}: {said}");
        }
    }
}
