//! Tests of `containerProperties`: one row per rule.

use serde_json::{Value, json};

use super::*;

/// What becomes of a valid container with one member changed.
fn changed(member: &str, value: Value, capability: Capability) -> Result<(), String> {
    let mut properties = json!({"image": "i", "vcpus": 1, "memory": 64, "volumes": [{"name": "v", "host": {}}]});
    properties[member] = value;
    validate(&serde_json::from_value(properties).unwrap(), capability).map_err(|it| it.0)
}

#[test]
fn every_rule_has_awss_words() {
    for (member, value, message) in [
        ("image", json!(""), "Container image is required."),
        ("command", json!(["a", ""]), "Command field cannot have empty strings"),
        ("vcpus", json!(0), "vCPU must be at least 1, got 0."),
        ("user", json!("A b"), "User 'A b' does not match regex"),
        ("user", json!("1:"), "User '1:' does not match regex"),
        ("user", json!("1:-"), "User '1:-' does not match regex"),
        ("user", json!("+5"), "User '+5' does not match regex"),
        ("user", json!("1:2:3"), "User '1:2:3' does not match regex"),
        ("networkConfiguration", json!({}), "networkConfiguration not applicable for EC2."),
        ("fargatePlatformConfiguration", json!({}), "fargatePlatformConfiguration not applicable for EC2."),
        ("ephemeralStorage", json!({"sizeInGiB": 30}), "ephemeralStorage not applicable for EC2."),
        ("volumes", json!([{"name": ""}]), "Volume name is required."),
        ("volumes", json!([{"name": "a"}, {"name": "a"}]), "Volume names must be unique."),
        (
            "volumes",
            json!([{"name": "a", "host": {}, "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
            "Volume a cannot have both host and efsVolumeConfiguration.",
        ),
        (
            "mountPoints",
            json!([{"sourceVolume": "w", "containerPath": "/a"}]),
            "mountPoints: there is no volume named \"w\".",
        ),
        (
            "mountPoints",
            json!([{"sourceVolume": "v", "containerPath": "a"}]),
            "containerPath must be an absolute path without a colon, got \"a\".",
        ),
        (
            "mountPoints",
            json!([{"sourceVolume": "v", "containerPath": "/a"}, {"sourceVolume": "v", "containerPath": "/a"}]),
            "containerPath /a is there twice.",
        ),
        ("linuxParameters", json!({"sharedMemorySize": 0}), "sharedMemorySize must be at least 1."),
        ("linuxParameters", json!({"tmpfs": [{"containerPath": "/a"}]}), "tmpfs size must be at least 1."),
    ] {
        assert_eq!(changed(member, value.clone(), Capability::Ec2), Err(message.to_owned()), "{member} {value}");
    }
    let two = ["EC2".to_owned(), "FARGATE".to_owned()];
    assert_eq!(capability(&two), Invalid::err("Exactly 1 capability must be provided."));
    assert_eq!(
        capability(&["X".to_owned()]).map_err(|it| it.0),
        Err("platformCapabilities must be one of [EC2, FARGATE], got X.".to_owned())
    );
    assert_eq!((capability(&[]), capability(&two[1..])), (Ok(Capability::Ec2), Ok(Capability::Fargate)));
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (member, value, name) in [
        ("ulimits", json!([{"name": "nofile", "hardLimit": 1, "softLimit": 1}]), "ulimits"),
        ("secrets", json!([{"name": "A", "valueFrom": "b"}]), "secrets"),
        (
            "volumes",
            json!([{"name": "f", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
            "fsxWindowsFileServerVolumeConfiguration of volume f",
        ),
        (
            "volumes",
            json!([{"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs_1"}}]),
            "efsVolumeConfiguration fs_1 of volume e",
        ),
        (
            "repositoryCredentials",
            json!({"credentialsParameter": "arn:aws:secretsmanager:x"}),
            "repositoryCredentials arn:aws:secretsmanager:x",
        ),
        ("logConfiguration", json!({"logDriver": "splunk"}), "logConfiguration.logDriver splunk"),
        ("runtimePlatform", json!({"cpuArchitecture": "ARM64"}), "runtimePlatform.cpuArchitecture"),
        (
            "runtimePlatform",
            json!({"operatingSystemFamily": "WINDOWS_SERVER_2019_CORE"}),
            "runtimePlatform.operatingSystemFamily",
        ),
        ("linuxParameters", json!({"devices": [{"hostPath": "/dev/x"}]}), "linuxParameters.devices"),
        ("linuxParameters", json!({"maxSwap": 1}), "linuxParameters.maxSwap"),
        (
            "repositoryCredentials",
            json!({"credentialsParameter": "prod/registry"}),
            "repositoryCredentials prod/registry",
        ),
        (
            "volumes",
            json!([{"name": "s", "host": {}, "s3filesVolumeConfiguration": {}}]),
            "s3filesVolumeConfiguration of volume s",
        ),
        (
            "linuxParameters",
            json!({"tmpfs": [{"containerPath": "/a", "size": 1, "mountOptions": ["noexec"]}]}),
            "linuxParameters.tmpfs.mountOptions noexec",
        ),
        ("user", json!("nobody"), "user nobody"),
        ("user", json!("2147483648"), "user 2147483648"),
    ] {
        let said = changed(member, value.clone(), Capability::Ec2).unwrap_err();
        assert!(said.starts_with(&format!("containerProperties: {name}")), "{member} {value}: {said}");
    }
}

#[test]
fn what_clients_send_is_taken() {
    for (member, value) in [
        ("command", json!([])),
        ("jobRoleArn", json!("arn:aws:iam::1:role/r")),
        ("executionRoleArn", json!("")),
        ("instanceType", json!("m5.large")),
        ("privileged", json!(true)),
        ("readonlyRootFilesystem", json!(true)),
        ("enableExecuteCommand", json!(false)),
        ("repositoryCredentials", json!({"credentialsParameter": "my-registry"})),
        ("logConfiguration", json!({"logDriver": "awslogs", "options": {"awslogs-group": "g"}, "secretOptions": []})),
        ("runtimePlatform", json!({"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"})),
        ("linuxParameters", json!({"maxSwap": 0, "swappiness": 60, "initProcessEnabled": true})),
        (
            "volumes",
            json!([{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"}}]),
        ),
        ("user", json!("1000")),
        ("user", json!("1000:2147483647")),
        ("user", json!("root:root")),
        (
            "linuxParameters",
            json!({"tmpfs": [{"containerPath": "/a", "size": 1, "mountOptions": ["rw", "exec", "relatime"]}]}),
        ),
    ] {
        assert_eq!(changed(member, value.clone(), Capability::Ec2), Ok(()), "{member} {value}");
    }
    for (member, value) in [
        ("networkConfiguration", json!({})),
        ("fargatePlatformConfiguration", json!({})),
        ("ephemeralStorage", json!({"sizeInGiB": 21})),
        ("ephemeralStorage", json!({"sizeInGiB": 200})),
    ] {
        assert_eq!(changed(member, value.clone(), Capability::Fargate), Ok(()), "{member} {value}");
    }
}

#[test]
fn a_disk_on_fargate_has_one_of_awss_sizes() {
    for (storage, message) in [
        (json!({}), "ephemeralStorage.sizeInGiB is required."),
        (json!({"sizeInGiB": 20}), "ephemeralStorage.sizeInGiB must be between 21 and 200, got 20."),
        (json!({"sizeInGiB": 201}), "ephemeralStorage.sizeInGiB must be between 21 and 200, got 201."),
    ] {
        let said = changed("ephemeralStorage", storage.clone(), Capability::Fargate);
        assert_eq!(said, Err(message.to_owned()), "{storage}");
    }
    for size in [json!(30.5), json!("30")] {
        assert!(
            serde_json::from_value::<ContainerProperties>(json!({"ephemeralStorage": {"sizeInGiB": size}})).is_err()
        );
    }
}
