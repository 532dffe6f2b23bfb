//! What Pod Security's level `baseline` forbids in a pod
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline>), but for the host network, which AWS Batch gives by default.
//!
//! Invariant: whatever may touch the node beyond its container is named with the field that asks for it; a field that cannot be read counts as forbidden. Judges a
//! `spec`, or AWS's `podProperties`, which have the same names. Does not know who may have it all the same.

use std::fmt::Arguments;

use serde_json::Value;

/// What a container may add (the names are compared as they are).
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Sysctls that stay inside of the pod.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// Annotations from before there were fields.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Where a pod asks for more than `baseline` allows, as field and value; empty: nowhere. `annotations` are those of its metadata.
pub fn beyond_baseline(spec: &Value, annotations: &Value) -> Vec<String> {
    let mut found = Found(Vec::new());
    for namespace in ["hostPID", "hostIPC"] {
        found.flag(spec, format_args!(""), namespace);
    }
    for (index, volume) in items(&spec["volumes"]) {
        if !volume["hostPath"].is_null() {
            found.0.push(format!("volumes[{index}].hostPath"));
        }
    }
    found.security(&spec["securityContext"], format_args!("securityContext"));
    for (index, sysctl) in items(&spec["securityContext"]["sysctls"]) {
        found.unless(&SYSCTLS, &sysctl["name"], format_args!("securityContext.sysctls[{index}].name"));
    }
    for list in CONTAINERS {
        for (index, container) in items(&spec[list]) {
            found.container(container, format_args!("{list}[{index}]"));
        }
    }
    found.annotations(annotations);
    found.0
}

