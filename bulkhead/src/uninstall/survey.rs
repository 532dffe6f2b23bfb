//! What is there to remove, before anything is: for the question to the user, and for the steps that need it after its
//! source is gone.
//!
//! Invariant: reads only.

use std::collections::BTreeSet;
use std::path::Path;

use api::{BatchNode, ComputeEnvironment, JobQueue};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use model::keys;
use planning::removal::{self, Choice, JobFate, JobPods, Then};
use serde_json::Value;

use super::access::{Access, kind, shown, text};

/// What is there.
pub(super) struct Found {
    /// UUIDs of all environments, those of machines whose environment is gone included.
    pub(super) environment_uuids: BTreeSet<String>,
    /// Names of the nodes whose machines go.
    pub(super) machine_nodes: BTreeSet<String>,
    /// Namespaces that are labelled with a queue.
    pub(super) queue_namespaces: Vec<String>,
    environments: Vec<String>,
    queues: Vec<String>,
    waiting: usize,
    held: usize,
    released: usize,
}

/// Looks around.
pub(super) async fn survey(access: &Access) -> anyhow::Result<Found> {
    let all = ListParams::default();
    let environments = access.list(&kind::<ComputeEnvironment>(), None, &all).await?;
    let machines = access.list(&kind::<BatchNode>(), None, &all).await?;
    let queues = access.list(&kind::<JobQueue>(), None, &all).await?;
    let namespaces = access.list(&kind::<Namespace>(), None, &ListParams::default().labels(keys::QUEUE)).await?;
    let jobs = access.list(&kind::<Job>(), None, &ListParams::default().labels(keys::JOB_ID)).await?;
    let then: Vec<Then> = jobs
        .iter()
        .filter_map(|job| match removal::job(job, JobPods::default(), Choice::HandBack) {
            JobFate::HandBack(back) => Some(back.then),
            _ => None,
        })
        .collect();
    let count = |wanted| then.iter().filter(|one| **one == wanted).count();
    let machine_uuid = |machine| text(machine, "/spec/computeEnvironmentUuid").map(str::to_owned);
    Ok(Found {
        environment_uuids: environments
            .iter()
            .filter_map(|environment| text(environment, "/status/uuid").map(str::to_owned))
            .chain(machines.iter().filter_map(machine_uuid))
            .collect(),
        machine_nodes: machines.iter().map(node_of_machine).collect(),
        queue_namespaces: names(&namespaces),
        environments: names(&environments),
        queues: names(&queues),
        waiting: count(Then::Starts),
        held: count(Then::StaysSuspended),
        released: count(Then::GoesOn),
    })
}

/// Name of a machine's node: what its status says, else its own.
pub(super) fn node_of_machine(machine: &Value) -> String {
    let name = text(machine, "/status/nodeName").filter(|name| !name.is_empty());
    name.or_else(|| text(machine, "/metadata/name")).unwrap_or_default().to_owned()
}

fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().filter_map(|object| text(object, "/metadata/name").map(str::to_owned)).collect()
}

impl Found {
    /// Says what will happen.
    pub(super) fn show(&self, choice: Choice, kubeconfig: Option<&Path>) {
        let Self {
            environment_uuids: _,
            machine_nodes,
            queue_namespaces: _,
            environments,
            queues,
            waiting,
            held,
            released,
        } = self;
        let context = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from).ok();
        if let Some(context) = context.and_then(|config| config.current_context) {
            println!("Cluster: context {context}");
        }
        let machine_names: Vec<String> = machine_nodes.iter().cloned().collect();
        let listed = |names: &[String]| if names.is_empty() { "none".to_owned() } else { shown(names) };
        match choice {
            Choice::HandBack => {
                println!("  Jobs that wait:        {waiting}, become plain Jobs and start at once");
                println!("  Jobs held by users:    {held}, become plain Jobs and stay suspended");
                println!(
                    "  Jobs that run:         {released}, go on; what runs on machines below is started again elsewhere"
                );
            }
            Choice::Cancel => {
                println!("  Jobs:                  {}, deleted with their pods", waiting + held + released);
            }
        }
        println!("  Machines:              {}, taken down", listed(&machine_names));
        println!("  Compute environments:  {}, deleted", listed(environments));
        println!("  Job queues:            {}, deleted", listed(queues));
        println!("  Namespace:             {}, deleted with everything in it", keys::NAMESPACE);
    }
}
