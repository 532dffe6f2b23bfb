//! Keeps what pods of the API's jobs print, before they are let go or told to go: what a kubelet has goes with its pod.
//!
//! Invariant: nothing waits for it longer than [`PATIENCE`], and what it works on at a time is bounded. A pod that still has its finalizer is tried
//! again as often as it is there. Does not know what may be shown, nor how much is kept (crate `outputs`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use model::clock::Moment;
use model::job::{ContainerFacts, ContainerState, PodFacts};
use outputs::{Extent, Keep, Kept, Lines, NoOutput, Outputs, Whose};
use planning::lifecycle::Duty;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::retention::{self, AbortOnDrop};

/// A pod that has ended waits this long for its output to be kept before it is let go, if it is not kept by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// One that is told to go waits this long until its output is followed.
const OPENS: Duration = Duration::from_secs(2);
/// After a pod has ended, its output may still arrive for this long.
const ARRIVES: Duration = Duration::from_secs(10);
/// Output of a pod that has ended is read and written within this time.
const WITHIN: Duration = Duration::from_mins(1);
/// One that is told to go, where as many are followed as may be, waits this long for others to end.
const TURN: Duration = Duration::from_secs(10);
/// What failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// Pods whose output is kept at a time: of those that have ended.
const AT_ONCE: usize = 8;
/// Of those that are told to go.
const FOLLOWED: usize = 64;

/// How far it is with the output of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Others come first.
    Queued,
    /// Being read, and followed if the pod still runs; `open`: all of it is connected.
    Doing { open: bool },
    /// Kept, or there is nothing to keep.
    Kept,
    /// What came of it while it was followed; to be read once more when the pod has ended.
    Partial,
    /// It could not be; to be tried again then.
    Failed(Moment),
    /// Nobody may read it, or it is gone.
    Never,
}

/// What is known of the output of a pod.
#[derive(Debug)]
struct One {
    /// Since when it is known of what it waits for now.
    since: Moment,
    /// The pod was seen ended.
    ended: bool,
    state: State,
    /// Who follows it is told here that the pod has ended.
    end: watch::Sender<bool>,
}

/// What came of it.
#[derive(Debug)]
enum News {
    Begun,
    Open,
    Is(Outcome),
}

/// How keeping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    Partial,
    Failed,
    Never,
}

/// Keeps output; knows how far it is with each pod that is there, by UID.
pub(super) struct Keeper {
    kept: Kept,
    outputs: Arc<dyn Outputs>,
    pods: HashMap<String, One>,
    ended: Arc<Semaphore>,
    followed: Arc<Semaphore>,
    tell: mpsc::UnboundedSender<(String, News)>,
    news: mpsc::UnboundedReceiver<(String, News)>,
    work: JoinSet<()>,
    _sweeping: AbortOnDrop,
}

impl Keeper {
    /// Keeps there what is found here, for so long.
    pub(super) fn new(kept: Kept, outputs: Arc<dyn Outputs>, retention: SignedDuration) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let slots = |count| Arc::new(Semaphore::new(count));
        Self {
            outputs,
            pods: HashMap::new(),
            ended: slots(AT_ONCE),
            followed: slots(FOLLOWED),
            tell,
            news,
            work: JoinSet::new(),
            _sweeping: retention::start_sweeping(kept.clone(), retention),
            kept,
        }
    }

    /// Waits until something has come of it.
    pub(super) async fn changed(&mut self) {
        // The sender is this one's own.
        if let Some((uid, news)) = self.news.recv().await {
            self.learn(&uid, &news, cluster::clock::moment());
        }
    }

    /// Takes in which pods there are, and begins to keep what those have printed that have ended.
    pub(super) fn look(&mut self, pods: &[Arc<PodFacts>], now: Moment) {
        while let Ok((uid, news)) = self.news.try_recv() {
            self.learn(&uid, &news, now);
        }
        while self.work.try_join_next().is_some() {}
        let here: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        self.pods.retain(|uid, _| here.contains(uid.as_str()));
        for pod in pods.iter().filter(|pod| pod.ended() && pod.has_own_name()) {
            let known = self.pods.get_mut(&pod.uid);
            // What was let go before this process began was kept, or could not be.
            if known.is_none() && !pod.kept {
                continue;
            }
            let one = self.pods.entry(pod.uid.clone()).or_insert_with(|| One::new(now, State::Failed(now)));
            if !std::mem::replace(&mut one.ended, true) {
                one.since = now;
                one.end.send_replace(true);
            }
            if one.state == State::Partial {
                one.state = State::Failed(now);
            }
            if matches!(one.state, State::Failed(again) if again <= now) {
                self.begin(pod, now);
            }
        }
    }

    /// What may be done to a pod now of what is to be done.
    pub(super) fn gate(&mut self, pod: &Arc<PodFacts>, duty: Duty, now: Moment) -> Duty {
        let is_told_to_go = duty == Duty::Delete && !pod.ended() && pod.deleting.is_none() && pod.has_own_name();
        if is_told_to_go && !self.pods.contains_key(&pod.uid) {
            self.pods.insert(pod.uid.clone(), One::new(now, State::Failed(now)));
            self.begin(pod, now);
        }
        let one = self.pods.get(&pod.uid);
        if one.is_some_and(|one| one.keeps_from(duty, now)) { Duty::Nothing } else { duty }
    }

    /// Whether what a pod has printed is kept.
    pub(super) fn has(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|one| one.state == State::Kept)
    }

    fn learn(&mut self, uid: &str, news: &News, now: Moment) {
        let Some(one) = self.pods.get_mut(uid) else { return };
        one.state = match news {
            News::Begun => {
                one.since = if one.ended { one.since } else { now };
                State::Doing { open: false }
            }
            News::Open => State::Doing { open: true },
            News::Is(Outcome::Kept) => State::Kept,
            News::Is(Outcome::Partial) => State::Partial,
            News::Is(Outcome::Never) => State::Never,
            News::Is(Outcome::Failed) => State::Failed(now.plus(AGAIN)),
        };
    }

    /// Keeps what a pod prints, when those that came before have had their turn.
    fn begin(&mut self, pod: &Arc<PodFacts>, now: Moment) {
        let Some(one) = self.pods.get_mut(&pod.uid) else { return };
        one.state = State::Queued;
        one.since = if one.ended { one.since } else { now };
        let follow = (!pod.ended()).then(|| one.end.subscribe());
        let slots = if follow.is_some() { self.followed.clone() } else { self.ended.clone() };
        let (kept, outputs, pod) = (self.kept.clone(), self.outputs.clone(), pod.clone());
        let (tell, uid) = (self.tell.clone(), pod.uid.clone());
        // Whoever is not there any more needs no news.
        let tell = move |news| drop(tell.send((uid.clone(), news)));
        self.work.spawn(async move {
            // Nobody closes it.
            let Ok(_slot) = slots.acquire_owned().await else { return };
            tell(News::Begun);
            let opened = || tell(News::Open);
            let outcome = match follow {
                Some(end) => all(&kept, &*outputs, &pod, Some(end), opened).await,
                None => timeout(WITHIN, all(&kept, &*outputs, &pod, None, opened)).await.unwrap_or(Outcome::Failed),
            };
            tell(News::Is(outcome));
        });
    }
}

