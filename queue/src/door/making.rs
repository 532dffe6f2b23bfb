//! Makes the pods of jobs that have a place, as the user in whose name they are made, and takes in what the cluster says to that.
//!
//! Invariant: making a pod twice is harmless, because its name is that of its attempt and placement; in a namespace where that hangs one of a
//! cycle's pods is tried, and not each. Whether its job is tried again is decided in `planning::lifecycle`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cluster::access::Unanswered;
use cluster::fault::{self, Point};
use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace as RawNamespace, Pod};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, Status};
use kube::{Api, ResourceExt as _};
use model::clock::Moment;
use model::job::{JobId, JobRecord, Spec, Submitter};
use model::names::object_name;
use planning::access::{Ask, to_run};
use planning::admission::pod::Surroundings;
use planning::admission::policy::NamespaceFacts;
use planning::api_pod::{self, Made};
use planning::lifecycle::{self, Duty};
use planning::pod_security::beyond_baseline;
use serde_json::json;

use super::allowed::allowed;
use super::{Open, bounded, units};
use crate::context::Context;
use crate::pods::together;
use crate::write::{self, Clogged, patient};

/// Pods made at most in one cycle: somebody else's webhook may take seconds for each, and Jobs wait meanwhile.
const MOST_MADE: usize = 128;

/// A pod that is to be made.
#[derive(Clone)]
struct Making {
    record: JobRecord,
    spec: Arc<Spec>,
}

/// What came of making a pod.
enum Outcome {
    Made,
    /// The cluster will not have it.
    Refused {
        /// Its words.
        message: String,
        /// It may have it later, as it is.
        passing: bool,
        /// The server, or somebody's webhook, failed over it.
        failing: bool,
    },
    /// Nobody knows; it is tried again.
    Unclear,
}

/// What a namespace means for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Namespace {
    There(Surroundings),
    NotThere,
    /// It cannot be asked for now.
    Unclear,
}

/// By name.
type Namespaces<'a> = HashMap<&'a str, Namespace>;

impl Open {
    /// Jobs whose pod is stored and not there.
    pub(super) fn missing(&mut self, here: &HashSet<JobId>, now: Moment) -> Vec<(JobId, String)> {
        let absent = self.ledger.placed().filter(|live| lifecycle::duty(&live.record, None) == Duty::Create);
        let absent = absent.filter_map(|live| Some((live.record.id, live.record.placed.as_ref()?.pod_name.clone())));
        let absent = in_turn(absent.filter(|(id, _)| !here.contains(id)).collect(), self.deeds.tried);
        let due = absent.into_iter().filter(|(_, name)| self.deeds.begin(name, Duty::Create, now));
        let due: Vec<_> = due.take(MOST_MADE).collect();
        self.deeds.tried = due.last().map(|(id, _)| *id).or(self.deeds.tried);
        due
    }

    /// Makes pods. False: one could not be made, for now.
    pub(super) async fn make(&mut self, context: &Context, missing: Vec<(JobId, String)>, now: Timestamp) -> bool {
        if missing.is_empty() {
            return true;
        }
        fault::reach(Point::DispatchStored);
        let ids: Vec<JobId> = missing.iter().map(|(id, _)| *id).collect();
        let kept = match bounded(self.store.jobs(&ids)).await {
            Ok(kept) => kept,
            Err(failure) => {
                for (_, name) in &missing {
                    self.deeds.forget(name, Duty::Create);
                }
                return self.rest("jobs whose pods are to be made cannot be read", &failure);
            }
        };
        let makings: Vec<Making> =
            kept.into_iter().map(|kept| Making { record: kept.record, spec: kept.spec }).collect();
        let namespaces = namespaces(context, &makings).await;
        let clogged = Clogged::default();
        let one = |making| make_patiently(context, making, &namespaces, &clogged).boxed();
        let made = together(makings.iter().map(one).collect()).await;
        fault::reach(Point::PodMade);
        let mut all = true;
        for (id, pod, outcome) in made {
            match outcome {
                Outcome::Made => {}
                Outcome::Refused { message, passing, .. } => self.ledger.not_made(id, &message, passing, now),
                // It is tried again in a few seconds, as whatever has just been done.
                Outcome::Unclear => {
                    tracing::warn!(pod, "whether this pod was made is not clear");
                    all = false;
                }
            }
        }
        all
    }
}

