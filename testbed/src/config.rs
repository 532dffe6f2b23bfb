//! The configuration files of a cluster's programs, as text. Invariant: every listener is on the cluster's gateway
//! address, on loopback, or inside a node's own network namespace. Pure.

use std::path::Path;

use serde_json::{Value, json};

use crate::pki::Pair;
use crate::shape::Reserved;
use crate::slot::{REGISTRY_PORT, Slot};

/// Image of the container that holds a pod's namespaces; the local registry has it.
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// A kubeconfig that refers to certificate files.
pub(crate) fn kubeconfig(server: &str, ca: &Path, user: &Pair) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bulkhead", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "user", "user": {"client-certificate": user.cert, "client-key": user.key}}],
        "contexts": [{"name": "bulkhead", "context": {"cluster": "bulkhead", "user": "user"}}],
        "current-context": "bulkhead",
    })
}

/// The image registry's configuration (JSON is YAML).
pub(crate) fn registry(slot: Slot, data: &Path) -> Value {
    json!({
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": true}},
        "http": {"addr": format!("{}:{REGISTRY_PORT}", slot.gateway())},
    })
}

/// kube-scheduler's configuration.
pub(crate) fn scheduler(kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 200, "burst": 400},
        "leaderElection": {"leaderElect": false},
    })
}

/// containerd's configuration for one node.
pub(crate) fn containerd(slot: Slot, node: &Path) -> String {
    let node = node.display();
    format!(
        r#"version = 2
root = "{node}/containerd"
state = "{node}/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{node}/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # A container without CAP_SYS_RESOURCE may not lower its score; runc would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."*"]
    endpoint = ["http://{registry}"]
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node}/cni"
"#,
        registry = slot.registry(),
    )
}

/// Name of a node's pod network; the CNI plugins keep files under it.
pub(crate) fn pod_network(slot: Slot, index: u8) -> String {
    format!("bulkhead-{}", slot.node_link(index))
}

/// The pod network of one node. Every pod is a route of its own, so that answers pass the node and Service addresses
/// work between pods of one node without bridge filtering.
pub(crate) fn cni(slot: Slot, index: u8, node: &Path) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": pod_network(slot, index),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": slot.node_pods(index).to_string()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": node.join("ipam"),
            },
        }],
    })
}

/// What a kubelet's configuration depends on.
pub(crate) struct KubeletConfig<'a> {
    /// Slot of the cluster.
    pub(crate) slot: Slot,
    /// The node's directory.
    pub(crate) node: &'a Path,
    /// Control group above its pods.
    pub(crate) group: &'a str,
    /// Authority of the API server's client certificate.
    pub(crate) ca: &'a Path,
    /// Certificate the kubelet serves with.
    pub(crate) serving: &'a Pair,
    /// Held back from pods.
    pub(crate) reserved: &'a Reserved,
    /// Taints it registers with.
    pub(crate) taints: &'a [api::provider::Taint],
}

/// The kubelet's configuration (JSON is YAML).
pub(crate) fn kubelet(c: &KubeletConfig<'_>) -> Value {
    let mut reserved = serde_json::Map::new();
    if c.reserved.cpu_milli > 0 {
        reserved.insert("cpu".to_owned(), json!(format!("{}m", c.reserved.cpu_milli)));
    }
    if c.reserved.memory > 0 {
        reserved.insert("memory".to_owned(), json!(c.reserved.memory.to_string()));
    }
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": c.group,
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "systemReserved": reserved,
        // Nodes share one machine's memory; a threshold would also be taken off what pods can request.
        "evictionHard": {"memory.available": "0%"},
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "imageGCHighThresholdPercent": 100,
        "containerRuntimeEndpoint": format!("unix://{}/run/containerd.sock", c.node.display()),
        "podLogsDir": c.node.join("pods"),
        "maxPods": 110,
        "registryPullQPS": 0,
        "serializeImagePulls": false,
        "eventRecordQPS": 0,
        // There is no cluster DNS. The gateway refuses the question at once, where no address would only time out.
        "clusterDNS": [c.slot.gateway().to_string()],
        "clusterDomain": "cluster.local",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": c.ca},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": c.serving.cert,
        "tlsPrivateKeyFile": c.serving.key,
        "registerWithTaints": c.taints,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(reserved: &Reserved, taints: &[api::provider::Taint]) -> Value {
        let serving = Pair { cert: "/n/s.crt".into(), key: "/n/s.key".into() };
        kubelet(&KubeletConfig {
            slot: Slot::new(2).unwrap(),
            node: Path::new("/n"),
            group: "/bulkhead/a/1",
            ca: Path::new("/ca"),
            serving: &serving,
            reserved,
            taints,
        })
    }

    #[test]
    fn a_kubelet_reserves_only_what_is_held_back() {
        let whole = rendered(&Reserved::default(), &[]);
        assert_eq!(whole["systemReserved"], json!({}));
        let part = rendered(&Reserved { cpu_milli: 1500, memory: 1 << 30 }, &[]);
        assert_eq!(part["systemReserved"], json!({"cpu": "1500m", "memory": "1073741824"}));
    }

    #[test]
    fn a_kubelet_registers_with_its_taints() {
        let taint = api::provider::Taint { key: "k".into(), value: "v".into(), effect: "NoSchedule".into() };
        let config = rendered(&Reserved::default(), &[taint]);
        assert_eq!(config["registerWithTaints"], json!([{"key": "k", "value": "v", "effect": "NoSchedule"}]));
        assert_eq!(config["clusterDNS"], json!(["10.202.0.1"]));
    }

    #[test]
    fn a_node_pulls_everything_from_the_clusters_registry() {
        let text = containerd(Slot::new(1).unwrap(), Path::new("/n"));
        assert!(text.contains(r#"registry.mirrors."*"]"#));
        assert!(text.contains(r#"endpoint = ["http://10.201.0.1:25000"]"#));
        assert!(text.contains(r#"address = "/n/run/containerd.sock""#));
    }

    #[test]
    fn two_nodes_have_pod_networks_of_their_own() {
        let slot = Slot::new(0).unwrap();
        let (a, b) = (cni(slot, 1, Path::new("/a")), cni(slot, 2, Path::new("/b")));
        assert_ne!(a["name"], b["name"]);
        assert_eq!(a["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.220.1.0/24");
    }
}
