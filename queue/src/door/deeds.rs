//! What is done to pods of the API that are there, and was done a moment ago: deleted, let go, given other nodes to choose among.
//!
//! Invariant: a deed is not repeated before the watch can have shown it, nor one that did not go through before a pause, which grows; and no
//! deed keeps the loop longer than [`patient`] waits. Does not know why a deed is due.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::fault::{self, Point};
use cluster::index::Answer;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use model::clock::{Moment, Now};
use model::job::{JobId, PodFacts};
use model::keys;
use serde_json::json;

use super::pods::ended_at;
use crate::cycle::Context;
use crate::pods::together;
use crate::write::{self, Clogged, Outcome, patient};

/// A deed is not repeated before this time: the watch needs a moment to show it. Doubled with each time in a row that it did not go through.
const PATIENCE: Duration = Duration::from_secs(5);
/// But no longer than this, because whoever is in the way may mend it any moment; and one that is under way for long is over by then.
const LONGEST: Duration = Duration::from_mins(1);

/// What was done a moment ago, by name or UID of the pod, and what is due later.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    done: HashMap<(String, What), Done>,
    next: Option<Moment>,
    /// When pods that have ended did, by UID: what their containers say counts once.
    ended: HashMap<String, Moment>,
    /// The last job whose pod was tried to be made.
    pub(super) tried: Option<JobId>,
}

/// When something was done last.
#[derive(Debug)]
struct Done {
    at: Moment,
    /// It is not done again before.
    pause: Duration,
    /// How often in a row it did not go through, and what was said then.
    failures: u32,
    said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Made,
    Held,
    Deleted,
    LetGo,
}

/// A deed to a pod that is there.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) what: What,
    pub(super) pod: Arc<PodFacts>,
    /// The nodes among which kube-scheduler may choose from now on.
    pub(super) hold: Vec<String>,
}

impl Done {
    fn rests_until(&self) -> Moment {
        self.at.plus(self.pause)
    }

    /// How often something failed is known until it is no longer tried.
    fn counts(&self, now: Moment) -> bool {
        let kept = if self.failures == 0 { Duration::ZERO } else { LONGEST };
        self.rests_until().plus(kept) > now
    }
}

impl Deeds {
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next
    }

    /// Whether this may be done now; notes that it is.
    pub(super) fn begin(&mut self, pod: &str, what: What, now: Moment) -> bool {
        let key = (pod.to_owned(), what);
        match self.done.get_mut(&key) {
            Some(done) if done.rests_until() > now => return false,
            Some(done) => (done.at, done.pause) = (now, PATIENCE),
            None => drop(self.done.insert(key, Done { at: now, pause: PATIENCE, failures: 0, said: String::new() })),
        }
        true
    }

    /// Whether kube-scheduler was given other nodes for a pod a moment ago: longer than it takes to try them
    /// (`podMaxBackoffSeconds` in its configuration).
    pub(super) fn held_lately(&self, pod: &str, now: Moment) -> bool {
        let last = self.done.get(&(pod.to_owned(), What::Held));
        last.is_some_and(|last| now.since(last.at) < PATIENCE)
    }

    pub(super) fn forget(&mut self, pod: &str, what: What) {
        self.done.remove(&(pod.to_owned(), what));
    }

    /// Forgets what is so long ago that it would be done again anyway.
    pub(super) fn clean(&mut self, pods: &[Arc<PodFacts>], now: Moment) {
        self.done.retain(|_, done| done.counts(now));
        if !self.ended.is_empty() {
            let here: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
            self.ended.retain(|uid, _| here.contains(uid.as_str()));
        }
        let again = self.done.values().filter(|done| done.failures > 0).map(Done::rests_until);
        self.next = again.filter(|at| *at > now).min();
    }

    /// When a pod ended.
    pub(super) fn ended(&mut self, pod: &PodFacts, now: Now) -> Moment {
        *self.ended.entry(pod.uid.clone()).or_insert_with(|| now.began(ended_at(pod)))
    }

    pub(super) fn due(&mut self, at: Moment) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Takes in what came of a deed. `None`: it is done, or the pod is gone.
    pub(super) fn judge(&mut self, deed: &Deed, answer: Option<&Answer>) {
        let Some(done) = self.done.get_mut(&(deed.key(), deed.what)) else { return };
        let Some(answer) = answer else { return done.failures = 0 };
        if done.said != answer.message() {
            let (pod, namespace) = (&deed.pod.name, &deed.pod.namespace);
            tracing::warn!(pod, namespace, what = ?deed.what, ?answer, "a deed to a pod did not go through");
            answer.message().clone_into(&mut done.said);
        }
        done.failures = done.failures.saturating_add(1);
        let longer = PATIENCE.saturating_mul(1 << done.failures.min(10)).min(LONGEST);
        done.pause = if matches!(answer, Answer::Slow(_)) { LONGEST } else { longer };
        let due = done.rests_until();
        self.due(due);
    }
}

