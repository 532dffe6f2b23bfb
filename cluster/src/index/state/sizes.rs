//! What the pods of Jobs will request: what their template states, and what is added to it until a pod is stored.
//!
//! Invariant: whatever changes (queue, `LimitRange`, `RuntimeClass`, what pods turned out to request), a Job shows at once what its next pod
//! will request. Knows the API server's own admission; what webhooks of others add is learned from the pods that are there.

use std::collections::HashMap;

use api::JobQueue;
use api::convert::added::{self, Additions, ClassRecord};
use api::convert::job::WatchedJob;
use api::convert::pod::WatchedPod;
use api::convert::requests::Stated;
use api::convert::{Problems, custom};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::LimitRange;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use model::resources::Resources;

use super::super::table::Table;
use super::{Raw, State, by_name, keep};

/// What the newest pod of a Job requests, where that is not what was predicted.
#[derive(Debug)]
pub(super) struct Surprise {
    created: Timestamp,
    /// For another prediction it says nothing.
    predicted: Resources,
    requests: Resources,
}

/// What the requests of pods to come depend on.
pub(super) struct Sizes<'a> {
    pub(super) queues: &'a Table<Raw<JobQueue>>,
    pub(super) limit_ranges: &'a Table<Stated>,
    pub(super) classes: &'a Table<ClassRecord>,
    pub(super) surprises: &'a HashMap<String, Surprise>,
}

impl Sizes<'_> {
    /// Makes a Job's shape that of its pods to come.
    pub(super) fn apply(&self, record: &mut WatchedJob, problems: &mut Problems) {
        let predicted = self.predict(record, problems);
        let surprise = self.surprises.get(&record.job.uid).filter(|surprise| surprise.predicted == predicted);
        let requests = surprise.map_or(predicted, |surprise| surprise.requests.clone());
        record.size(requests, record.runtime_class().and_then(|name| self.classes.get(name)));
    }

    fn predict(&self, record: &WatchedJob, problems: &mut Problems) -> Resources {
        let class = record.runtime_class().and_then(|name| self.classes.get(name));
        record.requests(&Additions {
            each: container_defaults(self.limit_ranges, &record.job.key.namespace),
            overhead: class.and_then(|class| class.overhead.clone()),
            once: of_queue(self.queues, &record.job.queue, problems),
        })
    }
}

impl State {
    pub(super) fn feed_limit_range(&mut self, event: Event<DeserializeGuard<LimitRange>>) -> bool {
        let told = &mut self.told;
        let by_both = |object: &DeserializeGuard<LimitRange>| {
            let meta = kube::Resource::meta(object);
            key(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
        };
        let event = keep(event, by_both, |object| {
            told.about("limit range", object, |object, problems| added::limit_range(&object, problems))
        });
        let changed = self.limit_ranges.take(event, PartialEq::eq).changed;
        if changed {
            self.reshape();
        }
        changed
    }

    pub(super) fn feed_runtime_class(&mut self, event: Event<DeserializeGuard<RuntimeClass>>) -> bool {
        let told = &mut self.told;
        let event = keep(event, by_name, |object| {
            told.about("runtime class", object, |object, problems| Some(added::runtime_class(&object, problems)))
        });
        let changed = self.classes.take(event, PartialEq::eq).changed;
        if changed {
            self.reshape();
        }
        changed
    }

    /// Applies to all Jobs what their requests depend on.
    pub(super) fn reshape(&mut self) {
        let mut problems = Problems::new();
        let Self { queues, limit_ranges, classes, surprises, .. } = self;
        let sizes = Sizes { queues, limit_ranges, classes, surprises };
        for record in self.jobs.all_mut() {
            sizes.apply(record, &mut problems);
        }
        self.told.once("job queue", problems);
        self.marks.with(|marked| marked.jobs.extend(self.jobs.keys().cloned()));
    }

    /// Learns from a pod what the next ones of its Job will request.
    pub(super) fn learn(&mut self, pod: &WatchedPod) {
        if pod.fills_node || pod.queued.as_ref().is_some_and(|queued| queued.barred) {
            return;
        }
        let Self { queues, limit_ranges, classes, surprises, marks, .. } = self;
        let uid = pod.queued.as_ref().and_then(|queued| queued.job.as_ref());
        let Some((uid, job)) = uid.and_then(|uid| Some((uid, self.jobs.get_mut(uid)?))) else { return };
        let known = surprises.get(uid);
        if known.is_some_and(|known| known.created > pod.created) {
            return;
        }
        let mut problems = Problems::new();
        let predicted = Sizes { queues, limit_ranges, classes, surprises }.predict(job, &mut problems);
        let mut requests = pod.requests.clone();
        if let Some(known) = known.filter(|known| known.created == pod.created && known.predicted == predicted) {
            Resources::max(&mut requests, &known.requests);
        }
        if requests == predicted {
            if surprises.remove(uid).is_none() {
                return;
            }
        } else {
            tracing::info!(job = %job.job.key, pod = %pod.key.name, %predicted, %requests, "a pod requests something else than was expected");
            surprises.insert(uid.clone(), Surprise { created: pod.created, predicted, requests });
        }
        let before = job.job.shape.requests.clone();
        Sizes { queues, limit_ranges, classes, surprises }.apply(job, &mut problems);
        if job.job.shape.requests != before {
            marks.job(uid);
        }
    }

    /// Requests that containers without some get in a namespace.
    pub(in crate::index) fn container_defaults(&self, namespace: &str) -> Option<Stated> {
        container_defaults(&self.limit_ranges, namespace)
    }
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// Of several `LimitRanges` the API server takes any; the largest is counted.
fn container_defaults(limit_ranges: &Table<Stated>, namespace: &str) -> Option<Stated> {
    limit_ranges.starting_with(&key(namespace, "")).cloned().reduce(|mut all, one| {
        all.max(&one);
        all
    })
}

/// Default requests of a queue, which a label may name by its object name or its AWS name.
fn of_queue(queues: &Table<Raw<JobQueue>>, name: &str, problems: &mut Problems) -> Resources {
    let by_object_name = queues.get(name).and_then(|one| one.as_ref().ok());
    let by_aws_name = || queues.values().flatten().find(|queue| queue.aws_name() == name);
    let queue = by_object_name.or_else(by_aws_name);
    queue.map(|queue| custom::default_requests(queue, problems)).unwrap_or_default()
}
