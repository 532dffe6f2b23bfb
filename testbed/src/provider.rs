//! The node provider `external` as the local cluster has it: every launch boots a real kubelet on this machine.
//!
//! Serves the wire format of [`api::provider`] on the cluster's gateway address, and beside it, under `/testing/`, ways
//! to make it misbehave ([`Faults`]). Invariant: an instance is stored on disk before its machine is booted and removed
//! from disk after its machine is gone, so the provider can die at any moment. It never touches Node objects.

mod faults;
mod instance;
mod launch;
mod offers;
mod server;
mod store;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use faults::{Fail, Faults};

use crate::cluster::Cluster;
use crate::process::{self, Start};
use crate::slot::PROVIDER_PORT;
use crate::{control_plane, say};

/// Environment variable that turns a process into the provider of the cluster it names.
const SERVE: &str = "BULKHEAD_TESTBED_SERVE";

/// To be called first in `main` of every program that calls [`Cluster::up`]: the provider is that same program, started
/// again. Returns at once in an ordinary process and never in the provider.
pub fn serve_if_asked() -> Result<()> {
    let Some(name) = std::env::var_os(SERVE) else { return Ok(()) };
    let name = name.into_string().ok().context("the cluster's name is not text")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(server::serve(Cluster::open(&name)?))?;
    // Boots still under way go on when the provider is started again.
    runtime.shutdown_background();
    std::process::exit(0)
}

/// Refuses to go on in a process that was started as a provider and did not become one: it would start itself for ever.
pub(crate) fn refuse_recursion() -> Result<()> {
    if std::env::var_os(SERVE).is_some() {
        bail!("this program brings a cluster up, so its `main` must begin with `testbed::provider::serve_if_asked()`");
    }
    Ok(())
}

/// Starts the provider unless it runs, and waits until it answers.
pub(crate) fn start(cluster: &Cluster) -> Result<()> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let started = process::start(&Start {
        program,
        args: Vec::new(),
        env: BTreeMap::from([(SERVE.to_owned(), cluster.name().to_owned())]),
        namespace: None,
        marker: format!("{}/provider", cluster.name()),
        log: cluster.layout().log("provider"),
        pid_file: cluster.layout().pid("provider"),
    })?;
    let address = SocketAddr::from((cluster.slot().gateway(), PROVIDER_PORT));
    control_plane::wait(cluster, "the node provider", &["provider"], || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    })?;
    if started {
        say::say(&format!("node provider: {}", cluster.provider_url()));
    }
    Ok(())
}
