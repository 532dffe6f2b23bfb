//! A kind cluster (<https://kind.sigs.k8s.io>) with nodes for the tests.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::image::{self, root};
use crate::test::{children, tool};

const NAME: &str = "bulkhead-test";
/// The first worker is for everything that is not batch work; the others are for tests to label.
const CONFIG: &str = "\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
  - role: worker
  - role: worker
";

/// A kind cluster; deleted when dropped, unless it is to be kept.
pub(super) struct Kind {
    directory: PathBuf,
    keep: bool,
}

impl Kind {
    /// Creates the cluster; takes minutes, most of them for kind's own image.
    pub(super) fn create(keep: bool) -> Result<Self> {
        answers("kind", &["version"])
            .context("kind is needed: https://kind.sigs.k8s.io/docs/user/quick-start/#installation")?;
        if std::env::var_os("KIND_EXPERIMENTAL_PROVIDER").is_none() {
            answers("docker", &["info"])
                .context("kind needs a running Docker daemon (or KIND_EXPERIMENTAL_PROVIDER)")?;
        }
        answers("kubectl", &["version", "--client"]).context("kubectl is needed")?;
        let directory = root().join("target/xtask-test/kind");
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let config = directory.join("config.yaml");
        std::fs::write(&config, CONFIG).with_context(|| format!("cannot write {}", config.display()))?;
        let kind = Self { directory, keep };
        let there = children::output(kind.command(&["get", "clusters"]).stderr(Stdio::null()))?;
        ensure!(
            !there.lines().any(|line| line == NAME),
            "the kind cluster {NAME} is left from a run before; `kind delete cluster --name {NAME}` removes it"
        );
        let config = config.display().to_string();
        children::run(&mut kind.command(&["create", "cluster", "--name", NAME, "--wait", "3m", "--config", &config]))?;
        Ok(kind)
    }

    /// Kubeconfig of its administrator.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Nodes that tests may label.
    pub(super) fn nodes(&self) -> Result<Vec<String>> {
        let all = children::output(&mut self.command(&["get", "nodes", "--name", NAME]))?;
        let mut workers: Vec<String> = all.lines().filter(|it| it.contains("worker")).map(ToOwned::to_owned).collect();
        workers.sort();
        if workers.len() < 3 {
            bail!("kind made {} workers instead of 3: {all}", workers.len());
        }
        Ok(workers.split_off(1))
    }

    /// Builds Bulkhead's image and loads it into every node; returns its name.
    pub(super) fn load_image(&self) -> Result<String> {
        let archive = self.directory.join("bulkhead.tar").display().to_string();
        children::run(Command::new(tool::pin()?).args(["image", "--output", &archive]))?;
        children::run(&mut self.command(&["load", "image-archive", &archive, "--name", NAME]))?;
        Ok(image::BULKHEAD.to_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kind");
        command.args(args).env("KUBECONFIG", self.kubeconfig());
        command
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("the kind cluster is kept: export KUBECONFIG={}", self.kubeconfig().display());
            eprintln!("`kind delete cluster --name {NAME}` removes it");
        } else if let Err(error) = children::clean_up(&mut self.command(&["delete", "cluster", "--name", NAME])) {
            eprintln!("error: {error:#}\nrepeat `kind delete cluster --name {NAME}`");
        }
    }
}

/// Fails unless a program is there and answers with success.
fn answers(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run `{program}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program} {}` failed: {}", args.join(" "), said.trim());
    Ok(())
}
