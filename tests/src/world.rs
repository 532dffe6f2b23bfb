//! The cluster under test.
//!
//! Invariant: without a local cluster, nothing is done to nodes but to those that were named. Knows nothing about single tests.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use kube::Client;
use testbed::Cluster;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Name of a local cluster with Bulkhead installed.
const CLUSTER: &str = "BULKHEAD_E2E_CLUSTER";
/// Names of nodes that may be labelled and tainted, comma-separated, of the cluster that `KUBECONFIG` names.
const NODES: &str = "BULKHEAD_E2E_NODES";

/// The binary from this checkout.
const BINARY: &str = "BULKHEAD_E2E_BINARY";

/// The cluster under test. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// A cluster administrator.
    pub client: Client,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    local: Option<Cluster>,
    /// Nodes that a test may label and no test has: tests that run at the same time share them.
    free: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// The cluster that the environment names.
    pub async fn from_env() -> Result<Self> {
        let nodes = std::env::var(NODES).unwrap_or_default();
        let nodes: Vec<_> = nodes.split(',').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect();
        let free = Arc::new(Mutex::new(nodes));
        let local = match std::env::var(CLUSTER) {
            Ok(name) => Some(Cluster::open(&name)?),
            Err(_) => None,
        };
        let (kubeconfig, kubectl) = if let Some(cluster) = &local {
            (cluster.kubeconfig().to_owned(), cluster.kubectl())
        } else {
            let path = std::env::var("KUBECONFIG").with_context(|| {
                format!("neither {CLUSTER} (a local cluster) nor KUBECONFIG is set; `cargo xtask test` sets them")
            })?;
            (path.into(), "kubectl".into())
        };
        let client = cluster::client::connect(Some(&kubeconfig)).await?.retrying;
        Ok(Self { client, kubeconfig, kubectl, local, free })
    }

    /// Another local cluster.
    pub async fn local_named(name: &str) -> Result<Self> {
        let cluster = Cluster::open(name)?;
        let (kubeconfig, kubectl) = (cluster.kubeconfig().to_owned(), cluster.kubectl());
        let client = cluster::client::connect(Some(&kubeconfig)).await?.retrying;
        Ok(Self { client, kubeconfig, kubectl, local: Some(cluster), free: Arc::default() })
    }

    /// The same cluster for somebody else: whoever this bearer token is of.
    pub async fn with_token(&self, token: &str) -> Result<Self> {
        let text = self.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).await?;
        let mut config: serde_json::Value = serde_json::from_str(&text)?;
        config["users"][0]["user"] = serde_json::json!({"token": token});
        let path = std::env::temp_dir().join(format!("bulkhead-e2e-{}.kubeconfig", uuid::Uuid::new_v4()));
        tokio::fs::write(&path, config.to_string()).await?;
        let client = cluster::client::connect(Some(&path)).await?.retrying;
        Ok(Self { client, kubeconfig: path, ..self.clone() })
    }

    /// The local cluster, for tests that add, kill or launch nodes.
    pub fn local(&self) -> Result<&Cluster> {
        self.local.as_ref().context("this test needs the local cluster")
    }

    /// Whether nodes can be added, launched and killed.
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// The kubeconfig of a cluster administrator.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// Whether tests that each need two nodes can run beside each other.
    pub fn has_nodes_for(&self, tests: usize) -> bool {
        self.is_local() || self.free.lock().unwrap_or_else(PoisonError::into_inner).len() >= 2 * tests
    }

    /// Takes a node that a test may label, on a cluster that is not ours; `None`: other tests have them all.
    pub(crate) fn take_node(&self) -> Option<String> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives a node back for other tests.
    pub(crate) fn give_node_back(&self, name: &str) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Runs kubectl as an administrator; its output, or an error with what it said.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, "").await
    }

    /// kubectl as an administrator.
    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], yaml).await
    }

    /// Runs kubectl with something on its standard input.
    pub async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .kubectl_command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.kubectl.display()))?;
        let mut stdin = child.stdin.take().context("kubectl has no standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `bulkhead` on this machine, with an administrator's kubeconfig; its output, or an error with what it said.
    pub async fn bulkhead(&self, args: &[&str]) -> Result<String> {
        let program = std::env::var(BINARY).with_context(|| format!("{BINARY} names no binary"))?;
        let output = Command::new(&program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {program}"))?;
        if !output.status.success() {
            bail!("bulkhead {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes the provider of the local cluster answer as told (JSON of the testing interface); `{}`: as usual.
    pub async fn provider_faults(&self, faults: &serde_json::Value) -> Result<()> {
        let url = format!("{}/testing/faults", self.local()?.provider_url());
        let answer = reqwest::Client::new().put(&url).json(faults).send().await?;
        ensure!(answer.status().is_success(), "PUT {url}: {}", answer.text().await?);
        Ok(())
    }

    /// Tokens of all machines that the local cluster's provider knows.
    pub async fn instances(&self) -> Result<Vec<api::provider::Instance>> {
        let url = format!("{}/instances", self.local()?.provider_url());
        let list: api::provider::InstanceList = reqwest::get(&url).await?.error_for_status()?.json().await?;
        Ok(list.instances)
    }
}
