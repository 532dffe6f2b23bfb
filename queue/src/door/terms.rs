//! What the leader remembers of what was asked for: the terms of a job without what only its pod needs.
//!
//! Invariant: like jobs share one entry, so that a hundred thousand of them take the memory of their records and no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::convert::added::Additions;
use api::convert::requests::{Requests, Stated};
use api::convert::{Problems, shape};
use api::{ComputeEnvironment, JobQueue};
use cluster::index::Index;
use k8s_openapi::api::core::v1::Pod;
use model::job::{JobId, Spec};
use model::keys;
use model::placement::Shape;
use planning::admission::pod::{QueueFacts, Surroundings};
use planning::api_pod::{self, Made};
use serde_json::{Value, json};
use uuid::Uuid;

use super::units;

/// Bytes of what entries are found by; beyond, all are made anew, so that jobs that all differ cannot fill the memory.
const MOST: usize = 8 << 20;

/// Terms and shapes.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// By what they are made from.
    known: HashMap<String, (Arc<Spec>, Arc<Shape>)>,
    /// How long those texts are together.
    bytes: usize,
    /// Requests by default of each queue (AWS name) with which they were made.
    defaults: HashMap<String, BTreeMap<String, String>>,
    /// What `LimitRanges` gave to containers, by queue (AWS name) and namespace of the job.
    limits: HashMap<(String, Option<String>), Option<Stated>>,
}

impl Terms {
    /// The terms of a job, and what its pod needs of a node.
    pub(super) fn of(&mut self, index: &Index, spec: &Spec) -> (Arc<Spec>, Arc<Shape>) {
        let lean = lean(spec);
        let key = serde_json::to_string(&lean).unwrap_or_default();
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let queue = units::queue_facts(index, &spec.queue);
        let each = Namespaces::of(index).container_defaults(&spec.queue, spec.namespace.as_deref());
        let shape = shape_of(&queue, &lean, each.clone());
        self.limits.entry((spec.queue.clone(), spec.namespace.clone())).or_insert(each);
        self.defaults.entry(queue.name).or_insert(queue.default_requests);
        let entry = (Arc::new(Spec { pod: Value::Null, ..lean }), Arc::new(shape));
        if self.bytes + key.len() > MOST {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += key.len();
        self.known.insert(key, entry.clone());
        entry
    }

    /// Whether a queue in which somebody waits has other requests by default now, or is gone, or `LimitRanges` give others: pods will be made
    /// with those, so what was remembered is wrong.
    pub(super) fn outdated(&self, index: &Index, waits: impl Fn(&str) -> bool) -> bool {
        let queues = index.job_queues();
        let now =
            |name: &str| queues.iter().find(|queue| queue.aws_name() == name).map(|queue| &queue.spec.default_requests);
        let mut defaults = self.defaults.iter().filter(|(queue, _)| waits(queue));
        if defaults.any(|(queue, used)| now(queue).map_or(!used.is_empty(), |now| now != used)) {
            return true;
        }
        let namespaces = Namespaces::of(index);
        let mut limits = self.limits.iter().filter(|((queue, _), _)| waits(queue));
        limits.any(|((queue, own), used)| namespaces.container_defaults(queue, own.as_deref()) != *used)
    }
}

/// Where pods go.
struct Namespaces<'a> {
    index: &'a Index,
    queues: Vec<JobQueue>,
    environments: Vec<ComputeEnvironment>,
}

impl<'a> Namespaces<'a> {
    fn of(index: &'a Index) -> Self {
        Self { index, queues: index.job_queues(), environments: index.compute_environments() }
    }

