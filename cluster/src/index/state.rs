//! What the index holds, and how events change it.
//!
//! Invariant: every event leaves it complete, whatever is in the object. Does not lock and does not tell anybody.

mod batch_nodes;
mod pods;
mod sizes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::convert::added::ClassRecord;
use api::convert::job::WatchedJob;
use api::convert::mount::{About, unmounted};
use api::convert::node::NodeRecord;
use api::convert::pod::WatchedPod;
use api::convert::refusal::{Refusal, refusal};
use api::convert::requests::Stated;
use api::convert::{Problems, job, node};
use api::{BatchNode, ComputeEnvironment, JobQueue};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use model::clock::Now;
use model::job::{PodFacts, Unmounted};
use model::keys;
use model::names::ArnBase;

use super::ages::Ages;
use super::assumed::Assumed;
use super::change::Change;
use super::crowd::NamespaceLimits;
use super::failures::Failures;
use super::idle::Idle;
use super::jobs::for_pods;
use super::look::{Found, Places};
use super::marks::Marks;
use super::notes::Launches;
use super::refused::Refusals;
use super::residents::Residents;
use super::shapes::Shapes;
use super::table::{Table, Taken};
use crate::lean::map;
use sizes::{Sizes, Surprise};

/// An object that is kept as it is, or why it cannot be read.
pub(super) type Raw<K> = Result<K, String>;

/// Jobs that went are not kept beyond this number: what became of one more is looked up among its Events.
const MOST_DEPARTED: usize = 10_000;

/// What the index holds.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) arn: ArnBase,
    pub(super) limits: NamespaceLimits,
    /// By UID; only pods that have not ended, and are on a node or in a queue.
    pub(super) pods: Table<WatchedPod>,
    pub(super) residents: Residents,
    /// Pods by the UID of the Job that they say that they are of.
    pub(super) siblings: Residents,
    /// By UID; pods made for the API, also those that have ended, until they are gone.
    pub(super) attempts: Table<Arc<PodFacts>>,
    /// By UID; only those in a queue.
    pub(super) jobs: Table<WatchedJob>,
    /// Jobs that went, as they were last, until somebody takes them; at most [`MOST_DEPARTED`]. `None`: nobody will.
    pub(super) departed: Option<Vec<WatchedJob>>,
    pub(super) nodes: Table<NodeRecord>,
    pub(super) environments: Table<Raw<ComputeEnvironment>>,
    pub(super) queues: Table<Raw<JobQueue>>,
    /// By name; only those in which something can be made.
    pub(super) namespaces: Table<()>,
    /// By namespace and name; only those that give containers requests.
    limit_ranges: Table<Stated>,
    /// By name.
    classes: Table<ClassRecord>,
    /// By UID of a Job: what its pods turned out to request.
    surprises: HashMap<String, Surprise>,
    pub(super) batch_nodes: Table<Raw<BatchNode>>,
    /// Refusals of pods, by UID of the Event.
    pub(super) refusals: Table<Refusal>,
    /// By UID of the Event.
    pub(super) mounts: Table<(About, Unmounted)>,
    /// By UID of the Event. A table of its own, because a watch's new list replaces all that is in its table.
    pub(super) attaches: Table<(About, Unmounted)>,
    /// Our first webhook configuration by name, and whether it has its hook for pods.
    hooks: Table<bool>,
    /// Our last one. A table of its own, because a watch's new list replaces all that is in its table.
    late_hooks: Table<bool>,
    /// Names of batch nodes of which it is being written that they retire.
    pub(super) retiring: BTreeSet<String>,
    /// UIDs by name of batch nodes that are gone before the watch says so.
    removed: BTreeMap<String, String>,
    pub(super) failures: Failures,
    pub(super) assumed: Assumed,
    pub(super) refused: Refusals,
    pub(super) launches: Launches,
    pub(super) idle: Idle,
    pub(super) job_ages: Ages,
    pub(super) node_ages: Ages,
    pub(super) learned: planning::learned::Learned,
    /// Of the pods of queues.
    pub(super) shapes: Shapes,
    pub(super) marks: Marks,
    pub(super) found: Found,
    pub(super) places: Places,
    /// When it was looked at last.
    pub(super) looked: Option<Now>,
    told: Told,
}

