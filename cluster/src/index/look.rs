//! From what the index holds to what one planning cycle is told.
//!
//! Invariant: what was told so far is, all together, what is so: the same content and time give the same, whether it is looked at anew or only
//! where something is marked. Does not decide anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::convert::custom::Known;
use api::convert::pod::WatchedPod;
use api::convert::{Problems, custom};
use api::crd::{EnvironmentType, Phase};
use model::clock::{Moment, Now};
use model::snapshot::{Environment, Given, Machine, Node, Place, Queue, Refused, Snapshot, Stage, Write};
use model::status::{Reason, Status};
use planning::membership::Of;
use planning::world::{Changes, News};

use super::assumed::{AssumedPlace, Seen, Shown};
use super::crowd::Crowd;
use super::marks::Marked;
use super::state::State;
use super::table::Table;

/// What the last look found of pods, Jobs and nodes one by one that others hang on.
#[derive(Debug)]
pub(super) struct Found {
    /// Pods that wait, and Jobs.
    pub(super) pods: Crowd,
    pub(super) jobs: Crowd,
    /// Pods that kube-scheduler has: the nodes that it may choose, and whether it has refused them.
    pub(super) held: BTreeMap<String, (Vec<String>, bool)>,
    /// Pods that kube-scheduler could not put on the node that it chose.
    pub(super) misbound: BTreeSet<String>,
    /// Pods that may not start, with the UIDs of their Jobs.
    pub(super) troubled: BTreeMap<String, String>,
    /// UIDs of Jobs of which the cluster has refused pods.
    pub(super) refused: BTreeSet<String>,
    /// Why pods wait that are too many.
    pub(super) barred: Arc<Reason>,
}

/// What the last look found of nodes and environments.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Names of the batch nodes.
    pub(super) batch: BTreeSet<String>,
    /// Those on which room is kept.
    pub(super) kept: BTreeSet<String>,
    /// Those that start, and until when.
    pub(super) starting: BTreeMap<String, jiff::Timestamp>,
    /// What environments believe of labels, by UUID.
    pub(super) kinds: HashMap<String, Of>,
    /// Those that machines may be learned from, as far as something is.
    pub(super) lessons: BTreeMap<String, Node>,
    /// When they were learned from last, and what by environment.
    pub(super) learned_at: Option<Moment>,
    pub(super) learned: BTreeMap<String, BTreeMap<String, Given>>,
}

impl State {
    /// What is so, as far as it was not told: of nodes, Jobs and units of pods those that are marked.
    pub(super) fn look(&mut self, now: Now) -> News {
        if self.looked.replace(now).is_some_and(|last| now.at(last.moment) != last.wall) {
            // The wall's clock was set: all times are others.
            self.marks.all();
        }
        self.settle(now);
        let marked = self.marks.take();
        let whole = marked.is_none();
        let marked = marked.unwrap_or_else(|| self.begin_anew());
        let mut marked = self.widen(marked);
        let units = self.units(&mut marked);
        let mut environments = self.environments_at(now);
        let machines = self.machines();
        let nodes = self.batch_nodes_at(&mut marked, now);
        self.learn_from_nodes(&mut environments, &machines, marked.lessons, now);
        let jobs = self.open_jobs(&mut marked, now);
        News {
            hooks_missing: self.hooks_missing(),
            // Whoever makes pods of the API asks for that.
            closed: BTreeMap::new(),
            queues: self.all_queues(),
            environments,
            machines,
            refused: self.refused.all(now.moment).into_iter().chain(self.misbound()).collect(),
            // Whoever plans remembers that.
            kept_since: BTreeMap::new(),
            nodes: Changes { whole, things: nodes },
            jobs: Changes { whole, things: jobs },
            units: Changes { whole, things: units },
        }
    }

