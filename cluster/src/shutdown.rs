//! How a process ends: a signal makes it unready, then it drains, then it stops.
//!
//! Invariant: phases only go forward (running → draining → stopping), and everybody who holds a clone sees the same phase.
//! A second signal ends the process at once with exit code 1, whatever it is waiting for.
//!
//! It does not know what is being served: servers and loops wait for [`Shutdown::stopped`] and finish by themselves.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::Readiness;

/// Longest time that open connections and running work get once the process stops.
/// Kubernetes kills 30 s after SIGTERM by default and the drain delay comes out of the same time, so pods that use both
/// need a `terminationGracePeriodSeconds` above their sum.
pub const DRAIN_CAP: Duration = Duration::from_secs(30);

/// The shared knowledge whether this process is ending. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stopped: CancellationToken,
    /// A child of `stopped`: what stops drains no more.
    draining: CancellationToken,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A process that runs until somebody calls [`stop`](Self::stop); [`on_signals`](Self::on_signals) connects signals.
    pub fn new() -> Self {
        let stopped = CancellationToken::new();
        Self { draining: stopped.child_token(), stopped }
    }

    /// Listens to SIGTERM and SIGINT for the rest of the process.
    ///
    /// The first one makes `readiness` false, waits `drain_delay` (time for Services to take this pod out) and stops.
    /// The second one aborts with exit code 1.
    pub fn on_signals(&self, readiness: Readiness, drain_delay: Duration) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(drain_delay = ?drain_delay, "SIGTERM received, shutting down"),
                _ = interrupt.recv() => tracing::info!(drain_delay = ?drain_delay, "SIGINT received, shutting down"),
            }
            readiness.begin_shutdown();
            shutdown.drain();
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::error!("second signal received, ending without waiting for open work");
                std::process::exit(1);
            });
            tokio::time::sleep(drain_delay).await;
            shutdown.stop();
        });
        Ok(())
    }

    /// Stops now, without draining. Harmless when already stopping.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Resolves when everything has to end. The future owns what it needs, so it fits
    /// `axum::serve(..).with_graceful_shutdown(..)`.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.stopped.clone().cancelled_owned()
    }

    /// Whether everything has to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Whether a signal was received.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Runs `work` until everything has to end, wherever it is then.
    pub(crate) fn interrupts<W: Future<Output = ()> + Send>(
        &self,
        work: W,
    ) -> impl Future<Output = ()> + Send + use<W> {
        let stopped = self.stopped.clone();
        async move { stopped.run_until_cancelled_owned(work).await.unwrap_or_default() }
    }

    /// Says that a signal was received. Harmless when already draining.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }
}

/// Runs `work`, which ends by itself once `shutdown` stops, but waits at most `cap` from then on.
/// `None` means the cap was reached and the rest of the work was dropped.
pub async fn capped<T>(work: impl Future<Output = T>, shutdown: &Shutdown, cap: Duration) -> Option<T> {
    let too_late = async {
        shutdown.stopped().await;
        tokio::time::sleep(cap).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = too_late => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_sees_the_stop_even_when_they_look_later() {
        let shutdown = Shutdown::new();
        let early = shutdown.stopped();
        assert!(!shutdown.is_stopped());
        shutdown.stop();
        early.await;
        shutdown.stopped().await;
        assert!(shutdown.is_stopped() && shutdown.is_draining());
    }

    #[test]
    fn what_drains_goes_on() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        assert!(shutdown.is_draining() && !shutdown.is_stopped());
    }

    #[tokio::test]
    async fn what_may_be_interrupted_is() {
        let shutdown = Shutdown::new();
        let endless = shutdown.interrupts(std::future::pending());
        shutdown.stop();
        endless.await;
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ends_is_dropped_at_the_cap() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        let begun = tokio::time::Instant::now();
        let ended = capped(std::future::pending::<()>(), &shutdown, DRAIN_CAP).await;
        assert_eq!(ended, None);
        assert_eq!(begun.elapsed().as_secs(), DRAIN_CAP.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_by_itself_is_not_cut() {
        let shutdown = Shutdown::new();
        assert_eq!(capped(async { 7 }, &shutdown, DRAIN_CAP).await, Some(7));
    }
}