impl State {
    pub(super) fn new(arn: ArnBase, limits: NamespaceLimits) -> Self {
        Self { arn, limits, found: Found::new(&limits), ..Self::default() }
    }

    /// Whether every watch has delivered a list. Those that only help to explain are not waited for.
    pub(super) fn synced(&self) -> bool {
        self.pods.listed()
            && self.jobs.listed()
            && self.nodes.listed()
            && self.environments.listed()
            && self.queues.listed()
            && self.batch_nodes.listed()
            && self.namespaces.listed()
            && self.limit_ranges.listed()
            && self.classes.listed()
    }

    /// Takes in an event. Returns whether something changed that matters.
    pub(super) fn feed(&mut self, change: Change) -> bool {
        match change {
            Change::Pod(event) => self.feed_pod(*event),
            Change::Job(event) => self.feed_job(*event),
            Change::Node(event) => self.feed_node(*event),
            Change::ComputeEnvironment(event) => self.feed_environment(*event),
            Change::JobQueue(event) => self.feed_queue(*event),
            Change::BatchNode(event) => self.feed_batch_node(*event),
            Change::Namespace(event) => self.feed_namespace(*event),
            Change::LimitRange(event) => self.feed_limit_range(*event),
            Change::RuntimeClass(event) => self.feed_runtime_class(*event),
            Change::Event(event) => self.feed_event(*event),
            Change::Mount(event) => feed_unmounted(&mut self.mounts, &mut self.marks, *event),
            Change::Attach(event) => feed_unmounted(&mut self.attaches, &mut self.marks, *event),
            Change::Hooks(event) => feed_hooks(&mut self.hooks, *event, keys::POD_HOOK),
            Change::LateHooks(event) => feed_hooks(&mut self.late_hooks, *event, keys::LATE_POD_HOOK),
        }
    }

    fn feed_job(&mut self, event: Event<DeserializeGuard<Job>>) -> bool {
        let listed = matches!(event, Event::InitDone);
        let Self { told, queues, limit_ranges, classes, surprises, .. } = self;
        let sizes = Sizes { queues, limit_ranges, classes, surprises };
        let event = keep(event, by_uid, |object| {
            // One that cannot be read waits, and says why.
            let unreadable =
                || object.0.as_ref().err().and_then(|error| job::unreadable(&error.metadata, &error.error));
            unreadable().or_else(|| {
                told.about("Job", object, |object, problems| {
                    let mut record = job::job(&object, problems)?;
                    sizes.apply(&mut record, &mut Problems::new());
                    Some(record)
                })
            })
        });
        if let (Event::Delete((_, Some(record))), Some(departed)) = (&event, &mut self.departed)
            && departed.len() < MOST_DEPARTED
        {
            departed.push(record.clone());
        }
        let one = match &event {
            Event::Apply((uid, _)) | Event::Delete((uid, _)) => Some(uid.clone()),
            _ => None,
        };
        let before = one.as_ref().and_then(|uid| self.jobs.get(uid)).map(for_pods);
        let Taken { changed, gone, touched } = self.jobs.take(event, PartialEq::eq);
        for job in touched {
            self.marks.job(&job);
            if one.is_none() || self.jobs.get(&job).map(for_pods) != before {
                self.mark_pods_of(&job);
            }
        }
        for job in gone {
            self.drop_failures(&job);
            self.surprises.remove(&job);
        }
        if listed {
            // Pods that were listed before their Jobs.
            let pods: Vec<WatchedPod> = self.pods.values().filter(|pod| pod.queued.is_some()).cloned().collect();
            for pod in &pods {
                self.learn(pod);
            }
        }
        changed
    }

