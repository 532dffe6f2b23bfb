//! Nodes come as far as the limits go, the next environment takes over where one is full, and nodes go when nothing needs them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt as _};
use model::keys;
use serde_json::json;
use tests::{Fixture, MachineLog, eventually, job, job_with, ready, steadily};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a large Job gets several nodes, never above maxvCpus, and they go when it is done",
            short: "many",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(several_nodes(fixture)),
        },
        Scenario {
            name: "an environment at its limit falls over to the next",
            short: "next",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(limit_falls_over(fixture)),
        },
        Scenario {
            name: "a provider out of capacity makes way for its next offer, then for the next environment",
            short: "cap",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(capacity_falls_over(fixture)),
        },
        Scenario {
            name: "the queue of higher priority goes first when room frees",
            short: "prio",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(priority(fixture)),
        },
        Scenario {
            name: "minvCpus keeps a node that has nothing to do",
            short: "min",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(minimum(fixture)),
        },
        Scenario {
            name: "a node is tainted with the label of an UNMANAGED environment and untainted without it",
            short: "label",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(label(fixture)),
        },
    ]
}

async fn several_nodes(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.medium]").await?;
    let machines = MachineLog::of(&fixture.world, &environment);
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    // Labels that nodes get by themselves, or that come with the offer, are expected of the first one.
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let asks = format!(
        "nodeSelector: {{kubernetes.io/arch: {arch}, beta.kubernetes.io/os: linux, beta.kubernetes.io/instance-type: local.medium}}"
    );
    fixture.apply(&namespace, &job_with("many", 6, "450m", "64Mi", "sleep 4", &asks)).await?;
    let reason = fixture.waits_with(&namespace, "many", "LIMIT:MAX_VCPUS").await?;
    ensure!(reason.contains("2 of 2 vCPUs"), "reason: {reason}");
    fixture.completed(&namespace, "many").await?;
    let nodes: BTreeSet<String> = fixture.pods_of(&namespace, "many").await?.iter().map(node_of).collect();
    let launched: BTreeSet<String> = machines.offers().into_keys().collect();
    ensure!(nodes.len() == 2 && nodes == launched, "pods were on {nodes:?}, launched were {launched:?}");
    fixture.no_machines(&environment).await?;
    ensure!(machines.highest() == 2000, "its machines had {} thousandths of a vCPU together", machines.highest());
    Ok(())
}

async fn limit_falls_over(fixture: &Fixture) -> Result<()> {
    let first = fixture.managed("ce1", 1, "instanceTypes: [local.medium]").await?;
    let second = fixture.managed("ce2", 1, "instanceTypes: [local.medium]").await?;
    let logs = [MachineLog::of(&fixture.world, &first), MachineLog::of(&fixture.world, &second)];
    let queue = fixture.queue("jq", 1, &[&first, &second]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("full", 3, "900m", "64Mi", "sleep 4")).await?;
    let reason = fixture.waits_with(&namespace, "full", "LIMIT:MAX_VCPUS").await?;
    ensure!(reason.contains(&first) && reason.contains(&second), "reason: {reason}");
    fixture.completed(&namespace, "full").await?;
    let used: BTreeSet<String> = fixture.pods_of(&namespace, "full").await?.iter().map(environment_of).collect();
    ensure!(used == BTreeSet::from([first.clone(), second.clone()]), "environments used: {used:?}");
    fixture.no_machines(&first).await?;
    fixture.no_machines(&second).await?;
    let highest = logs.map(|log| log.highest());
    ensure!(highest == [1000, 1000], "their machines had {highest:?} thousandths of a vCPU");
    Ok(())
}

