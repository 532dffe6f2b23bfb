//! Carries out what a plan says about nodes: stores machines to be launched, and that machines retire.
//!
//! Invariant: a machine is stored, with its finalizer, before anything is asked of a provider.

use std::collections::BTreeMap;

use api::crd::{BatchNodeSpec, Phase};
use api::{BatchNode, ComputeEnvironment};
use cluster::fault::{self, Point};
use futures::future::join_all;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use model::plan::{Launch, Retire};
use model::quantity::format_milli;
use model::resources::Resources;
use model::snapshot::{Environment, Offer};
use model::{keys, names};

use crate::act::set_back;
use crate::manager::Manager;
use crate::phases::enter;
use crate::shared::{ActError, Shared};

impl Manager {
    /// Carries out a plan's launches and retirements. False if one failed; the plan is made again then.
    pub async fn execute(&self, launches: Vec<Launch>, retires: Vec<Retire>) -> bool {
        if launches.is_empty() && retires.is_empty() {
            return true;
        }
        let environments = self.0.index.snapshot(cluster::clock::now()).environments;
        let storing = join_all(launches.iter().map(|launch| store(&self.0, &environments, launch)));
        let retiring = join_all(retires.iter().map(|retire| self.retire(retire)));
        let (mut results, ends) = tokio::join!(storing, retiring);
        results.extend(ends);
        results.into_iter().fold(true, |all, done| match done {
            Ok(()) => all,
            Err(error) => {
                tracing::warn!(error = cluster::telemetry::chain(&error), "a plan for nodes was not carried out");
                false
            }
        })
    }

    async fn retire(&self, retire: &Retire) -> Result<(), ActError> {
        let Some(machine) = self.0.index.batch_node(&retire.machine) else { return Ok(()) };
        enter(&self.0, &machine, Phase::Retiring, Some(&retire.reason), None).await?;
        fault::reach(Point::RetireStored);
        tracing::info!(machine = retire.machine, reason = retire.reason, "retiring");
        Ok(())
    }
}

async fn store(shared: &Shared, environments: &[Environment], launch: &Launch) -> Result<(), ActError> {
    let all = shared.index.compute_environments();
    let Some(stored) = all.iter().find(|one| one.name_any() == launch.environment) else { return Ok(()) };
    let Some(environment) = environments.iter().find(|one| one.name == launch.environment) else { return Ok(()) };
    let offers = environment.scaling.as_ref().and_then(|scaling| scaling.offers.as_ref().ok());
    let Some(offer) = offers.into_iter().flatten().find(|offer| offer.name == launch.offer) else { return Ok(()) };
    let Some(spec) = spec(stored, environment, offer) else { return Ok(()) };
    let api: Api<BatchNode> = Api::all(shared.clients.once.clone());
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    let name = names::machine_name(&environment.name, &suffix[..5]);
    let machine = BatchNode {
        metadata: ObjectMeta {
            name: Some(name),
            finalizers: Some(vec![keys::MACHINE_FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    let machine = match api.create(&PostParams::default(), &machine).await {
        Ok(machine) => machine,
        // A name that is taken: the plan is made again at once, with another one.
        Err(kube::Error::Api(answer)) if answer.code == 409 => return Err(kube::Error::Api(answer).into()),
        // The plan looks elsewhere for a while, and the environment says why.
        Err(error) => {
            let message = format!("its BatchNode cannot be stored: {}", cluster::telemetry::chain(&error));
            set_back(shared, &environment.name, None, message, false);
            return Err(error.into());
        }
    };
    tracing::info!(machine = machine.name_any(), offer = launch.offer, environment = launch.environment, "launching");
    fault::reach(Point::BatchNodeStored);
    shared.index.apply_batch_node(machine);
    Ok(())
}

fn spec(stored: &ComputeEnvironment, environment: &Environment, offer: &Offer) -> Option<BatchNodeSpec> {
    Some(BatchNodeSpec {
        compute_environment: environment.name.clone(),
        compute_environment_uuid: environment.uuid.clone(),
        compute_environment_name: environment.aws_name.clone(),
        offer: offer.name.clone(),
        milli_vcpus: u64::try_from(offer.milli_vcpus).ok()?,
        allocatable: quantities(&offer.allocatable),
        labels: offer.labels.clone(),
        provider: stored.spec.provider.clone()?,
    })
}

fn quantities(resources: &Resources) -> BTreeMap<String, String> {
    let named = [("cpu", format_milli(resources.cpu)), ("memory", resources.memory.to_string())];
    let others = resources.other.iter().map(|(name, amount)| (name.clone(), amount.to_string()));
    named.into_iter().map(|(name, amount)| (name.to_owned(), amount)).chain(others).collect()
}
