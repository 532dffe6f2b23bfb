//! Carries out one step of one machine.
//!
//! Invariant: every step may be repeated.

use std::time::Duration;

use api::BatchNode;
use api::convert::pod::dispatched;
use api::crd::Phase;
use api::provider::{LaunchRequest, Taint};
use cluster::fault::{self, Point};
use cluster::gone;
use futures::{FutureExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::clock::Moment;
use model::keys;
use model::snapshot::{ObjectKey, Setback};
use planning::machine::drain::{Kind, Life, Next, Occupant};
use planning::machine::setback::{self, Reach};
use planning::machine::{Facts, Step};
use serde_json::json;

use crate::phases::enter;
use crate::provider::Provider;
use crate::shared::{ActError, Progress, Shared, answered};
use crate::terminate::terminate;
use crate::{facts, marks, pages};

/// Between two looks at a machine whose node is not there yet.
const GOING: Duration = Duration::from_millis(500);
/// Between two looks at a node whose foreign pods are being evicted; a `PodDisruptionBudget` is asked again as often.
const EVICTING: Duration = Duration::from_secs(2);
/// Evictions under way at the same time.
const TOGETHER: usize = 16;
/// A machine's number of units is not written before it has been in its phase for so long.
const UNITS_AFTER: Duration = Duration::from_secs(1);

/// Carries out a step.
pub(crate) async fn act(shared: &Shared, machine: &BatchNode, facts: &Facts, step: Step) -> Result<Progress, ActError> {
    shared.tenure.check()?;
    match step {
        Step::Launch => launch(shared, machine, facts).await,
        Step::Mark => mark(shared, machine).await,
        Step::Serve => {
            fault::reach(Point::NodeReady);
            shared.metrics.ready.inc();
            enter(shared, machine, Phase::Ready, None, None).await?;
            shared.index.clear_setbacks(&machine.spec.compute_environment);
            shared.index.deliver(&machine.spec.provider);
            tracing::info!(machine = machine.name_any(), "ready");
            Ok(Progress::Done)
        }
        Step::Retire => {
            enter(shared, machine, Phase::Retiring, Some("its BatchNode was deleted"), None).await?;
            Ok(Progress::Done)
        }
        Step::Taint => taint(shared, machine).await,
        Step::Drain => drain(shared, machine).await,
        Step::GiveUp(why) => {
            if machine.phase() != Phase::Retiring {
                shared.metrics.given_up.inc();
                tracing::warn!(machine = machine.name_any(), why, "given up");
            }
            if let Some(reach) = setback::of_loss(facts::phase(machine), machine.metadata.deletion_timestamp.is_some())
            {
                let message = format!("a machine ({}) was given up: {why}", machine.spec.offer);
                let failure = Failure { offer: offer(machine, reach), message, capacity: false };
                shared.index.distrust(&machine.spec.provider);
                set_back(shared, &machine.spec.compute_environment, begun(facts), failure);
            }
            enter(shared, machine, Phase::Terminating, Some(why), None).await?;
            Ok(Progress::Done)
        }
        Step::Terminate => terminate(shared, machine, facts).await,
        Step::Wait => count_units(shared, machine).await,
    }
}

async fn launch(shared: &Shared, machine: &BatchNode, facts: &Facts) -> Result<Progress, ActError> {
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
    let launched = match Provider::new(&spec.provider, &shared.http) {
        Ok(provider) => provider.launch(&machine.name_any(), &request, &shared.tenure).await,
        Err(error) => Err(error),
    };
    match launched {
        Ok(instance) => {
            shared.metrics.launched.inc();
            fault::reach(Point::Launched);
            enter(shared, machine, Phase::Launching, None, Some(&instance.id)).await?;
            fault::reach(Point::LaunchStored);
        }
        // Whether a machine was made is mostly not known: taking it down finds out. The plan looks elsewhere meanwhile.
        Err(error) => {
            shared.metrics.launch_failures.inc();
            let text = cluster::telemetry::chain(&error);
            tracing::warn!(machine = machine.name_any(), offer = spec.offer, error = text, "the launch failed");
            let offer = offer(machine, setback::of_launch(error.is_capacity(), error.is_final()));
            let failure = Failure { offer, message: text.clone(), capacity: error.is_capacity() };
            if !failure.capacity {
                shared.index.distrust(&machine.spec.provider);
            }
            set_back(shared, &machine.spec.compute_environment, begun(facts), failure);
            let mut machine = machine.clone();
            if error.is_certain() {
                machine.status.get_or_insert_default().ending = Some(true);
            }
            enter(shared, &machine, Phase::Terminating, Some(&text), None).await?;
        }
    }
    Ok(Progress::Done)
}

/// A launch that failed.
pub(crate) struct Failure {
    /// Which is not to be launched for a while; `None`: nothing is, in its environment.
    pub(crate) offer: Option<String>,
    /// Why it failed.
    pub(crate) message: String,
    /// Only its provider's capacity was missing.
    pub(crate) capacity: bool,
}

/// The offer that a failure reaches; `None`: all of its environment.
fn offer(machine: &BatchNode, reach: Reach) -> Option<String> {
    (reach == Reach::Offer).then(|| machine.spec.offer.clone())
}

/// When a machine's launch began.
fn begun(facts: &Facts) -> Moment {
    cluster::clock::moment().before(facts.known)
}

/// Remembers not to launch the same again for a while. What began before an earlier such while was over failed together with what caused it.
pub(crate) fn set_back(shared: &Shared, environment: &str, begun: Moment, failure: Failure) {
    let Failure { offer, message, capacity } = failure;
    let failures = shared.index.setback_count(environment, offer.as_deref(), begun);
    let now = cluster::clock::now();
    let until = now.wall.checked_add(setback::back_off(failures)).unwrap_or(now.wall);
    shared.index.add_setback(environment, Setback { offer, until, message, capacity }, failures, now);
}

async fn mark(shared: &Shared, machine: &BatchNode) -> Result<Progress, ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = answered(api.get_opt(&machine.name_any())).await? else { return Ok(Progress::Again(GOING)) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "labels": {keys::CE_UUID: machine.spec.compute_environment_uuid},
        },
        "spec": {"taints": marks::with_batch(&taints, &marks::MANAGED)},
    });
    answered(api.patch(&machine.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await?;
    Ok(Progress::Again(GOING))
}

async fn taint(shared: &Shared, machine: &BatchNode) -> Result<Progress, ActError> {
    let api: Api<Node> = Api::all(shared.clients.once.clone());
    let Some(node) = answered(api.get_opt(&machine.name_any())).await? else { return Ok(Progress::Again(GOING)) };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": marks::with_retiring(&taints)},
    });
    answered(api.patch(&machine.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await?;
    // The watch shows the taint within moments.
    Ok(Progress::Again(Duration::from_millis(100)))
}

/// Looks at the node's pods once more, past all caches; evicts what is foreign.
async fn drain(shared: &Shared, machine: &BatchNode) -> Result<Progress, ActError> {
    let api: Api<Pod> = Api::all(shared.clients.once.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={}", machine.name_any()));
    let uid = shared.index.node(&machine.name_any()).map(|node| node.node.uid);
    let of_pod = |pod: &Pod| {
        let key = ObjectKey::new(&pod.namespace().unwrap_or_default(), &pod.name_any());
        Some((occupant(pod, uid.as_deref()), (key, pod.metadata.uid.clone())))
    };
    let (occupants, pods): (Vec<Occupant>, Vec<_>) = pages::collect(&api, here, of_pod).await?.into_iter().unzip();
    let evicted = match shared.drain(&machine.name_any(), &occupants) {
        Next::Wait => return Ok(Progress::Again(EVICTING)),
        Next::Evict(places) => places,
        Next::Empty => {
            fault::reach(Point::Drained);
            let why = machine.status.as_ref().and_then(|status| status.message.clone());
            enter(shared, machine, Phase::Terminating, why.as_deref(), None).await?;
            return Ok(Progress::Done);
        }
    };
    let evictions: Vec<_> =
        evicted.into_iter().map(|place| evict(shared, &pods[place].0, pods[place].1.as_deref()).boxed()).collect();
    let ends: Vec<Result<Option<String>, ActError>> = stream::iter(evictions).buffered(TOGETHER).collect().await;
    // What is refused matters more than what only takes its time.
    let waits: Vec<Option<String>> = ends.into_iter().collect::<Result<_, _>>()?;
    Ok(match waits.into_iter().flatten().next() {
        Some(why) => Progress::Waiting(EVICTING, why),
        None => Progress::Again(EVICTING),
    })
}

/// Asks for the eviction of a pod. A `PodDisruptionBudget` may say not now: then its words.
async fn evict(shared: &Shared, pod: &ObjectKey, uid: Option<&str>) -> Result<Option<String>, ActError> {
    let ObjectKey { namespace, name } = pod;
    let api: Api<Pod> = Api::namespaced(shared.clients.once.clone(), namespace);
    let params = EvictParams::default();
    let evict = async || gone::unless_gone(&api, name, uid, api.evict(name, &params).await).await;
    match answered(evict()).await {
        Ok(_) => Ok(None),
        Err(ActError::Kube(kube::Error::Api(answer))) if answer.code == 429 => {
            Ok(Some(format!("pod {namespace}/{name} is not evicted yet: {}", answer.message)))
        }
        Err(error) => Err(ActError::Evict { pod: format!("{namespace}/{name}"), source: Box::new(error) }),
    }
}

/// What counts of a pod for a node of this UID.
fn occupant(pod: &Pod, node: Option<&str>) -> Occupant {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_unit = dispatched(pod).is_some_and(|to| node.is_none_or(|uid| uid == to));
    Occupant {
        uid: pod.uid().unwrap_or_default(),
        kind: match pod {
            _ if is_unit => Kind::Unit,
            pod if ends_with_its_node(pod) => Kind::OfNode,
            _ => Kind::Foreign,
        },
        life: match phase {
            Some("Succeeded" | "Failed") => Life::Ended,
            _ if pod.metadata.deletion_timestamp.is_some() => Life::Going,
            _ => Life::There,
        },
    }
}

/// Pods of DaemonSets, and static ones.
fn ends_with_its_node(pod: &Pod) -> bool {
    pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet")
        || pod.annotations().contains_key(keys::K8S_MIRROR)
}

/// Whether the stored number of units is wrong, and the machine has been in its phase, for `age`, long enough to write it.
pub(crate) fn units_changed(shared: &Shared, machine: &BatchNode, age: Duration) -> bool {
    let stored = machine.status.as_ref().and_then(|status| status.units).unwrap_or(0);
    machine.phase() != Phase::Pending && age > UNITS_AFTER && stored != units(shared, machine)
}

fn units(shared: &Shared, machine: &BatchNode) -> u32 {
    shared.index.units_on(&machine.name_any())
}

async fn count_units(shared: &Shared, machine: &BatchNode) -> Result<Progress, ActError> {
    let patch = json!({"metadata": {"uid": machine.metadata.uid}, "status": {"units": units(shared, machine)}});
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let (name, params) = (machine.name_any(), PatchParams::default());
    let stored = answered(api.patch_status(&name, &params, &Patch::Merge(patch))).await?;
    shared.index.apply_batch_node(stored);
    Ok(Progress::Again(Duration::from_secs(1)))
}