    /// What `LimitRanges` give to containers of a job: in its own namespace, else the most in any that its queue may send it to.
    fn container_defaults(&self, queue: &str, own: Option<&str>) -> Option<Stated> {
        if let Some(own) = own {
            return self.index.container_defaults([own]);
        }
        let listed =
            self.queues.iter().filter(|one| one.aws_name() == queue).flat_map(|one| &one.spec.compute_environments);
        let environment = |name: &String| {
            let is = |one: &&ComputeEnvironment| one.metadata.name.as_ref() == Some(name) || one.aws_name() == name;
            self.environments.iter().find(is)
        };
        let found =
            listed.filter_map(environment).map(|one| one.spec.namespace.as_deref().unwrap_or(keys::BATCH_NAMESPACE));
        self.index.container_defaults(found)
    }
}

/// What of a job matters before its pod is made; of the pod only what it requests, and that it has volumes by which its node is chosen.
pub(super) fn lean(spec: &Spec) -> Spec {
    let containers = |list: &str| -> Vec<Value> {
        let all = spec.pod.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let one = |(index, container): (usize, &Value)| json!({"name": format!("c{index}"), "image": "-", "resources": container.get("resources")});
        all.iter().enumerate().map(one).collect()
    };
    let claim = |volume: &&Value| volume.get("persistentVolumeClaim").is_some_and(|claim| !claim.is_null());
    let volumes = spec.pod.get("volumes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let claims: Vec<Value> = volumes
        .iter()
        .find(claim)
        .map(|_| json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}))
        .into_iter()
        .collect();
    Spec {
        name: String::new(),
        definition: String::new(),
        parameters: BTreeMap::new(),
        tags: BTreeMap::new(),
        container: None,
        submitter: None,
        pod: json!({"containers": containers("containers"), "initContainers": containers("initContainers"), "volumes": claims}),
        ..spec.clone()
    }
}

