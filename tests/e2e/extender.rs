//! Pods that the planner does not judge: they go through the second kube-scheduler, and nowhere without the extender.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually, job, job_with, steadily};

use crate::{Company, Scenario};

const SCHEDULER: &str = "deployment/bulkhead-scheduler";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "pods that keep apart go through the second scheduler to different nodes that a user labelled",
            short: "antiu",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(unmanaged(fixture)),
        },
        Scenario {
            name: "pods that keep apart get machines of their own",
            short: "antim",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(managed(fixture)),
        },
        Scenario {
            name: "without the extender nothing is bound, and it goes on when the extender is back",
            short: "noext",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(no_extender(fixture)),
        },
        Scenario {
            name: "a retiring node gets nothing",
            short: "retir",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(retiring(fixture)),
        },
    ]
}

/// A Job whose pods must be on different nodes.
fn apart(name: &str, count: u32, script: &str) -> String {
    let affinity = format!(
        "affinity:\n  podAntiAffinity:\n    requiredDuringSchedulingIgnoredDuringExecution:\n    \
         - topologyKey: kubernetes.io/hostname\n      labelSelector: {{matchLabels: {{{}: {name}}}}}\n",
        keys::K8S_JOB_NAME
    );
    job_with(name, count, "50m", "16Mi", script, &affinity)
}

async fn unmanaged(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let nodes = ["a", "b", "c"].map(|what| fixture.label_node(&environment, what, "1", "1Gi"));
    let nodes: BTreeSet<String> = futures::future::try_join_all(nodes).await?.into_iter().collect();
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &apart("apart", 3, "true")).await?;
    fixture.completed(&namespace, "apart").await?;
    let used = went_through_scheduler(fixture, &namespace, "apart").await?;
    ensure!(used == nodes, "labelled are {nodes:?}, used were {used:?}");
    Ok(())
}

async fn managed(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small], scaleDownDelay: 5s").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    // All run at the same time, or the second could follow the first on its node.
    fixture.apply(&namespace, &apart("apart", 3, "exec sleep 600")).await?;
    let jobs = fixture.jobs(&namespace);
    eventually("all three run", || async {
        let job = jobs.get("apart").await?;
        let running = job.status.as_ref().and_then(|status| status.ready);
        let status = job.annotations().get(keys::STATUS);
        Ok(if running == Some(3) { Ok(()) } else { Err(format!("{running:?} ready, {status:?}")) })
    })
    .await?;
    let used = went_through_scheduler(fixture, &namespace, "apart").await?;
    ensure!(used.len() == 3, "used were {used:?}");
    let machines: BTreeSet<String> =
        fixture.machines(&environment).await?.iter().map(kube::ResourceExt::name_any).collect();
    ensure!(machines == used, "three pods need three machines: used {used:?}, there are {machines:?}");
    fixture.world.kubectl(&["delete", "job", "-n", &namespace, "apart"]).await?;
    fixture.no_machines(&environment).await
}

/// Checks that all pods of a Job were bound by the extender, with the contract on them; the nodes they are on.
async fn went_through_scheduler(fixture: &Fixture, namespace: &str, job: &str) -> Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for pod in fixture.pods_of(namespace, job).await? {
        let spec = pod.spec.as_ref().context("a pod without spec")?;
        let scheduler = spec.scheduler_name.as_deref();
        ensure!(scheduler == Some(keys::SCHEDULER_EXTENDED), "schedulerName {scheduler:?}");
        let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
        ensure!(gates.is_empty(), "gates {gates:?}");
        let name = node_of(&pod).context("a pod without node")?;
        let node = fixture.nodes().get(&name).await?;
        for labels in [pod.labels(), pod.annotations()] {
            ensure!(labels.get(keys::NODE_UID) == node.metadata.uid.as_ref(), "{labels:?}");
        }
        ensure!(pod.labels().get(keys::CE_UUID) == node.labels().get(keys::CE_UUID), "{:?}", pod.labels());
        ensure!(used.insert(name.clone()), "two pods that keep apart are on {name}");
    }
    Ok(used)
}

