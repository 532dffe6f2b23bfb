//! What a decision needs to know besides the object: from the caches, on a miss from the API server.
//!
//! Invariant: a cache that contradicts the API server's own selectors is stale and counts as a miss. Nothing is written anywhere.

use std::sync::Arc;

use api::crd::{ComputeEnvironment, EnvironmentType, JobQueue};
use cluster::cache::Cache;
use cluster::policies::Policies;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, PartialObjectMeta};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use planning::admission::node::NodeOwner;
use planning::admission::pod::{QueueFacts, Surroundings};
use planning::admission::policy::NamespaceFacts;
use planning::admission::size::MOST_TEMPLATE_BYTES;
use serde_json::Value;

/// What the watches have brought. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Namespaces by name.
    pub(crate) namespaces: Cache<Arc<NamespaceFacts>>,
    /// Queues by object name.
    pub(crate) queues: Cache<Arc<QueueFacts>>,
    /// Environments by object name.
    pub(crate) environments: Cache<KnownEnvironment>,
    /// Network policies.
    pub(crate) policies: Policies,
}

impl Facts {
    /// Nothing yet; the policies are fed by somebody else.
    pub(crate) fn new(policies: Policies) -> Self {
        Self { namespaces: Cache::default(), queues: Cache::default(), environments: Cache::default(), policies }
    }

    /// These namespaces and queues, no network policy, and nothing else ever: for measurements and tests, which have no watches.
    pub fn fixed(namespaces: &[PartialObjectMeta<Namespace>], queues: &[JobQueue]) -> Result<Self, serde_json::Error> {
        let namespace = |it: &PartialObjectMeta<Namespace>| Ok((it.name_any(), Arc::new(read_namespace(it)?)));
        Ok(Self {
            namespaces: namespaces.iter().map(namespace).collect::<Result<_, _>>()?,
            queues: queues.iter().map(|queue| (queue.name_any(), Arc::new(read_queue(queue)))).collect(),
            environments: Cache::default(),
            policies: Policies::none(),
        })
    }
}

/// A compute environment, as far as its nodes' taints depend on it.
#[derive(Clone, Debug)]
pub(crate) struct KnownEnvironment {
    pub(crate) uuid: Option<String>,
    pub(crate) environment: NodeOwner,
}

/// Why something is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookUpError {
    /// The API server did not answer, or with an error.
    #[error("{what} cannot be read from the API server")]
    Api {
        /// What was asked for.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// The answer was not understood.
    #[error("{what} cannot be understood")]
    Shape {
        /// What was asked for.
        what: String,
        /// What went wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// Answers from the caches and, on a miss, from the API server.
#[derive(Clone)]
pub struct LookUp {
    facts: Facts,
    client: Client,
    most_template: usize,
}

impl LookUp {
    /// Looks up in `facts`, then with `client`, whose requests should not be retried: the caller waits.
    pub fn new(facts: Facts, client: Client) -> Self {
        Self { facts, client, most_template: MOST_TEMPLATE_BYTES }
    }

    /// With pod templates of at most so many bytes.
    #[must_use]
    pub fn with_most_template(self, bytes: usize) -> Self {
        Self { most_template: bytes, ..self }
    }

    /// Bytes that a pod template may have.
    pub(crate) fn most_template(&self) -> usize {
        self.most_template
    }

    /// A namespace. The hooks are called for an object without a queue label only if its namespace has one: then
    /// `queue_expected`, and a cached namespace without a queue was read before it got one.
    pub(crate) async fn namespace(&self, name: &str, queue_expected: bool) -> Result<Arc<NamespaceFacts>, LookUpError> {
        let cached = self.facts.namespaces.get(name);
        if let Some(facts) = cached.filter(|facts| facts.queue.is_some() || !queue_expected) {
            return Ok(facts);
        }
        let what = || format!("namespace {name}");
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api.get_metadata_opt(name).await.map_err(|error| api_error(what(), error))?;
        let facts = found.map(|namespace| read_namespace(&namespace)).transpose();
        Ok(Arc::new(facts.map_err(|source| LookUpError::Shape { what: what(), source })?.unwrap_or_default()))
    }

    /// What speaks against the host network for pods of a namespace.
    pub(crate) fn around(&self, name: &str, namespace: &NamespaceFacts) -> Surroundings {
        self.facts.policies.around(name, namespace)
    }

    /// A queue; `None` if there is none of this name.
    pub(crate) async fn queue(&self, name: &str) -> Result<Option<Arc<QueueFacts>>, LookUpError> {
        if let Some(facts) = self.facts.queues.get(name) {
            return Ok(Some(facts));
        }
        let api: Api<JobQueue> = Api::all(self.client.clone());
        let found = api.get_opt(name).await.map_err(|error| api_error(format!("job queue {name}"), error))?;
        Ok(found.map(|queue| Arc::new(read_queue(&queue))))
    }

    /// A Job, as it is stored.
    pub(crate) async fn job(&self, namespace: &str, name: &str) -> Result<Option<Value>, LookUpError> {
        let what = || format!("Job {namespace}/{name}");
        let resource = ApiResource::erase::<Job>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let found = api.get_opt(name).await.map_err(|error| api_error(what(), error))?;
        found.map(serde_json::to_value).transpose().map_err(|source| LookUpError::Shape { what: what(), source })
    }

    /// The kind of the compute environment that has this UUID. There are few of them, so a miss lists them.
    pub(crate) async fn environment(&self, uuid: &str) -> Result<NodeOwner, LookUpError> {
        let wanted = |known: &KnownEnvironment| known.uuid.as_deref() == Some(uuid);
        if let Some(known) = self.facts.environments.with(|all| all.values().find(|it| wanted(it)).cloned()) {
            return Ok(known.environment);
        }
        let api: Api<ComputeEnvironment> = Api::all(self.client.clone());
        let all = api.list(&ListParams::default()).await;
        let all = all.map_err(|error| api_error("the compute environments".to_owned(), error))?;
        let found = all.items.iter().map(read_environment).find(wanted);
        Ok(found.map_or(NodeOwner::Unknown, |known| known.environment))
    }
}

fn api_error(what: String, source: kube::Error) -> LookUpError {
    LookUpError::Api { what, source: Box::new(source) }
}

/// Reads a namespace's metadata.
pub(crate) fn read_namespace(namespace: &PartialObjectMeta<Namespace>) -> Result<NamespaceFacts, serde_json::Error> {
    serde_json::to_value(namespace).map(|namespace| NamespaceFacts::read(&namespace))
}

/// Reads a queue.
pub(crate) fn read_queue(queue: &JobQueue) -> QueueFacts {
    QueueFacts {
        name: queue.spec.name.clone().unwrap_or_else(|| queue.name_any()),
        default_requests: queue.spec.default_requests.clone(),
        host_network: queue.spec.host_network,
    }
}

/// Reads a compute environment.
pub(crate) fn read_environment(environment: &ComputeEnvironment) -> KnownEnvironment {
    KnownEnvironment {
        uuid: environment.status.as_ref().and_then(|status| status.uuid.clone()),
        environment: match environment.spec.type_ {
            EnvironmentType::Managed => NodeOwner::Managed,
            EnvironmentType::Unmanaged => NodeOwner::Unmanaged,
        },
    }
}
