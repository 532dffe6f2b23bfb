//! Fake nodes by the thousand: KWOK plays their kubelets, so pods on them start and end without running anything.
//! Invariant: ordinary pods never land there, as every fake node has the taint [`TAINT`], or others that whoever asks for it answers for.
//! KWOK acts under an identity of its own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use api::provider::Taint;
use serde_json::{Value, json};

use crate::binaries::{self, Binary};
use crate::cluster::Cluster;
use crate::control_plane;
use crate::pki::{Authority, Subject};
use crate::process;
use crate::slot::Slot;

/// Annotation and taint of every fake node.
const TAINT: &str = "kwok.x-k8s.io/node";
const LABEL: &str = "type=kwok";
const MOST: u32 = 10_000;

/// What fake nodes look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeNodes {
    /// How many there shall be; surplus ones are deleted.
    pub count: u32,
    /// CPU of each.
    pub cpu: String,
    /// Memory of each.
    pub memory: String,
    /// Labels of each new one, besides `type=kwok`.
    pub labels: BTreeMap<String, String>,
    /// Whether each new one has the taint `kwok.x-k8s.io/node=fake:NoSchedule`. Without it, `taints` must keep ordinary pods away.
    pub fenced: bool,
    /// Taints of each new one, besides.
    pub taints: Vec<Taint>,
}

impl Cluster {
    /// Makes so many fake nodes, named `kwok-0` and so on. With none, KWOK is stopped.
    pub fn fake_nodes(&self, wanted: &FakeNodes) -> Result<()> {
        if wanted.count > MOST {
            bail!("{} fake nodes are more than the {MOST} that one machine can play; ask for fewer", wanted.count);
        }
        let listed = self.kubectl_run(&["get", "nodes", "-l", LABEL, "-o", "name"])?;
        let present: BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_prefix("node/")).collect();
        let names: Vec<String> = (0..wanted.count).map(|number| format!("kwok-{number}")).collect();
        if wanted.count > 0 {
            start(self)?;
            let fresh: Vec<Value> =
                names.iter().filter(|name| !present.contains(name.as_str())).map(|name| node(name, wanted)).collect();
            if !fresh.is_empty() {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": fresh}).to_string();
                self.kubectl_input(&["create", "-f", "-"], &list)?;
            }
        }
        let surplus: Vec<&str> =
            present.into_iter().filter(|name| !names.iter().any(|wanted| wanted == name)).collect();
        for some in surplus.chunks(500) {
            let mut line = vec!["delete", "nodes", "--ignore-not-found"];
            line.extend(some);
            self.kubectl_run(&line)?;
        }
        if wanted.count == 0 {
            process::kill(&self.layout().pid("kwok"));
        }
        Ok(())
    }
}

/// Starts KWOK again if it was started before and died.
pub(crate) fn restart_dead(cluster: &Cluster) -> Result<()> {
    if cluster.layout().pid("kwok").exists() { start(cluster) } else { Ok(()) }
}

fn start(cluster: &Cluster) -> Result<()> {
    let program = binaries::ensure(&[Binary::Kwok])?.remove(0);
    let _shared = cluster.share()?;
    let authority = Authority::ensure(cluster.layout())?;
    let kubeconfig =
        control_plane::identity(cluster, &authority, "kwok", &Subject { name: "kwok", ..Subject::default() })?;
    cluster.kubectl_input(&["apply", "-f", "-"], &rights().to_string())?;
    let stages = binaries::kwok_stages(&program);
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", stages.display()),
        format!("--manage-nodes-with-annotation-selector={TAINT}=fake"),
        "--node-lease-duration-seconds=40".to_owned(),
        format!("--cidr={}", pods(cluster.slot())),
        format!("--node-ip={}", cluster.slot().gateway()),
        "--v=WARN".to_owned(),
    ];
    control_plane::launch(cluster, "kwok", program, args)?;
    Ok(())
}

/// Addresses of fake pods: the range of a node that cannot exist.
fn pods(slot: Slot) -> String {
    slot.node_pods(255).to_string()
}

fn node(name: &str, like: &FakeNodes) -> Value {
    let mut labels = like.labels.clone();
    labels.insert("type".to_owned(), "kwok".to_owned());
    for (key, value) in [("hostname", name), ("os", "linux"), ("arch", "amd64")] {
        labels.insert(format!("kubernetes.io/{key}"), value.to_owned());
    }
    let fake = Taint { key: TAINT.to_owned(), value: "fake".to_owned(), effect: "NoSchedule".to_owned() };
    let taints: Vec<&Taint> = like.fenced.then_some(&fake).into_iter().chain(&like.taints).collect();
    let size = json!({"cpu": like.cpu, "memory": like.memory, "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {TAINT: "fake"}},
        "spec": {"taints": taints},
        "status": {"allocatable": size, "capacity": size},
    })
}

/// What KWOK may do.
fn rights() -> Value {
    let allow = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "kwok"},
        "rules": [
            allow("", &["nodes"], &read),
            allow("", &["nodes/status", "pods/status"], &["patch", "update"]),
            allow("", &["pods"], &["get", "list", "watch", "delete", "patch", "update"]),
            allow("", &["events"], &["create", "patch", "update"]),
            allow("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "patch", "update"]),
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kwok"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kwok"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "kwok"}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_node_keeps_ordinary_pods_away_whatever_else_it_has() {
        let extra = Taint { key: "a".into(), value: "b".into(), effect: "NoExecute".into() };
        let like = FakeNodes {
            count: 1,
            cpu: "4".into(),
            memory: "8Gi".into(),
            labels: BTreeMap::from([("ce".into(), "x".into())]),
            fenced: true,
            taints: vec![extra],
        };
        let unfenced = node("kwok-8", &FakeNodes { fenced: false, ..like.clone() });
        assert_eq!(unfenced["spec"]["taints"], json!([{"key": "a", "value": "b", "effect": "NoExecute"}]));
        let node = node("kwok-7", &like);
        assert_eq!(node["spec"]["taints"][0]["key"], TAINT);
        assert_eq!(node["spec"]["taints"][1]["key"], "a");
        assert_eq!(node["metadata"]["labels"]["ce"], "x");
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "kwok-7");
        assert_eq!(node["status"]["allocatable"]["cpu"], "4");
    }
}
