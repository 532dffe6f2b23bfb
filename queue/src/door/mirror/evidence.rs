//! Looks up how Jobs ended that went while nobody looked: among the Events of their namespaces.
//!
//! Invariant: a Job's outcome is called unknown only after its Events were read, some time after it was missed first, or when they must
//! have expired. Nobody waits long for it, and a namespace is read once for all its Jobs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use api::convert::outcome::{self, Outcome};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use model::job::{JobId, JobRecord, Spec};

use super::Row;

/// The Job controller writes the Event after the end, and an API server that was away may get it late.
const GRACE: Duration = Duration::from_secs(30);
/// Events are kept for an hour (`--event-ttl`).
const EXPIRED: Duration = Duration::from_hours(1);
/// A namespace is not read again before.
const AGAIN: Duration = Duration::from_secs(5);
/// Namespaces read at the same time, and how long that may take: the loop waits.
const MOST: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);
/// Events in one answer.
const PAGE: u32 = 500;

/// A Job and how it ended; `None`: nobody will ever know.
pub(super) type Said<'a> = (&'a Row, Option<Outcome>);

/// Jobs that are missed.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Since when.
    missing: HashMap<JobId, Instant>,
    /// When each namespace of theirs was read.
    read: HashMap<String, Instant>,
}

impl Evidence {
    /// How these Jobs ended, as far as that can be said by now.
    pub(super) async fn of<'a>(&mut self, client: &Client, gone: &[&'a Row], now: Instant) -> Vec<Said<'a>> {
        if gone.is_empty() {
            self.missing.clear();
            self.read.clear();
            return Vec::new();
        }
        let due = self.due(gone, now);
        let reading = due.into_iter().map(async |namespace| (namespace.clone(), outcomes(client, &namespace).await));
        let found: HashMap<_, _> = join_all(reading).await.into_iter().collect();
        self.settle(gone, &found, now)
    }

    /// Notes who is missed, and returns the namespaces that are to be read.
    fn due(&mut self, gone: &[&Row], now: Instant) -> Vec<String> {
        let ids: HashSet<JobId> = gone.iter().map(|(record, _)| record.id).collect();
        self.missing.retain(|id, _| ids.contains(id));
        let namespaces: HashSet<&str> = gone.iter().filter_map(|(_, spec)| spec.namespace.as_deref()).collect();
        self.read.retain(|namespace, _| namespaces.contains(namespace.as_str()));
        for id in ids {
            self.missing.entry(id).or_insert(now);
        }
        let rested = |name: &&str| self.read.get(*name).is_none_or(|last| now.duration_since(*last) >= AGAIN);
        let due: Vec<String> = namespaces.into_iter().filter(rested).take(MOST).map(ToOwned::to_owned).collect();
        self.read.extend(due.iter().map(|namespace| (namespace.clone(), now)));
        due
    }

    /// What the Events of some namespaces, as far as they could be read, say.
    fn settle<'a>(
        &self,
        gone: &[&'a Row],
        found: &HashMap<String, Option<Vec<Outcome>>>,
        now: Instant,
    ) -> Vec<Said<'a>> {
        let one = |job: &'a Row| {
            let (record, spec) = job;
            let missed = self.missing.get(&record.id).map_or(Duration::ZERO, |since| now.duration_since(*since));
            let read = spec.namespace.as_deref().and_then(|namespace| found.get(namespace)?.as_ref());
            match read.and_then(|all| all.iter().find(|outcome| is_of(outcome, record, spec))) {
                Some(outcome) => Some((job, Some(outcome.clone()))),
                None => ((read.is_some() && missed >= GRACE) || missed >= EXPIRED).then_some((job, None)),
            }
        };
        gone.iter().filter_map(|job| one(job)).collect()
    }
}

/// Records that an earlier release stored do not say their Job's UID.
fn is_of(outcome: &Outcome, record: &JobRecord, spec: &Spec) -> bool {
    match &spec.uid {
        Some(uid) => *uid == outcome.uid,
        None => spec.name == outcome.name && outcome.at >= record.created,
    }
}

