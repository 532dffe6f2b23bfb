//! Being told to stop on a cluster that is not ours: the test at hand ends and cleans up, and no other one begins.
//!
//! On the local cluster a signal ends this program at once: the cluster itself is taken down.

use std::future::Future;
use std::pin::pin;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use tests::World;

/// Knows whether to stop.
#[derive(Clone)]
pub(crate) struct Stop(Option<watch::Receiver<bool>>);

impl Stop {
    /// Listens to signals unless the cluster is local. Needs a runtime.
    pub(crate) fn listen(world: &World) -> Result<Self> {
        if world.is_local() {
            return Ok(Self(None));
        }
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (told, tell) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            eprintln!("told to stop; cleaning up");
            told.send_replace(true);
            // The sender stays, and with it the answer.
            std::future::pending::<()>().await;
        });
        Ok(Self(Some(tell)))
    }

    /// Does the work, or ends it when told to stop; begins nothing afterwards.
    pub(crate) async fn unless_told(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let Some(mut told) = self.0.clone() else { return work.await };
        let mut work = pin!(work);
        tokio::select! {
            biased;
            _ = told.wait_for(|told| *told) => bail!("told to stop"),
            result = &mut work => result,
        }
    }
}
