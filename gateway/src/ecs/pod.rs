//! The pod of a container as AWS Batch describes it for Amazon ECS, in the words of `podProperties`.
//!
//! Invariant: pure; only of what `check` has taken. The container sees what was written: Kubernetes would expand `$(NAME)` in arguments and
//! variables, and Amazon ECS does not.

use serde_json::json;

use super::check::{READ_ONLY, SHARED_MEMORY, ids};
use super::efs::{claim, directory};
use super::needs::{Capability, resources};
use super::properties::{ContainerProperties, LinuxParameters, MountPoint, Volume as Given};
use crate::definitions::{
    Container, ContainerSecurity, EmptyDir, EnvVar, PodProperties, PullSecret, Volume, VolumeMount,
};
use crate::failure::Invalid;

/// What Amazon ECS sets in each container, and its value by where that runs
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>); clients read it.
pub(super) const EXECUTION: (&str, [&str; 2]) = ("AWS_EXECUTION_ENV", ["AWS_ECS_EC2", "AWS_ECS_FARGATE"]);

/// A volume of the pod, and where the container has it.
type Mounted = (Volume, Vec<VolumeMount>);

/// The pod; what is written in it is not [`literal`] yet, so that parameters can be put in.
pub(crate) fn pod(properties: &ContainerProperties, capability: Capability) -> Result<PodProperties, Invalid> {
    let linux = properties.linux_parameters.clone().unwrap_or_default();
    let mounted: Vec<Mounted> = named(properties).chain(in_memory(&linux)).collect();
    let (volumes, mounts): (Vec<Volume>, Vec<Vec<VolumeMount>>) = mounted.into_iter().unzip();
    let credentials = properties.repository_credentials.iter();
    Ok(PodProperties {
        containers: vec![Container {
            image: properties.image.clone(),
            // What Amazon ECS calls the command stands in for the image's, not for its entry point.
            args: properties.command.clone(),
            env: environment(properties, capability),
            resources: Some(resources(properties, capability)?),
            volume_mounts: mounts.into_iter().flatten().collect(),
            security_context: security(properties)?,
            ..Container::default()
        }],
        volumes,
        // On Fargate each job has a network of its own; on an instance it has the instance's, if nobody forbids that here.
        host_network: (capability == Capability::Fargate).then_some(false),
        image_pull_secrets: credentials.map(|it| PullSecret { name: it.credentials_parameter.clone() }).collect(),
        // Then the pod's own first process waits for children that others leave.
        share_process_namespace: linux.init_process_enabled.filter(|enabled| *enabled),
        ..PodProperties::default()
    })
}

/// What Amazon ECS sets, if nobody says otherwise, and what is written.
fn environment(properties: &ContainerProperties, capability: Capability) -> Vec<EnvVar> {
    let (name, [ec2, fargate]) = EXECUTION;
    let value = match capability {
        Capability::Ec2 => ec2,
        Capability::Fargate => fargate,
    };
    let is_written = properties.environment.iter().any(|variable| variable.name == name);
    let own = (!is_written).then(|| EnvVar { name: name.to_owned(), value: Some(value.to_owned()) });
    let written = properties.environment.iter().map(|variable| EnvVar {
        name: variable.name.clone(),
        value: Some(variable.value.clone().unwrap_or_default()),
    });
    own.into_iter().chain(written).collect()
}

/// Volumes by the names that are given; a pod's are names of another kind. Those of one claim are one: not every kubelet mounts a claim twice.
fn named(properties: &ContainerProperties) -> impl Iterator<Item = Mounted> {
    let all = &properties.volumes;
    let is_first = |(number, volume): &(usize, &Given)| !all[..*number].iter().any(|before| is_one(before, volume));
    all.iter().enumerate().filter(is_first).map(|(number, volume)| {
        let name = format!("volume-{number}");
        let of_mount = |mount: &MountPoint| all.iter().find(|it| it.name == mount.source_volume);
        let mounts = properties.mount_points.iter().filter_map(|mount| {
            let given = of_mount(mount).filter(|given| is_one(given, volume))?;
            Some(VolumeMount {
                name: name.clone(),
                mount_path: mount.container_path.clone(),
                sub_path: given.efs_volume_configuration.as_ref().and_then(directory),
                read_only: mount.read_only,
            })
        });
        let mounts = mounts.collect();
        let path = volume.host.as_ref().and_then(|host| host.source_path.as_ref());
        let host_path = path.map(|path| json!({"path": path}));
        let persistent_volume_claim = claim_of(volume).map(|name| json!({"claimName": name}));
        let empty_dir = (host_path.is_none() && persistent_volume_claim.is_none()).then(EmptyDir::default);
        (Volume { name, host_path, empty_dir, persistent_volume_claim, ..Volume::default() }, mounts)
    })
}

