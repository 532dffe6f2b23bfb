//! What one test makes: namespaces, queues, environments, nodes; all of it is removed when the test ends.
//!
//! Invariant: every name begins with the fixture's, so tests do not meet. Cleaning up waits until machines are gone, so that one test
//! never uses the room of another.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};
use api::crd::Validity;
use api::{BatchNode, ComputeEnvironment};
use futures::FutureExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use model::names::object_name;
use testbed::NodeOptions;

use crate::aws::Aws;
use crate::look::{self, JobStatus};
use crate::wait::{eventually, eventually_for};
use crate::world::World;

/// The controller in the cluster.
const CONTROLLER: &str = "statefulset/bulkhead-controller";

/// What one test makes.
pub struct Fixture {
    /// The cluster.
    pub world: World,
    name: String,
    alone: bool,
    made: Mutex<Vec<Made>>,
}

#[derive(Clone, Debug)]
enum Made {
    Namespace(String),
    Object {
        kind: &'static str,
        name: String,
    },
    LocalNode(String),
    Label(String),
    Undo {
        args: Vec<String>,
        input: String,
    },
    /// Jobs of the API in this queue.
    Jobs(String),
}

impl Fixture {
    /// For a test of this name (DNS label characters, short); `alone`: no other runs on this cluster meanwhile.
    pub fn new(world: &World, name: &str, alone: bool) -> Self {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        Self { world: world.clone(), name: format!("{name}-{}", &suffix[..4]), alone, made: Mutex::default() }
    }

    /// Fails if the test does not run alone: it is about to take from others what they need.
    pub fn disturbs(&self, what: &str) -> Result<()> {
        ensure!(self.alone, "{what}: every test of this cluster needs that, and this one does not run alone");
        Ok(())
    }

    /// A name that belongs to this test.
    pub fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    fn remember(&self, made: Made) {
        self.made.lock().expect("nothing panics while it holds this lock").push(made);
    }

