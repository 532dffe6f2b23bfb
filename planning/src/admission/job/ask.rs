//! Whether a write visibly asks for suspension, although the Job is stored as suspended anyway.
//!
//! A queued Job's stored `suspend` is `true` whatever its user wants, so writing `true` changes nothing. Two ways of writing still
//! show it: server-side apply lists the field for its manager, and client-side apply keeps the manifest.
//!
//! Invariant: a write that does not name the field asks for nothing. A plain patch of `true` over `true` cannot be seen.

use super::super::edit::{at, is_true, items, text};
use serde_json::Value;

/// Whether the writer asks for suspension now and did not with what is stored. `manager`: the field manager of the request.
pub(super) fn asks_to_suspend(job: &Value, old: &Value, manager: Option<&str>) -> bool {
    is_true(job, &["spec", "suspend"])
        && (applied_by_server(job, manager) || in_manifest(job) == Some(true) && in_manifest(old) != Some(true))
}

/// Whether the request is an apply of a manifest that names the field. Its value is the object's.
fn applied_by_server(job: &Value, manager: Option<&str>) -> bool {
    items(job, &["metadata", "managedFields"]).iter().any(|entry| {
        text(entry, &["operation"]) == Some("Apply")
            && manager.is_some_and(|manager| text(entry, &["manager"]) == Some(manager))
            && at(entry, &["fieldsV1", "f:spec", "f:suspend"]).is_some()
    })
}

/// What the manifest of the last client-side apply says.
fn in_manifest(job: &Value) -> Option<bool> {
    let manifest = text(job, &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"])?;
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    at(&manifest, &["spec", "suspend"])?.as_bool()
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
            assert_eq!(asks_to_suspend(&new, &old, Some("kubectl-client-side-apply")), expect, "{new} {old}");
        };
        check(Some(true), None, true);
        check(Some(true), Some(false), true);
        check(Some(true), Some(true), false);
        check(Some(false), None, false);
        check(None, None, false);
        let plain = json!({"spec": {"suspend": true}});
        assert!(!asks_to_suspend(&plain, &plain, Some("kubectl-patch")));
        let garbage = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}}, "spec": {"suspend": true}});
        assert!(!asks_to_suspend(&garbage, &plain, None));
    }

    #[test]
    fn a_server_side_apply_of_the_field_asks_and_nobody_else_in_its_name() {
        let check = |entry: &str, operation: &str, manager: Option<&str>, expect| {
            let new = with_fields(entry, operation);
            assert_eq!(asks_to_suspend(&new, &json!({}), manager), expect, "{entry} {operation} {manager:?}");
        };
        check("argocd", "Apply", Some("argocd"), true);
        check("argocd", "Update", Some("argocd"), false);
        check("argocd", "Apply", Some("kubectl-label"), false);
        check("argocd", "Apply", None, false);
        let mut lets_go = with_fields("argocd", "Apply");
        lets_go["spec"]["suspend"] = json!(false);
        assert!(!asks_to_suspend(&lets_go, &json!({}), Some("argocd")));
    }
}
