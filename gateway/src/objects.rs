//! Compute environments and job queues: the custom resources, read and written past all caches.
//!
//! Invariant: a read sees every write that came before it, whoever wrote. Nothing is overwritten that was not read.

use std::fmt::Debug;
use std::future::Future;

use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A kind of object that the API shows: [`api::ComputeEnvironment`], [`api::JobQueue`].
pub trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The other kind.
    type Other: Kind;

    /// What sentences call it, at their beginning.
    const NAME: &'static str;

    /// Its AWS name.
    fn aws_name(&self) -> &str;

    /// What of it only AWS has a word for.
    fn aws(&mut self) -> &mut Option<Map<String, Value>>;
}

impl Kind for api::ComputeEnvironment {
    type Other = api::JobQueue;

    const NAME: &'static str = "Compute environment";

    fn aws_name(&self) -> &str {
        self.aws_name()
    }

    fn aws(&mut self) -> &mut Option<Map<String, Value>> {
        &mut self.spec.aws
    }
}

impl Kind for api::JobQueue {
    type Other = api::ComputeEnvironment;

    const NAME: &'static str = "Job queue";

    fn aws_name(&self) -> &str {
        self.aws_name()
    }

    fn aws(&mut self) -> &mut Option<Map<String, Value>> {
        &mut self.spec.aws
    }
}

/// Why an object was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is one of this name.
    #[error("an object of this name exists")]
    Taken,
    /// Somebody has changed it since it was read.
    #[error("the object has changed since it was read")]
    Changed,
    /// It is not there any more.
    #[error("the object is gone")]
    Gone,
    /// It breaks a rule of its kind.
    #[error("the object is refused: {0}")]
    Invalid(String),
    /// The Kubernetes API did not answer, or with an error.
    #[error("the Kubernetes API failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Objects as they are stored.
pub trait Objects: Send + Sync + 'static {
    /// All objects of a kind.
    fn list<K: Kind>(&self) -> impl Future<Output = Result<Vec<K>, ObjectError>> + Send;

    /// Stores a new one.
    fn create<K: Kind>(&self, object: K) -> impl Future<Output = Result<K, ObjectError>> + Send;

    /// Stores a changed one, if it is still as it was read.
    fn replace<K: Kind>(&self, object: K) -> impl Future<Output = Result<K, ObjectError>> + Send;

    /// Removes one, if it is still as it was read.
    fn delete<K: Kind>(&self, object: &K) -> impl Future<Output = Result<(), ObjectError>> + Send;
}

/// Objects in a cluster.
#[derive(Clone)]
pub struct KubeObjects {
    client: Client,
}

impl KubeObjects {
    /// Through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Objects for KubeObjects {
    async fn list<K: Kind>(&self) -> Result<Vec<K>, ObjectError> {
        // Without a resourceVersion the answer is not older than the request.
        let list = Api::<K>::all(self.client.clone()).list(&ListParams::default()).await.map_err(failed)?;
        Ok(list.items)
    }

    async fn create<K: Kind>(&self, object: K) -> Result<K, ObjectError> {
        Api::<K>::all(self.client.clone()).create(&PostParams::default(), &object).await.map_err(failed)
    }

    async fn replace<K: Kind>(&self, object: K) -> Result<K, ObjectError> {
        let (api, name) = (Api::<K>::all(self.client.clone()), object.name_any());
        api.replace(&name, &PostParams::default(), &object).await.map_err(failed)
    }

    async fn delete<K: Kind>(&self, object: &K) -> Result<(), ObjectError> {
        let meta = object.meta();
        let as_read = Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
        let parameters = DeleteParams { preconditions: Some(as_read), ..DeleteParams::default() };
        Api::<K>::all(self.client.clone()).delete(&object.name_any(), &parameters).await.map_err(failed).map(drop)
    }
}

fn failed(error: kube::Error) -> ObjectError {
    match &error {
        kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
            (409, "AlreadyExists") => ObjectError::Taken,
            (409, _) => ObjectError::Changed,
            (404, "NotFound") => ObjectError::Gone,
            (422 | 400, _) => ObjectError::Invalid(status.message.clone()),
            _ => ObjectError::Unavailable(Box::new(error)),
        },
        _ => ObjectError::Unavailable(Box::new(error)),
    }
}