impl One {
    fn new(since: Moment, state: State) -> Self {
        Self { since, ended: false, state, end: watch::Sender::new(false) }
    }

    /// Whether a duty has to wait for its output.
    fn keeps_from(&self, duty: Duty, now: Moment) -> bool {
        let waited = now.since(self.since);
        match (duty, self.state) {
            (Duty::Release, State::Queued | State::Doing { .. } | State::Partial | State::Failed(_)) => {
                waited < PATIENCE
            }
            (Duty::Delete, State::Queued) if !self.ended => waited < TURN,
            (Duty::Delete, State::Doing { open: false }) if !self.ended => waited < OPENS,
            _ => false,
        }
    }
}

/// The containers of a pod that have begun.
fn begun(pod: &PodFacts) -> impl Iterator<Item = &ContainerFacts> {
    let all = pod.init_containers.iter().chain(&pod.containers);
    all.filter(|container| !matches!(container.state, ContainerState::Waiting { .. }))
}

/// Keeps what all containers of a pod print; to their end, if `end` says when that is.
async fn all(
    kept: &Kept,
    outputs: &dyn Outputs,
    pod: &PodFacts,
    end: Option<watch::Receiver<bool>>,
    opened: impl FnOnce(),
) -> Outcome {
    let extent = Extent { follow: end.is_some(), ..Extent::default() };
    let mut outcome = Outcome::Kept;
    let mut streams = Vec::new();
    for container in begun(pod) {
        let whose = Whose {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            container: container.name.clone(),
            is_over: false,
        };
        match outputs.open(whose.clone(), extent).await {
            Ok(lines) => streams.push((whose, lines)),
            Err(why) => outcome = outcome.max(said(pod, &container.name, &why)),
        }
    }
    // One that begins until then is read at the end.
    let waits = pod.containers.iter().any(|container| matches!(container.state, ContainerState::Waiting { .. }));
    if end.is_some() && waits {
        outcome = outcome.max(Outcome::Partial);
    }
    opened();
    let keeping = streams.into_iter().map(|(whose, lines)| one(kept, pod, whose, lines, end.clone()));
    futures::future::join_all(keeping).await.into_iter().fold(outcome, Outcome::max)
}

async fn one(kept: &Kept, pod: &PodFacts, whose: Whose, lines: Lines, end: Option<watch::Receiver<bool>>) -> Outcome {
    let keep = match end {
        None => Keep::All,
        Some(mut end) => Keep::Until(Box::pin(async move {
            // Who knew of the pod may be gone; the pod is, then, too.
            drop(end.wait_for(|ended| *ended).await);
            tokio::time::sleep(ARRIVES).await;
        })),
    };
    match kept.keep(&whose, lines, keep).await {
        Ok(size) if size.is_partial => Outcome::Partial,
        Ok(_) => Outcome::Kept,
        Err(error) => {
            let error = cluster::telemetry::chain(&error);
            tracing::warn!(job = %pod.job, container = whose.container, error, "output is not kept");
            Outcome::Failed
        }
    }
}

/// What it means that there is no output.
fn said(pod: &PodFacts, container: &str, why: &NoOutput) -> Outcome {
    let error = cluster::telemetry::chain(why);
    match why {
        // It has begun: a kubelet says so, too, of one that it does not know any more.
        NoOutput::NotYet | NoOutput::Gone | NoOutput::Forbidden(_) => {
            tracing::info!(pod = pod.name, namespace = pod.namespace, container, error, "output cannot be kept");
            Outcome::Never
        }
        NoOutput::Unavailable(_) => {
            tracing::warn!(pod = pod.name, namespace = pod.namespace, container, error, "output is not kept yet");
            Outcome::Failed
        }
    }
}

impl Outcome {
    /// What a pod's is if two of its containers' differ.
    fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Kept, Self::Kept) => Self::Kept,
        }
    }
}

#[cfg(test)]
mod tests;
