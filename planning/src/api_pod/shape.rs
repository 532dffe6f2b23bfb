//! The members of `eksProperties.podProperties` that become members of a pod, all under the name they have
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EksPodProperties.html>).
//!
//! Invariant: what is not in this table is left out, as AWS Batch ignores members that it does not know.

use serde_json::{Map, Value};

/// What a value looks like.
pub(super) enum Shape {
    /// Kept as it is.
    Any,
    /// A text; an empty one counts as absent.
    Text,
    /// An object with these members at most.
    Object(&'static [(&'static str, Shape)]),
    /// A list of these.
    List(&'static Shape),
    /// Texts by name.
    Texts,
}

use Shape::{Any, List, Object, Text, Texts};

const SECCOMP: Shape = Object(&[("type", Text), ("localhostProfile", Text)]);

const CONTAINER: Shape = Object(&[
    ("name", Text),
    ("image", Text),
    ("imagePullPolicy", Text),
    ("command", Any),
    ("args", Any),
    ("env", List(&Object(&[("name", Any), ("value", Any)]))),
    ("resources", Object(&[("limits", Texts), ("requests", Texts)])),
    ("volumeMounts", List(&Object(&[("name", Any), ("mountPath", Any), ("subPath", Text), ("readOnly", Any)]))),
    (
        "securityContext",
        Object(&[
            ("runAsUser", Any),
            ("runAsGroup", Any),
            ("runAsNonRoot", Any),
            ("privileged", Any),
            ("allowPrivilegeEscalation", Any),
            ("readOnlyRootFilesystem", Any),
            ("capabilities", Object(&[("add", Any), ("drop", Any)])),
            ("seccompProfile", SECCOMP),
        ]),
    ),
]);

/// The sources a volume may have.
pub(super) const VOLUME_SOURCES: [&str; 4] = ["hostPath", "emptyDir", "secret", "persistentVolumeClaim"];

const VOLUME: Shape = Object(&[
    ("name", Any),
    ("hostPath", Object(&[("path", Any)])),
    ("emptyDir", Object(&[("medium", Text), ("sizeLimit", Text)])),
    ("secret", Object(&[("secretName", Any), ("optional", Any)])),
    ("persistentVolumeClaim", Object(&[("claimName", Any), ("readOnly", Any)])),
]);

/// What goes into `spec`.
pub(super) const POD: Shape = Object(&[
    ("containers", List(&CONTAINER)),
    ("initContainers", List(&CONTAINER)),
    ("volumes", List(&VOLUME)),
    ("hostNetwork", Any),
    ("dnsPolicy", Text),
    ("serviceAccountName", Text),
    ("imagePullSecrets", List(&Object(&[("name", Any)]))),
    ("shareProcessNamespace", Any),
    (
        "securityContext",
        Object(&[
            ("runAsUser", Any),
            ("runAsGroup", Any),
            ("runAsNonRoot", Any),
            ("fsGroup", Any),
            ("seccompProfile", SECCOMP),
        ]),
    ),
]);

/// What goes into `metadata`; the namespace is decided elsewhere.
pub(super) const METADATA: Shape = Object(&[("labels", Texts), ("annotations", Texts)]);

/// The part of a value that has this shape; `path` says where it is, for people. Absent and `null` are an empty object or list.
pub(super) fn pick(value: &Value, shape: &Shape, path: &str) -> Result<Value, String> {
    match (shape, value) {
        (Any, value) => Ok(value.clone()),
        (Text, Value::String(_)) => Ok(value.clone()),
        (Text, _) => Err(format!("{path} must be a text.")),
        (Object(_) | Texts, Value::Null) => Ok(Value::Object(Map::new())),
        (Object(members), Value::Object(_)) => pick_members(value, members, path),
        (Texts, Value::Object(members)) => match members.iter().find(|(_, value)| !value.is_string()) {
            Some((name, _)) => Err(format!("{path}.{name} must be a text.")),
            None => Ok(value.clone()),
        },
        (Object(_) | Texts, _) => Err(format!("{path} must be an object.")),
        (List(item), Value::Array(items)) => {
            let numbered = items.iter().enumerate();
            numbered.map(|(index, value)| pick(value, item, &format!("{path}[{index}]"))).collect()
        }
        (List(_), _) => Err(format!("{path} must be a list.")),
    }
}

fn pick_members(value: &Value, members: &[(&str, Shape)], path: &str) -> Result<Value, String> {
    let mut picked = Map::new();
    for (name, shape) in members {
        let Some(value) = value.get(name).filter(|value| !value.is_null()) else { continue };
        let is_absent = matches!(shape, Text) && value == "";
        if !is_absent {
            picked.insert((*name).to_owned(), pick(value, shape, &format!("{path}.{name}"))?);
        }
    }
    Ok(Value::Object(picked))
}
