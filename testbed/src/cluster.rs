//! A local cluster: up, open, down. Invariant: everything is stored before it is made and made so that making it again
//! is harmless; `up` repairs and `down` removes whatever any interruption left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::binaries::Release;
use crate::claim::{self, Programs, Record};
use crate::files::{Hold, Lock};
use crate::layout::{BASE, Layout};
use crate::say::say;
use crate::slot::Slot;
use crate::{
    cgroup, cgroup_tree, command, control_plane, files, image, kwok, limits, network, node, packages, process, provider,
};

/// What `up` starts.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The node provider `external`, besides the control plane.
    pub provider: bool,
    /// The release of Kubernetes; by default that of the cluster if it is there, else the newest.
    pub kubernetes: Option<Release>,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self { provider: true, kubernetes: None }
    }
}

/// A running local cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
    slot: Slot,
    kubeconfig: PathBuf,
    kubernetes: String,
    programs: Programs,
}

impl Cluster {
    /// Brings the cluster up: makes what is missing, restarts what died, leaves alone what runs.
    ///
    /// The node provider is served by this same program: its `main` must begin with
    /// [`crate::provider::serve_if_asked`].
    pub fn up(name: &str, options: &UpOptions) -> Result<Self> {
        let layout = Layout::new(name)?;
        provider::refuse_recursion()?;
        // First, because what follows can take minutes.
        let release = claim::release(&layout, options.kubernetes)?;
        packages::ensure()?;
        limits::raise();
        let programs = Programs::ensure(release)?;
        let (record, lock) = claim_and_lock(&layout, release, &programs)?;
        let now = Record { boot: claim::boot_id()?, programs, ..record.clone() };
        let cluster = Self::from_record(layout, &now);
        if record.boot != now.boot || !network::bridge_exists(now.slot) {
            // After a reboot etcd is empty and nothing runs; without the bridge no listener has its address.
            cluster.clear(record.boot == now.boot)?;
        }
        files::write_json(&cluster.layout.record(), &now)?;
        let root = cluster.layout.root().display();
        say(&format!("cluster {name}: Kubernetes {release}, slot {}, {root}", u8::from(cluster.slot)));
        network::make_bridge(cluster.slot)?;
        control_plane::start(&cluster)?;
        image::push_base(&cluster.registry()).context("cannot push the base images to the cluster's registry")?;
        // From here on others may add nodes; only a second `up` has to wait.
        let _shared = lock.downgrade(cluster.layout.root())?;
        let _starting = Lock::take_file(&cluster.layout.config("starting.lock"))?;
        node::restart_dead(&cluster)?;
        kwok::restart_dead(&cluster)?;
        if options.provider {
            provider::start(&cluster)?;
        }
        Ok(cluster)
    }

    /// Opens a cluster that was brought up before.
    pub fn open(name: &str) -> Result<Self> {
        let layout = Layout::new(name)?;
        let Some(record) = claim::read(&layout)? else {
            bail!("there is no cluster `{name}`; start it with `cargo xtask cluster up --name {name}`");
        };
        Ok(Self::from_record(layout, &record))
    }

    fn from_record(layout: Layout, record: &Record) -> Self {
        let kubeconfig = layout.config("admin.kubeconfig");
        let (kubernetes, programs) = (record.kubernetes.clone(), record.programs.clone());
        Self { slot: record.slot, kubeconfig, kubernetes, programs, layout }
    }

    /// Names of all clusters of this machine.
    pub fn names() -> Result<Vec<String>> {
        Ok(claim::taken()?.into_values().collect())
    }

    /// Stops and removes everything of this cluster.
    pub fn down(&self) -> Result<()> {
        Self::take_down(self.name())
    }

    /// Stops and removes everything of a cluster. Also works if it is half built, half gone or not there.
    pub fn take_down(name: &str) -> Result<()> {
        let layout = Layout::new(name)?;
        // The provider first: it would go on booting nodes while we wait for the lock.
        process::stop(&layout.pid("provider"), Duration::from_secs(2));
        let lock = if layout.root().is_dir() { Some(Lock::take(layout.root(), Hold::Alone)?) } else { None };
        let slot = claim::read(&layout)?.map(|record| record.slot);
        stop_processes(name)?;
        remove_leftovers(&layout, slot)?;
        let _machine = claim::machine_lock()?;
        files::remove_tree(layout.root())?;
        drop(lock);
        if claim::taken()?.is_empty() {
            cgroup_tree::remove_parent_if_empty(&cgroup_tree::machine()?);
        }
        Ok(())
    }