    /// Everything, looked at anew.
    pub(super) fn snapshot(&mut self, now: Now) -> Snapshot {
        self.marks.all();
        let News { hooks_missing, closed, queues, environments, machines, refused, kept_since, nodes, jobs, units } =
            self.look(now);
        // Whoever is told what has changed has not been told that.
        self.marks.all();
        Snapshot {
            hooks_missing,
            closed,
            queues,
            environments,
            nodes: nodes.things.into_values().flatten().collect(),
            machines,
            jobs: jobs.things.into_values().flatten().collect(),
            units: units.things.into_values().flatten().collect(),
            refused,
            kept_since,
        }
    }

    /// Forgets what is known of our own writes and is over.
    fn settle(&mut self, now: Now) {
        let (pods, jobs) = self.assumed.settle(now.moment, &Watched { pods: &self.pods, jobs: &self.jobs });
        for (uid, place) in pods {
            self.marks.pod(&uid);
            if let AssumedPlace::Bound(node) = place {
                self.marks.node(&node);
            }
        }
        for uid in jobs {
            self.marks.job(&uid);
        }
        let (pods, all) = (&self.pods, &self.jobs);
        self.refused.settle(|uid| pods.get(uid).is_some() || all.get(uid).is_some());
    }

    /// Forgets what earlier looks have found, and marks everything that there is.
    fn begin_anew(&mut self) -> Marked {
        self.found = Found::new(&self.limits);
        let on = self.pods.values().filter_map(|record| Some((record.uid.as_str(), record.node.as_deref()?)));
        self.residents.replace(on);
        let of = self.pods.values().filter_map(|record| Some((record.uid.as_str(), job_of(record)?)));
        self.siblings.replace(of);
        let (jobs, places) = (&self.jobs, &self.places);
        self.job_ages.keep(|uid| jobs.get(uid).is_some());
        Marked {
            pods: self.pods.keys().cloned().collect(),
            jobs: self.jobs.keys().cloned().collect(),
            nodes: self.nodes.keys().chain(&places.batch).cloned().collect(),
            refusals: true,
            mounts: false,
            lessons: true,
        }
    }

    /// Marks what hangs on something that is not marked one by one.
    fn widen(&mut self, mut marked: Marked) -> Marked {
        if marked.mounts {
            marked.jobs.extend(self.found.troubled.values().cloned());
        }
        if marked.refusals {
            let refused = self.refusals.values().map(|refusal| refusal.job.clone()).collect();
            let before = std::mem::replace(&mut self.found.refused, refused);
            marked.jobs.extend(before.into_iter().chain(self.found.refused.iter().cloned()));
        }
        marked
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

    /// Pods that kube-scheduler could not put on the node that it chose; it goes on trying by itself.
    fn misbound(&self) -> Vec<Refused> {
        let of = |uid: &String| {
            let message = self.pods.get(uid)?.queued.as_ref()?.misbound.as_deref()?.to_owned();
            Some(Refused { uid: uid.clone(), write: Write::Bind, message, rests: true })
        };
        self.found.misbound.iter().filter_map(of).collect()
    }

    /// What environments believe of labels, by their UUIDs.
    pub(super) fn kinds(&self) -> HashMap<String, Of> {
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
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(limits: &super::NamespaceLimits) -> Self {
        Self {
            // What pods need is limited where it is kept.
            pods: Crowd::new(limits.jobs, usize::MAX),
            jobs: Crowd::new(limits.jobs, limits.bytes),
            held: BTreeMap::new(),
            misbound: BTreeSet::new(),
            troubled: BTreeMap::new(),
            refused: BTreeSet::new(),
            barred: Arc::new(limits.reason_of_pods()),
        }
    }
}

impl Default for Found {
    fn default() -> Self {
        Self::new(&super::NamespaceLimits::default())
    }
}

/// The UID of the Job that a pod of a queue says that it is of.
pub(super) fn job_of(record: &WatchedPod) -> Option<&str> {
    record.queued.as_ref()?.job.as_deref()
}

/// What the watches show by now.
struct Watched<'a> {
    pods: &'a Table<WatchedPod>,
    jobs: &'a Table<api::convert::job::WatchedJob>,
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