    fn feed_node(&mut self, event: Event<DeserializeGuard<Node>>) -> bool {
        let told = &mut self.told;
        let event = keep(event, by_name, |object: DeserializeGuard<Node>| {
            // One that cannot be read is there, with what runs on it.
            let unreadable = object.0.as_ref().err().map(|error| node::unreadable(&error.metadata));
            told.about("node", object, |object, problems| Some(node::node(&object, problems))).or(unreadable)
        });
        let one = match &event {
            Event::Apply((name, _)) | Event::Delete((name, _)) => Some(name.clone()),
            _ => None,
        };
        let uid = |record: &NodeRecord| record.node.uid.clone();
        let before = one.as_ref().and_then(|name| self.nodes.get(name)).map(uid);
        let Taken { changed, touched, .. } = self.nodes.take(event, PartialEq::eq);
        for name in touched {
            self.marks.node(&name);
            if one.is_none() || self.nodes.get(&name).map(uid) != before {
                self.mark_pods_on(&name);
            }
        }
        changed
    }

    fn feed_environment(&mut self, event: Event<DeserializeGuard<ComputeEnvironment>>) -> bool {
        let told = &mut self.told;
        let event = keep(event, by_name, |object| Some(told.raw("compute environment", object)));
        let known = |one: &ComputeEnvironment| one.status.as_ref().and_then(|status| status.uuid.clone());
        let Taken { changed, gone, .. } = self.environments.take(event, |a, b| {
            same_raw(a, b, |a, b| a.spec == b.spec && known(a) == known(b) && same_meta(&a.metadata, &b.metadata))
        });
        self.marks.with(|marked| marked.lessons |= changed);
        for name in gone {
            self.launches.drop_environment(&name);
        }
        changed
    }

    fn feed_queue(&mut self, event: Event<DeserializeGuard<JobQueue>>) -> bool {
        let told = &mut self.told;
        let event = keep(event, by_name, |object| Some(told.raw("job queue", object)));
        let taken = self
            .queues
            .take(event, |a, b| same_raw(a, b, |a, b| a.spec == b.spec && same_meta(&a.metadata, &b.metadata)));
        if taken.changed {
            self.reshape();
        }
        taken.changed
    }

    fn feed_namespace(&mut self, event: Event<DeserializeGuard<Namespace>>) -> bool {
        let stays = |object: DeserializeGuard<Namespace>| object.meta().deletion_timestamp.is_none().then_some(());
        self.namespaces.take(keep(event, by_name, stays), PartialEq::eq).changed
    }

    /// What is said about volumes of pods, by their namespace and UID.
    pub(super) fn unmounted(&self) -> HashMap<(&str, &str), Unmounted> {
        let mut all: HashMap<(&str, &str), Unmounted> = HashMap::new();
        for (about, unmounted) in self.mounts.values().chain(self.attaches.values()) {
            let known = all.entry((about.namespace.as_str(), about.uid.as_str())).or_insert_with(|| unmounted.clone());
            let last = known.last.max(unmounted.last);
            // The first report stays the first, whatever else is said later: a reason that stays the same.
            if (unmounted.since, &unmounted.message) < (known.since, &known.message) {
                known.clone_from(unmounted);
            }
            known.last = last;
        }
        all
    }

    /// Pods made for the API, with what is said about their volumes.
    pub(super) fn attempts_now(&self) -> Vec<Arc<PodFacts>> {
        let all = self.unmounted();
        let with = |pod: &Arc<PodFacts>| match all.get(&(pod.namespace.as_str(), pod.uid.as_str())) {
            Some(unmounted) => Arc::new(PodFacts { unmounted: Some(unmounted.clone()), ..PodFacts::clone(pod) }),
            None => pod.clone(),
        };
        self.attempts.values().map(with).collect()
    }

    fn feed_event(&mut self, event: Event<DeserializeGuard<CoreEvent>>) -> bool {
        let event = keep(event, by_uid, |object| object.0.ok().as_ref().and_then(refusal));
        let changed = self.refusals.take(event, PartialEq::eq).changed;
        self.marks.with(|marked| marked.refusals |= changed);
        changed
    }

