//! What is done to the pods of the API's jobs: made on their node, deleted when their job is to end, let go when their outcome is stored,
//! deleted for good some time after their end.
//!
//! Invariant: every deed follows from what is stored and what is seen, so that it may be done twice, or again after a restart: a pod's name
//! is that of its attempt and placement, and it stays until its outcome is stored, because of its finalizer.

use std::collections::HashMap;

use cluster::fault::{self, Point};
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, Status};
use model::job::{ContainerState, JobId, JobRecord, PodFacts, Spec};
use model::keys;
use planning::admission::policy::NamespaceFacts;
use planning::api_pod::{self, Made};
use planning::lifecycle::{self, Duty};
use serde_json::json;

use super::{Open, told, units};
use crate::cycle::Context;
use crate::pods::together;

/// A deed is not repeated before this time: the watch needs a moment to show it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// Pods made, deleted or let go at most in one cycle; the next follows at once.
const MOST: usize = 500;

/// What was done a moment ago, by name of the pod, and what is due later.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    done: HashMap<(String, What), Timestamp>,
    next: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Made,
    Deleted,
    LetGo,
}

/// A pod that is to be made.
struct Making {
    record: JobRecord,
    spec: std::sync::Arc<Spec>,
}

/// What came of making a pod.
enum Outcome {
    Made,
    /// The cluster will not have it: its words.
    Refused(String),
    /// Nobody knows; it is tried again.
    Unclear,
}

impl Deeds {
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether this may be done now; notes that it is.
    fn begin(&mut self, pod: &str, what: What, now: Timestamp) -> bool {
        let key = (pod.to_owned(), what);
        if self.done.get(&key).is_some_and(|last| now.duration_since(*last) < PATIENCE) {
            return false;
        }
        self.done.insert(key, now);
        true
    }

    fn forget(&mut self, pod: &str, what: What) {
        self.done.remove(&(pod.to_owned(), what));
    }

    fn clean(&mut self, now: Timestamp) {
        self.done.retain(|_, last| now.duration_since(*last) < PATIENCE);
        self.next = None;
    }

