//! Controllers that run beside the cluster, as the service account of the one in it, which rests meanwhile: they can be told to die or
//! to stop at a named point, nobody starts them again, and the next one waits ready.
//!
//! Invariant: none outlives its test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use cluster::fault::{self, Point};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually};
use tokio::process::{Child, Command};

/// Path of the `bulkhead` binary; default: beside this test in Cargo's target directory.
const BINARY: &str = "BULKHEAD_E2E_BINARY";
/// Name of the controller, its service account and its Lease.
const CONTROLLER: &str = "bulkhead-controller";

/// Any free port.
pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Starts controllers beside the cluster.
pub(crate) struct Host<'a> {
    fixture: &'a Fixture,
    binary: PathBuf,
    /// Removed with everything in it at the end.
    directory: PathBuf,
}

/// What becomes of a controller at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is gone.
    Dies,
    /// It stands still, as on a machine that is asleep, until it is told to go on.
    Stops,
}

/// One controller; killed when dropped.
pub(crate) struct Controller {
    name: String,
    /// The point at which its fate awaits it.
    pub(crate) fault: Option<(Point, Fate)>,
    child: Child,
    log: PathBuf,
}

impl<'a> Host<'a> {
    /// With the rights of the controller in the cluster.
    pub(crate) async fn new(fixture: &'a Fixture) -> Result<Self> {
        let binary = binary()?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(fixture.named("controllers"));
        std::fs::create_dir_all(&directory)?;
        let host = Self { fixture, binary, directory };
        std::fs::write(host.kubeconfig(), kubeconfig(fixture).await?)?;
        Ok(host)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// A directory for what the controllers share.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a controller with a point at which it dies or stops, or with none. Its API listens on `api`; the record store is there if one is named.
    pub(crate) fn start(
        &self,
        fault: Option<(Point, Fate)>,
        api: SocketAddr,
        database: Option<&str>,
    ) -> Result<Controller> {
        self.start_with(fault, api, database, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        &self,
        fault: Option<(Point, Fate)>,
        api: SocketAddr,
        database: Option<&str>,
        more: &[&str],
    ) -> Result<Controller> {
        let name = self.fixture.named(fault.map_or("last", |(point, _)| point.name()));
        let log = self.directory.join(format!("{name}.log"));
        let output = std::fs::File::create(&log)?;
        let mut command = Command::new(&self.binary);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command.args([
            "controller",
            "--admin",
            "127.0.0.1:0",
            "--dump-listen",
            "127.0.0.1:0",
            "--identity",
            &name,
            "--lease-seconds",
            "2",
        ]);
        command.arg("--api-listen").arg(api.to_string()).args(more);
        if let Some(database) = database {
            command.arg("--database").arg(database);
        }
        command.env_remove(fault::VARIABLE).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        if let Some((point, fate)) = fault {
            let how = if fate == Fate::Stops { fault::STOP } else { "" };
            command.env(fault::VARIABLE, format!("{}{how}", point.name()));
        }
        let child = command.kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot run {}", self.binary.display()))?;
        Ok(Controller { name, fault, child, log })
    }

    /// Waits until a controller holds the Lease, or has held it and died at its point since.
    pub(crate) async fn leads(&self, controller: &mut Controller) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.fixture.world.client.clone(), keys::NAMESPACE);
        let prefix = format!("{}_", controller.name);
        eventually(&format!("{} leads", controller.name), || async {
            let spec = leases.get(CONTROLLER).await?.spec.unwrap_or_default();
            let holder = spec.holder_identity.unwrap_or_default();
            Ok(if holder.starts_with(&prefix) { Ok(()) } else { Err(format!("the leader is {holder:?}")) })
        })
        .await
        .with_context(|| controller.last_words())
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        // What stays behind is in Cargo's target directory.
        let _left = std::fs::remove_dir_all(&self.directory);
    }
}

impl Controller {
    /// Waits until it has died or stopped at its point, and at no other for no other reason.
    pub(crate) async fn meets_its_fate(&mut self) -> Result<()> {
        match self.fault {
            Some((point, Fate::Dies)) => {
                let status = self.ends(&format!("the leader dies at point {}", point.name())).await?;
                ensure!(
                    status.code() == Some(fault::EXIT_CODE),
                    "instead of dying at {}: {status}; {}",
                    point.name(),
                    self.last_words()
                );
                Ok(())
            }
            Some((point, Fate::Stops)) => {
                eventually(&format!("the leader stops at point {}", point.name()), || async {
                    Ok(if self.stands_still()? { Ok(()) } else { Err(self.last_words()) })
                })
                .await
            }
            None => bail!("{} has no point", self.name),
        }
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("the leader has ended")
    }

    fn stands_still(&self) -> Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // The state follows the name, which is in parentheses.
        Ok(stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')))
    }

    /// Lets it go on after it has stopped, when another leads; it ends by itself, because it has lost the Lease.
    pub(crate) async fn goes_on_too_late(&mut self) -> Result<()> {
        let told = Command::new("kill").args(["-CONT", &self.pid()?.to_string()]).status().await?;
        ensure!(told.success(), "kill: {told}");
        let status = self.ends("a leader that was stopped for too long ends").await?;
        // Nobody killed it, and it knows that it has failed.
        ensure!(status.code().is_some_and(|code| code != 0), "it ended with {status}; {}", self.last_words());
        Ok(())
    }

    async fn ends(&mut self, what: &str) -> Result<ExitStatus> {
        let patience = std::time::Duration::from_mins(1);
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("waited {} s until {what}; {}", patience.as_secs(), self.last_words()),
        }
    }

    /// Fails if it has ended.
    pub(crate) fn lives(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the last leader has ended: {status}; {}", self.last_words());
        }
        Ok(())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{} said last:\n{}", self.name, lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

fn binary() -> Result<PathBuf> {
    let path = if let Some(path) = std::env::var_os(BINARY) {
        PathBuf::from(path)
    } else {
        let test = std::env::current_exe()?;
        let profile = test.parent().and_then(Path::parent).context("this test is not in a target directory")?;
        profile.join("bulkhead")
    };
    ensure!(path.is_file(), "{} is missing: run `cargo build -p bulkhead`, or set {BINARY}", path.display());
    Ok(path)
}

/// A kubeconfig of the controller's own service account, so that it may do here what it may do in the cluster.
async fn kubeconfig(fixture: &Fixture) -> Result<String> {
    let world = &fixture.world;
    let token = world.kubectl(&["create", "token", CONTROLLER, "-n", keys::NAMESPACE, "--duration=1h"]).await?;
    let admin = world.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await?;
    let mut config: Value = serde_json::from_str(&admin)?;
    let user = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{"name": user, "user": {"token": token.trim()}}]);
    Ok(config.to_string())
}
