//! What every operation works with: the objects, the record store, and how the gateway is set up.
//!
//! Invariant: shared by all requests, and knows nothing about any of them.

use std::sync::Arc;

use model::front::Fronts;
use model::keys;
use model::names::ArnBase;
use records::Store;
use tokio::sync::watch;

use crate::auth::Guard;
use crate::cache::Queues;
use crate::caller::Served;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::routes::Room;
use outputs::Outputs;

/// How the gateway answers.
#[derive(Clone)]
pub struct Config {
    /// Account and region of the ARNs in answers.
    pub arn: ArnBase,
    /// Where machines of MANAGED environments come from that are made through the API. `None`: such an environment is stored and
    /// INVALID, with a reason that says what to set.
    pub default_provider: Option<api::crd::Provider>,
    /// Where pods of environments go that are made through the API without `eksConfiguration`. `None`: namespace `default`.
    pub default_namespace: Option<String>,
    /// Who is let in, and what they may; `None`: whoever reaches it, to everything.
    pub guard: Option<Guard>,
    /// Where what containers print is found.
    pub outputs: Arc<dyn Outputs>,
    /// Under which names it is called.
    pub served: Served,
    /// How much there is for requests.
    pub room: Room,
    /// What is counted.
    pub metrics: Metrics,
}

/// What the operations need.
pub(crate) struct Gateway<O> {
    pub(crate) config: Config,
    pub(crate) objects: O,
    pub(crate) queues: Queues,
    stores: watch::Receiver<Option<Store>>,
    fronts: watch::Receiver<Option<Arc<Fronts>>>,
}

impl<O> Gateway<O> {
    pub(crate) fn new(
        stores: watch::Receiver<Option<Store>>,
        fronts: watch::Receiver<Option<Arc<Fronts>>>,
        objects: O,
        config: Config,
    ) -> Self {
        Self { config, objects, queues: Queues::default(), stores, fronts }
    }

    /// What the last plan left waiting; `None`: another process plans, or none does yet.
    pub(crate) fn fronts(&self) -> Option<Arc<Fronts>> {
        self.fronts.borrow().clone()
    }

    /// Where what belongs to nobody's namespace belongs, and pods of environments that say nothing of a cluster go.
    pub(crate) fn default_namespace(&self) -> &str {
        self.config.default_namespace.as_deref().unwrap_or(keys::BATCH_NAMESPACE)
    }

    /// The record store, once it is open.
    pub(crate) fn records(&self) -> Result<Store, Failure> {
        self.stores.borrow().clone().ok_or_else(Failure::no_records)
    }
}
