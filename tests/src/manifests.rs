//! Manifests that tests apply.
//!
//! Forms 1 and 2 are the published example of an Indexed Job
//! (<https://kubernetes.io/docs/tasks/job/indexed-parallel-processing-static/>), as printed there; form 3 is ours.

/// The index from `JOB_COMPLETION_INDEX`, in an init container.
pub const FORM_1: &str = include_str!("../../examples/indexed-job.yaml");
/// The index from a downward API volume.
pub const FORM_2: &str = include_str!("../../examples/indexed-job-vol.yaml");
/// The index from variables of the user's own: a fieldRef, and one that refers to `JOB_COMPLETION_INDEX`.
pub const FORM_3: &str = include_str!("../../examples/indexed-job-env.yaml");

/// A Job of `count` pods at once, each with these requests, running `script` in busybox.
pub fn job(name: &str, count: u32, cpu: &str, memory: &str, script: &str) -> String {
    job_with(name, count, cpu, memory, script, "")
}

/// As [`job`], with more lines of the pod's spec (YAML, not indented).
pub fn job_with(name: &str, count: u32, cpu: &str, memory: &str, script: &str, spec: &str) -> String {
    let script = serde_json::Value::from(script);
    let more = spec.lines().fold(String::new(), |all, line| all + "      " + line + "\n");
    format!(
        r#"apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completions: {count}
  parallelism: {count}
  completionMode: Indexed
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
{more}      containers:
      - name: main
        image: docker.io/library/busybox
        command: ["sh", "-c", {script}]
        resources:
          requests: {{cpu: {cpu}, memory: {memory}}}
"#
    )
}
