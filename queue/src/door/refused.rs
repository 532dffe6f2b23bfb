//! What the cluster does not let happen to pods made for the API.
//!
//! Invariant: a refusal makes the next pause longer and is told when it, or why, is news; what is known about a pod goes with it. Does not know
//! what is written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::clock::Moment;
use model::job::PodFacts;
use planning::lifecycle::Duty;
use planning::refusal::{Answer, Pauses};
use planning::stuck;

/// Duties that were refused, by UID of the pod.
#[derive(Debug, Default)]
pub(super) struct Refused(Pauses<(String, Duty)>);

impl Refused {
    /// Forgets what is not due any more, of these pods or of others.
    pub(super) fn keep<'a>(&mut self, due: impl Iterator<Item = (&'a Arc<PodFacts>, Duty)>) {
        if self.0.is_empty() {
            return;
        }
        let due: HashSet<(&str, Duty)> = due.map(|(pod, duty)| (pod.uid.as_str(), duty)).collect();
        self.0.keep(|(uid, duty)| due.contains(&(uid.as_str(), *duty)));
    }

    /// Whether a duty is not to be tried now.
    pub(super) fn rests(&self, pod: &PodFacts, duty: Duty, now: Moment) -> bool {
        self.0.rests(&(pod.uid.clone(), duty), now)
    }

    /// When the next may be tried again.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        self.0.next(now)
    }

    /// Takes in what came of a duty; `None`: it is done. Returns what is to be told.
    pub(super) fn settle(&mut self, pod: &PodFacts, duty: Duty, answer: Option<Answer>, now: Moment) -> Option<String> {
        let key = (pod.uid.clone(), duty);
        let Some(answer) = answer else {
            self.0.clear(&key);
            return None;
        };
        let answer = answer.to(&format!("cannot {}", duty.words()));
        self.0.add(key, &answer, now).then(|| answer.message().to_owned())
    }

    /// What environments say, by UUID; `environment` knows that of a node.
    pub(super) fn notices(
        &self,
        pods: &[Arc<PodFacts>],
        environment: impl Fn(&str) -> Option<String>,
    ) -> BTreeMap<String, String> {
        if self.0.is_empty() {
            return BTreeMap::new();
        }
        let on_node = |(key, why): (&(String, Duty), &str)| {
            let pod = pods.iter().find(|pod| pod.uid == key.0)?;
            let environment = environment(pod.node.as_deref()?)?;
            Some((environment, format!("{}/{}", pod.namespace, pod.name), why.to_owned()))
        };
        let all: Vec<_> = self.0.iter().filter_map(on_node).collect();
        stuck::notices("pods", all.iter().map(|(uuid, name, why)| (uuid.as_str(), name.as_str(), why.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::job::{JobId, PodPhase};

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn pod(name: &str, node: Option<&str>) -> Arc<PodFacts> {
        Arc::new(PodFacts {
            job: JobId::new(uuid::Uuid::from_u128(1)),
            attempt: 1,
            placement: 0,
            name: name.into(),
            namespace: "ns".into(),
            uid: format!("uid-{name}"),
            node: node.map(ToOwned::to_owned),
            hold: vec![],
            unschedulable: None,
            misbound: false,
            unmounted: None,
            ready_to_start: None,
            unready_since: None,
            phase: PodPhase::Succeeded,
            reason: None,
            message: None,
            disruption: None,
            containers: vec![],
            init_containers: vec![],
            deleting: None,
            confirmed: false,
            kept: true,
        })
    }

    fn no() -> Answer {
        Answer::Refused("no".to_owned())
    }

    #[test]
    fn a_pod_that_is_not_let_go_is_told_once_pauses_and_keeps_no_other() {
        let (mut refused, a, b) = (Refused::default(), pod("a", Some("n")), pod("b", Some("n")));
        let mut due = 0;
        for (times, pause) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let told = (times == 0).then(|| "cannot take Bulkhead's finalizer off the pod: no".to_owned());
            assert_eq!(refused.settle(&a, Duty::Release, Some(no()), at(due)), told);
            assert!(refused.rests(&a, Duty::Release, at(due + pause - 1)));
            assert!(!refused.rests(&a, Duty::Release, at(due + pause)), "{times}");
            assert!(!refused.rests(&a, Duty::Delete, at(due)) && !refused.rests(&b, Duty::Release, at(due)));
            assert_eq!(refused.next(at(due)), Some(at(due + pause)));
            due += pause;
        }
        let (pods, environment) = ([a.clone(), b], |node: &str| (node == "n").then(|| "u".to_owned()));
        let said = refused.notices(&pods, environment);
        assert!(
            said["u"].ends_with("1 of its pods; ns/a: cannot take Bulkhead's finalizer off the pod: no"),
            "{said:?}"
        );
        refused.settle(&a, Duty::Release, None, at(due));
        assert!(refused.notices(&pods, environment).is_empty() && !refused.rests(&a, Duty::Release, at(due)));
    }

    #[test]
    fn what_is_not_due_any_more_is_forgotten() {
        let mut refused = Refused::default();
        let (a, lost) = (pod("a", Some("n")), pod("lost", Some("gone")));
        for pod in [&a, &lost] {
            refused.settle(pod, Duty::Release, Some(no()), at(0));
        }
        let environment = |node: &str| (node == "n").then(|| "u".to_owned());
        assert_eq!(refused.notices(&[a.clone(), lost.clone()], environment).len(), 1, "nobody's node");
        refused.keep([(&a, Duty::Release), (&lost, Duty::Nothing)].into_iter());
        assert!(refused.rests(&a, Duty::Release, at(1)) && !refused.rests(&lost, Duty::Release, at(1)));
        refused.keep([].into_iter());
        assert!(!refused.rests(&a, Duty::Release, at(1)));
    }
}
