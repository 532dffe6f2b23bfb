//! Nodes that keep logs which are promised: those of the API's pods that have ended, until they are deleted for good or kept elsewhere.
//!
//! Invariant: a pod that is gone, or that somebody has told to go, keeps no node, nor one of which what it printed is kept. Does not know what nodes cost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::clock::{Moment, Now};
use model::job::PodFacts;

/// When pods that are kept ended, by UID, as it was first seen.
#[derive(Debug, Default)]
pub(super) struct Logs(HashMap<String, Moment>);

impl Logs {
    /// Until when nodes keep logs, by their names: `ttl` after the end of the last pod.
    pub(super) fn promise(
        &mut self,
        pods: &[Arc<PodFacts>],
        ttl: Duration,
        now: Now,
        is_kept: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Timestamp> {
        if ttl.is_zero() {
            return BTreeMap::new();
        }
        let here: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        self.0.retain(|uid, _| here.contains(uid.as_str()));
        let mut until: HashMap<&str, Moment> = HashMap::new();
        for pod in pods.iter().filter(|pod| pod.ended() && pod.deleting.is_none()) {
            let Some(node) = pod.node.as_ref().filter(|_| !is_kept(&pod.uid)) else { continue };
            let ended = *self.0.entry(pod.uid.clone()).or_insert_with(|| now.began(pod.ended_at()));
            let due = ended.plus(ttl);
            until.entry(node).and_modify(|last| *last = due.max(*last)).or_insert(due);
        }
        until.into_iter().map(|(node, until)| (node.to_owned(), now.at(until))).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use model::job::{ContainerFacts, ContainerState, JobId, PodPhase};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
    }

    fn pod(node: &str, ended: Option<i64>) -> PodFacts {
        let state =
            ContainerState::Ended { exit_code: 0, started: None, finished: ended.map(at), reason: None, message: None };
        let container = ContainerFacts { name: "c".into(), id: None, state };
        PodFacts {
            job: JobId::new(uuid::Uuid::from_u128(1)),
            attempt: 1,
            placement: 0,
            name: "p".into(),
            namespace: "ns".into(),
            uid: format!("{node}-{ended:?}"),
            node: Some(node.into()),
            hold: vec![],
            unschedulable: None,
            misbound: false,
            unmounted: None,
            unready_since: None,
            ready_to_start: None,
            phase: if ended.is_some() { PodPhase::Succeeded } else { PodPhase::Running },
            reason: None,
            message: None,
            disruption: None,
            containers: vec![container],
            init_containers: vec![],
            deleting: None,
            confirmed: false,
            kept: false,
        }
    }

    #[test]
    fn a_node_keeps_logs_until_the_last_of_its_ended_pods_is_due() {
        let deleted = PodFacts { deleting: Some(at(95)), ..pod("c", Some(90)) };
        let pods = [pod("a", Some(10)), pod("a", Some(70)), pod("a", Some(30)), pod("b", None), deleted];
        let pods: Vec<Arc<PodFacts>> = pods.into_iter().map(Arc::new).collect();
        let now = Now { wall: at(100), moment: Moment::after(Duration::from_secs(7)) };
        let mut logs = Logs::default();
        let ten = Duration::from_mins(10);
        let none = logs.promise(&pods, Duration::ZERO, now, |_| false);
        assert_eq!(none, [].into(), "pods go at once: nothing is promised");
        assert_eq!(logs.promise(&pods, ten, now, |_| false), [("a".to_owned(), at(670))].into());
        // The wall's clock is set forward by an hour: of the promise as much is left as elapses.
        let later = Now { wall: at(3710), moment: Moment::after(Duration::from_secs(17)) };
        assert_eq!(logs.promise(&pods, ten, later, |_| false), [("a".to_owned(), at(670 + 3600))].into());
        // The last of them is kept elsewhere by now.
        let kept = logs.promise(&pods, ten, now, |uid| uid == pods[1].uid);
        assert_eq!(kept, [("a".to_owned(), at(630))].into());
    }
}
