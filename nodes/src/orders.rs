//! Carries out what a plan says about nodes: stores machines to be launched, and that machines retire.
//!
//! Invariant: a machine is stored, with its finalizer, before anything is asked of a provider. Nobody waits long for a write.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::BatchNode;
use api::crd::{BatchNodeSpec, Phase, Provider};
use cluster::fault::{self, Point};
use futures::future::join_all;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use model::clock::Moment;
use model::plan::{Launch, Retire};
use model::quantity::format_milli;
use model::resources::Resources;
use model::{keys, names};

use crate::act::{Failure, set_back};
use crate::manager::Manager;
use crate::patience::patient;
use crate::phases::enter;
use crate::shared::{ActError, Shared};

/// What is written, in the memory of writes.
const MACHINES_OF: &str = "machines of ";

impl Manager {
    /// Carries out a plan's launches and retirements. False if one failed; the plan is made again then.
    pub async fn execute(&self, launches: Vec<Launch>, retires: Vec<Retire>) -> bool {
        if launches.is_empty() && retires.is_empty() {
            return true;
        }
        let now = cluster::clock::moment();
        let rests = |what: &str| self.0.writes().rests(what, now);
        // As long as it is not known whether a machine was stored, another one might be one too many.
        let mut launches = launches;
        launches.retain(|launch| !rests(&storing(&launch.environment)));
        let mut retires = retires;
        retires.retain(|retire| !rests(&retire.machine));
        let storing = join_all(launches.iter().map(|launch| self.launch(launch, now)));
        let retiring = join_all(retires.into_iter().map(|retire| self.retire(retire)));
        let (stored, ended) = tokio::join!(storing, retiring);
        stored.into_iter().chain(ended).all(|done| done)
    }

    async fn retire(&self, retire: Retire) -> bool {
        let Some(machine) = self.0.index.batch_node(&retire.machine) else { return true };
        let shared = Arc::clone(&self.0);
        // Before the write, which may take longer than the next plan waits.
        shared.index.retires(&retire.machine);
        self.write(retire.machine.clone(), async move {
            enter(&shared, &machine, Phase::Retiring, Some(&retire.reason), None).await?;
            fault::reach(Point::RetireStored);
            tracing::info!(machine = retire.machine, reason = retire.reason, "retiring");
            Ok(())
        })
        .await
        .unwrap_or(false)
    }

    async fn launch(&self, launch: &Launch, begun: Moment) -> bool {
        let Some(machine) = machine(&self.0, launch) else { return true };
        let environment = launch.environment.clone();
        let shared = Arc::clone(&self.0);
        let stored = self.write(storing(&environment), async move { store(&shared, machine, begun).await }).await;
        if stored.is_none() {
            let message = "its BatchNode is not stored yet: the API server has not answered for 2 s".to_owned();
            set_back(&self.0, &environment, begun, Failure { offer: None, message, capacity: false });
        }
        stored.unwrap_or(false)
    }

    /// Writes something, with a limit to how long that is waited for. `None`: it goes on.
    async fn write(
        &self,
        what: String,
        write: impl Future<Output = Result<(), ActError>> + Send + 'static,
    ) -> Option<bool> {
        let under_way = UnderWay::begin(&self.0, what);
        patient(async move {
            let done = write.await;
            if let Err(error) = &done {
                tracing::warn!(error = cluster::telemetry::chain(error), "a plan for nodes was not carried out");
            }
            under_way.end(done.is_ok());
            done.is_ok()
        })
        .await
    }
}

/// A write that has not ended.
struct UnderWay {
    shared: Arc<Shared>,
    what: String,
    is_written: bool,
}

impl UnderWay {
    fn begin(shared: &Arc<Shared>, what: String) -> Self {
        shared.writes().begin(&what);
        Self { shared: Arc::clone(shared), what, is_written: false }
    }

    fn end(mut self, is_written: bool) {
        self.is_written = is_written;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // What becomes of a failed launch is the environment's setback.
        let is_over = self.is_written || self.what.starts_with(MACHINES_OF);
        self.shared.writes().end(&self.what, is_over, cluster::clock::moment());
        self.shared.index.retires_no_more(&self.what);
    }
}

fn storing(environment: &str) -> String {
    format!("{MACHINES_OF}{environment}")
}

/// The machine that a plan asks for; `None` if its environment is not there any more.
fn machine(shared: &Shared, launch: &Launch) -> Option<BatchNode> {
    let stored = shared.index.compute_environment(&launch.environment)?;
    let uuid = stored.status.as_ref().and_then(|status| status.uuid.as_ref());
    if uuid.is_some_and(|uuid| *uuid != launch.environment_uuid) {
        return None;
    }
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    let name = names::machine_name(&launch.environment, &suffix[..5]);
    Some(BatchNode {
        metadata: ObjectMeta {
            name: Some(name),
            finalizers: Some(vec![keys::MACHINE_FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: spec(stored.spec.provider?, launch)?,
        status: None,
    })
}

async fn store(shared: &Shared, machine: BatchNode, begun: Moment) -> Result<(), ActError> {
    let environment = machine.spec.compute_environment.clone();
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let machine = match api.create(&PostParams::default(), &machine).await {
        Ok(machine) => machine,
        // A name that is taken: the plan is made again at once, with another one.
        Err(kube::Error::Api(answer)) if answer.code == 409 => return Err(kube::Error::Api(answer).into()),
        // The plan looks elsewhere for a while, and the environment says why.
        Err(error) => {
            let message = format!("its BatchNode cannot be stored: {}", cluster::telemetry::chain(&error));
            set_back(shared, &environment, begun, Failure { offer: None, message, capacity: false });
            return Err(error.into());
        }
    };
    tracing::info!(machine = machine.name_any(), offer = machine.spec.offer, environment, "launching");
    fault::reach(Point::BatchNodeStored);
    shared.index.apply_batch_node(machine);
    Ok(())
}

fn spec(provider: Provider, launch: &Launch) -> Option<BatchNodeSpec> {
    let offer = &launch.offer;
    Some(BatchNodeSpec {
        compute_environment: launch.environment.clone(),
        compute_environment_uuid: launch.environment_uuid.clone(),
        compute_environment_name: launch.aws_name.clone(),
        offer: offer.name.clone(),
        milli_vcpus: u64::try_from(offer.milli_vcpus).ok()?,
        allocatable: quantities(&offer.allocatable),
        labels: offer.labels.clone(),
        provider,
    })
}

fn quantities(resources: &Resources) -> BTreeMap<String, String> {
    let named = [("cpu", format_milli(resources.cpu)), ("memory", resources.memory.to_string())];
    let others = resources.other.iter().map(|(name, amount)| (name.clone(), amount.to_string()));
    named.into_iter().map(|(name, amount)| (name.to_owned(), amount)).chain(others).collect()
}
