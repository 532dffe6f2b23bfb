//! Clusters side by side, one that loses every process at once, and one that Bulkhead is removed from.
//!
//! All of it happens in a second local cluster, so that the other tests keep theirs.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use model::keys;
use tests::{FORM_1, Fixture, World, eventually, eventually_for, job};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "two clusters run form 1 at the same time, and one survives the death of every process",
            short: "two",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(side_by_side(fixture)),
        },
        Scenario {
            name: "uninstall with work waiting and running leaves nothing behind",
            short: "un",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(uninstalled(fixture)),
        },
    ]
}

/// One more cluster at a time: each takes a good part of the machine.
static ONE_MORE: Mutex<()> = Mutex::const_new(());

/// A second cluster like the first, taken down again whatever happens.
async fn in_second_cluster<F>(fixture: &Fixture, short: &str, work: impl FnOnce(Second) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let _alone = ONE_MORE.lock().await;
    let first = fixture.world.local()?;
    let name = format!("{}-{short}", first.name());
    let result = async {
        xtask(&["up", "--name", &name, "--kubernetes", first.kubernetes()]).await?;
        xtask(&["node", "add", "ordinary", "--name", &name]).await?;
        xtask(&["install", "--name", &name]).await?;
        work(Second { world: World::local_named(&name).await?, name: name.clone() }).await
    }
    .await;
    let down = xtask(&["down", "--name", &name]).await;
    result.and(down.map(drop))
}

struct Second {
    world: World,
    name: String,
}

async fn side_by_side(fixture: &Fixture) -> Result<()> {
    in_second_cluster(fixture, "2nd", |second| async move {
        let other = Fixture::new(&second.world, "two", true);
        let (here, there) = tokio::join!(form_1(fixture, "a"), form_1(&other, "b"));
        here.and(there)?;
        kill_everything(&second).await?;
        xtask(&["up", "--name", &second.name]).await?;
        let available =
            ["wait", "--for=condition=Available", "--timeout=120s", "-n", keys::NAMESPACE, "deployment", "--all"];
        eventually("Bulkhead is available again", || async { Ok(Ok(second.world.kubectl(&available).await?)) }).await?;
        form_1(&other, "c").await?;
        other.clean().await
    })
    .await
}

/// Runs form 1 on machines that come and go.
async fn form_1(fixture: &Fixture, what: &str) -> Result<()> {
    let environment = fixture.managed(&format!("{what}-ce"), 2, "scaleDownDelay: 10m").await?;
    let queue = fixture.queue(&format!("{what}-jq"), 1, &[&environment]).await?;
    let namespace = fixture.namespace(&format!("{what}-ns"), Some(&queue)).await?;
    // After an outage the webhook may still be on its way back; a Job that it has not seen would run at once.
    fixture.apply(&namespace, FORM_1).await?;
    fixture.completed(&namespace, "indexed-job").await?;
    let logs: Vec<String> = fixture.logs(&namespace, "indexed-job").await?.into_iter().map(|(_, text)| text).collect();
    ensure!(logs == ["oof", "rab", "zab", "xuq", "zyx"], "logs by index: {logs:?}");
    // Logs of Jobs go with their node: it goes when they have been read, however long that took.
    let soon = r#"{"spec":{"scaleDownDelay":"1s"}}"#;
    fixture.world.kubectl(&["patch", "ce", &environment, "--type=merge", "-p", soon]).await?;
    fixture.no_machines(&environment).await
}

/// `kill -9` of every process that the cluster consists of.
async fn kill_everything(second: &Second) -> Result<()> {
    let status = second.world.local()?.status();
    let nodes = status.nodes.iter().flat_map(|node| &node.components);
    let pids: Vec<String> =
        status.components.iter().chain(nodes).filter_map(|one| one.pid).map(|pid| pid.to_string()).collect();
    ensure!(pids.len() > 8, "expected a control plane and a node, found {pids:?}");
    let killed = Command::new("kill").arg("-9").args(&pids).status().await?;
    ensure!(killed.success(), "kill -9 {pids:?}: {killed}");
    // A process that is still on its way out counts as running, and would not be started again.
    eventually("all of them are gone", || async {
        let status = second.world.local()?.status();
        let nodes = status.nodes.iter().flat_map(|node| &node.components);
        let left: Vec<&str> =
            status.components.iter().chain(nodes).filter(|one| one.alive).map(|one| one.name.as_str()).collect();
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are there")) })
    })
    .await
}