/// kube-scheduler runs, but its extender listens elsewhere.
async fn no_extender(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let usual = extender_arguments(fixture).await?;
    let elsewhere: Vec<String> = usual.iter().map(|argument| argument.replace(":8888", ":8889")).collect();
    ensure!(usual != elsewhere, "the extender's address is not among {usual:?}");
    let back = patch(&usual);
    fixture.on_clean(&["patch", "-n", keys::NAMESPACE, SCHEDULER, "--patch-file=/dev/stdin"], &back);
    fixture.on_clean(&["rollout", "status", "-n", keys::NAMESPACE, SCHEDULER, "--timeout=120s"], "");
    roll_out(fixture, &elsewhere).await?;

    fixture.apply(&namespace, &apart("apart", 1, "true")).await?;
    eventually("kube-scheduler has tried and found no extender", || async {
        let pods = fixture.pods_of(&namespace, "apart").await?;
        let mut notes = Vec::new();
        for pod in &pods {
            notes.extend(fixture.events(&namespace, &pod.name_any()).await?);
        }
        let tried = notes.iter().any(|note| note.contains("8888"));
        Ok(if tried { Ok(()) } else { Err(format!("{} pods, events {notes:?}", pods.len())) })
    })
    .await?;
    // What the planner judges itself does not need it.
    fixture.apply(&namespace, &job("plain", 1, "50m", "16Mi", "true")).await?;
    fixture.completed(&namespace, "plain").await?;
    steadily(Duration::from_secs(10), "nothing is bound without the extender", || async {
        let pods = fixture.pods_of(&namespace, "apart").await?;
        let bound: Vec<_> = pods.iter().filter_map(node_of).collect();
        Ok(if bound.is_empty() { Ok(()) } else { Err(format!("bound to {bound:?}")) })
    })
    .await?;

    roll_out(fixture, &usual).await?;
    fixture.completed(&namespace, "apart").await?;
    went_through_scheduler(fixture, &namespace, "apart").await.map(drop)
}

async fn extender_arguments(fixture: &Fixture) -> Result<Vec<String>> {
    let text = fixture.world.kubectl(&["get", "-n", keys::NAMESPACE, SCHEDULER, "-o", "json"]).await?;
    let deployment: Value = serde_json::from_str(&text)?;
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().context("no containers")?;
    let extender = containers.iter().find(|container| container["name"] == "extender").context("no extender")?;
    Ok(serde_json::from_value(extender["args"].clone())?)
}

fn patch(arguments: &[String]) -> String {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "extender", "args": arguments}]}}}}).to_string()
}

/// Gives the extender other arguments and waits until no pod with the former ones is left.
async fn roll_out(fixture: &Fixture, arguments: &[String]) -> Result<()> {
    let body = patch(arguments);
    fixture.world.kubectl(&["patch", "-n", keys::NAMESPACE, SCHEDULER, "-p", &body]).await?;
    let args = ["rollout", "status", "-n", keys::NAMESPACE, SCHEDULER, "--timeout=120s"];
    fixture.world.kubectl(&args).await?;
    let schedulers = ListParams::default().labels("app.kubernetes.io/component=scheduler");
    let pods = fixture.pods(keys::NAMESPACE);
    eventually("the former schedulers are gone", || async {
        let all = pods.list(&schedulers).await?.items;
        let is_former = |pod: &&Pod| {
            let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            !containers.any(|container| container.args.as_deref() == Some(arguments))
        };
        let former: Vec<String> = all.iter().filter(is_former).map(Pod::name_any).collect();
        Ok(if former.is_empty() { Ok(()) } else { Err(format!("{former:?}")) })
    })
    .await
}

async fn retiring(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let nodes = ["a", "b"].map(|what| fixture.label_node(&environment, what, "1", "1Gi"));
    let [remaining, retiring] = &futures::future::try_join_all(nodes).await?[..] else {
        unreachable!("two were asked for")
    };
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let taint = format!("{}=:NoSchedule", keys::RETIRING_TAINT);
    fixture.world.kubectl(&["taint", "node", retiring, &taint]).await?;

    fixture.apply(&namespace, &job("plain", 3, "100m", "16Mi", "true")).await?;
    // Two that keep apart need both nodes.
    fixture.apply(&namespace, &apart("apart", 2, "exec sleep 600")).await?;
    fixture.completed(&namespace, "plain").await?;
    let on_both = || async {
        let pods = fixture.pods_of(&namespace, "apart").await?;
        Ok::<_, anyhow::Error>(pods.iter().filter_map(node_of).collect::<BTreeSet<String>>())
    };
    let first = BTreeSet::from([remaining.clone()]);
    eventually("the first of two is on the remaining node", || async {
        let nodes = on_both().await?;
        Ok(if nodes == first { Ok(()) } else { Err(format!("{nodes:?}")) })
    })
    .await?;
    steadily(Duration::from_secs(5), "nothing is on the retiring node", || async {
        let all = fixture.pods(&namespace).list(&ListParams::default()).await?.items;
        let strays: Vec<String> =
            all.iter().filter(|pod| node_of(pod).as_ref() == Some(retiring)).map(Pod::name_any).collect();
        Ok(if strays.is_empty() { Ok(()) } else { Err(format!("{strays:?}")) })
    })
    .await?;
    fixture.world.kubectl(&["taint", "node", retiring, &format!("{}-", keys::RETIRING_TAINT)]).await?;
    eventually("the second goes to the node that does not retire any more", || async {
        let nodes = on_both().await?;
        Ok(if nodes.len() == 2 { Ok(()) } else { Err(format!("{nodes:?}")) })
    })
    .await
}

fn node_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}
