//! Carries out one step of one machine.
//!
//! Invariant: every step may be repeated. A machine is taken down in the order machine, Node, `BatchNode`, so that what is left after a
//! crash still says what is to be done.

use std::time::Duration;

use api::BatchNode;
use api::convert::pod::{Origin, dispatched};
use api::crd::Phase;
use api::provider::{LaunchRequest, Taint};
use cluster::fault::{self, Point};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use model::snapshot::Setback;
use planning::machine::{Step, back_off, is_gone};
use serde_json::json;

use crate::marks;
use crate::phases::{ending, enter};
use crate::provider::{Provider, Termination};
use crate::shared::{ActError, Done, Shared};

/// Between two looks at a machine that is going away.
const GOING: Duration = Duration::from_millis(500);
/// Between two looks at a node whose foreign pods are being evicted; refusals by a `PodDisruptionBudget` are asked again as often.
const EVICTING: Duration = Duration::from_secs(2);
/// A machine's number of units is not written before it has been in its phase for so long.
const UNITS_AFTER: Duration = Duration::from_secs(1);
/// Between two looks at a machine that its provider does not know, and whose node is Ready.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// What is said of such a machine.
const UNKNOWN: &str = "its provider does not know the machine, but its node is Ready: it may still run, and cost; this goes on when the \
    provider knows it again or the node is not Ready any more";

/// Carries out a step.
pub(crate) async fn act(shared: &Shared, machine: &BatchNode, step: Step) -> Result<Done, ActError> {
    shared.tenure.check()?;
    match step {
        Step::Launch => launch(shared, machine).await,
        Step::Mark => mark(shared, machine).await,
        Step::Serve => {
            fault::reach(Point::NodeReady);
            shared.metrics.ready.inc();
            enter(shared, machine, Phase::Ready, None, None).await?;
            shared.index.clear_setbacks(&machine.spec.compute_environment);
            tracing::info!(machine = machine.name_any(), "ready");
            Ok(Done::Done)
        }
        Step::Retire => {
            enter(shared, machine, Phase::Retiring, Some("its BatchNode was deleted"), None).await?;
            Ok(Done::Done)
        }
        Step::Taint => taint(shared, machine).await,
        Step::Drain => drain(shared, machine).await,
        Step::GiveUp(why) => {
            if machine.phase() != Phase::Retiring {
                shared.metrics.given_up.inc();
                tracing::warn!(machine = machine.name_any(), why, "given up");
            }
            // One after the other would be launched in vain otherwise, as fast as they are lost.
            if matches!(machine.phase(), Phase::Pending | Phase::Launching)
                && machine.metadata.deletion_timestamp.is_none()
            {
                let message = format!("a machine ({}) was given up: {why}", machine.spec.offer);
                set_back(shared, &machine.spec.compute_environment, None, message, false);
            }
            enter(shared, machine, Phase::Terminating, Some(why), None).await?;
            Ok(Done::Done)
        }
        Step::Terminate => terminate(shared, machine).await,
        Step::Wait => count_units(shared, machine).await,
    }
}

async fn launch(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let spec = &machine.spec;
    let taints = marks::MANAGED.map(|effect| Taint {
        key: keys::BATCH_TAINT.to_owned(),
        value: keys::BATCH_TAINT_VALUE.to_owned(),
        effect: effect.to_owned(),
    });
    let mut labels = spec.labels.clone();
    labels.insert(keys::CE_UUID.to_owned(), spec.compute_environment_uuid.clone());
    let request = LaunchRequest {
        offer: spec.offer.clone(),
        labels,
        taints: taints.to_vec(),
        compute_environment: spec.compute_environment_name.clone(),
    };
    let provider = Provider::new(&spec.provider, &shared.http)?;
    match provider.launch(&machine.name_any(), &request).await {
        Ok(instance) => {
            shared.metrics.launched.inc();
            fault::reach(Point::Launched);
            enter(shared, machine, Phase::Launching, None, Some(&instance.id)).await?;
            fault::reach(Point::LaunchStored);
        }
        // Whether a machine was made is not known: taking it down finds out. The plan looks elsewhere meanwhile.
        Err(error) => {
            shared.metrics.launch_failures.inc();
            let text = cluster::telemetry::chain(&error);
            tracing::warn!(machine = machine.name_any(), offer = spec.offer, error = text, "the launch failed");
            let offer = (error.is_capacity() || error.is_final()).then(|| machine.spec.offer.clone());
            set_back(shared, &machine.spec.compute_environment, offer, text.clone(), error.is_capacity());
            enter(shared, machine, Phase::Terminating, Some(&text), None).await?;
        }
    }
    Ok(Done::Done)
}

/// Remembers not to launch the same again for a while; `offer` is `None`: not to launch anything in its environment.
pub(crate) fn set_back(shared: &Shared, environment: &str, offer: Option<String>, message: String, capacity: bool) {
    let failures = shared.index.setback_count(environment, offer.as_deref()) + 1;
    let now = cluster::clock::now();
    let until = now.wall.checked_add(back_off(failures)).unwrap_or(now.wall);
    shared.index.add_setback(environment, Setback { offer, until, message, capacity }, now);
}

