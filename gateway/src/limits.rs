//! Limits and forms that several kinds of request share: time, namespaces, enumerations, how many objects there may be.
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::time::Duration;

use api::crd::State;
use model::names::is_reserved_namespace;

use crate::failure::Invalid;
use crate::objects::Kind;

/// How long a request may take: less than the 60 seconds that AWS's clients wait.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(20);

/// `state` of environments and queues.
pub(crate) const STATES: [(&str, State); 2] = [("ENABLED", State::Enabled), ("DISABLED", State::Disabled)];
/// Compute environments, and job queues, with which another one is still made through the API: twice what AWS has as a quota
/// (<https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html>). They are custom resources, and so everybody's etcd.
const MOST_OBJECTS: usize = 100;

/// Whether there may be another object beside so many. Those that come at the same time do not see each other.
pub(crate) fn another<K: Kind>(existing: usize) -> Result<(), Invalid> {
    if existing < MOST_OBJECTS {
        return Ok(());
    }
    Invalid::err(format!(
        "There are {existing} {}s, and at most {MOST_OBJECTS} are made through this API: delete some, or have an administrator make it \
         with kubectl",
        K::NAME.to_lowercase()
    ))
}

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
    fn there_is_not_any_number_of_objects() {
        for (existing, expected) in [(0, true), (99, true), (100, false), (5_000, false)] {
            assert_eq!(another::<api::JobQueue>(existing).is_ok(), expected, "{existing}");
        }
    }

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