    /// Ends the API server as a machine's shutdown would and starts it again; returns when it answers.
    pub fn restart_api_server(&self) -> Result<()> {
        let _shared = self.share()?;
        process::stop(&self.layout.pid("kube-apiserver"), Duration::from_secs(10));
        control_plane::start(self)
    }

    /// Stops everything; unless its state is to be kept, forgets all but the slot.
    fn clear(&self, keep_state: bool) -> Result<()> {
        stop_processes(self.name())?;
        if keep_state {
            return Ok(());
        }
        remove_leftovers(&self.layout, Some(self.slot))?;
        for part in ["n", "instances", "pki", "pid", "registry"] {
            files::remove_tree(&self.layout.root().join(part))?;
        }
        Ok(())
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// Its slot on this machine.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Its files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Kubeconfig of a cluster administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Version of Kubernetes that it runs, for example `1.36.3`.
    pub fn kubernetes(&self) -> &str {
        &self.kubernetes
    }

    /// A kubectl of the cluster's version.
    pub fn kubectl(&self) -> PathBuf {
        self.programs.kubernetes.join("kubectl")
    }

    /// The image registry as an image reference starts, for example `10.200.0.1:25000`; plain HTTP.
    pub fn registry(&self) -> String {
        self.slot.registry()
    }

    /// Address of the node provider, for example `http://10.200.0.1:25080`.
    pub fn provider_url(&self) -> String {
        self.slot.provider_url()
    }

    /// Runs kubectl as administrator and returns what it printed.
    pub fn kubectl_run(&self, args: &[&str]) -> Result<String> {
        self.kubectl_input(args, "")
    }

    /// Runs kubectl as administrator with this standard input, for example `apply -f -`.
    pub fn kubectl_input(&self, args: &[&str], input: &str) -> Result<String> {
        let config = self.kubeconfig.display().to_string();
        let mut line = vec!["--kubeconfig", config.as_str()];
        line.extend(args);
        command::run_with_input(self.kubectl(), &line, input)
    }

    /// A program of the cluster by file name.
    pub(crate) fn program(&self, file: &str) -> PathBuf {
        if file == "etcd" { self.programs.etcd.clone() } else { self.programs.kubernetes.join(file) }
    }

    /// Keeps the cluster from being taken down while something is made in it.
    pub(crate) fn share(&self) -> Result<Lock> {
        let lock = Lock::take(self.layout.root(), Hold::Shared);
        lock.with_context(|| format!("the cluster `{}` was taken down", self.name()))
    }
}

/// Claims a slot and locks the cluster; starts over if it was taken down in between.
fn claim_and_lock(layout: &Layout, release: Release, programs: &Programs) -> Result<(Record, Lock)> {
    for _ in 0..10 {
        let record = claim::claim(layout, release, programs)?;
        let Ok(lock) = Lock::take(layout.root(), Hold::Alone) else { continue };
        if claim::read(layout)?.as_ref() == Some(&record) {
            return Ok((record, lock));
        }
    }
    bail!("the cluster `{}` is taken down again and again by somebody else ({BASE})", layout.name())
}

/// Kills every process of the cluster, also those without a pid file and everything inside its containers.
fn stop_processes(name: &str) -> Result<()> {
    let prefix = format!("{name}/");
    let group = cgroup::cluster_group(name);
    process::sweep(|found| {
        found.marker.as_ref().is_some_and(|marker| marker.starts_with(&prefix))
            || found.cgroups.lines().any(|line| cgroup::is_member(line, &group))
    })
}

/// Removes what lies outside the cluster's directory, or is mounted inside it.
fn remove_leftovers(layout: &Layout, slot: Option<Slot>) -> Result<()> {
    node::remove_leftovers(layout, slot)?;
    cgroup_tree::remove(&cgroup_tree::machine()?, &cgroup::cluster_group(layout.name()));
    if let Some(slot) = slot {
        network::remove_bridge(slot);
    }
    files::remove_tree(&layout.etcd_data())
}