    /// Makes a namespace whose Jobs go through `queue`; `None`: an ordinary one. Returns its name.
    pub async fn namespace(&self, what: &str, queue: Option<&str>) -> Result<String> {
        let name = self.named(what);
        self.remember(Made::Namespace(name.clone()));
        let label = queue.map_or_else(|| "{}".to_owned(), |queue| format!("{{{}: {queue}}}", keys::QUEUE));
        self.world
            .apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {label}}}\n"))
            .await?;
        Ok(name)
    }

    /// Makes an ordinary namespace into which pods of the API may go. Returns its name.
    pub async fn api_namespace(&self, what: &str) -> Result<String> {
        let name = self.namespace(what, None).await?;
        self.world.bulkhead(&["namespace", "enable", &name]).await?;
        Ok(name)
    }

    /// Makes a job queue over these environments. Returns its name.
    pub async fn queue(&self, what: &str, priority: i32, environments: &[&str]) -> Result<String> {
        let name = self.named(what);
        self.remember(Made::Object { kind: "jobqueue", name: name.clone() });
        let environments = environments.join(", ");
        self.world
            .apply(&format!(
                "apiVersion: bulkhead.dev/v1alpha1\nkind: JobQueue\nmetadata: {{name: {name}}}\nspec: {{priority: {priority}, \
                 computeEnvironments: [{environments}]}}\n"
            ))
            .await?;
        Ok(name)
    }

    /// Makes a MANAGED environment at the local provider; `more`: further fields of its spec, as YAML flow (`minvCpus: 1, …`).
    pub async fn managed(&self, what: &str, max_vcpus: u32, more: &str) -> Result<String> {
        let name = self.named(what);
        self.remember(Made::Object { kind: "computeenvironment", name: name.clone() });
        let url = self.world.local()?.provider_url();
        let delay = if more.contains("scaleDownDelay") { "" } else { ", scaleDownDelay: 2s" };
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        self.world
            .apply(&format!(
                "apiVersion: bulkhead.dev/v1alpha1\nkind: ComputeEnvironment\nmetadata: {{name: {name}}}\nspec: {{type: MANAGED, \
                 maxvCpus: {max_vcpus}, provider: {{external: {{url: \"{url}\"}}}}{delay}{more}}}\n"
            ))
            .await?;
        Ok(name)
    }

    /// Makes an UNMANAGED environment. Returns its name.
    pub async fn unmanaged(&self, what: &str) -> Result<String> {
        self.unmanaged_with(what, "").await
    }

    /// Makes an UNMANAGED environment for jobs of the API, whose pods go into this namespace. Returns its name.
    pub async fn unmanaged_in(&self, what: &str, namespace: &str) -> Result<String> {
        self.unmanaged_with(what, &format!(", namespace: {namespace}")).await
    }

    async fn unmanaged_with(&self, what: &str, more: &str) -> Result<String> {
        let name = self.named(what);
        self.owns("computeenvironment", &name);
        self.world
            .apply(&format!(
                "apiVersion: bulkhead.dev/v1alpha1\nkind: ComputeEnvironment\nmetadata: {{name: {name}}}\nspec: {{type: \
                 UNMANAGED{more}}}\n"
            ))
            .await?;
        Ok(name)
    }

    /// Takes over a cluster-scoped object that the test makes itself: it is removed when the test ends, also if it was never made.
    pub fn owns(&self, kind: &'static str, name: &str) {
        self.remember(Made::Object { kind, name: name.to_owned() });
    }

    /// Takes over a namespace that the test makes itself.
    pub fn owns_namespace(&self, name: &str) {
        self.remember(Made::Namespace(name.to_owned()));
    }

    /// Takes over environments and queues that the test makes through the API, by their AWS names, with their jobs.
    pub fn owns_of_api(&self, environments: &[&str], queues: &[&str]) {
        for name in environments {
            self.owns("computeenvironment", &object_name(name));
        }
        for name in queues {
            self.owns("jobqueue", &object_name(name));
            self.ends_jobs_of(name);
        }
    }

    /// Ends the API's jobs of a queue (AWS name) when the test ends, before anything of what they need goes.
    pub fn ends_jobs_of(&self, queue: &str) {
        self.remember(Made::Jobs(queue.to_owned()));
    }

    /// UUID of an environment, once its status shows it.
    pub async fn environment_uuid(&self, name: &str) -> Result<String> {
        let api: Api<ComputeEnvironment> = Api::all(self.world.client.clone());
        eventually(&format!("compute environment {name} has a UUID"), || async {
            Ok(api.get(name).await?.status.and_then(|status| status.uuid).ok_or_else(|| "no UUID".to_owned()))
        })
        .await
    }

    /// Waits until an environment can be used: its provider's offers are known.
    pub async fn environment_valid(&self, name: &str) -> Result<()> {
        let api: Api<ComputeEnvironment> = Api::all(self.world.client.clone());
        eventually(&format!("compute environment {name} is VALID"), || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let valid = status.status == Some(Validity::Valid);
            Ok(if valid { Ok(()) } else { Err(format!("{:?}", status.status_reason)) })
        })
        .await
    }

    /// Stops the controller in the cluster and waits until it is gone; cleaning up starts it again.
    pub async fn without_controller(&self) -> Result<()> {
        self.disturbs("stops the controller")?;
        self.on_clean(&["scale", "-n", keys::NAMESPACE, CONTROLLER, "--replicas=1"], "");
        self.on_clean(&["rollout", "status", "-n", keys::NAMESPACE, CONTROLLER, "--timeout=120s"], "");
        self.world.kubectl(&["scale", "-n", keys::NAMESPACE, CONTROLLER, "--replicas=0"]).await?;
        let pods = self.pods(keys::NAMESPACE);
        let selector = ListParams::default().labels("app.kubernetes.io/component=controller");
        eventually("the controller is gone", || async {
            let left: Vec<String> = pods.list(&selector).await?.iter().map(Pod::name_any).collect();
            Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
        })
        .await
    }

    /// Starts the controller in the cluster again and waits until it is ready.
    pub async fn with_controller(&self) -> Result<()> {
        self.world.kubectl(&["scale", "-n", keys::NAMESPACE, CONTROLLER, "--replicas=1"]).await?;
        self.world.kubectl(&["rollout", "status", "-n", keys::NAMESPACE, CONTROLLER, "--timeout=120s"]).await.map(drop)
    }

    /// Runs kubectl when the test ends, before anything else is cleaned up: to put back what the test is about to disturb.
    pub fn on_clean(&self, args: &[&str], input: &str) {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.remember(Made::Undo { args, input: input.to_owned() });
    }

    /// Gives an UNMANAGED environment a node of its own, as its user would: by labelling one. Returns the node's name once it is
    /// tainted and Ready. On the local cluster a node is added; elsewhere one of those that were named is used.
    pub async fn label_node(&self, environment: &str, what: &str, cpu: &str, memory: &str) -> Result<String> {
        let uuid = self.environment_uuid(environment).await?;
        let name = if self.world.is_local() {
            let name = self.named(what);
            self.add_node(&name, cpu, memory).await?;
            name
        } else {
            // Another test may have the last one for as long as it runs.
            let wait = Duration::from_mins(10);
            eventually_for(wait, "a node that was named is free", || async {
                Ok(self.world.take_node().ok_or_else(|| "other tests have all of them".to_owned()))
            })
            .await?
        };
        self.remember(Made::Label(name.clone()));
        let label = format!("{}={uuid}", keys::CE_UUID);
        self.world.kubectl(&["label", "--overwrite", "node", &name, &label]).await?;
        let api: Api<Node> = Api::all(self.world.client.clone());
        eventually(&format!("node {name} is tainted and Ready"), || async {
            let node = api.get(&name).await?;
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
            let tainted = taints.iter().any(|taint| taint.key == keys::BATCH_TAINT);
            Ok(if tainted && look::ready(&node) { Ok(()) } else { Err(format!("taints {taints:?}")) })
        })
        .await?;
        Ok(name)
    }

    /// Adds a real node to the local cluster.
    pub async fn add_node(&self, name: &str, cpu: &str, memory: &str) -> Result<()> {
        self.remember(Made::LocalNode(name.to_owned()));
        let cluster = self.world.local()?.clone();
        let options = NodeOptions {
            name: name.to_owned(),
            cpu: Some(cpu.to_owned()),
            memory: Some(memory.to_owned()),
            ..NodeOptions::default()
        };
        tokio::task::spawn_blocking(move || cluster.add_node(&options)).await?
    }

    /// Applies a manifest in a namespace.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<String> {
        self.world.kubectl_with(&["apply", "-n", namespace, "-f", "-"], yaml).await
    }

    /// Runs a script in a pod (`NAME`, or `job/NAME`) whose main process ends of what it does, and perhaps takes the script along.
    pub async fn end_with(&self, namespace: &str, pod: &str, script: &str) -> Result<()> {
        match self.world.kubectl(&["exec", "-n", namespace, pod, "--", "sh", "-c", script]).await {
            Err(error) if !format!("{error:#}").contains("exit code 137") => Err(error),
            _ => Ok(()),
        }
    }

    /// Jobs of a namespace.
    pub fn jobs(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.world.client.clone(), namespace)
    }

    /// Pods of a namespace.
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.world.client.clone(), namespace)
    }

    /// Nodes of the cluster.
    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.world.client.clone())
    }

    /// Pods of a Job.
    pub async fn pods_of(&self, namespace: &str, job: &str) -> Result<Vec<Pod>> {
        let selector = format!("{}={job}", keys::K8S_JOB_NAME);
        Ok(self.pods(namespace).list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// What Bulkhead has written on a Job.
    pub async fn status(&self, namespace: &str, job: &str) -> Result<Option<JobStatus>> {
        Ok(look::status_of(&self.jobs(namespace).get(job).await?))
    }

    /// Waits until a Job has completed; fails as soon as it has failed.
    pub async fn completed(&self, namespace: &str, job: &str) -> Result<Job> {
        let jobs = self.jobs(namespace);
        let what = format!("Job {namespace}/{job} has completed");
        let done = eventually_for(Duration::from_mins(4), &what, || async {
            let job = jobs.get(job).await?;
            let status = job.status.clone().unwrap_or_default();
            let conditions = status.conditions.clone().unwrap_or_default();
            let has = |kind: &str| conditions.iter().any(|one| one.type_ == kind && one.status == "True");
            if has("Complete") || has("Failed") {
                return Ok(Ok((job, has("Failed"))));
            }
            let text = job.annotations().get(keys::STATUS).cloned().unwrap_or_default();
            let [active, ready, succeeded] =
                [status.active, status.ready, status.succeeded].map(Option::unwrap_or_default);
            Ok(Err(format!("{active} active, {ready} ready, {succeeded} succeeded, status {text}")))
        });
        let (job, failed) = done.await?;
        ensure!(!failed, "Job {} has failed: {:?}", job.name_any(), job.status);
        Ok(job)
    }

    /// Waits until the reason on a Job has this code, and `bulkhead explain` says the same; returns its sentence.
    pub async fn waits_with(&self, namespace: &str, job: &str, code: &str) -> Result<String> {
        let message = eventually(&format!("Job {namespace}/{job} waits with {code}"), || async {
            let found = self.jobs(namespace).get(job).await?;
            let status = look::status_of(&found);
            let reason = status.as_ref().and_then(|status| status.reason.clone());
            let matching = reason.filter(|reason| reason.code.as_str() == code);
            // Without a label the hook was not there or late, and the API server went on without it.
            let labels = found.labels();
            Ok(matching.map(|reason| reason.message).ok_or_else(|| format!("{status:?}, labels {labels:?}")))
        })
        .await?;
        // What starts may have started by then.
        if !code.starts_with("STARTING:") {
            let name = format!("{namespace}/{job}");
            eventually(&format!("{name} is explained with {code}"), || async {
                let said = self.world.bulkhead(&["explain", &name, "--kind", "job"]).await?;
                Ok(if said.contains(&format!("\n  {code}: ")) { Ok(()) } else { Err(said) })
            })
            .await?;
        }
        Ok(message)
    }

    /// Logs of a container by completion index, as far as the pods are there.
    pub async fn logs(&self, namespace: &str, job: &str) -> Result<Vec<(u32, String)>> {
        let mut logs = Vec::new();
        for pod in self.pods_of(namespace, job).await? {
            let Some(index) = look::pod_index(&pod) else { continue };
            let text = self.pods(namespace).logs(&pod.name_any(), &LogParams::default()).await?;
            logs.push((index, text.trim().to_owned()));
        }
        logs.sort();
        Ok(logs)
    }

    /// Machines of an environment, as objects.
    pub async fn machines(&self, environment: &str) -> Result<Vec<BatchNode>> {
        let api: Api<BatchNode> = Api::all(self.world.client.clone());
        let all = api.list(&ListParams::default()).await?.items;
        Ok(all.into_iter().filter(|machine| machine.spec.compute_environment == environment).collect())
    }

    /// Waits until an environment has no machine: no object, no Node, nothing at the provider.
    pub async fn no_machines(&self, environment: &str) -> Result<()> {
        let uuid = self.environment_uuid(environment).await.unwrap_or_default();
        let selector = ListParams::default().labels(&format!("{}={uuid}", keys::CE_UUID));
        // One that its provider may still be asked to make counts as gone after two minutes.
        eventually_for(Duration::from_mins(4), &format!("no machine of {environment} is left"), || async {
            let objects: Vec<String> = self
                .machines(environment)
                .await?
                .iter()
                .map(|one| format!("{} {:?}", one.name_any(), one.status))
                .collect();
            let nodes: Vec<String> = self.nodes().list(&selector).await?.iter().map(Node::name_any).collect();
            let instances = self.world.instances().await?;
            let instances: Vec<String> = instances
                .into_iter()
                .filter(|one| one.compute_environment == environment)
                .map(|one| one.token)
                .collect();
            let none = objects.is_empty() && nodes.is_empty() && instances.is_empty();
            Ok(if none {
                Ok(())
            } else {
                Err(format!("objects {objects:?}, nodes {nodes:?}, instances {instances:?}"))
            })
        })
        .await
    }

    /// Notes of the Events about an object of this name.
    pub async fn events(&self, namespace: &str, name: &str) -> Result<Vec<String>> {
        let api: Api<Event> = Api::namespaced(self.world.client.clone(), namespace);
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let all = api.list(&about).await?.items;
        let text =
            |event: Event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
        Ok(all.into_iter().map(text).collect())
    }

    /// Removes everything that was made, in the reverse order, and waits until it is gone.
    pub async fn clean(&self) -> Result<()> {
        let made = std::mem::take(&mut *self.made.lock().expect("nothing panics while it holds this lock"));
        let delete = |args: Vec<String>| async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            self.world.kubectl(&args).await
        };
        if self.world.is_local() {
            self.world.provider_faults(&serde_json::json!({})).await?;
        }
        for one in &made {
            if let Made::Undo { args, input } = one {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.world.kubectl_with(&args, input).await?;
            }
        }
        // Whatever comes of it, the rest is cleaned up, too.
        let ended = self.end_jobs(&made).await;
        // Together: each of them takes seconds to end.
        let mut args = ["delete", "namespace", "--ignore-not-found", "--timeout=120s"].map(ToOwned::to_owned).to_vec();
        let options = args.len();
        args.extend(
            made.iter().filter_map(|one| if let Made::Namespace(name) = one { Some(name.clone()) } else { None }),
        );
        if args.len() > options {
            delete(args).await?;
        }
        // As soon as its environment is gone, a node is anybody's: pods of other tests would go with it.
        for one in &made {
            if let Made::LocalNode(name) = one {
                // The test may have removed it.
                let _gone = delete(["cordon", name].map(ToOwned::to_owned).to_vec()).await;
            }
        }
        for one in &made {
            if let Made::Object { kind, name } = one {
                let args = ["delete", kind, name, "--ignore-not-found"];
                delete(args.map(ToOwned::to_owned).to_vec()).boxed().await?;
            }
        }
        for one in made.iter().rev() {
            match one {
                Made::Object { kind: "computeenvironment", name } if self.world.is_local() => {
                    self.machines_gone(name).await?;
                }
                Made::Label(name) => {
                    let label = format!("{}-", keys::CE_UUID);
                    let args = ["label", "node", name, &label];
                    // The node may be gone by now: the test may have removed it.
                    let _gone = delete(args.map(ToOwned::to_owned).to_vec()).await;
                    if !self.world.is_local() {
                        self.world.give_node_back(name);
                    }
                }
                Made::LocalNode(name) => self.remove_node(name).await?,
                Made::Object { .. } | Made::Namespace(_) | Made::Undo { .. } | Made::Jobs(_) => {}
            }
        }
        ended
    }

    async fn end_jobs(&self, made: &[Made]) -> Result<()> {
        let queues = made.iter().filter_map(|one| if let Made::Jobs(queue) = one { Some(queue) } else { None });
        let queues: Vec<&String> = queues.collect();
        if queues.is_empty() {
            return Ok(());
        }
        let (aws, all) = (Aws::of(&self.world).await?, self.world.kubectl(&["get", "jobqueues", "-o", "name"]).await?);
        for queue in queues {
            // A test that failed early may not have made it.
            let object = format!("/{}", object_name(queue));
            if all.lines().any(|name| name.ends_with(&object)) {
                aws.end_all(queue).await?;
            }
        }
        Ok(())
    }

    async fn machines_gone(&self, environment: &str) -> Result<()> {
        eventually(&format!("the machines of {environment} are gone"), || async {
            let machines = self.machines(environment).await?;
            Ok(if machines.is_empty() { Ok(()) } else { Err(format!("{} left", machines.len())) })
        })
        .await
    }

    async fn remove_node(&self, name: &str) -> Result<()> {
        let cluster = self.world.local()?.clone();
        let node = name.to_owned();
        // It may have been killed by the test; then only its object is left.
        let _gone = tokio::task::spawn_blocking(move || cluster.remove_node(&node)).await?;
        let _gone = self.nodes().delete(name, &DeleteParams::default()).await;
        Ok(())
    }
}