/// What a pod made from this needs of a node. What no pod can be made from needs nothing, and fails where it is made.
fn shape_of(queue: &QueueFacts, spec: &Spec, each: Option<Stated>) -> Shape {
    let job = JobId::new(Uuid::nil());
    let made = Made {
        // An array job itself has no pod; all its children need the same.
        id: if spec.array_size.is_some() { job.with_child(0) } else { job },
        attempt: 1,
        placement: 0,
        spec,
        placed: None,
        queue,
        namespace: "default",
        surroundings: Surroundings::default(),
    };
    let built = api_pod::build(&made).ok();
    let judged = built.as_ref().is_none_or(api_pod::judged);
    let pod = built.and_then(|pod| serde_json::from_value::<Pod>(pod).ok());
    let Some(pod) = pod else { return Shape { judged: true, ..Shape::default() } };
    let mut problems = Problems::new();
    let added = Additions { each, ..Additions::default() };
    let requests = Requests::of_pod(&pod, &mut problems).effective(&added);
    pod.spec.as_ref().map_or_else(Shape::default, |spec| shape::shape(spec, requests, judged))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::LimitRange;
    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use model::job::{Door, OfContainer};
    use model::names::ArnBase;
    use model::resources::Resources;

    use super::*;

    fn spec(array_size: Option<u32>) -> Spec {
        let limits = json!({"limits": {"cpu": "0.25", "memory": "64Mi"}});
        Spec {
            name: "n".into(),
            door: Door::Api,
            queue: "q".into(),
            definition: "d:1".into(),
            namespace: None,
            uid: None,
            pod: json!({"containers": [{"image": "i", "command": ["true"], "resources": limits}]}),
            retry: None,
            timeout_seconds: None,
            depends_on: Vec::new(),
            container: None,
            array_size,
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            share: None,
            priority: None,
            submitter: None,
        }
    }

    #[test]
    fn single_jobs_and_children_need_what_their_containers_request() {
        let queue = QueueFacts::unknown("q");
        for array_size in [None, Some(7)] {
            let shape = shape_of(&queue, &lean(&spec(array_size)), None);
            assert_eq!(shape.requests, Resources::new(250, 64 << 20).with("pods", 1), "{array_size:?}");
            assert!(shape.judged && !shape.tolerations.is_empty());
        }
    }

    #[test]
    fn terms_are_outdated_when_their_queue_has_other_default_requests() {
        let index = Index::new(ArnBase::default());
        let say = |memory: &str| {
            let queue: JobQueue = serde_json::from_value(json!({
                "metadata": {"name": "q"},
                "spec": {"priority": 1, "computeEnvironments": [], "defaultRequests": {"memory": memory}},
            }))
            .unwrap();
            index.feed(Event::Apply(DeserializeGuard(Ok(queue))));
        };
        say("64Mi");
        let mut terms = Terms::default();
        assert!(!terms.outdated(&index, |_| true));
        let mut needy = spec(None);
        needy.pod["containers"] = json!([{"image": "i"}]);
        let memory = |terms: &mut Terms| terms.of(&index, &needy).1.requests.memory;
        assert_eq!(memory(&mut terms), 64 << 20);
        assert!(!terms.outdated(&index, |_| true));
        say("128Mi");
        assert!(terms.outdated(&index, |queue| queue == "q") && !terms.outdated(&index, |_| false));
        assert_eq!(memory(&mut Terms::default()), 128 << 20);
    }

    #[test]
    fn limit_ranges_of_where_the_pods_go_are_counted() {
        let index = Index::new(ArnBase::default());
        let say = |namespace: &str, cpu: &str| {
            let range: LimitRange = serde_json::from_value(json!({
                "metadata": {"name": "l", "namespace": namespace},
                "spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": cpu}}]},
            }))
            .unwrap();
            index.feed(Event::Apply(DeserializeGuard(Ok(range))));
        };
        let queue: JobQueue = serde_json::from_value(
            json!({"metadata": {"name": "q"}, "spec": {"priority": 1, "computeEnvironments": ["ce", "gone"]}}),
        )
        .unwrap();
        index.feed(Event::Apply(DeserializeGuard(Ok(queue))));
        let environment: ComputeEnvironment = serde_json::from_value(json!({
            "metadata": {"name": "x"}, "spec": {"name": "ce", "type": "UNMANAGED", "namespace": "theirs"},
        }))
        .unwrap();
        index.feed(Event::Apply(DeserializeGuard(Ok(environment))));
        let mut bare = spec(None);
        bare.pod["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
        let cpu = |terms: &mut Terms, namespace: Option<&str>| {
            let spec = Spec { namespace: namespace.map(str::to_owned), ..bare.clone() };
            terms.of(&index, &spec).1.requests.cpu
        };
        let mut terms = Terms::default();
        assert_eq!((cpu(&mut terms, None), cpu(&mut terms, Some("own"))), (0, 0));
        say("own", "600m");
        assert!(terms.outdated(&index, |_| true) && !terms.outdated(&index, |_| false));
        say("theirs", "300m");
        let mut terms = Terms::default();
        assert_eq!((cpu(&mut terms, None), cpu(&mut terms, Some("own"))), (300, 600));
        say("nobodys", "1");
        assert!(!terms.outdated(&index, |_| true));
    }

    #[test]
    fn only_kube_scheduler_judges_where_a_claim_can_be_had() {
        let with = |volume: Value| {
            let mut spec = spec(None);
            spec.pod["volumes"] = json!([volume]);
            shape_of(&QueueFacts::unknown("q"), &lean(&spec), None).judged
        };
        assert!(with(json!({"name": "a", "emptyDir": {}})));
        assert!(!with(json!({"name": "a", "persistentVolumeClaim": {"claimName": "data"}})));
    }

    #[test]
    fn jobs_that_differ_in_what_only_their_pods_need_share_their_terms() {
        let other = Spec {
            name: "other".into(),
            container: Some(OfContainer::default()),
            pod: json!({"containers": [{
                "image": "j", "resources": {"limits": {"cpu": "0.25", "memory": "64Mi"}},
            }]}),
            ..spec(None)
        };
        assert_eq!(lean(&spec(None)), lean(&other));
        let larger = json!({"containers": [{"image": "i", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}]});
        assert_ne!(lean(&spec(None)), lean(&Spec { pod: larger, ..spec(None) }));
    }
}
