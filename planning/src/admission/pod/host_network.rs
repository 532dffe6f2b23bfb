//! Whether a pod gets the host network, as AWS Batch on EKS gives it by default.
//!
//! Invariant: it is injected only where the API server and the kubelet accept it, nobody decided otherwise, and nobody's rules about
//! networks would be slipped past: whoever may not have it must not get it from us. A pod that has the host network already is not
//! touched, its DNS policy neither.

use super::super::edit::{Editor, at, has_any, is_true, items, text};
use super::{CONTAINER_LISTS, PodContext};
use model::keys;
use serde_json::Value;
use std::collections::BTreeSet;

/// What speaks against it besides the pod, its Job and its queue. Nothing does by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The installation never gives it.
    pub never: bool,
    /// The namespace has a Pod Security level that forbids it, whether that is enforced, warned of or audited.
    pub pod_security: bool,
    /// A network policy may apply to the pod, or it is not known that none does.
    pub network_policy: bool,
}

/// Gives the pod the host network and the DNS policy that goes with it, unless something speaks against it.
pub(super) fn apply(editor: &mut Editor, context: &PodContext) {
    if is_true(editor.document(), &["spec", "hostNetwork"]) || objection(editor.document(), context).is_some() {
        return;
    }
    // The API server makes every port of such a pod a host port.
    if context.queue_label.is_some() {
        let own = own_host_ports(editor.document());
        editor.set(&["metadata", "annotations", keys::HOST_NETWORK_GIVEN], own);
    }
    editor.set(&["spec", "hostNetwork"], true);
    if matches!(text(editor.document(), &["spec", "dnsPolicy"]), None | Some("ClusterFirst")) {
        editor.set(&["spec", "dnsPolicy"], "ClusterFirstWithHostNet");
    }
}

/// Takes it back where what others have added since speaks against it: what they do to the pod's network they would do to the node's, and
/// the API server would refuse the pod for what we have given it.
pub(super) fn reconsider(editor: &mut Editor, context: &PodContext) {
    let given = ["metadata", "annotations", keys::HOST_NETWORK_GIVEN];
    // Empty where it has none.
    let Some(own) = at(editor.document(), &given).and_then(Value::as_str).map(str::to_owned) else { return };
    if !is_true(editor.document(), &["spec", "hostNetwork"]) || objection(editor.document(), context).is_none() {
        return;
    }
    editor.unset(&["spec", "hostNetwork"]);
    if text(editor.document(), &["spec", "dnsPolicy"]) == Some("ClusterFirstWithHostNet") {
        editor.set(&["spec", "dnsPolicy"], "ClusterFirst");
    }
    let own: BTreeSet<(&str, u64)> = own.split(' ').filter_map(own_host_port).collect();
    for (list, container) in super::container_paths(editor.document()) {
        let name = text(editor.document(), &["spec", list, &container, "name"]).unwrap_or_default().to_owned();
        let count = items(editor.document(), &["spec", list, &container, "ports"]).len();
        for place in (0..count).map(|place| place.to_string()) {
            let port = ["spec", list, &container, "ports", &place];
            let (inner, host) = at(editor.document(), &port).map_or((None, None), numbers);
            if host.is_some_and(|host| inner == Some(host) && !own.contains(&(&name, host))) {
                editor.unset(&["spec", list, &container, "ports", &place, "hostPort"]);
            }
        }
    }
    editor.unset(&given);
}

/// The host ports that a pod has of its own: `CONTAINER:PORT`, separated by spaces. Another container's is not the same one.
fn own_host_ports(pod: &Value) -> String {
    let of = |container: &Value| -> Vec<String> {
        let name = text(container, &["name"]).unwrap_or_default();
        let hosts = items(container, &["ports"]).iter().filter_map(|port| numbers(port).1);
        hosts.map(|host| format!("{name}:{host}")).collect()
    };
    containers(pod).flat_map(of).collect::<Vec<_>>().join(" ")
}

/// One of them, as it was written.
fn own_host_port(written: &str) -> Option<(&str, u64)> {
    let (name, port) = written.rsplit_once(':')?;
    Some((name, port.parse().ok()?))
}

/// Container port and host port; 0 is none.
fn numbers(port: &Value) -> (Option<u64>, Option<u64>) {
    let number = |name| at(port, &[name]).and_then(Value::as_u64).filter(|number| *number != 0);
    (number("containerPort"), number("hostPort"))
}

/// Containers of all kinds.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    CONTAINER_LISTS.into_iter().flat_map(|list| items(pod, &["spec", list]))
}

