//! From what the index holds to what one planning cycle sees.
//!
//! Invariant: the same content and time give the same snapshot, in the same order. Does not decide anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::convert::custom::Known;
use api::convert::job::WatchedJob;
use api::convert::node::NodeRecord;
use api::convert::pod::{self, Origin, Queued, WatchedPod};
use api::convert::{Problems, custom};
use api::crd::{EnvironmentType, Phase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use model::clock::Now;
use model::snapshot::{
    Environment, Job, JobRef, Machine, Node, ObjectKey, Place, Queue, Refused, Snapshot, Stage, Unit, Write,
};
use model::status::{Reason, Status};
use planning::admission::identity::derived_job_id;
use planning::learned;
use planning::lifecycle::trouble;
use planning::membership::{Label, Of, belongs};

use super::ages::Ages;
use super::assumed::{AssumedPlace, Seen, Shown};
use super::refusals;
use super::state::State;
use super::table::Table;

impl State {
    pub(super) fn snapshot(&mut self, now: Now) -> Snapshot {
        self.assumed.settle(now.moment, &Watched { pods: &self.pods, jobs: &self.jobs });
        let (pods, all) = (&self.pods, &self.jobs);
        self.refused.settle(|uid| pods.get(uid).is_some() || all.get(uid).is_some());
        let mut environments = self.environments_at(now);
        let machines = self.machines();
        let barred = Arc::new(self.limits.reason_of_pods());
        let mut units: Vec<Unit> = self.pods.values().filter_map(|record| self.unit(record, &barred)).collect();
        self.limits.bar(&mut units, &barred);
        let nodes = self.nodes_at(now, &units);
        let created = |name: &str| self.nodes.get(name).map_or(Timestamp::UNIX_EPOCH, |record| record.created);
        self.learned.update(&mut environments, &machines, &nodes, created, now);
        let mut jobs = self.open_jobs();
        refusals::note(&mut jobs, &self.refusals, &units);
        self.note_stuck(&mut jobs);
        for job in &mut jobs {
            job.started = job.started.map(|started| self.ages.of(&job.uid, started, now));
        }
        self.ages.settle();
        Snapshot {
            hooks_missing: self.hooks_missing(),
            // Whoever makes pods of the API asks for that.
            closed: BTreeMap::new(),
            queues: self.all_queues(),
            environments,
            nodes,
            machines,
            jobs,
            units,
            refused: self.refused.all(now.moment).into_iter().chain(self.misbound()).collect(),
            // Whoever plans remembers that.
            kept_since: BTreeMap::new(),
        }
    }

    fn all_queues(&self) -> Vec<Queue> {
        self.queues.values().flatten().map(custom::queue).collect()
    }

    fn environments_at(&mut self, now: Now) -> Vec<Environment> {
        let mut problems = Problems::new();
        let (launches, arn, machines) = (&mut self.launches, &self.arn, &self.batch_nodes);
        let convert = |(name, object): (&String, &api::ComputeEnvironment)| {
            let (offers, unsettled_until) = launches.offers(name, now);
            let delivered = object.spec.provider.as_ref().map_or(0, |provider| {
                let is_there = |one: &&api::BatchNode| one.spec.provider == *provider && one.phase() == Phase::Ready;
                let there = || u32::try_from(machines.values().flatten().filter(is_there).count()).unwrap_or(u32::MAX);
                launches.delivered(&provider.key(), there)
            });
            let known = Known { offers, unsettled_until, setbacks: launches.setbacks(name, now), delivered };
            custom::environment(object, arn, known, &mut problems)
        };
        let readable = self.environments.iter().filter_map(|(name, one)| Some((name, one.as_ref().ok()?)));
        let all = readable.map(convert).collect();
        self.tell("a compute environment", problems);
        all
    }

    fn machines(&mut self) -> Vec<Machine> {
        let mut problems = Problems::new();
        let readable = self.batch_nodes.values().flatten();
        let mut all: Vec<Machine> = readable.map(|object| custom::machine(object, &mut problems)).collect();
        for machine in all.iter_mut().filter(|machine| self.retiring.contains(&machine.name)) {
            machine.stage = Stage::Going;
        }
        self.tell("a batch node", problems);
        all
    }

    fn open_jobs(&self) -> Vec<Job> {
        let open = || self.jobs.values().filter(|record| is_open(record));
        let waits = |record: &&WatchedJob| !record.job.released && !self.assumed.is_released(&record.job.uid);
        let beyond = self.limits.beyond(open().filter(waits));
        open()
            .map(|record| {
                let mut job = if beyond.contains(record.job.uid.as_str()) {
                    // What it needs is not copied: there may be a great many of these.
                    Job { barred: Some(self.limits.reason()), ..bare(&record.job) }
                } else {
                    record.job.clone()
                };
                job.released |= self.assumed.is_released(&job.uid);
                if let Some(status) = self.assumed.status_of(&job.uid) {
                    job.status = Some(status.clone());
                }
                job
            })
            .collect()
    }

    /// Pods that kube-scheduler could not put on the node that it chose; it goes on trying by itself.
    fn misbound(&self) -> Vec<Refused> {
        let of = |record: &WatchedPod| {
            let message = record.queued.as_ref()?.misbound.as_deref()?.to_owned();
            Some(Refused { uid: record.uid.clone(), write: Write::Bind, message, rests: true })
        };
        self.pods.values().filter_map(of).collect()
    }

    /// Notes on each Job why a pod of it does not start; of several the first by name.
    fn note_stuck(&self, jobs: &mut [Job]) {
        let unmounted = self.unmounted();
        let mut first: HashMap<&str, (&ObjectKey, Cow<'_, str>)> = HashMap::new();
        for record in self.pods.values() {
            let Some(queued) = record.queued.as_ref() else { continue };
            let about = (record.key.namespace.as_str(), record.uid.as_str());
            let volume = unmounted.get(&about).filter(|_| queued.mounting).map(trouble::not_mounted);
            let why = queued.stuck.as_deref().map(Cow::Borrowed).or(volume.map(Cow::Owned));
            let Some((job, why)) = self.job_of(queued).zip(why) else { continue };
            if first.get(job).is_none_or(|(key, _)| record.key < **key) {
                first.insert(job, (&record.key, why));
            }
        }
        if first.is_empty() {
            return;
        }
        for job in jobs {
            let of_job = first.get(job.uid.as_str()).filter(|(key, _)| key.namespace == job.key.namespace);
            job.stuck = of_job.map(|(key, why)| format!("{}: {why}", key.name));
        }
    }

    /// The UID of the Job that a pod is of. Its rank and attempt count only if that Job is there and has the id that the pod has: an owner
    /// can be written by whoever makes a pod.
    fn job_of<'a>(&self, queued: &'a Queued) -> Option<&'a str> {
        let uid = queued.job.as_deref()?;
        let same = || self.jobs.get(uid).is_some_and(|record| record.id == queued.id);
        // A Job that the hook missed has no id; its pods' is made of its UID.
        (same() || derived_job_id(uid) == queued.id).then_some(uid)
    }

    /// What the Job controller has written on a pod about its index. It replaces what a template says only in Jobs that limit the failures of
    /// each index, and a policy lets nobody change it on a pod that is there: a retry goes before all others.
    fn attempt_of_index(&self, job: &str, queued: &Queued) -> Option<u32> {
        self.jobs.get(job).filter(|record| record.counts_indexes)?;
        queued.failures.map(|failures| failures.saturating_add(1))
    }

    fn unit(&self, record: &WatchedPod, barred: &Arc<Reason>) -> Option<Unit> {
        let queued = record.queued.as_ref()?;
        let job = self.job_of(queued);
        let index = queued.index.filter(|_| job.is_some());
        let said = job.and_then(|uid| queued.attempt.or_else(|| self.attempt_of_index(uid, queued)));
        Some(Unit {
            key: record.key.clone(),
            uid: record.uid.clone(),
            record: None,
            queue: queued.queue.clone(),
            job: job.map(|uid| {
                let of = self.jobs.get(uid);
                let created = of.map_or(record.created, |of| of.job.created);
                JobRef { uid: uid.to_owned(), created, silent: !of.is_some_and(is_open) }
            }),
            created: record.created,
            index: index.unwrap_or(0),
            attempt: said.unwrap_or_else(|| self.failures.attempt(job, index, record.created)),
            shape: queued.shape.clone(),
            place: self.place(record, queued)?,
            barred: queued.barred.then(|| barred.clone()),
            said: queued.said.clone().filter(|_| !job.and_then(|uid| self.jobs.get(uid)).is_some_and(is_open)),
        })
    }

    fn place(&self, record: &WatchedPod, queued: &Queued) -> Option<Place> {
        let shown = queued.place.clone()?;
        if record.node.is_some() {
            return (self.origin_of(record) == Origin::Unit).then_some(shown);
        }
        Some(match self.assumed.of_pod(&record.uid) {
            None => shown,
            Some(AssumedPlace::Bound(node)) => Place::Bound { node: node.clone(), running: false },
            Some(AssumedPlace::Held { nodes, .. }) => Place::Held { nodes: nodes.clone(), refused: false },
        })
    }

    /// We handed a pod to kube-scheduler, perhaps not for the first time.
    pub(super) fn assume_held(&mut self, pod: &str, nodes: &[String], now: Now) {
        let place = self.pods.get(pod).and_then(|record| record.queued.as_ref()?.place.as_ref());
        let again = matches!(place, Some(Place::Held { .. }));
        self.assumed.held(pod, nodes, again, now.moment);
    }

    /// Pods of which the watch does not show for long what we did.
    pub(super) fn unseen(&mut self, now: Now) -> Vec<(ObjectKey, String)> {
        let unseen = self.assumed.unseen(now.moment);
        let key = |uid: String| Some((self.pods.get(&uid)?.key.clone(), uid));
        unseen.into_iter().filter_map(key).collect()
    }

    /// A pod as the API server has it; `None`: it has none of this name.
    pub(super) fn found(&mut self, uid: &str, pod: Option<&Pod>, now: Now) -> Option<String> {
        let found = pod.map(|pod| pod::pod(pod, &mut Problems::new())).filter(|found| found.uid == uid);
        let place = found.as_ref().and_then(|found| found.queued.as_ref()?.place.as_ref());
        match (found.as_ref().and_then(|found| found.node.as_ref()), place) {
            (Some(node), _) => self.assumed.bound(uid, node, now.moment),
            (None, Some(Place::Held { nodes, .. })) => self.assumed.held(uid, nodes, true, now.moment),
            _ => self.assumed.forget(uid),
        }
        found?.node
    }

    /// Name of the node that a pod is on, or on which we put it a moment ago.
    pub(super) fn node_of<'a>(&'a self, record: &'a WatchedPod) -> Option<&'a str> {
        match (&record.node, self.assumed.of_pod(&record.uid)) {
            (Some(node), _) | (None, Some(AssumedPlace::Bound(node))) => Some(node),
            _ => None,
        }
    }

    /// Whose a pod is. A unit is what a plan has dispatched to the very node that it is on, or a moment ago.
    pub(super) fn origin_of(&self, record: &WatchedPod) -> Origin {
        let here = |name: &String| {
            let other = |uid: &String| self.nodes.get(name).is_some_and(|node| node.node.uid != *uid);
            record.dispatched.as_ref().is_some_and(|uid| !other(uid))
        };
        let bound = || matches!(self.assumed.of_pod(&record.uid), Some(AssumedPlace::Bound(_)));
        if record.node.as_ref().map_or_else(bound, here) { Origin::Unit } else { record.origin }
    }

    /// What environments believe of labels, by their UUIDs.
    fn kinds(&self) -> HashMap<String, Of> {
        let kind = |object: &api::ComputeEnvironment| match object.spec.type_ {
            EnvironmentType::Managed => Of::Managed,
            EnvironmentType::Unmanaged => {
                Of::Unmanaged { self_registration: object.spec.self_registration != Some(false) }
            }
        };
        let all = self.environments.values().flatten();
        all.map(|object| (custom::environment_uuid(object, &self.arn), kind(object))).collect()
    }

    /// UUIDs of the environments whose nodes users label.
    pub(super) fn unmanaged(&self) -> BTreeSet<String> {
        let unmanaged = self.environments.values().flatten().filter(|one| one.spec.type_ == EnvironmentType::Unmanaged);
        unmanaged.map(|object| custom::environment_uuid(object, &self.arn)).collect()
    }

    fn label(&self, record: &NodeRecord) -> Label {
        let of_same = |machine: &api::BatchNode| {
            Some(machine.spec.compute_environment_uuid.as_str()) == record.environment_uuid()
        };
        let machine = self.batch_nodes.get(&record.node.name);
        let has_machine = machine.is_some_and(|machine| machine.as_ref().map_or(true, of_same));
        Label { has_machine, registered: record.registered }
    }

    /// All batch nodes, with what is on them.
    fn nodes_at(&mut self, now: Now, units: &[Unit]) -> Vec<Node> {
        let kinds = self.kinds();
        let batch = self.nodes.values().filter(|record| {
            // A label of an environment that is not there yet harms nothing: no unit can go there.
            record
                .environment_uuid()
                .is_some_and(|uuid| kinds.get(uuid).is_none_or(|of| belongs(self.label(record), *of)))
        });
        let there: Vec<(Node, Timestamp)> = batch.map(|record| (record.node.clone(), record.created)).collect();
        let mut nodes: Vec<Node> =
            there.into_iter().map(|(node, created)| with_start(node, created, &mut self.ages, now)).collect();
        let place: HashMap<String, usize> =
            nodes.iter().enumerate().map(|(index, node)| (node.name.clone(), index)).collect();
        for record in self.pods.values() {
            let Some(index) = self.node_of(record).and_then(|node| place.get(node)) else { continue };
            let node = &mut nodes[*index];
            node.used.add(&record.requests);
            if record.fills_node {
                // More than all of it, whatever others take.
                node.used.add(&node.allocatable);
            }
            if self.origin_of(record) == Origin::Unit {
                node.units += 1;
            } else {
                node.foreign.add(&record.requests);
                if matches!(record.origin, Origin::DaemonSet | Origin::Static) {
                    node.daemons.add(&record.requests);
                }
            }
        }
        let held: BTreeSet<&str> = units.iter().flat_map(|unit| held_nodes(&unit.place, &place)).collect();
        self.idle.update(&mut nodes, now, |node| node.units > 0 || held.contains(node.name.as_str()));
        nodes
    }
}

