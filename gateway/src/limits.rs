//! Limits and forms that several kinds of request share: time, namespaces, enumerations.
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::time::Duration;

use api::crd::State;
use model::names::is_reserved_namespace;

use crate::failure::Invalid;

/// How long a request may take: less than the 60 seconds that AWS's clients wait.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(20);

/// `state` of environments and queues.
pub(crate) const STATES: [(&str, State); 2] = [("ENABLED", State::Enabled), ("DISABLED", State::Disabled)];

/// One of the values of an enumeration.
pub(crate) fn one_of<T: Copy>(member: &str, given: &str, values: &[(&str, T)]) -> Result<T, Invalid> {
    let found = values.iter().find(|(text, _)| *text == given).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let texts: Vec<&str> = values.iter().map(|(text, _)| *text).collect();
        Invalid(format!("{member} must be one of [{}], got {given}.", texts.join(", ")))
    })
}

/// A namespace that pods of jobs may be in.
pub(crate) fn namespace(name: &str) -> Result<(), Invalid> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let syntax = !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    if !syntax {
        return Invalid::err("kubernetesNamespace must be a valid Kubernetes namespace.");
    }
    if name.len() > 63 {
        return Invalid::err("kubernetesNamespace must less than or equal to 63 characters long.");
    }
    if name == "default" {
        return Invalid::err("kubernetesNamespace cannot be the default Kubernetes namespace.");
    }
    if name.starts_with("kube-") {
        return Invalid::err("kubernetesNamespace cannot be a reserved Kubernetes system namespace.");
    }
    if is_reserved_namespace(name) {
        return Invalid::err(format!("kubernetesNamespace cannot be {name}, which is Bulkhead's own."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_follow_the_rules_of_kubernetes_and_are_not_the_systems() {
        let long = "a".repeat(64);
        for (name, expected) in [
            ("my-aws-batch-namespace", Ok(())),
            ("", Invalid::err("kubernetesNamespace must be a valid Kubernetes namespace.")),
            ("A", Invalid::err("kubernetesNamespace must be a valid Kubernetes namespace.")),
            ("a-", Invalid::err("kubernetesNamespace must be a valid Kubernetes namespace.")),
            (&long, Invalid::err("kubernetesNamespace must less than or equal to 63 characters long.")),
            ("default", Invalid::err("kubernetesNamespace cannot be the default Kubernetes namespace.")),
            ("kube-system", Invalid::err("kubernetesNamespace cannot be a reserved Kubernetes system namespace.")),
            ("kube-", Invalid::err("kubernetesNamespace must be a valid Kubernetes namespace.")),
            ("kube-mine", Invalid::err("kubernetesNamespace cannot be a reserved Kubernetes system namespace.")),
            ("kubernetes", Ok(())),
            (
                "bulkhead-system",
                Invalid::err("kubernetesNamespace cannot be bulkhead-system, which is Bulkhead's own."),
            ),
        ] {
            assert_eq!(namespace(name), expected, "{name}");
        }
    }
}