    fn due(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

impl Open {
    /// Brings the cluster's pods to what is stored. False: something failed.
    pub(super) async fn act(&mut self, context: &Context, ttl: SignedDuration, now: Timestamp) -> bool {
        self.deeds.clean(now);
        let pods = context.index.attempts();
        let (mut unwanted, mut lets_go) = (Vec::new(), Vec::new());
        for pod in &pods {
            match self.duty_of(pod) {
                Duty::Delete if self.deeds.begin(&pod.name, What::Deleted, now) => unwanted.push(pod),
                Duty::Release if self.deeds.begin(&pod.name, What::LetGo, now) => lets_go.push(pod),
                Duty::Nothing if pod.ended() && !pod.kept && pod.deleting.is_none() => {
                    let due = ended_at(pod).saturating_add(ttl).unwrap_or(now);
                    if due > now {
                        self.deeds.due(due);
                    } else if self.deeds.begin(&pod.name, What::Deleted, now) {
                        unwanted.push(pod);
                    }
                }
                _ => {}
            }
        }
        unwanted.truncate(MOST);
        lets_go.truncate(MOST);
        let here: HashMap<&str, &PodFacts> = pods.iter().map(|pod| (pod.name.as_str(), pod)).collect();
        let missing = self.missing(&here, now);
        let (deleted, gone, made) = tokio::join!(
            together(unwanted.into_iter().map(|pod| delete(context, pod).boxed()).collect()),
            together(lets_go.into_iter().map(|pod| let_go(context, pod).boxed()).collect()),
            self.make(context, missing, now),
        );
        made && deleted.into_iter().chain(gone).all(|done| done)
    }

    /// What has to be done to a pod that is there.
    fn duty_of(&self, pod: &PodFacts) -> Duty {
        let live = self.ledger.get(pod.job);
        live.map_or_else(|| lifecycle::duty_of_stranger(pod), |live| lifecycle::duty(&live.record, Some(pod)))
    }

    /// Jobs whose pod is stored and not there.
    fn missing(&mut self, here: &HashMap<&str, &PodFacts>, now: Timestamp) -> Vec<(JobId, String)> {
        let absent = self.ledger.placed().filter(|live| lifecycle::duty(&live.record, None) == Duty::Create);
        let absent = absent.filter_map(|live| Some((live.record.id, live.record.placed.as_ref()?.pod_name.clone())));
        let absent: Vec<_> = absent.filter(|(_, name)| !here.contains_key(name.as_str())).take(MOST).collect();
        absent.into_iter().filter(|(_, name)| self.deeds.begin(name, What::Made, now)).collect()
    }

    /// Makes pods. False: one could not be made, for now.
    async fn make(&mut self, context: &Context, missing: Vec<(JobId, String)>, now: Timestamp) -> bool {
        if missing.is_empty() {
            return true;
        }
        fault::reach(Point::DispatchStored);
        let ids: Vec<JobId> = missing.iter().map(|(id, _)| *id).collect();
        let kept = match self.store.jobs(&ids).await {
            Ok(kept) => kept,
            Err(error) => {
                for (_, name) in &missing {
                    self.deeds.forget(name, What::Made);
                }
                return told("jobs whose pods are to be made cannot be read", &error);
            }
        };
        let makings: Vec<Making> =
            kept.into_iter().map(|kept| Making { record: kept.record, spec: kept.spec }).collect();
        let made = together(makings.iter().map(|making| make(context, making).boxed()).collect()).await;
        fault::reach(Point::PodMade);
        let mut all = true;
        for (id, pod, outcome) in made {
            match outcome {
                Outcome::Made => {}
                Outcome::Refused(message) => self.ledger.not_made(id, &message, now),
                Outcome::Unclear => {
                    self.deeds.forget(&pod, What::Made);
                    all = false;
                }
            }
        }
        all
    }
}

/// When a pod ended, as far as its containers say; one without any is not kept.
fn ended_at(pod: &PodFacts) -> Timestamp {
    let ends = pod.containers.iter().chain(&pod.init_containers).filter_map(|container| match &container.state {
        ContainerState::Ended { finished, .. } => *finished,
        _ => None,
    });
    ends.max().unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn make(context: &Context, making: &Making) -> (JobId, String, Outcome) {
    let id = making.record.id;
    let Some(placed) = &making.record.placed else { return (id, String::new(), Outcome::Made) };
    let name = placed.pod_name.clone();
    let forbids = match forbids_host_network(context, &placed.namespace).await {
        Ok(forbids) => forbids,
        Err(outcome) => return (id, name, outcome),
    };
    let queue = units::queue_facts(context, &making.spec.queue);
    let made = Made {
        id,
        attempt: making.record.attempt,
        placement: making.record.placement,
        spec: &making.spec,
        placed: Some(placed),
        queue: &queue,
        namespace: &placed.namespace,
        forbids_host_network: forbids,
    };
    let built = api_pod::build(&made)
        .and_then(|pod| serde_json::from_value::<DynamicObject>(pod).map_err(|error| error.to_string()));
    let pod = match built {
        Ok(pod) => pod,
        Err(message) => return (id, name, Outcome::Refused(message)),
    };
    let kind = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &placed.namespace, &kind);
    let outcome = match pods.create(&PostParams::default(), &pod).await {
        Ok(_) => Outcome::Made,
        Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => ours(context, &making.record).await,
        Err(kube::Error::Api(answer)) if is_final(&answer) => Outcome::Refused(answer.message.clone()),
        Err(error) => {
            tracing::warn!(job = %id, pod = name, error = cluster::telemetry::chain(&error), "cannot make a pod");
            Outcome::Unclear
        }
    };
    (id, name, outcome)
}

/// Whether the API server will answer the same again: the pod is wrong, forbidden, or its namespace is not there.
fn is_final(answer: &Status) -> bool {
    matches!(answer.code, 400 | 403 | 404 | 422)
}

/// Whether the pod that has the name already is this attempt.
async fn ours(context: &Context, record: &JobRecord) -> Outcome {
    let Some(placed) = &record.placed else { return Outcome::Unclear };
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &placed.namespace);
    match pods.get_opt(&placed.pod_name).await {
        Ok(Some(pod)) => match api::convert::attempt::facts(&pod) {
            Some(facts) if facts.job == record.id && facts.placement == record.placement && facts.kept => Outcome::Made,
            _ => Outcome::Refused(format!("a pod named {} exists and is not Bulkhead's", placed.pod_name)),
        },
        _ => Outcome::Unclear,
    }
}

/// Whether the namespace forbids the host network.
async fn forbids_host_network(context: &Context, namespace: &str) -> Result<bool, Outcome> {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    match namespaces.get_metadata_opt(namespace).await {
        Ok(Some(found)) => {
            Ok(NamespaceFacts::read(&json!({"metadata": {"labels": found.metadata.labels}})).forbids_host_network)
        }
        Ok(None) => Err(Outcome::Refused(format!("namespace {namespace} does not exist"))),
        Err(error) => {
            tracing::warn!(namespace, error = cluster::telemetry::chain(&error), "cannot read a namespace");
            Err(Outcome::Unclear)
        }
    }
}

async fn delete(context: &Context, pod: &PodFacts) -> bool {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let only_this = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    settled("delete", pod, pods.delete(&pod.name, &params).await.map(drop))
}

async fn let_go(context: &Context, pod: &PodFacts) -> bool {
    fault::reach(Point::OutcomeStored);
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let patch = json!({
        "metadata": {"uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [keys::RECORD_FINALIZER]},
    });
    let answer = pods.patch(&pod.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    settled("let go of", pod, answer.map(drop))
}

/// Whether nothing is left to do: it is done, or the pod is not there any more.
fn settled(what: &str, pod: &PodFacts, answer: Result<(), kube::Error>) -> bool {
    match answer {
        Ok(()) => true,
        Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => true,
        Err(error) => {
            tracing::warn!(pod = pod.name, error = cluster::telemetry::chain(&error), "cannot {what} a pod");
            false
        }
    }
}