/// A node with the end of its start, if that is still to come.
fn with_start(node: Node, created: Timestamp, ages: &mut Ages, now: Now) -> Node {
    let until = ages.of(&node.uid, created, now).checked_add(learned::START).ok();
    Node { starting_until: until.filter(|until| *until > now.wall), ..node }
}

/// A Job without what it needs of nodes.
/// Whether a Job is planned for.
fn is_open(record: &WatchedJob) -> bool {
    record.ended.is_none() && !record.terminating
}

fn bare(job: &Job) -> Job {
    Job {
        key: job.key.clone(),
        uid: job.uid.clone(),
        queue: job.queue.clone(),
        created: job.created,
        held: job.held,
        released: job.released,
        started: job.started,
        parallelism: job.parallelism,
        remaining: job.remaining,
        has_deadline: job.has_deadline,
        shape: Arc::default(),
        refusal: None,
        stuck: None,
        barred: job.barred.clone(),
        status: job.status.clone(),
    }
}

/// The nodes that are kept for a unit that kube-scheduler has: all on which room is held; of those that it refused only the first
/// that is there, so that a unit which fits nowhere does not keep every idle machine, nor has a new one launched again and again.
fn held_nodes<'a>(place: &'a Place, there: &HashMap<String, usize>) -> impl Iterator<Item = &'a str> {
    let (nodes, refused) = match place {
        Place::Held { nodes, refused } => (nodes.as_slice(), *refused),
        _ => (&[][..], false),
    };
    let there = nodes.iter().map(String::as_str).filter(|node| there.contains_key(*node)).collect::<Vec<_>>();
    let kept = if refused { 1 } else { there.len() };
    there.into_iter().take(kept)
}

/// What the watches show by now.
struct Watched<'a> {
    pods: &'a Table<WatchedPod>,
    jobs: &'a Table<WatchedJob>,
}

impl Shown for Watched<'_> {
    fn pod(&self, uid: &str, placed: &AssumedPlace) -> Seen {
        let Some(record) = self.pods.get(uid) else { return Seen::Yes };
        let place = record.queued.as_ref().and_then(|queued| queued.place.as_ref());
        match (place, placed) {
            _ if record.node.is_some() => Seen::Yes,
            (Some(Place::Held { nodes, refused }), AssumedPlace::Held { nodes: held, .. }) if nodes == held => {
                if *refused {
                    Seen::Refused
                } else {
                    Seen::Yes
                }
            }
            _ => Seen::NotYet,
        }
    }

    fn release(&self, uid: &str) -> bool {
        self.jobs.get(uid).is_none_or(|record| record.job.released || record.ended.is_some())
    }

    fn status(&self, uid: &str, status: &Status) -> bool {
        self.jobs.get(uid).is_none_or(|record| record.job.status.as_ref() == Some(status))
    }
}
