//! Boots one node. Invariant: a boot starts from a node that is off, keeps what a disk would keep (images, volumes, logs)
//! and nothing that a reboot would lose.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{NodeRecord, is_alive, leftovers};
use crate::cluster::Cluster;
use crate::config::{self, KubeletConfig};
use crate::files::{self, Hold, Lock};
use crate::pki::{Authority, Subject};
use crate::process::{self, Start};
use crate::shape::Machine;
use crate::slot::KUBELET_PORT;
use crate::{cgroup, cgroup_tree, control_plane, network};

const PATIENCE: Duration = Duration::from_mins(1);

/// Starts the node's processes unless they all run.
pub(super) fn boot(cluster: &Cluster, record: &NodeRecord) -> Result<()> {
    let directory = cluster.layout().node(record.index);
    let _lock = Lock::take(&directory, Hold::Alone)?;
    if is_alive(&directory) {
        return Ok(());
    }
    let (slot, index) = (cluster.slot(), record.index);
    leftovers::switch_off(cluster.layout(), index)?;
    network::make_node(slot, index)?;
    cgroup_tree::make(&cgroup_tree::machine()?, &cgroup::node_group(cluster.name(), index))?;
    let node = Node { cluster, record, directory };
    files::write(&node.directory.join("cni/10-pods.conflist"), &config::cni(slot, index, &node.directory).to_string())?;
    files::write(&node.directory.join("containerd.toml"), &config::containerd(slot, &node.directory))?;
    let containerd = node.directory.join("containerd.toml").display().to_string();
    node.launch("containerd", PathBuf::from("containerd"), vec!["--config".to_owned(), containerd])?;
    // Meanwhile containerd starts.
    let kubelet = node.prepare_kubelet()?;
    node.wait_for_containerd()?;
    node.launch("kubelet", cluster.program("kubelet"), kubelet)?;
    node.launch("kube-proxy", cluster.program("kube-proxy"), node.proxy_flags())
}

struct Node<'a> {
    cluster: &'a Cluster,
    record: &'a NodeRecord,
    directory: PathBuf,
}

impl Node<'_> {
    fn launch(&self, component: &str, program: PathBuf, args: Vec<String>) -> Result<()> {
        process::start(&Start {
            program,
            args,
            env: BTreeMap::new(),
            namespace: Some(self.cluster.slot().node_namespace(self.record.index)),
            marker: leftovers::marker(self.cluster.name(), self.record.index),
            log: log(self.cluster, self.record, component),
            pid_file: self.directory.join(format!("{component}.pid")),
        })?;
        Ok(())
    }

    /// Writes the kubelet's identity and configuration; returns its flags.
    fn prepare_kubelet(&self) -> Result<Vec<String>> {
        let (layout, slot, index) = (self.cluster.layout(), self.cluster.slot(), self.record.index);
        let options = &self.record.options;
        let authority = Authority::ensure(layout)?;
        let stem = format!("node-{}", options.name);
        let user = format!("system:node:{}", options.name);
        let client = Subject { name: &user, group: Some("system:nodes"), ..Subject::default() };
        let kubeconfig = control_plane::identity(self.cluster, &authority, &stem, &client)?;
        let address = slot.node_address(index);
        let serving = authority.ensure_pair(
            &format!("node-{}-serving-{index}", options.name),
            &Subject {
                name: &user,
                group: Some("system:nodes"),
                addresses: vec![address.into()],
                hosts: vec![&options.name],
            },
        )?;
        let path = self.directory.join("kubelet.yaml");
        let text = config::kubelet(&KubeletConfig {
            slot,
            node: &self.directory,
            group: &cgroup::node_group(self.cluster.name(), index),
            ca: &layout.pki("ca.crt"),
            serving: &serving,
            reserved: &options.check(&Machine::read()?)?,
            taints: &options.taints,
        });
        files::write(&path, &serde_json::to_string_pretty(&text)?)?;
        let labels: Vec<String> = options.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok(vec![
            format!("--config={}", path.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--root-dir={}", self.directory.join("kubelet").display()),
            format!("--cert-dir={}", self.directory.join("pki").display()),
            format!("--hostname-override={}", options.name),
            format!("--node-ip={address}"),
            format!("--node-labels={}", labels.join(",")),
        ])
    }

    fn proxy_flags(&self) -> Vec<String> {
        // The conntrack limits are the machine's, not the namespace's: leave them alone.
        vec![
            format!("--kubeconfig={}", self.cluster.layout().config("kube-proxy.kubeconfig").display()),
            format!("--hostname-override={}", self.record.options.name),
            "--proxy-mode=nftables".to_owned(),
            "--conntrack-max-per-core=0".to_owned(),
            "--conntrack-tcp-timeout-established=0".to_owned(),
            "--conntrack-tcp-timeout-close-wait=0".to_owned(),
        ]
    }

    /// The kubelet ends if nobody answers at containerd's socket.
    fn wait_for_containerd(&self) -> Result<()> {
        let socket = self.directory.join("run/containerd.sock");
        let end = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            let alive = process::state(&self.directory.join("containerd.pid")).alive;
            if !alive || Instant::now() > end {
                let log = process::last_lines(&log(self.cluster, self.record, "containerd"));
                bail!("containerd of node {} does not answer; {log}", self.record.options.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Log of a node's component.
pub(super) fn log(cluster: &Cluster, record: &NodeRecord, component: &str) -> PathBuf {
    cluster.layout().log(&format!("{}-{component}", record.options.name))
}

/// Waits until the Node is Ready and its kubelet answers; says why if the kubelet ends.
pub(super) fn wait_ready(cluster: &Cluster, record: &NodeRecord) -> Result<()> {
    let directory = cluster.layout().node(record.index);
    let end = Instant::now() + PATIENCE;
    let kubelet = SocketAddr::from((cluster.slot().node_address(record.index), KUBELET_PORT));
    let check = |what: &str| -> Result<()> {
        let log = || process::last_lines(&log(cluster, record, "kubelet"));
        if !process::state(&directory.join("kubelet.pid")).alive {
            bail!("the kubelet of node {} ended; {}", record.options.name, log());
        }
        if Instant::now() > end {
            bail!("node {} {what} after {} s; {}", record.options.name, PATIENCE.as_secs(), log());
        }
        Ok(())
    };
    // An old Node object may say Ready for a while: the kubelet itself has to answer too.
    while TcpStream::connect_timeout(&kubelet, Duration::from_millis(500)).is_err() {
        check("does not answer")?;
        std::thread::sleep(Duration::from_millis(20));
    }
    for condition in ["create", "condition=Ready"] {
        let mut child = kubectl_wait(cluster, &record.options.name, condition)?;
        loop {
            if let Some(status) = child.try_wait()? {
                if status.success() {
                    break;
                }
                bail!(
                    "node {} is not Ready; {}",
                    record.options.name,
                    process::last_lines(&log(cluster, record, "kubelet"))
                );
            }
            if let Err(error) = check("is not Ready") {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

fn kubectl_wait(cluster: &Cluster, node: &str, condition: &str) -> Result<std::process::Child> {
    let kubectl: &Path = &cluster.kubectl();
    Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(["wait", &format!("--for={condition}"), &format!("node/{node}"), "--timeout=60s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start kubectl")
}
