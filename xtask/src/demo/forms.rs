//! What the demo applies, what it expects, and what it says about both. Pure.

use std::fmt::Display;

/// The compute environment.
pub(super) const ENVIRONMENT: &str = "demo-ce";
/// The job queue.
pub(super) const QUEUE: &str = "demo-queue";
/// The one node that is there before: everybody's, not Bulkhead's.
pub(super) const ORDINARY: &str = "ordinary";
/// The most the machines of the environment may have together.
pub(super) const MAX_VCPUS: u64 = 4;
/// Name of the Job in every form.
pub(super) const JOB: &str = "indexed-job";

/// One way in which a Job's pods learn their index.
pub(super) struct Form {
    /// Its namespace.
    pub(super) namespace: &'static str,
    /// Its manifest, from the repository's root.
    pub(super) file: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// What its pods print, by index.
    pub(super) expect: [&'static str; 5],
}

/// All forms.
pub(super) const FORMS: [Form; 3] = [
    Form {
        namespace: "form-1",
        file: "examples/indexed-job.yaml",
        about: "as printed in the Kubernetes documentation: the index in JOB_COMPLETION_INDEX",
        expect: ["oof", "rab", "zab", "xuq", "zyx"],
    },
    Form {
        namespace: "form-2",
        file: "examples/indexed-job-vol.yaml",
        about: "as printed in the Kubernetes documentation: the index in a downward API volume",
        expect: ["0", "1", "2", "3", "4"],
    },
    Form {
        namespace: "form-3",
        file: "examples/indexed-job-env.yaml",
        about: "the index in variables of one's own, by fieldRef and as part-$(JOB_COMPLETION_INDEX)",
        expect: ["0 part-0", "1 part-1", "2 part-2", "3 part-3", "4 part-4"],
    },
];

/// What an admin writes: the environment, the queue in front of it, and which namespaces use it.
pub(super) fn objects(provider: &str) -> String {
    let namespaces = FORMS.iter().map(|form| {
        let name = form.namespace;
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{bulkhead.dev/queue: {QUEUE}}}}}\n")
    });
    let pool = format!(
        r#"apiVersion: bulkhead.dev/v1alpha1
kind: ComputeEnvironment
metadata: {{name: {ENVIRONMENT}}}
spec:
  type: MANAGED
  maxvCpus: {MAX_VCPUS}
  instanceTypes: [m5, local]
  scaleDownDelay: 5s
  provider: {{external: {{url: "{provider}"}}}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: JobQueue
metadata: {{name: {QUEUE}}}
spec: {{computeEnvironments: [{ENVIRONMENT}]}}
"#
    );
    namespaces.fold(pool, |all, namespace| all + &namespace)
}

/// What to do with a cluster that was kept.
pub(super) fn look_around(cluster: &str, kubeconfig: &dyn Display, kubectl_directory: &dyn Display) -> String {
    let (namespace, file) = (FORMS[0].namespace, FORMS[0].file);
    format!(
        "\nThe cluster runs on. To look around:\n\n\
         export KUBECONFIG={kubeconfig} PATH={kubectl_directory}:$PATH\n\
         kubectl get ce,jq,bn\n\
         kubectl describe job -n {namespace} {JOB}\n\
         kubectl logs -n bulkhead-system statefulset/bulkhead-controller\n\n\
         Once more, watching the machines come and go:\n\n\
         kubectl delete job -n {namespace} {JOB} && kubectl apply -n {namespace} -f {file} && kubectl get bn --watch\n\n\
         To take it down:\n\n\
         cargo xtask cluster down --name {cluster}\n"
    )
}

#[cfg(test)]
mod tests {
    use api::{ComputeEnvironment, JobQueue};
    use k8s_openapi::api::batch::v1::Job;

    use super::*;

    #[test]
    fn the_objects_are_what_their_types_say() {
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&objects("http://127.0.0.1:25080")).unwrap();
        let environment: ComputeEnvironment = serde_json::from_value(documents[0].clone()).unwrap();
        assert_eq!(u64::from(environment.spec.maxv_cpus), MAX_VCPUS);
        let queue: JobQueue = serde_json::from_value(documents[1].clone()).unwrap();
        assert_eq!(queue.spec.compute_environments, [ENVIRONMENT]);
        assert_eq!(documents.len(), 2 + FORMS.len());
    }

    #[test]
    fn every_form_is_a_file_with_the_job_that_is_watched() {
        for form in FORMS {
            let text = std::fs::read_to_string(crate::image::root().join(form.file)).unwrap();
            let job: Job = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(job.metadata.name.as_deref(), Some(JOB), "{}", form.file);
            assert_eq!(job.metadata.namespace, None, "{}", form.file);
            let completions = job.spec.and_then(|spec| spec.completions).unwrap();
            assert_eq!(usize::try_from(completions).unwrap(), form.expect.len(), "{}", form.file);
        }
    }
}