/// Those after the last one first: jobs whose pods cannot be made, and are tried again and again, must not keep all others back.
fn in_turn<T>(mut all: Vec<(JobId, T)>, last: Option<JobId>) -> Vec<(JobId, T)> {
    let behind = all.partition_point(|(id, _)| Some(*id) <= last);
    all.rotate_left(behind);
    all
}

/// Makes a pod; in a namespace where that hangs, or somebody else's webhook fails, one of a cycle's pods is tried and not each.
async fn make_patiently(
    context: &Context,
    making: &Making,
    namespaces: &Namespaces<'_>,
    clogged: &Clogged,
) -> (JobId, String, Outcome) {
    let namespace = making.record.placed.as_ref().map_or("", |placed| placed.namespace.as_str());
    let unclear = || {
        let name = making.record.placed.as_ref().map(|placed| placed.pod_name.clone());
        (making.record.id, name.unwrap_or_default(), Outcome::Unclear)
    };
    if clogged.why(namespace).is_some() {
        return unclear();
    }
    // One that takes long goes on by itself: the watch shows it, or the next try finds it.
    let known = namespaces.get(namespace).copied().unwrap_or(Namespace::Unclear);
    let made = patient(make(context.clone(), making.clone(), known)).await.unwrap_or_else(unclear);
    if matches!(made.2, Outcome::Unclear | Outcome::Refused { failing: true, .. }) {
        clogged.learn(namespace, &write::slow());
    }
    made
}

async fn make(context: Context, making: Making, namespace: Namespace) -> (JobId, String, Outcome) {
    let id = making.record.id;
    let Some(placed) = &making.record.placed else { return (id, String::new(), Outcome::Made) };
    let name = placed.pod_name.clone();
    let surroundings = match namespace {
        Namespace::There(surroundings) => surroundings,
        Namespace::NotThere => return (id, name, never(format!("namespace {} does not exist", placed.namespace))),
        Namespace::Unclear => return (id, name, Outcome::Unclear),
    };
    let queue = units::queue_facts(&context.index, &making.spec.queue);
    let made = Made {
        id,
        attempt: making.record.attempt,
        placement: making.record.placement,
        spec: &making.spec,
        placed: Some(placed),
        queue: &queue,
        namespace: &placed.namespace,
        surroundings,
    };
    let built = api_pod::build(&made)
        .and_then(|pod| allowed(&pod, placed, &context.index).map(|()| pod))
        .and_then(|pod| serde_json::from_value::<DynamicObject>(pod).map_err(|error| error.to_string()));
    let pod = match built {
        Ok(pod) => pod,
        Err(message) => return (id, name, never(message)),
    };
    if let Some(outcome) = not_any_more(&context, &making.spec, &pod, &placed.namespace).await {
        return (id, name, outcome);
    }
    let kind = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = Api::namespaced_with(context.batch.clone(), &placed.namespace, &kind);
    let outcome = match pods.create(&PostParams::default(), &pod).await {
        Ok(_) => Outcome::Made,
        Err(kube::Error::Api(answer)) => refused(&context, &making.record, &answer).await,
        Err(error) => {
            tracing::warn!(job = %id, pod = name, error = cluster::telemetry::chain(&error), "cannot make a pod");
            Outcome::Unclear
        }
    };
    (id, name, outcome)
}

/// Whoever submitted the job may have lost the right to since; `None`: he has it still, or nobody asked who he was.
async fn not_any_more(context: &Context, spec: &Spec, pod: &DynamicObject, namespace: &str) -> Option<Outcome> {
    let Submitter { identity, .. } = spec.submitter.as_ref()?;
    let is_privileged = !beyond_baseline(&pod.data["spec"], &json!(pod.metadata.annotations)).is_empty();
    let queue = context.index.job_queues().into_iter().find(|queue| queue.aws_name() == spec.queue);
    let queue = queue.map_or_else(|| object_name(&spec.queue), |queue| queue.name_any());
    let mut asks = vec![Ask::queue("use", &queue)];
    asks.extend(to_run(&spec.pod, is_privileged, namespace));
    let lacks = async {
        if !context.access.is_there(identity).await? {
            return Ok(Some(format!("{}, who submitted it, is not there any more", identity.user)));
        }
        let lacks = context.access.lacks(identity, asks).await?;
        Ok(lacks
            .map(|ask| format!("no role of Kubernetes lets {}, who submitted it, {}", identity.user, ask.sentence())))
    };
    match lacks.await {
        Ok(None) => None,
        // It is tried a few times more before that counts, as roles may be replaced in two steps.
        Ok(Some(message)) => Some(never(message)),
        Err::<_, Unanswered>(error) => {
            tracing::warn!(error = cluster::telemetry::chain(&error), "cannot ask what a job's submitter may do");
            Some(Outcome::Unclear)
        }
    }
}