fn claim_of(volume: &Given) -> Option<&str> {
    volume.efs_volume_configuration.as_ref().map(claim)
}

/// Whether they are one volume of the pod.
fn is_one(one: &Given, other: &Given) -> bool {
    one.name == other.name || claim_of(one).is_some_and(|name| claim_of(other) == Some(name))
}

/// Shared memory and `tmpfs`.
fn in_memory(linux: &LinuxParameters) -> impl Iterator<Item = Mounted> {
    let shared = linux.shared_memory_size.map(|size| memory("shared-memory".to_owned(), size, SHARED_MEMORY, false));
    let tmpfs = linux.tmpfs.iter().enumerate().map(|(number, one)| {
        let read_only = one.mount_options.iter().any(|option| option == READ_ONLY);
        memory(format!("tmpfs-{number}"), one.size, &one.container_path, read_only)
    });
    shared.into_iter().chain(tmpfs)
}

fn memory(name: String, mebibytes: i64, path: &str, read_only: bool) -> Mounted {
    let size_limit = Some(format!("{mebibytes}Mi"));
    let directory = EmptyDir { medium: Some("Memory".to_owned()), size_limit };
    let mount = VolumeMount {
        name: name.clone(),
        mount_path: path.to_owned(),
        sub_path: None,
        read_only: read_only.then_some(true),
    };
    (Volume { name, empty_dir: Some(directory), ..Volume::default() }, vec![mount])
}

fn security(properties: &ContainerProperties) -> Result<Option<ContainerSecurity>, Invalid> {
    let user = properties.user.as_deref().map(ids).transpose()?;
    let context = ContainerSecurity {
        run_as_user: user.map(|(user, _)| user),
        run_as_group: user.and_then(|(_, group)| group),
        privileged: properties.privileged.filter(|privileged| *privileged),
        read_only_root_filesystem: properties.readonly_root_filesystem.filter(|read_only| *read_only),
        ..ContainerSecurity::default()
    };
    Ok(Some(context).filter(|context| *context != ContainerSecurity::default()))
}

/// Keeps Kubernetes from expanding anything: of two dollars it makes one, wherever they are
/// (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).
pub(crate) fn literal(pod: &mut PodProperties) {
    for container in &mut pod.containers {
        let values = container.env.iter_mut().filter_map(|variable| variable.value.as_mut());
        for text in container.args.iter_mut().chain(values).filter(|text| text.contains('$')) {
            *text = escaped(text);
        }
    }
}

