//! The background tasks of a process and who owns them.
//!
//! Invariant: a task that ends before the process was asked to stop ends the process, with an error that names it. No task
//! is ever silently gone.
//!
//! It does not know what the tasks do.

use std::{collections::HashMap, error::Error, fmt, time::Duration};

use tokio::task::{Id, JoinError, JoinSet};

use crate::shutdown::Shutdown;

type BoxError = Box<dyn Error + Send + Sync>;

/// After a task has failed the others get this long to finish what they are writing. Short, because a leader that lost
/// its Lease must be gone before the Lease expires.
const GRACE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Why the tasks did not run until the end.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task returned an error.
    #[error("{task} failed")]
    Failed {
        /// The name it was spawned with.
        task: String,
        /// What it returned.
        #[source]
        source: BoxError,
    },
    /// A task returned although nobody had asked the process to stop.
    #[error("{task} ended although it should run as long as the process")]
    Ended {
        /// The name it was spawned with.
        task: String,
    },
    /// A task panicked.
    #[error("{task} crashed")]
    Crashed {
        /// The name it was spawned with.
        task: String,
        /// The panic.
        #[source]
        source: JoinError,
    },
}

/// Owns background tasks until the process ends.
pub struct Tasks {
    shutdown: Shutdown,
    set: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names.values()).finish()
    }
}

impl Tasks {
    /// No task yet. `shutdown` says when tasks are allowed to end.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, set: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a task that must run until the process is asked to stop. The name appears in errors: "certificate keeper".
    pub fn spawn<F, E>(&mut self, name: &str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let handle = self.set.spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Like [`spawn`](Self::spawn), for tasks that cannot fail.
    pub fn spawn_infallible(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, async move {
            task.await;
            Ok::<(), BoxError>(())
        });
    }

    /// Starts what goes on until the process is asked to stop, and is then dropped wherever it is.
    pub fn spawn_interruptible(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.shutdown.interrupts(task);
        self.spawn_infallible(name, task);
    }

    /// Waits until the process is asked to stop and all tasks have ended, at most `cap` later.
    ///
    /// When one task ends too early the others are asked to stop and the error names it.
    pub async fn run(mut self, cap: Duration) -> Result<(), TaskError> {
        let outcome = loop {
            let next = tokio::select! {
                biased;
                next = self.set.join_next_with_id() => next,
                () = self.shutdown.stopped() => break Ok(()),
            };
            match next {
                None => {
                    // Nothing runs in the background; wait to be asked to stop.
                    self.shutdown.stopped().await;
                    break Ok(());
                }
                Some(ended) => match self.judge(ended) {
                    Err(error) => break Err(error),
                    Ok(task) if self.shutdown.is_stopped() => {
                        tracing::debug!(task, "task ended");
                    }
                    Ok(task) => break Err(TaskError::Ended { task }),
                },
            }
        };
        self.shutdown.stop();
        let wait = if outcome.is_ok() { cap } else { cap.min(GRACE_AFTER_FAILURE) };
        let rest = self.finish(wait).await;
        outcome.and(rest)
    }

    /// Waits for what is left; the first error counts, the others are logged.
    async fn finish(&mut self, wait: Duration) -> Result<(), TaskError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut outcome = Ok(());
        loop {
            match tokio::time::timeout_at(deadline, self.set.join_next_with_id()).await {
                Ok(None) => return outcome,
                Ok(Some(ended)) => {
                    if let Err(error) = self.judge(ended) {
                        tracing::error!(error = %crate::telemetry::chain(&error), "while stopping");
                        if outcome.is_ok() {
                            outcome = Err(error);
                        }
                    }
                }
                Err(_) => {
                    tracing::warn!(waited = ?wait, tasks = ?self, "tasks did not end in time and are dropped");
                    return outcome;
                }
            }
        }
    }

    fn judge(&mut self, ended: Result<(Id, Result<(), BoxError>), JoinError>) -> Result<String, TaskError> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.names.remove(&id).unwrap_or_else(|| "a task".to_owned());
        match ended {
            Ok((_, Ok(()))) => Ok(task),
            Ok((_, Err(source))) => Err(TaskError::Failed { task, source }),
            Err(source) => Err(TaskError::Crashed { task, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_task_that_ends_early_ends_the_process_and_is_named() {
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn_infallible("forever", std::future::pending());
        tasks.spawn_infallible("queue loop", async {});
        tokio::time::pause();
        let error = tasks.run(CAP).await.unwrap_err();
        assert_eq!(error.to_string(), "queue loop ended although it should run as long as the process");
    }

    #[tokio::test]
    async fn a_task_that_fails_is_named_with_its_cause() {
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn("certificate keeper", async { Err("no permission") });
        let error = tasks.run(CAP).await.unwrap_err();
        assert_eq!(crate::telemetry::chain(&error), "certificate keeper failed: no permission");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_named() {
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn_infallible("node manager", async { panic!("boom") });
        let error = tasks.run(CAP).await.unwrap_err();
        assert_eq!(error.to_string(), "node manager crashed");
    }

    #[tokio::test]
    async fn tasks_that_end_after_the_stop_are_no_error() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let stopped = shutdown.stopped();
        tasks.spawn_infallible("queue loop", stopped);
        shutdown.stop();
        tasks.run(CAP).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_are_dropped_at_the_cap() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn_infallible("stuck", std::future::pending());
        shutdown.stop();
        let begun = tokio::time::Instant::now();
        tasks.run(CAP).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), CAP.as_secs());
    }
}
