//! Pods of jobs of the AWS Batch API: they have no owner that could take them over, so they end with Bulkhead.
//!
//! Invariant: none is left that nobody can delete, because its finalizer is taken off first.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use model::keys;
use serde_json::{Value, json};

use super::access::{Access, Target, kind, text};
use super::say;

/// Deletes them, whether they run or have ended.
pub(super) async fn remove(access: &Access) -> anyhow::Result<()> {
    let pods = kind::<Pod>();
    let labelled = ListParams::default().labels(keys::JOB_ID);
    let mut running = 0;
    for pod in access.list(&pods, None, &labelled).await?.iter().filter(|pod| is_attempt(pod)) {
        let target = Target::of(&pods, pod);
        let kept = pod.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
        let others: Vec<Value> = kept.into_iter().filter(|finalizer| finalizer != keys::RECORD_FINALIZER).collect();
        let patch = json!({"metadata": {"uid": text(pod, "/metadata/uid"), "finalizers": others}});
        access.patch(&target, &patch).await?;
        let ended = matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"));
        if access.delete(&target, text(pod, "/metadata/uid")).await? && !ended {
            running += 1;
        }
    }
    if running > 0 {
        say::note(&format!(
            "deleted {running} running pods of jobs of the AWS Batch API; nobody else can go on with them"
        ));
    }
    Ok(())
}

fn is_attempt(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(keys::PLACEMENT).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_made_for_the_api_are_attempts() {
        assert!(is_attempt(&json!({"metadata": {"annotations": {keys::PLACEMENT: "0"}}})));
        assert!(!is_attempt(&json!({"metadata": {"annotations": {keys::ATTEMPT: "1"}}})));
        assert!(!is_attempt(&json!({})));
    }
}
