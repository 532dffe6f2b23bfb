//! Where pods of the API may be made, and what is said where they may not.
//!
//! Invariant: a sentence says what is missing and how to get it, and begins as AWS Batch's does
//! (<https://docs.aws.amazon.com/batch/latest/userguide/batch_eks_invalid_compute_environment.html>). Does not ask anybody.

use std::collections::{BTreeMap, BTreeSet};

use model::keys::{BATCH_ROLE, BATCH_ROLE_BINDING, BATCH_USER};
use model::snapshot::{Closed, Environment, Place, Unit};
use serde_json::{Value, json};

/// The namespaces into which pods of the API would go: those that environments name, and those of jobs that wait among these units.
pub fn namespaces<'a>(environments: &'a [Environment], units: impl IntoIterator<Item = &'a Unit>) -> BTreeSet<String> {
    let waiting = units.into_iter().filter(|unit| unit.record.is_some() && unit.place == Place::Waiting);
    let mut all: BTreeSet<&str> = environments.iter().filter_map(|one| one.namespace.as_deref()).collect();
    for unit in waiting {
        match unit.key.namespace.as_str() {
            "" => all.extend(environments.iter().map(|one| one.namespace_for(None))),
            own => drop(all.insert(own)),
        }
    }
    all.into_iter().map(ToOwned::to_owned).collect()
}

/// What is wrong with an environment for jobs of the API. Others do not mind.
pub fn problem(environment: &Environment, all: &BTreeMap<String, Closed>) -> Option<String> {
    let namespace = environment.namespace.as_deref()?;
    Some(closed(namespace, all.get(namespace)?))
}

/// Why no pod of the API is made in a namespace.
pub fn closed(namespace: &str, why: &Closed) -> String {
    let problem = match why {
        Closed::NotThere => format!(
            "{namespace} does not exist; create it (kubectl create namespace {namespace}; bulkhead namespace enable {namespace})"
        ),
        Closed::Forbidden => format!(
            "user {BATCH_USER} may not create pods in {namespace}; create Role {BATCH_ROLE} and RoleBinding {BATCH_ROLE_BINDING} \
             there (bulkhead namespace enable {namespace})"
        ),
        Closed::Unclear(error) => {
            return format!(
                "CLIENT_ERROR - Unable to validate Kubernetes Namespace: it is not known whether user {BATCH_USER} may create pods in \
                 {namespace}: {error}"
            );
        }
    };
    format!("CLIENT_ERROR - Unable to validate Kubernetes Namespace: {problem}, and it goes on by itself")
}

/// What the Role allows: the rules of AWS Batch's documentation
/// (<https://docs.aws.amazon.com/batch/latest/userguide/getting-started-eks.html>), and logs.
pub fn rules() -> Vec<Value> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    vec![
        rule("", &["pods"], &["create", "get", "list", "watch", "delete", "patch"]),
        rule("", &["serviceaccounts"], &["get", "list"]),
        rule("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["get", "list"]),
        rule("", &["pods/log"], &["get"]),
    ]
}

/// The Role and the `RoleBinding` that let pods of the API be made in a namespace.
pub fn objects(namespace: &str) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    [
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": "Role",
            "metadata": {"name": BATCH_ROLE, "namespace": namespace},
            "rules": rules(),
        }),
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": "RoleBinding",
            "metadata": {"name": BATCH_ROLE_BINDING, "namespace": namespace},
            "subjects": [{"kind": "User", "name": BATCH_USER, "apiGroup": group}],
            "roleRef": {"kind": "Role", "name": BATCH_ROLE, "apiGroup": group},
        }),
    ]
}