/// A text in a place where Kubernetes expands.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// What a [`literal`] text was before.
pub(crate) fn written(text: &str) -> String {
    text.replace("$$", "$")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn made(properties: Value) -> Value {
        made_for(properties, Capability::Ec2)
    }

    fn made_for(properties: Value, capability: Capability) -> Value {
        let properties: ContainerProperties = serde_json::from_value(properties).unwrap();
        serde_json::to_value(pod(&properties, capability).unwrap()).unwrap()
    }

    #[test]
    fn a_container_becomes_a_pod_member_by_member() {
        let resources = json!({"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "64Mi"}});
        let plain = json!({"image": "i", "vcpus": 1, "memory": 64});
        let own = |value: &str| json!({"name": "AWS_EXECUTION_ENV", "value": value});
        let env = json!([own("AWS_ECS_EC2")]);
        let container = json!({"image": "i", "resources": resources, "env": env});
        assert_eq!(made(plain.clone()), json!({"containers": [container]}));
        let fargate = made_for(plain.clone(), Capability::Fargate);
        assert_eq!(
            (&fargate["hostNetwork"], &fargate["containers"][0]["env"][0]),
            (&json!(false), &own("AWS_ECS_FARGATE"))
        );
        let with = |member: &str, value: Value| {
            let mut properties = plain.clone();
            properties[member] = value;
            made(properties)
        };
        let container = |member: &str, value: Value| with(member, value)["containers"][0].clone();
        assert_eq!(container("command", json!(["a", "b"]))["args"], json!(["a", "b"]));
        let env = json!([own("AWS_ECS_EC2"), {"name": "A", "value": "1"}, {"name": "B", "value": ""}]);
        assert_eq!(container("environment", json!([own("mine")]))["env"], json!([own("mine")]));
        assert_eq!(container("environment", json!([{"name": "A", "value": "1"}, {"name": "B"}]))["env"], env);
        for (member, value, expect) in [
            ("user", json!("7:8"), json!({"runAsUser": 7, "runAsGroup": 8})),
            ("user", json!("root"), json!({"runAsUser": 0})),
            ("privileged", json!(true), json!({"privileged": true})),
            ("readonlyRootFilesystem", json!(true), json!({"readOnlyRootFilesystem": true})),
            ("privileged", json!(false), Value::Null),
        ] {
            assert_eq!(container(member, value)["securityContext"], expect, "{member}");
        }
        let credentials = with("repositoryCredentials", json!({"credentialsParameter": "s"}));
        assert_eq!(credentials["imagePullSecrets"], json!([{"name": "s"}]));
        assert_eq!(with("linuxParameters", json!({"initProcessEnabled": true}))["shareProcessNamespace"], true);
    }

    #[test]
    fn volumes_are_the_hosts_or_empty_or_memory() {
        let pod = made(json!({"image": "i", "vcpus": 1, "memory": 64,
            "volumes": [{"name": "My_Data", "host": {"sourcePath": "/data"}}, {"name": "scratch", "host": {}}, {"name": "bare"}],
            "mountPoints": [
                {"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": false},
                {"sourceVolume": "My_Data", "containerPath": "/a", "readOnly": true},
                {"sourceVolume": "My_Data", "containerPath": "/b"},
            ],
            "linuxParameters": {"sharedMemorySize": 32, "tmpfs": [{"containerPath": "/t", "size": 8, "mountOptions": ["ro"]}]}}));
        let memory = |size: &str| json!({"medium": "Memory", "sizeLimit": size});
        let volumes = json!([
            {"name": "volume-0", "hostPath": {"path": "/data"}},
            {"name": "volume-1", "emptyDir": {}},
            {"name": "volume-2", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": memory("32Mi")},
            {"name": "tmpfs-0", "emptyDir": memory("8Mi")},
        ]);
        assert_eq!(pod["volumes"], volumes);
        let mounts = json!([
            {"name": "volume-0", "mountPath": "/a", "readOnly": true},
            {"name": "volume-0", "mountPath": "/b"},
            {"name": "volume-1", "mountPath": "/scratch", "readOnly": false},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "tmpfs-0", "mountPath": "/t", "readOnly": true},
        ]);
        assert_eq!(pod["containers"][0]["volumeMounts"], mounts);
    }

    #[test]
    fn a_file_system_is_a_claim_and_its_directory_a_part_of_it() {
        let efs = |name: &str, of: Value| json!({"name": name, "efsVolumeConfiguration": of});
        let point = json!({"fileSystemId": "fs-2", "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "fsap-2"}});
        let root = json!({"fileSystemId": "fs-1"});
        let part = json!({"fileSystemId": "fs-1", "rootDirectory": "/x/y"});
        let mount = |volume: &str| json!({"sourceVolume": volume, "containerPath": format!("/{volume}"), "readOnly": volume == "a"});
        let mounts = ["a", "b", "c"].map(mount);
        let pod = made(json!({"image": "i", "vcpus": 1, "memory": 64,
            "volumes": [efs("a", part), efs("b", point), efs("c", root)], "mountPoints": mounts}));
        let claim = |number: u8, name: &str| json!({"name": format!("volume-{number}"), "persistentVolumeClaim": {"claimName": name}});
        assert_eq!(pod["volumes"], json!([claim(0, "fs-1"), claim(1, "fsap-2")]));
        let mounts = json!([
            {"name": "volume-0", "mountPath": "/a", "subPath": "x/y", "readOnly": true},
            {"name": "volume-0", "mountPath": "/c", "readOnly": false},
            {"name": "volume-1", "mountPath": "/b", "readOnly": false},
        ]);
        assert_eq!(pod["containers"][0]["volumeMounts"], mounts);
    }

    /// As `Expand` in Kubernetes' `third_party/forked/golang/expansion` does it, when `A` is `x`.
    fn expanded(text: &str) -> String {
        let (mut result, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            result.push_str(before);
            rest = if let Some(behind) = after.strip_prefix('$') {
                result.push('$');
                behind
            } else if let Some(behind) = after.strip_prefix("(A)") {
                result.push('x');
                behind
            } else {
                result.push('$');
                after
            };
        }
        result + rest
    }

    proptest::proptest! {
        #[test]
        fn a_container_sees_what_was_written(text in "[$()A a]{0,12}") {
            let mut pod = PodProperties {
                containers: vec![Container {
                    args: vec![text.clone()],
                    env: vec![EnvVar { name: "B".to_owned(), value: Some(text.clone()) }],
                    ..Container::default()
                }],
                ..PodProperties::default()
            };
            literal(&mut pod);
            let container = &pod.containers[0];
            proptest::prop_assert_eq!(expanded(&container.args[0]), &*text);
            proptest::prop_assert_eq!(expanded(container.env[0].value.as_ref().unwrap()), &*text);
            proptest::prop_assert_eq!(written(&container.args[0]), &*text);
        }
    }

    #[test]
    fn the_model_of_expansion_expands() {
        assert_eq!(
            ["$(A)", "$$(A)", "$(B)", "$", "a$"].map(expanded),
            ["x", "$(A)", "$(B)", "$", "a$"].map(str::to_owned)
        );
    }
}
