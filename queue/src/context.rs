//! What carrying out a plan needs, whatever the action.
//!
//! Invariant: cheap to clone; the same for the whole term of a leader.

use cluster::access::Access;
use cluster::events::Events;
use cluster::index::Index;
use cluster::policies::Policies;
use kube::Client;

use crate::rights::Rights;

/// What carrying out needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    /// Makes pods of the API, and does nothing else.
    pub(crate) batch: Client,
    pub(crate) rights: Rights,
    /// What submitters may do.
    pub(crate) access: Access,
    pub(crate) index: Index,
    pub(crate) events: Events,
    pub(crate) policies: Policies,
    /// See [`Config`](crate::cycle::Config).
    pub(crate) label_after_bind: bool,
}
