//! What a cluster consists of right now. Invariant: read from pid files and `/proc` alone, so it also answers when the
//! cluster does not.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::{cgroup, control_plane, node, process};

/// State of a cluster; `cluster status --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The cluster's name.
    pub name: String,
    /// Its slot.
    pub slot: u8,
    /// Version of Kubernetes.
    pub kubernetes: String,
    /// Administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// kubectl of the cluster's version.
    pub kubectl: PathBuf,
    /// Image registry, plain HTTP.
    pub registry: String,
    /// Address of the node provider.
    pub provider: String,
    /// Address of the host on the cluster's network.
    pub gateway: String,
    /// Directory of the logs.
    pub logs: PathBuf,
    /// Processes of the control plane.
    pub components: Vec<Component>,
    /// Real nodes.
    pub nodes: Vec<NodeStatus>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its last known pid.
    pub pid: Option<i32>,
    /// True if it runs.
    pub alive: bool,
}

/// One real node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Its processes.
    pub components: Vec<Component>,
}

impl Cluster {
    /// Ids of processes in containers of this cluster whose command lines begin with these words.
    pub fn in_containers(&self, words: &[&str]) -> Vec<u32> {
        process::started_as(&cgroup::cluster_group(self.name()), words)
    }

    /// Looks at the cluster's processes.
    pub fn status(&self) -> Status {
        let layout = self.layout();
        let mut names = control_plane::COMPONENTS.to_vec();
        names.extend(["provider", "kwok"].iter().filter(|name| layout.pid(name).exists()));
        let mut nodes = Vec::new();
        for record in node::all(layout) {
            let directory = layout.node(record.index);
            nodes.push(NodeStatus {
                name: record.options.name,
                ip: self.slot().node_address(record.index).to_string(),
                components: node::COMPONENTS
                    .map(|name| component(name, &directory.join(format!("{name}.pid"))))
                    .to_vec(),
            });
        }
        Status {
            name: self.name().to_owned(),
            slot: self.slot().into(),
            kubernetes: self.kubernetes().to_owned(),
            kubeconfig: self.kubeconfig().to_path_buf(),
            kubectl: self.kubectl(),
            registry: self.registry(),
            provider: self.provider_url(),
            gateway: self.slot().gateway().to_string(),
            logs: layout.root().join("log"),
            components: names.into_iter().map(|name| component(name, &layout.pid(name))).collect(),
            nodes,
        }
    }
}

fn component(name: &str, pid_file: &std::path::Path) -> Component {
    let state = process::state(pid_file);
    Component { name: name.to_owned(), pid: state.pid, alive: state.alive }
}

impl Status {
    /// True if everything that should run does.
    pub fn is_healthy(&self) -> bool {
        let nodes = self.nodes.iter().flat_map(|node| &node.components);
        self.components.iter().chain(nodes).all(|component| component.alive)
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (key, value) in [
            ("cluster", format!("{} (slot {})", self.name, self.slot)),
            ("kubernetes", self.kubernetes.clone()),
            ("kubeconfig", self.kubeconfig.display().to_string()),
            ("kubectl", self.kubectl.display().to_string()),
            ("registry", self.registry.clone()),
            ("provider", self.provider.clone()),
            ("logs", self.logs.display().to_string()),
        ] {
            let _ = writeln!(text, "{key:<12}{value}");
        }
        let _ = writeln!(text, "\n{:<26}{:<10}{:<8}ADDRESS", "PROCESS", "PID", "STATE");
        for component in &self.components {
            row(&mut text, &component.name, component, &self.gateway);
        }
        for node in &self.nodes {
            for component in &node.components {
                row(&mut text, &format!("{}/{}", node.name, component.name), component, &node.ip);
            }
        }
        text
    }
}

fn row(text: &mut String, name: &str, component: &Component, address: &str) {
    let pid = component.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let state = if component.alive { "runs" } else { "dead" };
    let _ = writeln!(text, "{name:<26}{pid:<10}{state:<8}{address}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dead_process_makes_a_cluster_unhealthy() {
        let part = |alive| Component { name: "kubelet".into(), pid: Some(7), alive };
        let status = |alive| Status {
            name: "a".into(),
            slot: 1,
            kubernetes: "1.34.4".into(),
            kubeconfig: "/k".into(),
            kubectl: "/b".into(),
            registry: "r".into(),
            provider: "p".into(),
            gateway: "g".into(),
            logs: "/l".into(),
            components: vec![part(true)],
            nodes: vec![NodeStatus { name: "n".into(), ip: "i".into(), components: vec![part(alive)] }],
        };
        assert!(status(true).is_healthy());
        assert!(!status(false).is_healthy());
        assert!(status(true).table().contains("kubernetes  1.34.4\n"));
        assert!(status(false).table().contains("n/kubelet                 7         dead    i"));
    }
}
