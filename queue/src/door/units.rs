//! What a plan is shown of the API's jobs: those that wait as units without a pod, those that were placed as units on their node.
//!
//! Invariant: a pod that the watch shows already counts once. Does not decide, nor who of a long queue is shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cluster::index::Index;
use model::clock::{Moment, Now};
use model::job::{JobRecord, Placed, PodFacts};
use model::snapshot::{ObjectKey, Place, Refused, Unit, Write};
use model::status::{JobState, Reason};
use model::{keys, names};
use planning::admission::pod::QueueFacts;
use planning::ledger::{Ledger, Live, Shown};
use planning::world::News;

use super::overlay::OnNode;
use super::pods::Deeds;
use crate::context::Context;

/// Adds the API's jobs to what is shown: all that were placed, with what that adds to their nodes, and those that wait as far as `most` of a
/// queue go. `is_known` says which nodes were there so far. Returns how many it left out, by AWS name of the queue.
pub(super) fn add(
    (ledger, pods, deeds): (&Ledger, &[Arc<PodFacts>], &Deeds),
    news: &mut News,
    on_nodes: &mut BTreeMap<String, OnNode>,
    is_known: impl Fn(&str) -> bool,
    most: usize,
    now: Now,
) -> BTreeMap<String, usize> {
    let News { queues, nodes, units, refused: writes, .. } = news;
    let queue_of = |aws_name: &str| {
        let known = queues.iter().find(|queue| queue.aws_name == aws_name);
        known.map_or_else(|| names::object_name(aws_name), |queue| queue.name.clone())
    };
    let mut show = |unit: Unit| drop(units.things.insert(unit.uid.clone(), Some(unit)));
    let mut said = Said::default();
    let is_strict = |aws_name: &str| queues.iter().any(|queue| queue.aws_name == aws_name && queue.strict_fifo);
    let Shown { jobs, hidden } = ledger.waiting(most, is_strict, now.wall);
    for live in jobs {
        let said = said.of(&live.record);
        show(Unit { said, ..unit(live, queue_of(&live.spec.queue), Place::Waiting) });
    }
    let seen = super::placed::current(ledger, pods);
    let is_there = |name: &str| nodes.things.get(name).map_or_else(|| !nodes.whole && is_known(name), Option::is_some);
    for live in ledger.placed() {
        let Some(placed) = &live.record.placed else { continue };
        if placed.node.is_empty() {
            let pod = seen.get(&live.record.id).filter(|pod| is_refused(placed, pod, deeds, now.moment));
            let refused = pod.is_some();
            if let Some(message) = pod.filter(|pod| pod.misbound).and_then(|pod| pod.unschedulable.clone()) {
                let uid = live.record.id.to_string();
                writes.push(Refused { uid, write: Write::Bind, message, rests: true });
            }
            // Nodes on which room is held are not idle; of those that kube-scheduler refused only the first is kept.
            let kept = placed.hold.iter().filter(|name| is_there(name));
            for name in kept.take(if refused { 1 } else { placed.hold.len() }) {
                on_nodes.entry(name.clone()).or_default().kept = true;
            }
            let place = Place::Held { nodes: placed.hold.clone(), refused };
            show(unit(live, queue_of(&live.spec.queue), place));
            continue;
        }
        let running = live.record.state == JobState::Running;
        show(unit(live, queue_of(&live.spec.queue), Place::Bound { node: placed.node.clone(), running }));
        if !seen.contains_key(&live.record.id) {
            let node = on_nodes.entry(placed.node.clone()).or_default();
            node.used.add(&live.shape.requests);
            node.units += 1;
        }
    }
    hidden
}

/// What is stored of jobs that wait: each text is read once, because many wait for one reason.
#[derive(Default)]
struct Said<'r>(HashMap<&'r str, Option<Arc<Reason>>>);

impl<'r> Said<'r> {
    /// What is said of a job; `None`: nothing that a plan gives as a reason, or nobody knows since when, as where an earlier release stored it. Then it
    /// is said again.
    fn of(&mut self, record: &'r JobRecord) -> Option<Arc<Reason>> {
        let text = record.reason.as_deref().filter(|_| record.reason_since.is_some())?;
        self.0.entry(text).or_insert_with(|| Reason::read(text).map(Arc::new)).clone()
    }
}

/// Whether kube-scheduler has found no node for a pod among those that it may choose now. It does not say which choice it refused, so one
/// that was widened a moment ago counts as not tried.
fn is_refused(placed: &Placed, pod: &PodFacts, deeds: &Deeds, now: Moment) -> bool {
    pod.unschedulable.is_some() && pod.hold == placed.hold && !deeds.held_lately(&pod.name, now)
}

fn unit(live: &Live, queue: String, place: Place) -> Unit {
    let record = &live.record;
    let id = record.id.to_string();
    Unit {
        key: ObjectKey::new(live.spec.namespace.as_deref().unwrap_or_default(), &id),
        uid: id,
        record: Some(record.id),
        queue,
        job: None,
        created: record.created,
        index: record.id.child.unwrap_or(0),
        attempt: record.attempt,
        shape: live.shape.clone(),
        barred: None,
        said: None,
        place,
    }
}

/// Namespace of a job's pods: its own, or that of the environment (AWS name).
pub(super) fn namespace(context: &Context, own: Option<&str>, environment: &str) -> String {
    let of_environment = || {
        let all = context.index.compute_environments();
        all.into_iter().find(|one| one.aws_name() == environment).and_then(|one| one.spec.namespace)
    };
    own.map(str::to_owned).or_else(of_environment).unwrap_or_else(|| keys::BATCH_NAMESPACE.to_owned())
}

/// What is known about a queue, by its AWS name.
pub(super) fn queue_facts(index: &Index, aws_name: &str) -> QueueFacts {
    let known = index.job_queues().into_iter().find(|queue| queue.aws_name() == aws_name);
    known.map_or_else(
        || QueueFacts::unknown(aws_name),
        |queue| QueueFacts {
            name: aws_name.to_owned(),
            default_requests: queue.spec.default_requests,
            host_network: queue.spec.host_network,
        },
    )
}

#[cfg(test)]
mod tests {
    use model::status::Code;

    use super::*;

    #[test]
    fn what_a_plan_gave_as_a_reason_is_read_once_and_nothing_else_is() {
        let id = "2d044787-c663-4ce6-a6fe-f2baf7e51b04".parse().unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let record = |reason: &str, reason_since| JobRecord {
            reason: Some(reason.to_owned()),
            reason_since,
            ..JobRecord::submitted(id, now)
        };
        let (full, same) = (record("LIMIT:MAX_VCPUS - full", Some(now)), record("LIMIT:MAX_VCPUS - full", Some(now)));
        let (old, other) =
            (record("LIMIT:MAX_VCPUS - full", None), record("Essential container in task exited", Some(now)));
        let mut said = Said::default();
        let (one, again) = (said.of(&full).unwrap(), said.of(&same).unwrap());
        assert_eq!(*one, Reason { code: Code::MaxVcpus, message: "full".to_owned() });
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!((said.of(&old), said.of(&other), said.of(&JobRecord::submitted(id, now))), (None, None, None));
    }
}