/// Runs `cargo xtask cluster …`, by the binary that runs the tests if it says where it is: nothing is built meanwhile then.
async fn xtask(args: &[&str]) -> Result<String> {
    let mut command = if let Ok(binary) = std::env::var("BULKHEAD_E2E_XTASK") {
        Command::new(binary)
    } else {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        command.args(["run", "--quiet", "--package", "xtask", "--"]);
        command
    };
    let output = command.arg("cluster").args(args).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        bail!("cargo xtask cluster {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn uninstalled(fixture: &Fixture) -> Result<()> {
    in_second_cluster(fixture, "un", |second| async move {
        let other = Fixture::new(&second.world, "un", true);
        let environment = other.managed("ce", 1, "instanceTypes: [local.medium]").await?;
        let unmanaged = other.unmanaged("own").await?;
        let node = other.label_node(&unmanaged, "mine", "500m", "1Gi").await?;
        let queue = other.queue("jq", 1, &[&environment]).await?;
        let namespace = other.namespace("ns", Some(&queue)).await?;
        other.apply(&namespace, &job("runs", 1, "800m", "64Mi", "sleep 600")).await?;
        running(&other, &namespace, "runs").await?;
        other.apply(&namespace, &job("waits", 1, "800m", "64Mi", "true")).await?;
        other.waits_with(&namespace, "waits", "LIMIT:MAX_VCPUS").await?;
        let held = job("held", 1, "100m", "64Mi", "true")
            .replace("spec:\n  completions", "spec:\n  suspend: true\n  completions");
        other.apply(&namespace, &held).await?;
        other.waits_with(&namespace, "held", "HELD").await?;

        uninstall(&second).await?;
        nothing_left(&second, &node).await?;
        // What only Bulkhead had suspended is an ordinary Job again, and the ordinary node takes it; what its user held stays held.
        other.completed(&namespace, "waits").await?;
        let held = other.jobs(&namespace).get("held").await?;
        ensure!(held.spec.and_then(|spec| spec.suspend) == Some(true), "the user's hold is gone");
        Ok(())
    })
    .await
}

async fn running(fixture: &Fixture, namespace: &str, job: &str) -> Result<()> {
    eventually(&format!("Job {job} runs"), || async {
        let ready = fixture.jobs(namespace).get(job).await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(1) { Ok(()) } else { Err(format!("{ready:?} pods are ready")) })
    })
    .await
}

async fn uninstall(second: &Second) -> Result<()> {
    let binary = std::env::var("BULKHEAD_E2E_BINARY").unwrap_or_else(|_| "target/debug/bulkhead".to_owned());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(&binary)
        .current_dir(root)
        .args(["uninstall", "--yes", "--kubeconfig"])
        .arg(second.world.kubeconfig())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {binary}; build it with `cargo build -p bulkhead`"))?;
    ensure!(
        output.status.success(),
        "uninstall: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// No instance, finalizer, taint, webhook, custom resource or namespace is left.
async fn nothing_left(second: &Second, labelled: &str) -> Result<()> {
    let client = &second.world.client;
    let instances = second.world.instances().await?;
    ensure!(instances.is_empty(), "instances are left: {instances:?}");
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    for name in keys::WEBHOOK_CONFIGURATIONS {
        ensure!(webhooks.get_opt(name).await?.is_none(), "the webhook configuration {name} is left");
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let taints: BTreeMap<String, Vec<String>> = nodes
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .map(|node| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
            (node.name_any(), taints.into_iter().map(|taint| taint.key).collect())
        })
        .collect();
    ensure!(taints.contains_key(labelled), "the user's own node is gone: {taints:?}");
    ensure!(
        taints.values().flatten().all(|key| !key.contains("batch") && !key.contains("bulkhead")),
        "taints are left: {taints:?}"
    );
    for kind in ["crd", "clusterrole", "clusterrolebinding", "mutatingwebhookconfiguration"] {
        let found = second.world.kubectl(&["get", kind, "-o", "name"]).await?;
        ensure!(!found.contains("bulkhead"), "{kind} is left: {found}");
    }
    let labels = second.world.kubectl(&["get", "node", labelled, "-o", "jsonpath={.metadata.labels}"]).await?;
    ensure!(labels.contains(keys::CE_UUID), "the user's own label is gone: {labels}");
    eventually_for(Duration::from_mins(1), "the namespace is gone", || async {
        let args = ["get", "namespace", keys::NAMESPACE, "--ignore-not-found", "-o", "name"];
        let found = second.world.kubectl(&args).await?;
        Ok(if found.trim().is_empty() { Ok(()) } else { Err(found) })
    })
    .await
}