/// Why the host network is not injected.
fn objection(pod: &Value, context: &PodContext) -> Option<&'static str> {
    let spec = at(pod, &["spec"])?;
    let choice = annotated(pod, &[]).or(context.host_network).or_else(|| explicit(pod, &["spec"]));
    let (queue, around) = (context.queue.host_network, context.surroundings);
    let objections = [
        (choice == Some(false), "the user said no"),
        (choice.is_none() && queue == Some(false), "the queue says no"),
        (choice.is_none() && queue.is_none() && is_indexed(pod), "its host name carries its index"),
        (choice.is_none() && queue.is_none() && is_named(spec), "it would have the node's host name, not its own"),
        (around.never, "the installation says never"),
        (around.pod_security, "the namespace has a Pod Security level that forbids it"),
        (around.network_policy, "it would slip past a network policy"),
        (adds_network_capabilities(spec), "what it does to its network it would do to the node's"),
        (at(spec, &["hostUsers"]) == Some(&Value::Bool(false)), "it does not go with a user namespace of its own"),
        (text(spec, &["hostnameOverride"]).is_some(), "it does not go with an overridden host name"),
        (is_windows(spec), "Windows pods cannot have it"),
        (text(spec, &["runtimeClassName"]).is_some(), "sandboxed runtimes may not have it"),
        (sets_network_sysctls(spec), "the kubelet refuses network sysctls with it"),
        (ports_would_clash(spec), "its ports would be invalid with it"),
    ];
    objections.into_iter().find_map(|(applies, reason)| applies.then_some(reason))
}

/// Whether the pod is one of an Indexed Job: of its three ways to learn its index, the host name is the second
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>). Children of array jobs of the API have no such
/// names.
fn is_indexed(pod: &Value) -> bool {
    ["labels", "annotations"].iter().any(|place| at(pod, &["metadata", place, keys::K8S_COMPLETION_INDEX]).is_some())
}

/// Whether it says what it is called, itself or in DNS.
fn is_named(spec: &Value) -> bool {
    ["hostname", "subdomain"].iter().any(|name| text(spec, &[name]).is_some())
}

/// Whether a container may rewrite routes and packet filters, as the init containers of service meshes do.
fn adds_network_capabilities(spec: &Value) -> bool {
    let is_meant = |capability: &Value| {
        let name = capability.as_str().unwrap_or_default().to_ascii_uppercase();
        ["NET_ADMIN", "NET_RAW", "ALL"].contains(&name.strip_prefix("CAP_").unwrap_or(&name))
    };
    CONTAINER_LISTS.into_iter().flat_map(|list| items(spec, &[list])).any(|container| {
        is_true(container, &["securityContext", "privileged"])
            || items(container, &["securityContext", "capabilities", "add"]).iter().any(is_meant)
    })
}

/// The user's explicit choice on a Job, where it can be seen: the template's annotation, the Job's, then the field itself.
pub fn choice_of_job(job: &Value) -> Option<bool> {
    annotated(job, &["spec", "template"])
        .or_else(|| annotated(job, &[]))
        .or_else(|| explicit(job, &["spec", "template", "spec"]))
}

fn annotated(object: &Value, place: &[&str]) -> Option<bool> {
    text(object, &[place, &["metadata", "annotations", keys::HOST_NETWORK]].concat())?.parse().ok()
}

/// What the user wrote for `hostNetwork` under `pod_spec`, where it can be seen. A `false` never reaches the object itself, but
/// server-side apply lists the field and client-side apply keeps the manifest.
fn explicit(object: &Value, pod_spec: &[&str]) -> Option<bool> {
    applied_by_server(object, pod_spec).or_else(|| applied_by_client(object, pod_spec))
}

fn applied_by_server(object: &Value, pod_spec: &[&str]) -> Option<bool> {
    let mut path = vec!["fieldsV1".to_owned()];
    path.extend(pod_spec.iter().map(|field| format!("f:{field}")));
    path.push("f:hostNetwork".to_owned());
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    items(object, &["metadata", "managedFields"])
        .iter()
        .any(|entry| text(entry, &["operation"]) == Some("Apply") && at(entry, &path).is_some())
        .then(|| is_true(object, &[pod_spec, &["hostNetwork"]].concat()))
}

fn applied_by_client(object: &Value, pod_spec: &[&str]) -> Option<bool> {
    let manifest = text(object, &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"])?;
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    at(&manifest, &[pod_spec, &["hostNetwork"]].concat())?.as_bool()
}

fn is_windows(spec: &Value) -> bool {
    const OS: &str = "kubernetes.io/os";
    let required = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    text(spec, &["os", "name"]) == Some("windows")
        || text(spec, &["nodeSelector", OS]) == Some("windows")
        || items(spec, &required).iter().flat_map(|term| items(term, &["matchExpressions"])).any(|expression| {
            text(expression, &["key"]) == Some(OS)
                && text(expression, &["operator"]) == Some("In")
                && items(expression, &["values"]).iter().any(|value| value == "windows")
        })
}

fn sets_network_sysctls(spec: &Value) -> bool {
    has_any(spec, &["securityContext", "sysctls"])
        && items(spec, &["securityContext", "sysctls"])
            .iter()
            .filter_map(|sysctl| text(sysctl, &["name"]))
            .any(|name| name.starts_with("net.") || name.starts_with("net/"))
}

/// With the host network every port is a host port: one that differs from its container port, or the same one twice, is invalid.
fn ports_would_clash(spec: &Value) -> bool {
    let mut seen = BTreeSet::new();
    CONTAINER_LISTS.into_iter().flat_map(|list| items(spec, &[list])).flat_map(|c| items(c, &["ports"])).any(|port| {
        let (container, host) = numbers(port);
        let differs = host.is_some_and(|host| Some(host) != container);
        differs || !seen.insert((container, text(port, &["protocol"]).unwrap_or("TCP")))
    })
}