/// The ends of Jobs that the Events of a namespace tell; `None`: they cannot be read now.
async fn outcomes(client: &Client, namespace: &str) -> Option<Vec<Outcome>> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let fields = format!("involvedObject.kind=Job,source={}", outcome::SOURCE);
    let read = async {
        let (mut all, mut params) = (Vec::new(), ListParams::default().fields(&fields).limit(PAGE));
        loop {
            let page = events.list(&params).await?;
            all.extend(page.items.iter().filter_map(outcome::outcome));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(all)) => Some(all),
        Ok(Err(error)) => {
            let error: kube::Error = error;
            tracing::warn!(namespace, error = cluster::telemetry::chain(&error), "how Jobs ended cannot be looked up");
            None
        }
        Err(_) => {
            tracing::warn!(namespace, "how Jobs ended cannot be looked up: no answer in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use model::job::Door;
    use model::status::JobState;
    use uuid::Uuid;

    use super::*;

    fn job(number: u128, namespace: &str, uid: Option<&str>) -> Row {
        let spec = Spec {
            name: "j".into(),
            door: Door::Job,
            queue: "q".into(),
            definition: String::new(),
            namespace: Some(namespace.into()),
            uid: uid.map(ToOwned::to_owned),
            pod: serde_json::Value::Null,
            retry: None,
            timeout_seconds: None,
            depends_on: Vec::new(),
            container: None,
            array_size: None,
            parameters: [].into(),
            tags: [].into(),
            share: None,
            priority: None,
            submitter: None,
        };
        (JobRecord::submitted(JobId::new(Uuid::from_u128(number)), at(10)), Arc::new(spec))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn succeeded(uid: &str, second: i64) -> Outcome {
        let (uid, name) = (uid.to_owned(), "j".to_owned());
        Outcome { uid, name, state: JobState::Succeeded, failure: None, at: at(second) }
    }

    /// What is said of a job so many seconds after it was missed first, when this could be read; and then.
    #[track_caller]
    fn check(uid: Option<&str>, seconds: u64, read: Option<&[Outcome]>, expect: Option<bool>) {
        let (job, begin) = (job(1, "n", uid), Instant::now());
        let mut evidence = Evidence::default();
        assert_eq!(evidence.due(&[&job], begin), ["n"]);
        let found = HashMap::from([("n".to_owned(), read.map(<[Outcome]>::to_vec))]);
        let said = evidence.settle(&[&job], &found, begin + Duration::from_secs(seconds));
        assert_eq!(said.first().map(|(_, outcome)| outcome.is_some()), expect);
    }

    #[test]
    fn an_end_is_told_at_once_and_unknown_only_after_a_while() {
        check(Some("u"), 0, Some(&[succeeded("other", 50), succeeded("u", 50)]), Some(true));
        check(Some("u"), 0, Some(&[succeeded("other", 50)]), None);
        check(Some("u"), 30, Some(&[succeeded("other", 50)]), Some(false));
        // Nobody could read them.
        check(Some("u"), 600, None, None);
        check(Some("u"), 3600, None, Some(false));
        // Its UID is not known: a later Job may have its name, an earlier one is not it.
        check(None, 0, Some(&[succeeded("u", 50)]), Some(true));
        check(None, 30, Some(&[succeeded("u", 5)]), Some(false));
    }

    #[test]
    fn a_namespace_is_read_once_for_all_its_jobs_and_not_at_once_again() {
        let (begin, mut evidence) = (Instant::now(), Evidence::default());
        let jobs = [job(1, "a", None), job(2, "a", None), job(3, "b", None)];
        let mut due = evidence.due(&jobs.iter().collect::<Vec<_>>(), begin);
        due.sort();
        assert_eq!(due, ["a", "b"]);
        assert!(evidence.due(&[&jobs[0]], begin + Duration::from_secs(4)).is_empty());
        assert_eq!(evidence.due(&[&jobs[0]], begin + Duration::from_secs(5)), ["a"]);
        assert_eq!(evidence.missing.len(), 1, "those that are stored are forgotten");
        let many: Vec<_> = (0..20).map(|number| job(number, &format!("n{number}"), None)).collect();
        assert_eq!(evidence.due(&many.iter().collect::<Vec<_>>(), begin).len(), MOST);
    }
}
