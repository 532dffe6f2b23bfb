//! Why pods wait for which no Job says it, said on them: condition `PodScheduled` is False with reason [`keys::QUEUED_REASON`]. `Unschedulable` would wake autoscalers
//! that are not meant.
//!
//! Invariant: only what is not written yet is written, at most [`AT_ONCE`] pods a cycle; nothing waits for it, and what does not go through is tried
//! less and less often. Does not decide what is said.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::gone;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use model::clock::{Moment, Now};
use model::keys;
use model::plan::PodReason;
use model::status::Reason;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::context::Context;

/// What is written in one cycle; the rest follows in the next ones.
const AT_ONCE: usize = 100;
/// Requests under way at the same time.
const IN_FLIGHT: usize = 8;
/// The watch needs a moment to show what was written.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two tries.
const LAST: Duration = Duration::from_mins(5);

/// What was tried, by UID of the pod.
#[derive(Debug)]
pub(crate) struct Said {
    tried: HashMap<String, Tried>,
    slots: Arc<Semaphore>,
}

#[derive(Debug)]
struct Tried {
    reason: Reason,
    times: u32,
    due: Moment,
}

impl Default for Said {
    fn default() -> Self {
        Self { tried: HashMap::new(), slots: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }
}

impl Said {
    /// Writes what a plan says. True: there is more to write.
    pub(crate) fn write(&mut self, context: &Context, pods: Vec<PodReason>, now: Now) -> bool {
        let (due, more) = self.due(pods, now.moment);
        for one in due {
            let (client, slots) = (context.client.clone(), self.slots.clone());
            tokio::spawn(async move {
                if let Ok(_slot) = slots.acquire().await {
                    say(client, &one, now.wall).await;
                }
            });
        }
        more
    }

    /// Those whose turn it is, and whether others have to wait for the next cycle; forgets those on which it is written.
    fn due(&mut self, pods: Vec<PodReason>, now: Moment) -> (Vec<PodReason>, bool) {
        let wanted: HashSet<&str> = pods.iter().map(|one| one.uid.as_str()).collect();
        self.tried.retain(|uid, _| wanted.contains(uid.as_str()));
        let is_due = |one: &PodReason| {
            self.tried
                .get(&one.uid)
                .is_none_or(|tried| tried.reason != one.reason && tried.times <= 1 || tried.due <= now)
        };
        let mut due: Vec<PodReason> = pods.into_iter().filter(is_due).collect();
        let more = due.len() > AT_ONCE;
        due.truncate(AT_ONCE);
        for one in &due {
            let tried = self.tried.entry(one.uid.clone()).or_insert_with(|| Tried {
                reason: one.reason.clone(),
                times: 0,
                due: now,
            });
            tried.reason.clone_from(&one.reason);
            tried.due = now.plus((FIRST * (1 << tried.times.min(8))).min(LAST));
            tried.times += 1;
        }
        (due, more)
    }
}

async fn say(client: Client, one: &PodReason, now: Timestamp) {
    let pods: Api<Pod> = Api::namespaced(client, &one.pod.namespace);
    let answer = pods.patch_status(&one.pod.name, &PatchParams::default(), &Patch::Strategic(patch(one, now))).await;
    if let Err(error) = gone::unless_gone(&pods, &one.pod.name, Some(&one.uid), answer).await {
        tracing::warn!(pod = %one.pod, error = cluster::telemetry::chain(&error), "cannot say on a pod why it waits");
    }
}

/// Conditions are merged by their type.
fn patch(one: &PodReason, now: Timestamp) -> Value {
    let Reason { code, message } = &one.reason;
    json!({
        "metadata": {"uid": one.uid},
        "status": {"conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": keys::QUEUED_REASON,
            "message": format!("{}: {message}", code.as_str()),
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }]},
    })
}

#[cfg(test)]
mod tests {
    use model::snapshot::ObjectKey;
    use model::status::Code;

    use super::*;

    fn reason(uid: &str, message: &str) -> PodReason {
        let reason = Reason { code: Code::NoRoom, message: message.to_owned() };
        PodReason { pod: ObjectKey::new("ns", uid), uid: uid.to_owned(), reason }
    }

    fn at(second: u64) -> Moment {
        Moment::after(Duration::from_secs(second))
    }

    #[test]
    fn what_is_not_shown_as_written_is_written_again_less_and_less_often() {
        let mut said = Said::default();
        let seconds: Vec<u64> =
            (0..700).filter(|second| !said.due(vec![reason("a", "full")], at(*second)).0.is_empty()).collect();
        assert_eq!(seconds, [0, 2, 6, 14, 30, 62, 126, 254, 510]);
        // It is written: another time it begins anew.
        assert!(said.due(vec![], at(700)).0.is_empty());
        assert_eq!(said.due(vec![reason("a", "full")], at(701)).0.len(), 1);
    }

    #[test]
    fn something_else_is_said_at_once_where_the_last_was_not_refused() {
        let mut said = Said::default();
        let mut count = |message: &str, second: u64| said.due(vec![reason("a", message)], at(second)).0.len();
        assert_eq!([count("one", 0), count("one", 1), count("two", 1), count("three", 1)], [1, 0, 1, 0]);
        assert_eq!([count("three", 4), count("three", 5)], [0, 1]);
    }

    #[test]
    fn a_cycle_writes_to_a_part_of_many_pods() {
        let all: Vec<PodReason> = (0..250).map(|number| reason(&format!("p{number}"), "full")).collect();
        let mut said = Said::default();
        let mut count = || {
            let (due, more) = said.due(all.clone(), at(0));
            (due.len(), more)
        };
        assert_eq!([count(), count(), count(), count()], [(100, true), (100, true), (50, false), (0, false)]);
    }

    #[test]
    fn it_is_a_condition_that_wakes_no_autoscaler() {
        let patch = patch(&reason("a", "full"), "2026-11-01T12:00:00.123Z".parse().unwrap());
        let condition = &patch["status"]["conditions"][0];
        assert_eq!(condition["message"], "CAPACITY:NO_ROOM: full");
        assert_eq!([&condition["status"], &condition["reason"]], ["False", "Queued"]);
        assert_eq!(condition["lastTransitionTime"], "2026-11-01T12:00:00Z");
    }
}
