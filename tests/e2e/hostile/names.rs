//! What a hostile tenant tries in others' name, or to make somebody do in their own.
//!
//! Invariant: Kubernetes itself refuses all of it.

use model::keys;
use serde_json::json;

use super::Tenant;
use super::attempts::{Attempt, RIGHTS, command};

/// What acts in others' name, or makes somebody act in one's own.
pub(super) fn others(tenant: &Tenant) -> Vec<Attempt> {
    let namespace = ["-n", tenant.plain.as_str()];
    let own = |what: &str, args: &[&str]| command(what, &[args, &namespace].concat(), RIGHTS);
    vec![
        own("acting as user aws-batch", &["get", "pods", "--as", "aws-batch"]),
        own(
            "acting as the controller",
            &["get", "pods", "--as", "system:serviceaccount:bulkhead-system:bulkhead-controller"],
        ),
        own("a Role", &["create", "role", "mine", "--verb=create", "--resource=pods"]),
        own("rights for user aws-batch", &["create", "rolebinding", "mine", "--clusterrole=edit", "--user=aws-batch"]),
        command("secrets of Bulkhead", &["get", "secrets", "-n", keys::NAMESPACE], RIGHTS),
        command("pods of Bulkhead", &["get", "pods", "-n", keys::NAMESPACE], RIGHTS),
        command("the webhook configurations", &["delete", "mutatingwebhookconfiguration", "bulkhead"], RIGHTS),
        Attempt {
            object: Some(json!({})),
            ..command(
                "the API's port",
                &["create", "--raw", &of_bulkhead("pods/bulkhead-controller-0/portforward"), "-f", "-"],
                RIGHTS,
            )
        },
        command(
            "the webhook's port",
            &["get", "--raw", &of_bulkhead("services/https:bulkhead-webhook:443/proxy/jobs")],
            RIGHTS,
        ),
    ]
}

fn of_bulkhead(path: &str) -> String {
    format!("/api/v1/namespaces/{}/{path}", keys::NAMESPACE)
}
