//! Certificates that rotate under load: nobody who creates pods meanwhile notices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use serde_json::json;
use tests::{Fixture, eventually, eventually_for};

use crate::{Company, Scenario, hooks};

const CLIENTS: usize = 10;
/// Each client creates at least so many pods, and goes on until everything has rotated.
const EACH: usize = 300;
/// New certificate authorities, and new leaves, that are waited for.
const ROTATIONS: usize = 2;
const CONTROLLER: &str = "statefulset/bulkhead-controller";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "certificate authorities and leaf rotate twice under 3,000 creations, a replica restarts, and no request fails",
        short: "rot",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(rotation(fixture)),
    }]
}

async fn rotation(fixture: &Fixture) -> Result<()> {
    let namespace = fixture.namespace("ns", Some(&fixture.named("nowhere"))).await?;
    short_lives(fixture).await?;
    hooks::in_force(fixture, &namespace, true).await?;
    let done = Arc::new(AtomicBool::new(false));
    // Its requests are not repeated: a failure is seen.
    let client = cluster::client::connect(Some(fixture.world.kubeconfig())).await?.once;
    let clients = (0..CLIENTS).map(|number| {
        let (pods, done) = (Api::<Pod>::namespaced(client.clone(), &namespace), Arc::clone(&done));
        async move { create(&pods, number, &done).await }
    });
    let rotated = async {
        let seen = watch_rotations(fixture).await;
        done.store(true, Ordering::Relaxed);
        seen
    };
    let (created, rotated) = tokio::join!(try_join_all(clients), rotated);
    rotated?;
    let created: usize = created?.into_iter().sum();
    ensure!(created >= CLIENTS * EACH, "only {created} pods were created");
    println!("{created} pods were created, all of them mutated");
    long_lives(fixture).await?;
    hooks::in_force(fixture, &namespace, true).await
}

/// Creates pods one after the other until told to end; returns how many. The first that fails or is not mutated is an error.
async fn create(pods: &Api<Pod>, number: usize, done: &AtomicBool) -> Result<usize> {
    let mut count = 0;
    while count < EACH || !done.load(Ordering::Relaxed) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": format!("p-{number}-{count}"), "labels": {keys::QUEUE: "nowhere"}},
            "spec": {"containers": [{"name": "main", "image": "docker.io/library/busybox"}]},
        }))?;
        let stored = pods.create(&PostParams::default(), &pod).await;
        let stored = stored.with_context(|| format!("creation {count} of client {number}"))?;
        if !stored.labels().contains_key(keys::JOB_ID) {
            bail!("pod {} was not mutated", stored.name_any());
        }
        count += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(count)
}

/// Waits until authorities and leaf have been replaced often enough; restarts a replica in between.
async fn watch_rotations(fixture: &Fixture) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(fixture.world.client.clone(), keys::NAMESPACE);
    let seen = std::sync::Mutex::new((BTreeSet::new(), BTreeSet::new()));
    let restarted = AtomicBool::new(false);
    let look = || async {
        let data = secrets.get("bulkhead-certs").await?.data.context("a Secret without data")?;
        let part = |key: &str| data.get(key).map(|value| value.0.clone()).unwrap_or_default();
        let counts = {
            let mut seen = seen.lock().expect("nothing panics while it holds this lock");
            seen.0.extend(["ca-1.crt", "ca-2.crt"].map(part));
            seen.1.insert(part("tls.crt"));
            // The two authorities and the leaf of the beginning do not count.
            (seen.0.len() - 2, seen.1.len() - 1)
        };
        if counts.1 >= 1 && !restarted.swap(true, Ordering::Relaxed) {
            restart_replica(fixture).await?;
        }
        let enough = counts.0 >= ROTATIONS && counts.1 >= ROTATIONS;
        Ok(if enough { Ok(()) } else { Err(format!("{} new authorities, {} new leaves", counts.0, counts.1)) })
    };
    eventually_for(Duration::from_mins(5), "authorities and leaf have rotated", look).await?;
    ensure!(restarted.load(Ordering::Relaxed), "no replica was restarted");
    Ok(())
}

async fn restart_replica(fixture: &Fixture) -> Result<()> {
    let pods = fixture.pods(keys::NAMESPACE);
    let webhook = ListParams::default().labels("app.kubernetes.io/component=webhook");
    let one = pods.list(&webhook).await?.items.first().context("no webhook")?.name_any();
    pods.delete(&one, &DeleteParams::default()).await?;
    Ok(())
}

/// Lets certificates live for a minute: everything that takes months happens while the test looks.
async fn short_lives(fixture: &Fixture) -> Result<()> {
    let path = "/spec/template/spec/containers/0/args";
    let args = fixture
        .world
        .kubectl(&["get", "-n", keys::NAMESPACE, CONTROLLER, "-o", "jsonpath={.spec.template.spec.containers[0].args}"])
        .await?;
    let mut args: Vec<String> = serde_json::from_str(&args)?;
    let back = json!([{"op": "replace", "path": path, "value": args}]).to_string();
    fixture.on_clean(&["patch", "-n", keys::NAMESPACE, CONTROLLER, "--type=json", "-p", &back], "");
    fixture.on_clean(&["rollout", "status", "-n", keys::NAMESPACE, CONTROLLER, "--timeout=120s"], "");
    args.extend(["--ca-life=72s", "--leaf-life=36s", "--certs-settle=6s"].map(ToOwned::to_owned));
    patch_args(fixture, path, &args).await?;
    issued_anew(fixture).await
}

/// As it was.
async fn long_lives(fixture: &Fixture) -> Result<()> {
    let path = "/spec/template/spec/containers/0/args";
    let args = fixture
        .world
        .kubectl(&["get", "-n", keys::NAMESPACE, CONTROLLER, "-o", "jsonpath={.spec.template.spec.containers[0].args}"])
        .await?;
    let mut args: Vec<String> = serde_json::from_str(&args)?;
    args.truncate(args.len() - 3);
    patch_args(fixture, path, &args).await?;
    issued_anew(fixture).await
}

async fn patch_args(fixture: &Fixture, path: &str, args: &[String]) -> Result<()> {
    let change = json!([{"op": "replace", "path": path, "value": args}]).to_string();
    fixture.world.kubectl(&["patch", "-n", keys::NAMESPACE, CONTROLLER, "--type=json", "-p", &change]).await?;
    let args = ["rollout", "status", "-n", keys::NAMESPACE, CONTROLLER, "--timeout=120s"];
    fixture.world.kubectl(&args).await.map(drop)
}

/// Everything is issued with the lives in force; waits until the new leaf is served.
async fn issued_anew(fixture: &Fixture) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(fixture.world.client.clone(), keys::NAMESPACE);
    let leaf = |secret: &Secret| secret.data.as_ref().and_then(|data| data.get("tls.crt")).map(|value| value.0.clone());
    let before = leaf(&secrets.get("bulkhead-certs").await?);
    secrets.delete("bulkhead-certs", &DeleteParams::default()).await?;
    let issued = eventually("certificates are issued anew", || async {
        let now = secrets.get_opt("bulkhead-certs").await?.as_ref().and_then(leaf);
        Ok(now.filter(|now| Some(now) != before.as_ref()).ok_or_else(|| "not yet".to_owned()))
    })
    .await?;
    crate::certificates::serve(fixture, &String::from_utf8(issued)?).await
}
