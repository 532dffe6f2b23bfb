//! The rules of `containerProperties`, for definitions and for what overrides make of them.
//!
//! Invariant: pure; AWS's words where they are recorded. What would change what a container does or sees, and cannot be had on Kubernetes or
//! not yet, is refused by name; what has no meaning here, roles and networks among it, is kept and shown, and so is the size of a disk, which no
//! node is chosen by.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::efs;
use super::needs::{Capability, number, resources};
use super::properties::{ContainerProperties, LinuxParameters, LogConfiguration, RuntimePlatform, Tmpfs, Volume};
use crate::failure::Invalid;

/// Where shared memory is mounted.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";
/// Options of a `tmpfs` that an empty directory in memory has in any case, and the one that is its mount's.
const TMPFS_OPTIONS: [&str; 8] = ["defaults", "rw", "suid", "dev", "exec", "async", "relatime", READ_ONLY];
pub(super) const READ_ONLY: &str = "ro";
/// What writes containers' output where `kubectl logs` finds it is as good as any of these.
const LOG_DRIVERS: [&str; 2] = ["awslogs", "json-file"];
/// The largest id of a user or group (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EksContainerSecurityContext.html>).
const LARGEST_ID: u32 = i32::MAX.unsigned_abs();
/// Sizes of `ephemeralStorage`, in GiB (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EphemeralStorage.html>).
const STORAGE: RangeInclusive<i64> = 21..=200;

/// `platformCapabilities`.
pub(crate) fn capability(given: &[String]) -> Result<Capability, Invalid> {
    let one = |given: &String| {
        let all = [("EC2", Capability::Ec2), ("FARGATE", Capability::Fargate)];
        crate::limits::one_of("platformCapabilities", given, &all)
    };
    match given {
        [] => Ok(Capability::Ec2),
        [given] => one(given),
        _ => Invalid::err("Exactly 1 capability must be provided."),
    }
}

/// Checks what users wrote of a container.
pub(crate) fn validate(properties: &ContainerProperties, capability: Capability) -> Result<(), Invalid> {
    if properties.image.is_empty() {
        return Invalid::err("Container image is required.");
    }
    if properties.command.iter().any(String::is_empty) {
        return Invalid::err("Command field cannot have empty strings");
    }
    resources(properties, capability)?;
    properties.user.as_deref().map_or(Ok(()), |user| ids(user).map(drop))?;
    properties.volumes.iter().try_for_each(volume)?;
    paths(properties)?;
    properties.linux_parameters.as_ref().map_or(Ok(()), linux_parameters)?;
    properties.log_configuration.as_ref().map_or(Ok(()), log_configuration)?;
    properties.runtime_platform.as_ref().map_or(Ok(()), runtime_platform)?;
    fargate(properties, capability)?;
    unsupported(properties)
}

/// What there is with Fargate alone.
fn fargate(properties: &ContainerProperties, capability: Capability) -> Result<(), Invalid> {
    if capability == Capability::Ec2 {
        for (member, is_given) in [
            ("networkConfiguration", properties.network_configuration.is_some()),
            ("fargatePlatformConfiguration", properties.fargate_platform_configuration.is_some()),
            ("ephemeralStorage", properties.ephemeral_storage.is_some()),
        ] {
            if is_given {
                return Invalid::err(format!("{member} not applicable for EC2."));
            }
        }
    }
    let Some(storage) = &properties.ephemeral_storage else { return Ok(()) };
    let Some(given) = storage.gibibytes else { return Invalid::err("ephemeralStorage.sizeInGiB is required.") };
    if STORAGE.contains(&given) {
        return Ok(());
    }
    let (least, most) = STORAGE.into_inner();
    Invalid::err(format!("ephemeralStorage.sizeInGiB must be between {least} and {most}, got {given}."))
}

fn unsupported(properties: &ContainerProperties) -> Result<(), Invalid> {
    if !properties.ulimits.is_empty() {
        return not_supported("ulimits", "Kubernetes has none for containers, the node's hold");
    }
    if !properties.secrets.is_empty() {
        return not_supported("secrets", "not yet; eksProperties can mount a Kubernetes Secret as a volume");
    }
    let credentials = properties.repository_credentials.as_ref().map(|it| it.credentials_parameter.as_str());
    if let Some(name) = credentials.filter(|name| !is_object_name(name)) {
        return not_supported(
            &format!("repositoryCredentials {name}"),
            "name a Kubernetes Secret of the job's namespace, as imagePullSecrets does",
        );
    }
    Ok(())
}