async fn mark(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = api.get_opt(&machine.name_any()).await? else { return Ok(Done::Again(GOING)) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "labels": {keys::CE_UUID: machine.spec.compute_environment_uuid},
        },
        "spec": {"taints": marks::with_batch(&taints, &marks::MANAGED)},
    });
    api.patch(&machine.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(Done::Again(GOING))
}

async fn taint(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = api.get_opt(&machine.name_any()).await? else { return Ok(Done::Again(GOING)) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": marks::with_retiring(&taints)},
    });
    api.patch(&machine.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    // The watch shows the taint within moments.
    Ok(Done::Again(Duration::from_millis(100)))
}

/// Looks at the node's pods once more, past all caches; evicts what is foreign.
async fn drain(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let api: Api<Pod> = Api::all(shared.clients.once.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={}", machine.name_any()));
    let pods = api.list(&here).await?.items;
    let alive: Vec<&Pod> = pods.iter().filter(|pod| !has_ended(pod)).collect();
    let uid = shared.index.node(&machine.name_any()).map(|node| node.node.uid);
    let is_unit = |pod: &&Pod| dispatched(pod).is_some_and(|to| uid.as_ref().is_none_or(|uid| *uid == to));
    if alive.iter().any(is_unit) {
        return Ok(Done::Again(EVICTING));
    }
    let foreign: Vec<&Pod> = alive.into_iter().filter(|pod| !stays(pod)).collect();
    if foreign.is_empty() {
        fault::reach(Point::Drained);
        let why = machine.status.as_ref().and_then(|status| status.message.clone());
        enter(shared, machine, Phase::Terminating, why.as_deref(), None).await?;
        return Ok(Done::Done);
    }
    for pod in foreign {
        let api: Api<Pod> = Api::namespaced(shared.clients.once.clone(), &pod.namespace().unwrap_or_default());
        let evicted = api.evict(&pod.name_any(), &EvictParams::default()).await;
        // 429: a PodDisruptionBudget says not now. 404: gone already.
        if let Err(error) = evicted {
            tracing::info!(pod = pod.name_any(), error = cluster::telemetry::chain(&error), "not evicted yet");
        }
    }
    Ok(Done::Again(EVICTING))
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Pods that end with their node: those of DaemonSets, and static ones.
fn stays(pod: &Pod) -> bool {
    pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet")
        || pod.annotations().contains_key("kubernetes.io/config.mirror")
}

async fn terminate(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let name = machine.name_any();
    let provider = Provider::new(&machine.spec.provider, &shared.http)?;
    let acknowledged = machine.status.as_ref().and_then(|status| status.ending) == Some(true);
    if provider.terminate(&name).await? == Termination::GoingAway {
        if !acknowledged {
            ending(shared, machine).await?;
        }
        return Ok(Done::Again(GOING));
    }
    let node_is_ready = shared.index.node(&name).is_some_and(|node| node.unready_since.is_none());
    if !is_gone(acknowledged, node_is_ready) {
        let said = machine.status.as_ref().and_then(|status| status.message.as_deref());
        if said != Some(UNKNOWN) {
            tracing::warn!(machine = name, "{UNKNOWN}");
            enter(shared, machine, Phase::Terminating, Some(UNKNOWN), None).await?;
        }
        return Ok(Done::Again(FORGOTTEN));
    }
    fault::reach(Point::Terminated);
    let nodes: Api<Node> = Api::all(shared.clients.once.clone());
    ignore_missing(nodes.delete(&name, &DeleteParams::default()).await)?;
    fault::reach(Point::NodeDeleted);
    let machines: Api<BatchNode> = Api::all(shared.clients.once.clone());
    if machine.metadata.deletion_timestamp.is_none() {
        ignore_missing(machines.delete(&name, &DeleteParams::default()).await)?;
    }
    let finalizers: Vec<&String> = machine.finalizers().iter().filter(|one| *one != keys::MACHINE_FINALIZER).collect();
    let patch = json!({"metadata": {"uid": machine.metadata.uid, "finalizers": finalizers}});
    ignore_missing(machines.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
    shared.index.remove_batch_node(&name);
    shared.metrics.terminated.inc();
    tracing::info!(machine = name, "gone");
    Ok(Done::Done)
}

fn ignore_missing<T>(result: kube::Result<T>) -> Result<(), ActError> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the stored number of units is wrong, and the machine has been in its phase, for `age`, long enough to write it.
pub(crate) fn units_changed(shared: &Shared, machine: &BatchNode, age: Duration) -> bool {
    let stored = machine.status.as_ref().and_then(|status| status.units).unwrap_or(0);
    machine.phase() != Phase::Pending && age > UNITS_AFTER && stored != units(shared, machine)
}

fn units(shared: &Shared, machine: &BatchNode) -> u32 {
    let pods = shared.index.pods_of_node(&machine.name_any());
    u32::try_from(pods.iter().filter(|pod| pod.origin == Origin::Unit).count()).unwrap_or(u32::MAX)
}

async fn count_units(shared: &Shared, machine: &BatchNode) -> Result<Done, ActError> {
    let patch = json!({"metadata": {"uid": machine.metadata.uid}, "status": {"units": units(shared, machine)}});
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let stored = api.patch_status(&machine.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    shared.index.apply_batch_node(stored);
    Ok(Done::Again(Duration::from_secs(1)))
}
