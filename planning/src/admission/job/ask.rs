//! Whether a write visibly asks for suspension, although the Job is stored as suspended anyway.
//!
//! A queued Job's stored `suspend` is `true` whatever its user wants, so writing `true` changes nothing. Two ways of writing still
//! show it: server-side apply lists the field for its manager, and client-side apply keeps the manifest.
//!
//! Invariant: a write that does not name the field asks for nothing, and neither does one of an object that was read from the
//! cluster: there the `true` is Bulkhead's, and the job id is beside it. A plain patch of `true` over `true` cannot be seen.

use super::super::edit::{at, is_true, items, text};
use super::Write;
use model::keys;
use serde_json::Value;

/// Whether the writer asks for suspension now and did not with what is stored. `manager`: the field manager of the request.
pub(super) fn asks_to_suspend(job: &Value, old: &Value, write: Write, manager: Option<&str>) -> bool {
    // `kubectl replace` rewrites the kept manifest with what it was given.
    let by_client = || write == Write::Stored && in_manifest(job) == Some(true) && in_manifest(old) != Some(true);
    is_true(job, &["spec", "suspend"]) && (applied_by_server(job, manager) || by_client())
}

/// Whether the request is an apply of a manifest that names the field. Its value is the object's.
fn applied_by_server(job: &Value, manager: Option<&str>) -> bool {
    items(job, &["metadata", "managedFields"]).iter().any(|entry| {
        text(entry, &["operation"]) == Some("Apply")
            && manager.is_some_and(|manager| text(entry, &["manager"]) == Some(manager))
            && at(entry, &["fieldsV1", "f:spec", "f:suspend"]).is_some()
            && at(entry, &["fieldsV1", "f:metadata", "f:labels", &format!("f:{}", keys::JOB_ID)]).is_none()
    })
}

/// What the manifest of the last client-side apply says.
fn in_manifest(job: &Value) -> Option<bool> {
    let manifest = text(job, &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"])?;
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    let was_read = at(&manifest, &["metadata", "labels", keys::JOB_ID]).is_some();
    at(&manifest, &["spec", "suspend"])?.as_bool().filter(|_| !was_read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with_manifest(suspend: Option<bool>) -> Value {
        let manifest = suspend.map_or_else(|| json!({"spec": {}}), |suspend| json!({"spec": {"suspend": suspend}}));
        let last = json!({"kubectl.kubernetes.io/last-applied-configuration": manifest.to_string()});
        json!({"metadata": {"annotations": last}, "spec": {"suspend": true}})
    }

    fn with_fields(manager: &str, operation: &str) -> Value {
        let fields = json!({"f:spec": {"f:suspend": {}}});
        json!({"metadata": {"managedFields": [{"manager": manager, "operation": operation, "fieldsV1": fields}]}, "spec": {"suspend": true}})
    }

    #[test]
    fn a_manifest_that_says_true_for_the_first_time_asks() {
        let check = |new, old, expect| {
            let (new, old) = (with_manifest(new), with_manifest(old));
            assert_eq!(
                asks_to_suspend(&new, &old, Write::Stored, Some("kubectl-client-side-apply")),
                expect,
                "{new} {old}"
            );
            assert!(!asks_to_suspend(&new, &old, Write::Manifest, Some("kubectl-replace")), "{new} {old}");
        };
        check(Some(true), None, true);
        check(Some(true), Some(false), true);
        check(Some(true), Some(true), false);
        check(Some(false), None, false);
        check(None, None, false);
        let plain = json!({"spec": {"suspend": true}});
        assert!(!asks_to_suspend(&plain, &plain, Write::Stored, Some("kubectl-patch")));
        let garbage = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}}, "spec": {"suspend": true}});
        assert!(!asks_to_suspend(&garbage, &plain, Write::Stored, None));
    }

    #[test]
    fn a_server_side_apply_of_the_field_asks_and_nobody_else_in_its_name() {
        let check = |entry: &str, operation: &str, manager: Option<&str>, expect| {
            let new = with_fields(entry, operation);
            assert_eq!(
                asks_to_suspend(&new, &json!({}), Write::Stored, manager),
                expect,
                "{entry} {operation} {manager:?}"
            );
        };
        check("argocd", "Apply", Some("argocd"), true);
        check("argocd", "Update", Some("argocd"), false);
        check("argocd", "Apply", Some("kubectl-label"), false);
        check("argocd", "Apply", None, false);
        let mut lets_go = with_fields("argocd", "Apply");
        lets_go["spec"]["suspend"] = json!(false);
        assert!(!asks_to_suspend(&lets_go, &json!({}), Write::Stored, Some("argocd")));
    }
    #[test]
    fn an_object_that_was_read_from_the_cluster_and_applied_asks_for_nothing() {
        let manifest = json!({"metadata": {"labels": {keys::JOB_ID: "x"}}, "spec": {"suspend": true}}).to_string();
        let mut by_client = with_manifest(None);
        by_client["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(manifest);
        assert!(!asks_to_suspend(&by_client, &with_manifest(None), Write::Stored, Some("kubectl-client-side-apply")));
        let mut by_server = with_fields("kubectl", "Apply");
        by_server["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] =
            json!({"f:labels": {format!("f:{}", keys::JOB_ID): {}}});
        assert!(!asks_to_suspend(&by_server, &json!({}), Write::Stored, Some("kubectl")));
    }
}
