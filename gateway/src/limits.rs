//! Limits and forms that several kinds of request share: tags, labels of Kubernetes, enumerations.
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::collections::BTreeMap;

use crate::failure::Invalid;

/// Tags of a resource (<https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html>).
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Result<(), Invalid> {
    if tags.len() > 50 {
        return Invalid::err("A resource can have at most 50 tags.");
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Invalid::err(format!("Tag {key} is too long: a key has 1 to 128 characters, a value at most 256."));
        }
    }
    Ok(())
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
        ] {
            assert_eq!(namespace(name), expected, "{name}");
        }
    }

    #[test]
    fn tags_are_counted_and_measured() {
        let some = |count: usize| (0..count).map(|i| (i.to_string(), String::new())).collect::<BTreeMap<_, _>>();
        assert_eq!(tags(&some(50)), Ok(()));
        assert!(tags(&some(51)).is_err());
        assert!(tags(&BTreeMap::from([("k".repeat(129), String::new())])).is_err());
        assert!(tags(&BTreeMap::from([("k".to_owned(), "v".repeat(257))])).is_err());
    }
}
