//! Leader election by a `Lease` object.
//!
//! Invariant: see [`step`]: at most one process leads, and a leader asks its [`Tenure`] before each write. A write that was sent
//! before its end may still arrive after another has taken over, so all writes of a leader must be safe when two overlap: fixed names,
//! preconditions, and in the record store the epoch.
//!
//! It does not know what leaders do. A leader that loses the lease ends its process:
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use cluster::{lease::{Config, Lease}, shutdown::{DRAIN_CAP, Shutdown}, tasks::Tasks};
//! let shutdown = Shutdown::new();
//! let config = Config::new("bulkhead-system", "bulkhead-controller", "pod-name");
//! let leader = tokio::select! {
//!     leader = Lease::new(client, config)?.acquire() => leader,
//!     () = shutdown.stopped() => return Ok(()),
//! };
//! let mut tasks = Tasks::new(shutdown.clone());
//! // … the leader's work …
//! tokio::select! {
//!     lost = leader.lost() => return Err(lost.into()),
//!     ended = tasks.run(DRAIN_CAP) => ended?,
//! }
//! leader.release().await; // after the work has ended: another takes over within a second
//! # Ok(()) }
//! ```

mod record;
pub mod step;
mod tenure;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use kube::Client;
use tokio::{sync::watch, task::JoinHandle, time};

use self::{
    record::{Failure, Record, Seen},
    step::{Lost, Me, Step, Timing, TimingError, is_mine, step},
    tenure::awake_or_not,
};
use crate::telemetry::chain;

pub use tenure::{Over, Tenure};

/// Releasing is a courtesy to the next leader; a process that ends does not wait longer for it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// After a lost race the record is read again almost at once.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// Which lease, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the `Lease` lives.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Unique per process, see [`Config::new`].
    pub identity: String,
    /// How long things take.
    pub timing: Timing,
}

impl Config {
    /// Default times, and an identity that starts with `pod` and is different for every process, also when a container
    /// restarts in the same pod.
    pub fn new(namespace: &str, name: &str, pod: &str) -> Self {
        // The standard library seeds every RandomState differently; that is all the randomness needed here.
        let random = RandomState::new().build_hasher().finish();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: format!("{pod}_{random:016x}"),
            timing: Timing::default(),
        }
    }
}

/// A candidate for leadership.
pub struct Lease {
    record: Record,
    me: Me,
    seen: Option<Seen>,
    /// Whether `seen` is worth deciding on, or has to be read again first.
    fresh: bool,
    /// The last trouble that was logged, so that it is logged once and not every second.
    trouble: Option<String>,
    /// While leading.
    tenure: Option<Tenure>,
}

/// Leadership. Dropping it stops renewing without telling others; they take over when the lease expires.
#[derive(Debug)]
pub struct Leader {
    tenure: Tenure,
    state: watch::Receiver<State>,
    release: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Leading,
    Released,
    Lost(Lost),
}

impl Lease {
    /// Not yet asked for. Use a client that does not repeat requests by itself
    /// ([`Clients::once`](crate::client::Clients::once)).
    pub fn new(client: Client, config: Config) -> Result<Self, TimingError> {
        config.timing.validate()?;
        let me = Me { identity: config.identity, timing: config.timing, renewed: None };
        Ok(Self {
            record: Record::new(client, &config.namespace, &config.name),
            me,
            seen: None,
            fresh: false,
            trouble: None,
            tenure: None,
        })
    }

    /// Waits until this process leads. Failures of the API server are logged and tried again. Dropping the future gives
    /// up; a write that was on its way expires by itself.
    pub async fn acquire(mut self) -> Leader {
        tracing::info!(lease = %self.record, identity = self.me.identity, "waiting for leadership");
        while self.me.renewed.is_none() {
            if let Ok(pause) = self.turn().await {
                time::sleep(pause).await;
            } else {
                // Losing what was never announced is only a reason to start again.
                (self.me.renewed, self.tenure) = (None, None);
            }
        }
        tracing::info!(lease = %self.record, identity = self.me.identity, "leading");
        // There is one: a write of ours has just been answered.
        let tenure = self.tenure.clone().unwrap_or_else(Tenure::over);
        let (told, state) = watch::channel(State::Leading);
        let (release, released) = watch::channel(false);
        let keeper = tokio::spawn(self.keep(told, released));
        Leader { tenure, state, release, keeper }
    }

