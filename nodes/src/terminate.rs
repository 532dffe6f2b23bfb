//! Takes a machine down: machine, Node, `BatchNode`, in this order.
//!
//! Invariant: what is left after a crash still says what is to be done. When a machine counts as gone is decided in `planning`.

use std::time::Duration;

use api::BatchNode;
use cluster::fault::{self, Point};
use cluster::gone;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use model::keys;
use planning::machine::ending::{Answer, Ending, Verdict, judge};
use planning::machine::{Facts, NodeState};
use serde_json::json;

use crate::phases::{ending, explain};
use crate::provider::{Provider, ProviderError};
use crate::shared::{ActError, Progress, Shared, answered};
use crate::whose::Whose;

/// Between two looks at a machine that is going away.
const GOING: Duration = Duration::from_millis(500);
/// Between two looks at a machine that may be there although its provider does not know it.
const DOUBTED: Duration = Duration::from_secs(5);

/// Takes a machine down, or finds out why it is not gone yet.
pub(crate) async fn terminate(shared: &Shared, machine: &BatchNode, facts: &Facts) -> Result<Progress, ActError> {
    let name = machine.name_any();
    let status = machine.status.clone().unwrap_or_default();
    let (answers, failure) = ask(shared, machine).await;
    let known = Ending {
        expected: status.ending == Some(true),
        confirmed: status.instance_id.is_some(),
        unknown: shared.unknown_for(&name, &answers),
        has_node: facts.node != NodeState::Absent,
        quiet: facts.quiet,
        asked: facts.asked,
    };
    match judge(&answers, &known) {
        Verdict::Ending => {
            if !known.expected {
                ending(shared, machine).await?;
            }
            Ok(Progress::Again(GOING))
        }
        Verdict::Doubted(why) => {
            explain(shared, machine, why).await?;
            Ok(Progress::Again(DOUBTED))
        }
        Verdict::Unanswered => {
            let Some(failure) = failure else { return Ok(Progress::Again(DOUBTED)) };
            explain(shared, machine, &format!("it cannot be taken down: {}", cluster::telemetry::chain(&failure)))
                .await?;
            Err(failure.into())
        }
        Verdict::Gone => forget(shared, machine).await,
    }
}

/// Tells all providers that may have the machine to end it; the last failure, too. One that is not even named has launched nothing.
async fn ask(shared: &Shared, machine: &BatchNode) -> (Vec<Answer>, Option<ProviderError>) {
    let (name, providers) = (machine.name_any(), Whose::read(&shared.index).of(machine));
    let asked = providers.iter().filter_map(|provider| Provider::new(provider, &shared.http).ok());
    let answers = join_all(asked.map(async |provider| provider.terminate(&name).await)).await;
    let mut failure = None;
    let answers = answers.into_iter().map(|answer| {
        answer.unwrap_or_else(|error| {
            failure = Some(error);
            Answer::None
        })
    });
    (answers.collect(), failure)
}

/// Removes what Kubernetes has of a machine that is gone.
async fn forget(shared: &Shared, machine: &BatchNode) -> Result<Progress, ActError> {
    let name = machine.name_any();
    fault::reach(Point::Terminated);
    let nodes: Api<Node> = Api::all(shared.clients.once.clone());
    let delete =
        async || gone::unless_gone(&nodes, &name, None, nodes.delete(&name, &DeleteParams::default()).await).await;
    answered(delete()).await?;
    fault::reach(Point::NodeDeleted);
    let machines: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let uid = machine.metadata.uid.as_deref();
    if machine.metadata.deletion_timestamp.is_none() {
        let only_this = Preconditions { uid: uid.map(ToOwned::to_owned), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let delete = async || gone::unless_gone(&machines, &name, uid, machines.delete(&name, &params).await).await;
        answered(delete()).await?;
    }
    let finalizers: Vec<&String> = machine.finalizers().iter().filter(|one| *one != keys::MACHINE_FINALIZER).collect();
    let patch = json!({"metadata": {"uid": machine.metadata.uid, "finalizers": finalizers}});
    let patch = Patch::Merge(patch);
    let let_go = async || {
        let answer = machines.patch(&name, &PatchParams::default(), &patch).await;
        gone::unless_gone(&machines, &name, uid, answer).await
    };
    answered(let_go()).await?;
    shared.index.remove_batch_node(&name);
    shared.metrics.terminated.inc();
    tracing::info!(machine = name, "gone");
    Ok(Progress::Done)
}