/// Does all that. In a namespace in which one hangs or fails the others are tried later.
pub(super) async fn carry_out(context: &Context, all: Vec<Deed>) -> Vec<(Deed, Option<Answer>)> {
    let clogged = &Clogged::default();
    let one = |deed: Deed| {
        async move {
            let answer = answer(context, &deed, clogged).await;
            (deed, answer)
        }
        .boxed()
    };
    together(all.into_iter().map(one).collect()).await
}

impl Deed {
    /// As which a deed is known. Which nodes a pod may go to is asked by its name.
    pub(super) fn key(&self) -> String {
        if self.what == What::Held { self.pod.name.clone() } else { self.pod.uid.clone() }
    }
}

/// Does something and learns from what comes of it. `None`: it is done, or the pod is gone.
async fn answer(context: &Context, deed: &Deed, clogged: &Clogged) -> Option<Answer> {
    let namespace = &deed.pod.namespace;
    if let Some(answer) = clogged.why(namespace) {
        return Some(answer);
    }
    let answer = match patient(send(context.clone(), deed.clone())).await {
        Some(Outcome::Written | Outcome::Gone) => return None,
        Some(Outcome::Not(answer)) => answer,
        // It goes on by itself, and the watch shows what comes of it.
        None => write::slow(),
    };
    clogged.learn(namespace, &answer);
    Some(answer)
}

async fn send(context: Context, deed: Deed) -> Outcome {
    let Deed { what, pod, hold } = deed;
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let (name, api) = (pod.name.as_str(), &pods);
    let patch = async |patch| api.patch(name, &PatchParams::default(), &patch).await.map(drop);
    let answer = match what {
        What::Made => return Outcome::Written,
        What::Held => {
            let nodes = json!({"metadata": {"uid": pod.uid, "annotations": {keys::HOLD: hold.join(",")}}});
            patch(Patch::Merge(nodes)).await
        }
        What::Deleted => {
            let only_this = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
            let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
            pods.delete(&pod.name, &params).await.map(drop)
        }
        What::LetGo => {
            fault::reach(Point::OutcomeStored);
            let rest = json!({
                "metadata": {"uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [keys::RECORD_FINALIZER]},
            });
            patch(Patch::Strategic(rest)).await
        }
    };
    write::outcome(&pods, &pod.name, Some(&pod.uid), answer).await
}

#[cfg(test)]
mod tests {
    use model::job::PodPhase;
    use uuid::Uuid;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn deed(what: What) -> Deed {
        let pod = PodFacts {
            job: JobId::new(Uuid::nil()),
            attempt: 1,
            placement: 0,
            name: "p".into(),
            namespace: "n".into(),
            uid: "u".into(),
            node: None,
            hold: Vec::new(),
            unschedulable: None,
            unmounted: None,
            unready_since: None,
            ready_to_start: None,
            phase: PodPhase::Running,
            reason: None,
            message: None,
            disruption: None,
            containers: Vec::new(),
            init_containers: Vec::new(),
            deleting: None,
            confirmed: false,
            kept: true,
        };
        Deed { what, pod: Arc::new(pod), hold: Vec::new() }
    }

    /// Seconds between the tries of a deed that gets these answers.
    #[track_caller]
    fn check(answers: &[Option<Answer>], expect: &[u64]) {
        for what in [What::Deleted, What::LetGo, What::Held] {
            let (deed, mut deeds, mut last) = (deed(what), Deeds::default(), 0);
            assert!(deeds.begin(&deed.key(), what, at(0)));
            for (answer, pause) in answers.iter().zip(expect) {
                deeds.judge(&deed, answer.as_ref());
                for early in last + 1..last + pause {
                    deeds.clean(&[], at(early));
                    assert!(!deeds.begin(&deed.key(), what, at(early)), "{what:?} {early}");
                }
                let wakes = answer.is_some().then(|| at(last + pause));
                assert_eq!(deeds.wake_at(), wakes, "{what:?} {last}");
                last += pause;
                deeds.clean(&[], at(last));
                assert!(deeds.begin(&deed.key(), what, at(last)), "{what:?} {last}");
            }
        }
    }

    #[test]
    fn a_deed_that_does_not_go_through_is_tried_less_and_less_often() {
        let refused = || Some(Answer::Refused("no".into()));
        check(&[None, None], &[5, 5]);
        check(&[refused(), refused(), refused(), refused(), refused()], &[10, 20, 40, 60, 60]);
        check(&[Some(write::slow()), Some(write::slow())], &[60, 60]);
        check(&[refused(), refused(), None, refused()], &[10, 20, 5, 10]);
    }
}