async fn capacity_falls_over(fixture: &Fixture) -> Result<()> {
    fixture.world.provider_faults(&json!({"insufficientCapacity": ["local.small"]})).await?;
    let small = "instanceTypes: [local.small]";
    let two_offers = fixture.managed("ce1", 2, "instanceTypes: [local.small, local.medium]").await?;
    let out = fixture.managed("ce2", 2, small).await?;
    let other = fixture.managed("ce3", 2, "instanceTypes: [local.medium]").await?;
    let alone = fixture.managed("ce4", 2, small).await?;
    let machines = MachineLog::of(&fixture.world, &two_offers);
    let mut namespaces = Vec::new();
    for (name, environments) in [("a", vec![&two_offers]), ("b", vec![&out, &other]), ("c", vec![&alone])] {
        let environments: Vec<&str> = environments.into_iter().map(String::as_str).collect();
        let queue = fixture.queue(&format!("jq-{name}"), 1, &environments).await?;
        let namespace = fixture.namespace(&format!("ns-{name}"), Some(&queue)).await?;
        fixture.apply(&namespace, &job("one", 1, "400m", "64Mi", "true")).await?;
        namespaces.push(namespace);
    }
    let reason = fixture.waits_with(&namespaces[2], "one", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY").await?;
    ensure!(reason.contains("no `local.small` is to be had now"), "reason: {reason}");

    fixture.completed(&namespaces[0], "one").await?;
    let node = node_of(&only_pod(fixture, &namespaces[0], "one").await?);
    let offers = machines.offers();
    ensure!(offers.get(&node).is_some_and(|offer| offer == "local.medium"), "it ran on {node}, launched: {offers:?}");
    fixture.completed(&namespaces[1], "one").await?;
    let used = environment_of(&only_pod(fixture, &namespaces[1], "one").await?);
    ensure!(used == other, "it ran in {used}, {out} was out of capacity");

    fixture.world.provider_faults(&json!({})).await?;
    fixture.completed(&namespaces[2], "one").await?;
    for environment in [&two_offers, &out, &other, &alone] {
        fixture.no_machines(environment).await?;
    }
    Ok(())
}

async fn priority(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 1, "instanceTypes: [local.medium]").await?;
    let low = fixture.queue("low", 1, &[&environment]).await?;
    let high = fixture.queue("high", 10, &[&environment]).await?;
    let low = fixture.namespace("low", Some(&low)).await?;
    let high = fixture.namespace("high", Some(&high)).await?;
    // It runs until both others wait.
    fixture.apply(&low, &job("first", 1, "900m", "64Mi", "until test -e /tmp/end; do sleep 0.2; done")).await?;
    eventually("the first Job runs", || async {
        let ready = fixture.jobs(&low).get("first").await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(1) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await?;
    fixture.apply(&low, &job("older", 1, "900m", "64Mi", "sleep 1")).await?;
    fixture.waits_with(&low, "older", "LIMIT:MAX_VCPUS").await?;
    fixture.apply(&high, &job("younger", 1, "900m", "64Mi", "sleep 1")).await?;
    fixture.waits_with(&high, "younger", "LIMIT:MAX_VCPUS").await?;
    fixture.end_with(&low, "job/first", "touch /tmp/end").await?;
    fixture.completed(&high, "younger").await?;
    fixture.completed(&low, "older").await?;
    let younger = started(&only_pod(fixture, &high, "younger").await?)?;
    let older = started(&only_pod(fixture, &low, "older").await?)?;
    ensure!(younger < older, "the pod of the higher queue started at {younger}, that of the lower one at {older}");
    Ok(())
}

async fn minimum(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "minvCpus: 1, instanceTypes: [local.medium]").await?;
    let machines = MachineLog::of(&fixture.world, &environment);
    let one = "one node is Ready though nothing needs it";
    eventually(one, || exactly_one(fixture, &environment)).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("two", 2, "900m", "64Mi", "true")).await?;
    fixture.completed(&namespace, "two").await?;
    eventually(one, || exactly_one(fixture, &environment)).await?;
    // Twice the time after which an idle node goes.
    steadily(Duration::from_secs(4), one, || exactly_one(fixture, &environment)).await?;
    ensure!(machines.highest() <= 2000, "its machines had {} thousandths of a vCPU together", machines.highest());
    Ok(())
}

/// Whether an environment has one machine, with a node that is Ready.
async fn exactly_one(fixture: &Fixture, environment: &str) -> Result<Result<(), String>> {
    let machines: Vec<String> = fixture.machines(environment).await?.iter().map(kube::ResourceExt::name_any).collect();
    let [machine] = machines.as_slice() else { return Ok(Err(format!("machines {machines:?}"))) };
    let node = fixture.nodes().get_opt(machine).await?;
    Ok(if node.as_ref().is_some_and(ready) { Ok(()) } else { Err(format!("{machine} is not Ready")) })
}

async fn label(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let node = fixture.label_node(&environment, "n", "500m", "512Mi").await?;
    let api: Api<Node> = fixture.nodes();
    let effects = |node: &Node| -> Vec<String> {
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        taints.filter(|taint| taint.key == keys::BATCH_TAINT).map(|taint| taint.effect.clone()).collect()
    };
    // A node that has nothing else on it is closed to pods that name it, too.
    eventually("the node has both effects", || async {
        let found = effects(&api.get(&node).await?);
        Ok(if found == ["NoSchedule", "NoExecute"] { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await?;
    let label = format!("{}-", keys::CE_UUID);
    fixture.world.kubectl(&["label", "node", &node, &label]).await?;
    eventually("the node is as it was", || async {
        let node = api.get(&node).await?;
        let (effects, marked) = (effects(&node), node.annotations().contains_key(keys::TAINTED));
        let clean = effects.is_empty() && !marked;
        Ok(if clean { Ok(()) } else { Err(format!("effects {effects:?}, our annotation there: {marked}")) })
    })
    .await
}

async fn only_pod(fixture: &Fixture, namespace: &str, job: &str) -> Result<Pod> {
    let pods = fixture.pods_of(namespace, job).await?;
    ensure!(pods.len() == 1, "{namespace}/{job} has {} pods", pods.len());
    pods.into_iter().next().context("there is one")
}

fn node_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

fn environment_of(pod: &Pod) -> String {
    pod.annotations().get(keys::COMPUTE_ENVIRONMENT).cloned().unwrap_or_default()
}

/// When a kubelet took a pod.
fn started(pod: &Pod) -> Result<Timestamp> {
    let status = pod.status.as_ref().context("a pod without status")?;
    Ok(status.start_time.as_ref().context("a pod that no kubelet has taken")?.0)
}