/// Whether the API server will answer the same again: the pod is wrong, too large, forbidden, or its namespace is not there.
fn is_final(answer: &Status) -> bool {
    matches!(answer.code, 400 | 403 | 404 | 413 | 422)
}

/// What a refusal means. A pod that exists may be this very attempt, made when nobody saw it: a full quota, which it fills itself, is told
/// before its name is found taken.
async fn refused(context: &Context, record: &JobRecord, answer: &Status) -> Outcome {
    let Some(placed) = &record.placed else { return Outcome::Unclear };
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &placed.namespace);
    match pods.get_opt(&placed.pod_name).await {
        Ok(Some(pod)) => match api::convert::attempt::facts(&pod) {
            Some(facts) if facts.job == record.id && facts.placement == record.placement && facts.kept => Outcome::Made,
            _ => never(format!("a pod named {} exists and is not Bulkhead's", placed.pod_name)),
        },
        // The server said so, and it is not there: it was not made, whatever went wrong.
        Ok(None) => {
            if answer.code == 403 {
                // If that is why, those behind it wait at once.
                context.rights.ask_again(&placed.namespace).await;
            }
            let failing = !is_final(answer);
            Outcome::Refused { message: answer.message.clone(), passing: failing || passes(answer), failing }
        }
        _ => Outcome::Unclear,
    }
}

/// Whether the same pod may be taken later: a quota is full, a right is missing, somebody's policy or webhook denies it. What is wrong with
/// the pod itself stays wrong.
fn passes(answer: &Status) -> bool {
    answer.code == 403 || answer.message.contains("denied the request") || answer.message.contains("denied request")
}

fn never(message: String) -> Outcome {
    Outcome::Refused { message, passing: false, failing: false }
}

/// The namespaces of pods that are to be made, each asked for once: they are few, and the pods of a cycle may be many.
async fn namespaces<'a>(context: &Context, makings: &'a [Making]) -> Namespaces<'a> {
    let placed = makings.iter().filter_map(|making| making.record.placed.as_ref());
    let names: HashSet<&str> = placed.map(|placed| placed.namespace.as_str()).collect();
    let ask = |name: &'a str| async move { (name, namespace(context, name).await) }.boxed();
    together(names.into_iter().map(ask).collect()).await.into_iter().collect()
}

async fn namespace(context: &Context, name: &str) -> Namespace {
    let namespaces: Api<RawNamespace> = Api::all(context.client.clone());
    match namespaces.get_metadata_opt(name).await {
        Ok(Some(found)) => {
            let facts = NamespaceFacts::read(&json!({"metadata": {"labels": found.metadata.labels}}));
            Namespace::There(context.policies.around(name, &facts))
        }
        Ok(None) => Namespace::NotThere,
        Err(error) => {
            tracing::warn!(namespace = name, error = cluster::telemetry::chain(&error), "cannot read a namespace");
            Namespace::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_or_a_quota_refuses_passes_and_a_pod_that_is_wrong_does_not() {
        for (code, message, expected) in [
            (403, "pods \"a\" is forbidden: exceeded quota: q", true),
            (403, "pods is forbidden: User \"x\" cannot create resource \"pods\"", true),
            (422, "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no", true),
            (400, "admission webhook \"w.example.com\" denied the request: no", true),
            (422, "Pod \"a\" is invalid: spec.containers[0].image: Required value", false),
            (400, "Pod in version \"v1\" cannot be handled as a Pod", false),
            (413, "Request entity too large", false),
        ] {
            assert_eq!(passes(&Status::failure(message, "x").with_code(code)), expected, "{message}");
        }
    }

    #[test]
    fn whoever_was_not_tried_goes_first() {
        let job = |number| JobId::new(uuid::Uuid::from_u128(number));
        for (all, last, expect) in [
            (vec![1, 2, 3], None, vec![1, 2, 3]),
            (vec![1, 2, 3], Some(2), vec![3, 1, 2]),
            (vec![1, 4], Some(2), vec![4, 1]),
            (vec![1, 2], Some(2), vec![1, 2]),
            (vec![], Some(2), vec![]),
        ] {
            let all = all.into_iter().map(|number| (job(number), number)).collect();
            let found: Vec<u128> = in_turn(all, last.map(job)).into_iter().map(|(_, number)| number).collect();
            assert_eq!(found, expect, "{last:?}");
        }
    }
}
