//! Tests of the whole API over HTTP requests, with objects in memory and the record store in a file.

mod environments;
mod fronts;
mod fuzz;
mod jobs;
mod keys;
mod logs;
mod memory;
mod readers;
mod tags;
mod tokens;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use model::front::Fronts;
use model::names::ArnBase;
use prometheus_client::registry::Registry;
use records::{Quotas, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt as _;

use self::memory::MemoryObjects;
use crate::{Config, Metrics, Room, Served, router};

/// The API with its stores.
struct World {
    router: Router,
    objects: MemoryObjects,
    stores: watch::Sender<Option<Store>>,
    fronts: watch::Sender<Option<Arc<Fronts>>>,
    directory: TempDir,
}

impl World {
    /// Without a record store.
    fn new() -> Self {
        let (objects, stores, fronts) = (MemoryObjects::default(), watch::Sender::new(None), watch::Sender::new(None));
        let router = router(stores.subscribe(), fronts.subscribe(), objects.clone(), config());
        Self { router, objects, stores, fronts, directory: tempfile::tempdir().unwrap() }
    }

    async fn with_records(quotas: Quotas) -> Self {
        let world = Self::new();
        let url = format!("sqlite://{}/records.db", world.directory.path().display());
        let store = Store::open_limited(&url, quotas, records::Metrics::default()).await.unwrap();
        world.stores.send_replace(Some(store));
        world
    }

    fn records(&self) -> Store {
        self.stores.borrow().clone().unwrap()
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
        self.send_with(method, path, &[("content-type", "application/json")], body).await
    }

    async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8070");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(body.into()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Calls an operation: its answer, or the message of its error without the envelope.
    async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let path = format!("/v1/{}", operation.to_lowercase());
        let response = self.send("POST", &path, body.to_string()).await;
        let ok = response.status().is_success();
        let answer = read(response).await;
        if ok { Ok(answer) } else { Err(inner(answer["message"].as_str().unwrap())) }
    }

    /// Calls an operation that must succeed.
    async fn ok(&self, operation: &str, body: Value) -> Value {
        self.call(operation, body).await.unwrap()
    }

    /// Makes a queue of the environment `CE`.
    async fn create_queue(&self, name: &str) {
        let order = json!([{"order": 1, "computeEnvironment": "CE"}]);
        let body = json!({"jobQueueName": name, "priority": 10, "computeEnvironmentOrder": order});
        self.ok("CreateJobQueue", body).await;
    }

    /// With a record store, the environment `CE`, valid, and the queue `Q` and the definition `D`.
    async fn ready() -> Self {
        Self::ready_with(Quotas::NONE).await
    }

    /// The same with these limits.
    async fn ready_with(quotas: Quotas) -> Self {
        let world = Self::with_records(quotas).await;
        world.ok("CreateComputeEnvironment", environment("CE")).await;
        world.objects.validate();
        world.create_queue("Q").await;
        world.ok("RegisterJobDefinition", definition("D")).await;
        world
    }
}

/// As long as this is kept, a clock that is paused stands still until a test moves it: it does not run ahead of the threads that the
/// record store works in.
fn hold_clock() -> std::sync::mpsc::Sender<()> {
    let (hold, end) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || end.recv());
    hold
}

pub(crate) fn config() -> Config {
    let provider = json!({"external": {"url": "http://provider"}});
    Config {
        arn: ArnBase::default(),
        default_provider: Some(serde_json::from_value(provider).unwrap()),
        default_namespace: None,
        guard: None,
        outputs: Arc::new(crate::tests::logs::Nothing),
        room: Room::default(),
        served: Served::default(),
        metrics: Metrics::new(&mut Registry::default()),
    }
}

async fn read(response: Response<Body>) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

/// The message in AWS's envelope.
fn inner(message: &str) -> String {
    let inner = message.strip_prefix("Error executing request, Exception : ");
    inner.and_then(|rest| rest.split(", RequestId: ").next()).unwrap_or(message).to_owned()
}

/// The environment of AWS's guide for private clusters.
fn environment(name: &str) -> Value {
    json!({"computeEnvironmentName": name, "type": "MANAGED", "state": "ENABLED", "serviceRole": "",
        "eksConfiguration": {"eksClusterArn": "arn:aws:eks:eu-west-1:123456789012:cluster/c",
            "kubernetesNamespace": "my-aws-batch-namespace"},
        "computeResources": {"type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 0,
            "maxvCpus": 128, "instanceTypes": ["m5"], "subnets": ["s"], "securityGroupIds": ["g"],
            "instanceRole": "r", "launchTemplate": {"launchTemplateId": "", "version": "1"}}})
}

/// The definition of AWS's guide for private clusters.
fn definition(name: &str) -> Value {
    json!({"jobDefinitionName": name, "type": "container", "propagateTags": false, "eksProperties": {"podProperties": {
        "hostNetwork": true,
        "containers": [{"image": "amazonlinux:2", "command": ["sleep", "60"],
            "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}}}],
        "metadata": {"labels": {"environment": "test"}}}}})
}