    /// Renews until leadership is lost or given back.
    async fn keep(mut self, told: watch::Sender<State>, mut released: watch::Receiver<bool>) {
        let lost = loop {
            let deadline = self.me.renewed.unwrap_or_else(Instant::now) + self.me.timing.renew_deadline;
            let turn = async {
                let pause = self.turn().await?;
                time::sleep(pause).await;
                Ok(())
            };
            let give_back = async { released.wait_for(|asked| *asked).await.is_ok() };
            tokio::select! {
                biased;
                asked = give_back => {
                    told.send_replace(State::Released);
                    if asked {
                        self.clear().await;
                    }
                    return;
                }
                () = time::sleep_until(deadline.into()) => break Lost::Deadline,
                kept = turn => if let Err(lost) = kept {
                    break lost;
                }
            }
        };
        tracing::error!(lease = %self.record, identity = self.me.identity, reason = %lost, "leadership lost");
        told.send_replace(State::Lost(lost));
    }

    /// Reads if it has to, decides, writes if it should; returns how long to rest.
    async fn turn(&mut self) -> Result<Duration, Lost> {
        let limit = self.me.timing.request_timeout();
        let seen = match &self.seen {
            Some(seen) if self.fresh => seen,
            before => match within(limit, self.record.read(before.as_ref())).await {
                Ok(seen) => self.seen.insert(seen),
                Err(failure) => return Ok(self.rest_after(&failure)),
            },
        };
        let (sent, until) = (Instant::now(), awake_or_not() + self.me.timing.renew_deadline);
        let write = match step(&seen.observed, &self.me, sent) {
            Step::StepDown(lost) => return Err(lost),
            Step::Wait(pause) => {
                // A leader knows what it has written; the others have to look again.
                self.fresh = self.me.renewed.is_some();
                return Ok(pause);
            }
            Step::Create | Step::Acquire | Step::Renew => self.record.hold(seen, &self.me),
        };
        match within(limit, write).await {
            Ok(seen) => {
                match &self.tenure {
                    Some(tenure) => tenure.extend(until),
                    None => self.tenure = Some(seen.tenure(until)),
                }
                self.seen = Some(seen);
                self.fresh = true;
                self.me.renewed = Some(sent);
                if self.trouble.take().is_some() {
                    tracing::info!(lease = %self.record, "the lease can be written again");
                }
                Ok(Duration::ZERO)
            }
            Err(failure) => Ok(self.rest_after(&failure)),
        }
    }

    /// What was known may be outdated now. Somebody else's write is no trouble.
    fn rest_after(&mut self, failure: &Failure) -> Duration {
        self.fresh = false;
        if matches!(failure, Failure::Conflict) {
            return AFTER_CONFLICT;
        }
        let trouble = chain(failure);
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(lease = %self.record, error = trouble, "the lease cannot be read or written, trying again");
            self.trouble = Some(trouble);
        }
        self.me.timing.look_every
    }

    /// Gives the lease back. A failure only costs the next leader the rest of the lease's duration.
    async fn clear(&mut self) {
        let clear = async {
            let seen = self.record.read(None).await?;
            if is_mine(&seen.observed, &self.me) {
                self.record.clear(&seen).await?;
            }
            Ok(())
        };
        match within(RELEASE_TIMEOUT, clear).await {
            Ok(()) => tracing::info!(lease = %self.record, "leadership given back"),
            Err(failure) => {
                tracing::warn!(lease = %self.record, error = chain(&failure), "leadership could not be given back and will expire");
            }
        }
    }
}

impl Leader {
    /// Resolves when leadership is lost; the process must end then. Never resolves after [`release`](Self::release).
    pub fn lost(&self) -> impl Future<Output = Lost> + Send + 'static + use<> {
        let mut state = self.state.clone();
        async move {
            let ended = match state.wait_for(|state| *state != State::Leading).await {
                Ok(state) => *state,
                // The keeper has crashed: nobody renews any more.
                Err(_) => State::Lost(Lost::Deadline),
            };
            match ended {
                State::Lost(lost) => lost,
                State::Leading | State::Released => std::future::pending().await,
            }
        }
    }

    /// The time for which this process leads, to be asked before each write.
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Gives leadership back so that another takes over at once. Only after the leader's work has ended.
    pub async fn release(self) {
        self.release.send_replace(true);
        // An error means that the keeper has crashed; there is nothing left to give back.
        let _ended = self.keeper.await;
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    time::timeout(limit, work).await.unwrap_or(Err(Failure::Timeout(limit)))
}