/// Whether a Secret or a `PersistentVolumeClaim` can be called so
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>).
pub(super) fn is_object_name(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

pub(super) fn not_supported(what: &str, why: &str) -> Result<(), Invalid> {
    Invalid::err(format!("containerProperties: {what}: not supported by Bulkhead ({why})."))
}

/// User and group of `user`: `uid` or `uid:gid`.
pub(super) fn ids(user: &str) -> Result<(i64, Option<i64>), Invalid> {
    let id = |text: &str| {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_name = text.starts_with(letter) && text.len() <= 31 && text.chars().all(|c| letter(c) || c == '-');
        match number(text).and_then(|id| u32::try_from(id).ok()) {
            Some(id) if id <= LARGEST_ID => Ok(i64::from(id)),
            _ if text == "root" => Ok(0),
            _ if !is_name => Invalid::err(format!("User '{user}' does not match regex")),
            _ => Invalid::err(format!(
                "containerProperties: user {user}: Kubernetes runs containers by number: give a uid, or uid:gid."
            )),
        }
    };
    match user.split_once(':') {
        None => Ok((id(user)?, None)),
        Some((user, group)) => Ok((id(user)?, Some(id(group)?))),
    }
}

fn volume(volume: &Volume) -> Result<(), Invalid> {
    let Volume { name, host, efs_volume_configuration, others } = volume;
    if name.is_empty() {
        return Invalid::err("Volume name is required.");
    }
    if let Some(other) = others.keys().next() {
        return not_supported(
            &format!("{other} of volume {name}"),
            "a volume is the host's, empty, or a claim that efsVolumeConfiguration names",
        );
    }
    match efs_volume_configuration {
        Some(_) if host.is_some() => {
            Invalid::err(format!("Volume {name} cannot have both host and efsVolumeConfiguration."))
        }
        Some(given) => efs::check(given, name),
        None => Ok(()),
    }
}

/// Where things are mounted: each place once, and each from a volume that is there.
fn paths(properties: &ContainerProperties) -> Result<(), Invalid> {
    let volumes: BTreeSet<&str> = properties.volumes.iter().map(|volume| volume.name.as_str()).collect();
    if volumes.len() < properties.volumes.len() {
        return Invalid::err("Volume names must be unique.");
    }
    for mount in &properties.mount_points {
        if !volumes.contains(mount.source_volume.as_str()) {
            return Invalid::err(format!("mountPoints: there is no volume named \"{}\".", mount.source_volume));
        }
    }
    let linux = properties.linux_parameters.as_ref();
    let shared = linux.and_then(|it| it.shared_memory_size).map(|_| SHARED_MEMORY);
    let tmpfs = linux.map_or(&[][..], |it| &it.tmpfs).iter().map(|it| it.container_path.as_str());
    let mounts = properties.mount_points.iter().map(|mount| mount.container_path.as_str());
    let mut seen = BTreeSet::new();
    for path in mounts.chain(tmpfs).chain(shared) {
        if !path.starts_with('/') || path.contains(':') {
            return Invalid::err(format!("containerPath must be an absolute path without a colon, got \"{path}\"."));
        }
        if !seen.insert(path) {
            return Invalid::err(format!("containerPath {path} is there twice."));
        }
    }
    Ok(())
}

fn linux_parameters(given: &LinuxParameters) -> Result<(), Invalid> {
    if !given.devices.is_empty() {
        return not_supported("linuxParameters.devices", "Kubernetes gives devices by device plugins");
    }
    if given.max_swap.is_some_and(|most| most > 0) {
        return not_supported("linuxParameters.maxSwap above 0", "nodes of Kubernetes swap as they are configured");
    }
    if given.shared_memory_size.is_some_and(|size| size < 1) {
        return Invalid::err("sharedMemorySize must be at least 1.");
    }
    given.tmpfs.iter().try_for_each(tmpfs)
}

fn tmpfs(given: &Tmpfs) -> Result<(), Invalid> {
    if given.size < 1 {
        return Invalid::err("tmpfs size must be at least 1.");
    }
    match given.mount_options.iter().find(|option| !TMPFS_OPTIONS.contains(&option.as_str())) {
        Some(option) => not_supported(
            &format!("linuxParameters.tmpfs.mountOptions {option}"),
            &format!("an empty directory in memory has {}", TMPFS_OPTIONS.join(", ")),
        ),
        None => Ok(()),
    }
}

fn log_configuration(given: &LogConfiguration) -> Result<(), Invalid> {
    if LOG_DRIVERS.contains(&given.log_driver.as_str()) {
        return Ok(());
    }
    not_supported(
        &format!("logConfiguration.logDriver {}", given.log_driver),
        &format!("output goes where kubectl logs finds it, which is what {} mean here", LOG_DRIVERS.join(" and ")),
    )
}

/// No node is chosen by its processor or system.
fn runtime_platform(given: &RuntimePlatform) -> Result<(), Invalid> {
    let is_or_unset = |given: &Option<String>, only: &str| given.as_deref().is_none_or(|given| given == only);
    if !is_or_unset(&given.operating_system_family, "LINUX") {
        return not_supported("runtimePlatform.operatingSystemFamily other than LINUX", "nodes run Linux");
    }
    if !is_or_unset(&given.cpu_architecture, "X86_64") {
        return not_supported("runtimePlatform.cpuArchitecture other than X86_64", "nodes are not chosen by it yet");
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