    /// Whether the API server is known not to call us for new pods, or not for what others have made of them.
    pub(super) fn hooks_missing(&self) -> bool {
        let missing = |hooks: &Table<bool>| hooks.listed() && !hooks.values().any(|complete| *complete);
        missing(&self.hooks) || missing(&self.late_hooks)
    }

    /// Logs what could not be understood in an object that is converted for the snapshot, once.
    pub(super) fn tell(&mut self, about: &str, problems: Problems) {
        self.told.once(about, problems);
    }
}

fn feed_hooks(
    table: &mut Table<bool>,
    event: Event<DeserializeGuard<MutatingWebhookConfiguration>>,
    wanted: &str,
) -> bool {
    let event = keep(event, by_name, |object| {
        let hooks = object.0.ok()?.webhooks.unwrap_or_default();
        Some(hooks.iter().any(|hook| hook.name == wanted))
    });
    table.take(event, PartialEq::eq).changed
}

fn feed_unmounted(
    table: &mut Table<(About, Unmounted)>,
    marks: &mut Marks,
    event: Event<DeserializeGuard<CoreEvent>>,
) -> bool {
    let event = keep(event, by_uid, |object| object.0.ok().as_ref().and_then(unmounted));
    let changed = table.take(event, PartialEq::eq).changed;
    marks.with(|marked| marked.mounts |= changed);
    changed
}

fn by_uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

fn by_name<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

fn keep<K, V>(
    event: Event<K>,
    key: impl Fn(&K) -> String,
    mut convert: impl FnMut(K) -> Option<V>,
) -> Event<(String, Option<V>)> {
    map(event, |object| (key(&object), convert(object)))
}

fn same_raw<K>(a: &Raw<K>, b: &Raw<K>, same: impl Fn(&K, &K) -> bool) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => same(a, b),
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

/// Whether two versions of an object's metadata differ only in what every write changes.
fn same_meta(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    let stripped = |meta: &ObjectMeta| ObjectMeta { resource_version: None, managed_fields: None, ..meta.clone() };
    stripped(a) == stripped(b)
}

/// What has been logged already.
#[derive(Debug, Default)]
struct Told(BTreeSet<String>);

impl Told {
    /// Sentences remembered at most; the set starts anew after that, so that it cannot grow without end.
    const LIMIT: usize = 1000;

    /// Converts an object; of one that cannot be read nothing is known here.
    fn about<K: Resource<DynamicType = ()>, V>(
        &mut self,
        kind: &str,
        object: DeserializeGuard<K>,
        convert: impl FnOnce(K, &mut Problems) -> Option<V>,
    ) -> Option<V> {
        let name = format!("{kind} {}/{}", object.meta().namespace.as_deref().unwrap_or("-"), object.name_any());
        let mut problems = Problems::new();
        let kept = match object.0 {
            Ok(object) => convert(object, &mut problems),
            Err(error) => {
                problems.push(format!("cannot be read: {}", error.error));
                None
            }
        };
        self.once(&name, problems);
        kept
    }

    /// Keeps an object as it is, without what nobody reads.
    fn raw<K: Resource<DynamicType = ()>>(&mut self, kind: &str, object: DeserializeGuard<K>) -> Raw<K> {
        let name = format!("{kind} {}", object.name_any());
        match object.0 {
            Ok(mut object) => {
                object.meta_mut().managed_fields = None;
                Ok(object)
            }
            Err(error) => {
                self.once(&name, vec![format!("cannot be read: {}", error.error)]);
                Err(error.error)
            }
        }
    }

    fn once(&mut self, about: &str, problems: Problems) {
        for problem in problems {
            if self.0.len() >= Self::LIMIT {
                self.0.clear();
            }
            if self.0.insert(format!("{about}: {problem}")) {
                tracing::warn!(object = about, problem, "an object is not understood completely");
            }
        }
    }
}
