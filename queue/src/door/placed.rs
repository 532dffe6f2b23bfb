//! Jobs that have a place: what a plan gives them, and what the cluster shows of their pods.
//!
//! Invariant: a pod is that of a job by all its marks or not at all. Does not store, and does nothing to pods.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::index::Index;
use jiff::Timestamp;
use model::clock::Now;
use model::job::{JobId, Placed, PodFacts};
use model::names;
use model::plan::{Dispatch, Hold};
use planning::ledger::{Ledger, Live};
use planning::lifecycle;
use planning::lifecycle::whereabouts::{Whereabouts, whereabouts};

use super::{Open, units};
use crate::context::Context;

impl Open {
    /// Takes in what the cluster shows of the pods.
    pub(super) fn observe(&mut self, context: &Context, pods: Vec<Arc<PodFacts>>, mount_patience: Duration, now: Now) {
        // What only says that it is ours is not: the name of a pod follows from its placement.
        self.pods = pods.into_iter().filter(|pod| pod.has_own_name()).collect();
        self.patience.keep(self.pods.iter().map(|pod| &**pod));
        for pod in &self.pods {
            self.ledger.seen(pod, now.wall);
            let Some(live) = self.ledger.get(pod.job) else { continue };
            let stop = self.patience.hopeless(&live.record, pod, mount_patience, now.moment);
            if let Some(stop) = stop {
                self.ledger.stop(pod.job, &stop, now.wall);
            }
            if self.patience.is_overdue(pod, now.moment) {
                self.ledger.pod_overdue(pod, now.wall);
            }
        }
        self.miss(&context.index, now.wall);
    }

    /// Takes in whose node or pod is gone.
    fn miss(&mut self, index: &Index, now: Timestamp) {
        let here: HashSet<JobId> = current(&self.ledger, &self.pods).into_keys().collect();
        // Many are on one node: it is looked up once.
        let mut uids = HashMap::<&str, Option<String>>::new();
        let (mut lost, mut gone) = (Vec::new(), Vec::new());
        for live in self.ledger.placed() {
            let Some(placed) = &live.record.placed else { continue };
            let look_up = || index.node(&placed.node).map(|record| record.node.uid);
            let uid = uids.entry(&placed.node).or_insert_with(look_up);
            match whereabouts(placed, uid.as_deref(), here.contains(&live.record.id)) {
                Whereabouts::There => {}
                Whereabouts::NodeGone => lost.push((live.record.id, placed.node.clone())),
                Whereabouts::PodGone => gone.push(live.record.id),
            }
        }
        for (id, node) in lost {
            let instance = index.batch_node(&node).and_then(|node| node.status?.instance_id);
            self.ledger.node_gone(id, instance.as_deref().unwrap_or(&node), now);
        }
        for id in gone {
            self.ledger.pod_gone(id, now);
        }
    }

    pub(super) fn dispatched(&mut self, context: &Context, dispatch: &Dispatch, now: Timestamp) {
        let Some(live) = dispatch.record.and_then(|id| self.ledger.get(id)) else { return };
        let placed = Placed {
            node: dispatch.node.clone(),
            node_uid: dispatch.node_uid.clone(),
            environment_uuid: dispatch.environment_uuid.clone(),
            ..placed_in(context, live, &dispatch.environment)
        };
        self.ledger.dispatched(live.record.id, &placed, now);
    }

    pub(super) fn held(&mut self, context: &Context, hold: &Hold, now: Timestamp) {
        let Some(live) = hold.record.and_then(|id| self.ledger.get(id)) else { return };
        let id = live.record.id;
        if live.record.placed.is_some() {
            self.ledger.held(id, &hold.nodes, &hold.environment_uuid, now);
            return;
        }
        let placed = Placed {
            hold: hold.nodes.clone(),
            environment_uuid: hold.environment_uuid.clone(),
            ..placed_in(context, live, &hold.environment)
        };
        self.ledger.dispatched(id, &placed, now);
    }
}

/// The pods on which jobs are now, by job. A pod of the same name in another namespace is none of them.
pub(super) fn current<'a>(ledger: &Ledger, pods: &'a [Arc<PodFacts>]) -> HashMap<JobId, &'a PodFacts> {
    let is_current = |pod: &PodFacts| ledger.get(pod.job).is_some_and(|live| lifecycle::is_current(&live.record, pod));
    pods.iter().filter(|pod| is_current(pod)).map(|pod| (pod.job, &**pod)).collect()
}

/// A place in an environment (AWS name), on no node yet.
fn placed_in(context: &Context, live: &Live, environment: &str) -> Placed {
    let record = &live.record;
    Placed {
        since: None,
        pod_name: names::pod_name(record.id, record.attempt, record.placement),
        namespace: units::namespace(context, live.spec.namespace.as_deref(), environment),
        pod_uid: None,
        node: String::new(),
        node_uid: String::new(),
        hold: Vec::new(),
        environment: environment.to_owned(),
        environment_uuid: String::new(),
        trouble: None,
    }
}
