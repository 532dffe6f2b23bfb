//! One call of one operation: by whom, and with what.
//!
//! Invariant: nothing of a call outlives it. Whoever may do something is asked through it, so that no operation can ask for somebody else.

use std::ops::Deref;
use std::sync::Arc;

use crate::auth::Caller;
use crate::gateway::Gateway;

/// A call.
pub(crate) struct Session<O> {
    pub(crate) gateway: Arc<Gateway<O>>,
    pub(crate) caller: Caller,
    /// The service that is called, as permissions name it.
    pub(crate) service: &'static str,
    /// Name of the operation.
    pub(crate) operation: &'static str,
}

impl<O> Deref for Session<O> {
    type Target = Gateway<O>;

    fn deref(&self) -> &Gateway<O> {
        &self.gateway
    }
}
