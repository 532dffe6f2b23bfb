//! The rules of `podProperties`, for definitions and for what overrides make of them.
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::collections::{BTreeMap, BTreeSet};

use super::pod::{Container, Metadata, PodProperties, Volume};
use super::resources;
use crate::failure::Invalid;
use crate::limits::namespace;

/// What a pod calls a container without a name.
pub(crate) const UNNAMED: &str = "default";
/// What it calls an init container without one.
pub(crate) const UNNAMED_INIT: &str = "init";

/// Prefixes of keys that only the system may set.
const RESERVED: [&str; 3] = ["kubernetes.io", "k8s.io", "batch.amazonaws.com"];

/// Checks what users wrote of a pod.
pub(crate) fn validate(pod: &PodProperties) -> Result<(), Invalid> {
    if pod.containers.is_empty() {
        return Invalid::err("Containers must be provided for Batch on EKS jobs.");
    }
    if pod.containers.len() > 10 || pod.init_containers.len() > 10 {
        return Invalid::err("A pod can have at most 10 containers and 10 init containers.");
    }
    let dns = ["Default", "ClusterFirst", "ClusterFirstWithHostNet"];
    if pod.dns_policy.as_deref().is_some_and(|policy| !policy.is_empty() && !dns.contains(&policy)) {
        return Invalid::err("Unsupported DNS policy value.");
    }
    pod.volumes.iter().try_for_each(volume)?;
    let volumes: BTreeSet<&str> = pod.volumes.iter().map(|volume| volume.name.as_str()).collect();
    if volumes.len() < pod.volumes.len() {
        return Invalid::err("Volume names must be unique.");
    }
    names(pod)?;
    pod.containers.iter().try_for_each(|it| container(it, &volumes, true))?;
    pod.init_containers.iter().try_for_each(|it| container(it, &volumes, false))?;
    pod.metadata.as_ref().map_or(Ok(()), metadata)
}

/// One container may go without a name; no other may have the name that it gets.
fn names(pod: &PodProperties) -> Result<(), Invalid> {
    let main = pod.containers.iter().map(|it| (it.name.as_deref(), UNNAMED));
    let init = pod.init_containers.iter().map(|it| (it.name.as_deref(), UNNAMED_INIT));
    let all: Vec<(Option<&str>, &str)> = main.chain(init).collect();
    let names: BTreeSet<&str> = all.iter().map(|(name, unnamed)| name.unwrap_or(unnamed)).collect();
    let unnamed = all.iter().filter(|(name, _)| name.is_none()).count();
    if unnamed > 1 || names.len() < all.len() {
        return Invalid::err("Container names must be given and unique if there is more than one container.");
    }
    let label = |name: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty()
            && name.len() <= 63
            && name.chars().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    // The API reference calls the container without a name `Default`.
    match names.iter().find(|name| !label(name) && **name != "Default") {
        Some(name) => Invalid::err(format!("Container name {name} does not match a valid pattern.")),
        None => Ok(()),
    }
}

fn container(container: &Container, volumes: &BTreeSet<&str>, main: bool) -> Result<(), Invalid> {
    if container.image.is_empty() {
        return Invalid::err("Container image is required.");
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    if container.image_pull_policy.as_deref().is_some_and(|policy| !policies.contains(&policy)) {
        return Invalid::err("Unsupported image pull policy value.");
    }
    let texts =
        container.command.iter().chain(&container.args).chain(container.env.iter().filter_map(|it| it.value.as_ref()));
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Invalid::err("Commands, arguments and values of environment variables cannot contain NUL characters.");
    }
    for variable in &container.env {
        if variable.name.is_empty() {
            return Invalid::err("Environment variable name is required.");
        }
        if variable.name.contains(['=', '\0']) {
            return Invalid::err(format!(
                "Environment variable name {:?} contains '=' or a NUL character.",
                variable.name
            ));
        }
        if variable.name.starts_with("AWS_BATCH") {
            return Invalid::err(format!(
                "Environment variable {}: names that start with AWS_BATCH are reserved.",
                variable.name
            ));
        }
    }
    for mount in &container.volume_mounts {
        if !volumes.contains(mount.name.as_str()) {
            return Invalid::err("The volumeMounts name is required for eksProperties.");
        }
        if mount.mount_path.is_empty() {
            return Invalid::err("The volumeMounts mountPath is required for eksProperties.");
        }
    }
    let capabilities = container.security_context.as_ref().and_then(|security| security.capabilities.as_ref());
    if capabilities.is_some_and(|it| it.add.len() > 64 || it.drop.len() > 64) {
        return Invalid::err("At most 64 capabilities can be added and 64 dropped.");
    }
    resources::validate(container.resources.as_ref(), main)
}

fn volume(volume: &Volume) -> Result<(), Invalid> {
    if volume.name.is_empty() {
        return Invalid::err("Volume name is required.");
    }
    let sources = [
        volume.host_path.is_some(),
        volume.empty_dir.is_some(),
        volume.secret.is_some(),
        volume.persistent_volume_claim.is_some(),
    ];
    if sources.iter().filter(|there| **there).count() != 1 {
        return Invalid::err(format!(
            "Volume {} must have exactly one of hostPath, emptyDir, secret and persistentVolumeClaim.",
            volume.name
        ));
    }
    let Some(directory) = &volume.empty_dir else { return Ok(()) };
    if !matches!(directory.medium.as_deref(), None | Some("" | "Memory")) {
        return Invalid::err("Invalid Volume mount. Allowed values - Memory or null.");
    }
    let mebibytes = |limit: &str| limit.strip_suffix("Mi").is_some_and(|number| number.parse::<u64>().is_ok());
    if directory.size_limit.as_deref().is_some_and(|limit| !mebibytes(limit)) {
        return Invalid::err("Invalid empty dir size limit.");
    }
    Ok(())
}

fn metadata(metadata: &Metadata) -> Result<(), Invalid> {
    keys("label", &metadata.labels)?;
    keys("annotation", &metadata.annotations)?;
    for value in metadata.labels.values() {
        if !(value.is_empty() || is_name(value)) {
            return Invalid::err(format!("The pod label value {value} does not match a valid pattern."));
        }
    }
    for value in metadata.annotations.values() {
        if value.chars().count() > 255 {
            return Invalid::err(format!("Metadata annotation value {value} cannot be longer than 255 characters."));
        }
    }
    metadata.namespace.as_deref().map_or(Ok(()), namespace)
}

fn keys(kind: &str, members: &BTreeMap<String, String>) -> Result<(), Invalid> {
    for key in members.keys() {
        let (prefix, name) = key.split_once('/').unwrap_or(("", key));
        if RESERVED.iter().any(|reserved| prefix.contains(reserved)) {
            return Invalid::err(format!(
                "The prefix {prefix} of the pod {kind} key cannot contain terms from the following [{}].",
                RESERVED.join(", ")
            ));
        }
        if prefix.contains("bulkhead.dev") {
            return Invalid::err(format!("The prefix {prefix} of the pod {kind} key is reserved by Bulkhead."));
        }
        if !is_name(name) || (key.contains('/') && prefix.is_empty()) {
            return Invalid::err(format!("The name {name} of the pod {kind} key does not match a valid pattern."));
        }
    }
    Ok(())
}

/// Name part of a key, or value of a label
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63 && text.chars().all(inner) && ends(text.chars().next()) && ends(text.chars().next_back())
}