/// The items of a list, with their index. Something else than a list is its own only item, so that it is judged, too.
fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    let all = match list {
        Value::Null => &[],
        Value::Array(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    all.iter().enumerate()
}

/// Nearly nothing is found, and this is looked at for every submission: paths are written where they are needed.
struct Found(Vec<String>);

impl Found {
    /// Forbidden unless it is absent or false.
    fn flag(&mut self, of: &Value, before: Arguments, name: &str) {
        if !matches!(of[name], Value::Null | Value::Bool(false)) {
            self.0.push(format!("{before}{name}: {}", of[name]));
        }
    }

    /// Forbidden unless it is absent or one of these.
    fn unless(&mut self, allowed: &[&str], value: &Value, path: Arguments) {
        let fine = value.is_null() || value.as_str().is_some_and(|text| allowed.contains(&text));
        if !fine {
            self.0.push(format!("{path}: {value}"));
        }
    }

    fn container(&mut self, container: &Value, path: Arguments) {
        let (security, within) = (&container["securityContext"], format_args!("{path}.securityContext"));
        self.security(security, within);
        self.flag(security, format_args!("{within}."), "privileged");
        self.unless(&["Default"], &security["procMount"], format_args!("{within}.procMount"));
        for (_, capability) in items(&security["capabilities"]["add"]) {
            self.unless(&CAPABILITIES, capability, format_args!("{within}.capabilities.add"));
        }
        for (index, port) in items(&container["ports"]) {
            if !(port["hostPort"].is_null() || port["hostPort"] == 0) {
                self.0.push(format!("{path}.ports[{index}].hostPort: {}", port["hostPort"]));
            }
        }
        // Probes and hooks are carried out by the kubelet, from the node.
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| (name, &container[name]));
        let hooks = ["postStart", "preStop"].map(|name| (name, &container["lifecycle"][name]));
        for (name, handler) in probes.into_iter().chain(hooks) {
            for action in ["httpGet", "tcpSocket"] {
                self.unless(&[""], &handler[action]["host"], format_args!("{path}.{name}.{action}.host"));
            }
        }
    }

    /// What pods and containers both have.
    fn security(&mut self, security: &Value, path: Arguments) {
        self.flag(&security["windowsOptions"], format_args!("{path}.windowsOptions."), "hostProcess");
        for profile in ["seccompProfile", "appArmorProfile"] {
            let kind = &security[profile]["type"];
            self.unless(&["", "RuntimeDefault", "Localhost"], kind, format_args!("{path}.{profile}.type"));
        }
        let selinux = &security["seLinuxOptions"];
        self.unless(&SELINUX_TYPES, &selinux["type"], format_args!("{path}.seLinuxOptions.type"));
        for name in ["user", "role"] {
            self.unless(&[""], &selinux[name], format_args!("{path}.seLinuxOptions.{name}"));
        }
    }

    fn annotations(&mut self, annotations: &Value) {
        for (key, value) in annotations.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let apparmor = key.starts_with(APPARMOR)
                && !(text.is_empty() || text == "runtime/default" || text.starts_with("localhost/"));
            let seccomp = (key.starts_with(SECCOMP) || key.starts_with(SECCOMP_CONTAINER)) && text == "unconfined";
            if apparmor || seccomp {
                self.0.push(format!("metadata.annotations[{key}]: {value}"));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, expect: &[&str]) {
        assert_eq!(beyond_baseline(&spec, &Value::Null), expect, "{spec}");
    }

    fn security(context: Value, expect: &[&str]) {
        for list in CONTAINERS {
            let expect: Vec<String> = expect.iter().map(|it| format!("{list}[1].securityContext.{it}")).collect();
            let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
            check(json!({list: [{}, {"securityContext": context}]}), &expect);
        }
    }

    #[test]
    fn an_ordinary_pod_is_within_the_baseline_and_so_is_the_host_network() {
        check(json!({}), &[]);
        check(
            json!({"hostNetwork": true, "hostPID": false, "shareProcessNamespace": true,
            "volumes": [{"name": "a", "emptyDir": {}}, {"secret": {"secretName": "s"}}, {"persistentVolumeClaim": {"claimName": "c"}}],
            "securityContext": {"runAsUser": 0, "fsGroup": 1, "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 1"}]},
            "containers": [{"ports": [{"containerPort": 80}, {"hostPort": 0}], "livenessProbe": {"httpGet": {"port": 1, "host": ""}},
                "securityContext": {"runAsUser": 0, "privileged": false, "allowPrivilegeEscalation": true, "procMount": "Default",
                    "capabilities": {"add": CAPABILITIES, "drop": ["ALL"]}, "seLinuxOptions": {"type": "container_t", "level": "s0"},
                    "appArmorProfile": {"type": "Localhost"}}}]}),
            &[],
        );
    }

    #[test]
    fn what_reaches_the_node_is_named() {
        check(json!({"hostPID": true, "hostIPC": true}), &["hostPID: true", "hostIPC: true"]);
        check(json!({"volumes": [{"emptyDir": {}}, {"hostPath": {"path": "/"}}]}), &["volumes[1].hostPath"]);
        check(json!({"volumes": [{"hostPath": {}}]}), &["volumes[0].hostPath"]);
        let sysctls = json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}});
        check(sysctls, &["securityContext.sysctls[0].name: \"kernel.msgmax\""]);
        check(
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            &["securityContext.seccompProfile.type: \"Unconfined\""],
        );
        check(
            json!({"containers": [{"ports": [{"containerPort": 1}, {"hostPort": 80}]}]}),
            &["containers[0].ports[1].hostPort: 80"],
        );
        check(
            json!({"initContainers": [{"lifecycle": {"preStop": {"tcpSocket": {"host": "10.0.0.1"}}}}]}),
            &["initContainers[0].preStop.tcpSocket.host: \"10.0.0.1\""],
        );
    }

    #[test]
    fn every_kind_of_container_is_looked_at() {
        security(json!({"privileged": true}), &["privileged: true"]);
        security(json!({"procMount": "Unmasked"}), &["procMount: \"Unmasked\""]);
        security(json!({"seccompProfile": {"type": "Unconfined"}}), &["seccompProfile.type: \"Unconfined\""]);
        security(json!({"appArmorProfile": {"type": "Unconfined"}}), &["appArmorProfile.type: \"Unconfined\""]);
        security(json!({"windowsOptions": {"hostProcess": true}}), &["windowsOptions.hostProcess: true"]);
        security(
            json!({"seLinuxOptions": {"type": "spc_t", "user": "u", "role": "r"}}),
            &["seLinuxOptions.type: \"spc_t\"", "seLinuxOptions.user: \"u\"", "seLinuxOptions.role: \"r\""],
        );
        for capability in ["SYS_ADMIN", "NET_RAW", "NET_ADMIN", "ALL", "CAP_CHOWN", "chown", ""] {
            security(
                json!({"capabilities": {"add": ["CHOWN", capability]}}),
                &[&format!("capabilities.add: {capability:?}")],
            );
        }
    }

    #[test]
    fn what_cannot_be_read_counts_as_asked_for() {
        check(json!({"hostPID": "true"}), &["hostPID: \"true\""]);
        security(json!({"privileged": "yes"}), &["privileged: \"yes\""]);
        security(json!({"capabilities": {"add": "SYS_ADMIN"}}), &["capabilities.add: \"SYS_ADMIN\""]);
        check(json!({"volumes": {"hostPath": {}}}), &["volumes[0].hostPath"]);
    }

    #[test]
    fn annotations_from_before_the_fields_count() {
        let check = |key: &str, value: &str, forbidden: bool| {
            let found = beyond_baseline(&Value::Null, &json!({key: value}));
            assert_eq!(!found.is_empty(), forbidden, "{key}: {value}");
        };
        check("container.apparmor.security.beta.kubernetes.io/c", "unconfined", true);
        check("container.apparmor.security.beta.kubernetes.io/c", "localhost/x", false);
        check("seccomp.security.alpha.kubernetes.io/pod", "unconfined", true);
        check("container.seccomp.security.alpha.kubernetes.io/c", "unconfined", true);
        check("seccomp.security.alpha.kubernetes.io/pod", "runtime/default", false);
        check("a", "unconfined", false);
    }
}
