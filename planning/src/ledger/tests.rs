//! Tests of how jobs reach each other: stories of a few jobs; properties of any story are in a file of their own.

mod limits;
mod properties;
mod window;

use model::job::{
    ContainerFacts, ContainerState, Dependency, DependencyKind, Door, EvaluateOnExit, PodPhase, RetryAction,
    RetryStrategy, StopKind,
};
use model::names::pod_name;

use super::*;

fn id(number: u128) -> JobId {
    JobId::new(Uuid::from_u128(number))
}

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn spec(array_size: Option<u32>, depends_on: Vec<Dependency>) -> Spec {
    Spec {
        name: "job".into(),
        door: Door::Api,
        queue: "q".into(),
        definition: "d:1".into(),
        namespace: None,
        uid: None,
        pod: serde_json::Value::Null,
        retry: None,
        timeout_seconds: None,
        depends_on,
        container: None,
        array_size,
        parameters: BTreeMap::new(),
        tags: BTreeMap::new(),
        share: None,
        priority: None,
        submitter: None,
    }
}

fn on(job: JobId) -> Dependency {
    Dependency { job_id: Some(job), kind: None }
}

fn placed(job: JobId, attempt: u32, placement: u32) -> Placed {
    Placed {
        since: None,
        pod_name: pod_name(job, attempt, placement),
        namespace: "n".into(),
        pod_uid: None,
        node: "node".into(),
        node_uid: "node-uid".into(),
        hold: vec![],
        environment: "ce".into(),
        environment_uuid: "ce-uuid".into(),
        trouble: None,
    }
}

/// A ledger and what was stored of it.
#[derive(Default)]
struct Story {
    ledger: Ledger,
    stored: BTreeMap<JobId, JobRecord>,
    attempts: BTreeMap<JobId, u32>,
}

impl Story {
    fn submit(mut self, job: JobId, spec: Spec) -> Self {
        let record = JobRecord::submitted(job, now());
        self.stored.insert(job, record.clone());
        for index in 0..spec.array_size.unwrap_or(0) {
            self.stored.insert(job.with_child(index), JobRecord::submitted(job.with_child(index), now()));
        }
        self.ledger.submitted(record, &Arc::new(spec), &Arc::new(Shape::default()));
        let outcomes = self.stored.iter().map(|(id, record)| (*id, record.state.into())).collect();
        self.ledger.consider(&outcomes, now());
        self.store();
        self
    }

    fn store(&mut self) {
        for change in self.ledger.changes() {
            assert!(!self.stored[&change.record.id].state.is_terminal(), "{} changed after its end", change.record.id);
            assert_eq!(self.stored[&change.record.id].version + 1, change.record.version, "{}", change.record.id);
            self.stored.insert(change.record.id, change.record.clone());
            if change.attempt.is_some() {
                *self.attempts.entry(change.record.id).or_default() += 1;
            }
        }
        self.ledger.stored(usize::MAX);
    }

    fn place(&mut self, job: JobId) {
        let Some(live) = self.ledger.get(job) else { return };
        let placed = placed(job, live.record.attempt, live.record.placement);
        self.ledger.dispatched(job, &placed, now());
        self.store();
    }

    fn pod(&mut self, job: JobId, phase: PodPhase, exit_code: Option<i32>) {
        let Some(live) = self.ledger.get(job) else { return };
        let state = match exit_code {
            None => ContainerState::Running { since: Some(now()) },
            Some(exit_code) => ContainerState::Ended {
                exit_code,
                reason: None,
                message: None,
                started: Some(now()),
                finished: Some(now()),
            },
        };
        let pod = PodFacts {
            job,
            attempt: live.record.attempt,
            placement: live.record.placement,
            name: pod_name(job, live.record.attempt, live.record.placement),
            namespace: "n".into(),
            uid: format!("pod-{job}-{}", live.record.attempt),
            node: Some("node".into()),
            hold: Vec::new(),
            unschedulable: None,
            misbound: false,
            unmounted: None,
            unready_since: None,
            ready_to_start: None,
            phase,
            reason: None,
            message: None,
            disruption: None,
            containers: vec![ContainerFacts { name: "default".into(), id: None, state }],
            init_containers: Vec::new(),
            deleting: None,
            confirmed: false,
            kept: true,
        };
        self.ledger.seen(&pod, now());
        self.store();
    }

    /// Runs an attempt of a job to its end.
    fn run(mut self, job: JobId, exit_code: i32) -> Self {
        self.place(job);
        self.pod(job, PodPhase::Running, None);
        self.pod(job, if exit_code == 0 { PodPhase::Succeeded } else { PodPhase::Failed }, Some(exit_code));
        self
    }

    fn stop(mut self, job: JobId, kind: StopKind) -> Self {
        self.ledger.stop(job, &Stop { kind, reason: "enough".into() }, now());
        self.store();
        self
    }

    fn state(&self, job: JobId) -> JobState {
        self.stored[&job].state
    }

    fn check(self, expect: &[(JobId, JobState)]) -> Self {
        for (job, state) in expect {
            assert_eq!(self.state(*job), *state, "{job}: {:?}", self.stored[job].reason);
        }
        self
    }
}

#[test]
fn a_diamond_runs_from_its_top_to_its_bottom() {
    use JobState::{Pending, Runnable, Succeeded};
    let (top, left, right, bottom) = (id(1), id(2), id(3), id(4));
    Story::default()
        .submit(top, spec(None, vec![]))
        .submit(left, spec(None, vec![on(top)]))
        .submit(right, spec(None, vec![on(top)]))
        .submit(bottom, spec(None, vec![on(left), on(right)]))
        .check(&[(top, Runnable), (left, Pending), (right, Pending), (bottom, Pending)])
        .run(top, 0)
        .check(&[(top, Succeeded), (left, Runnable), (right, Runnable), (bottom, Pending)])
        .run(left, 0)
        .check(&[(bottom, Pending)])
        .run(right, 0)
        .check(&[(bottom, Runnable)])
        .run(bottom, 0)
        .check(&[(bottom, Succeeded)]);
}

#[test]
fn a_failure_fails_all_that_depend_on_it() {
    let (top, middle, bottom) = (id(1), id(2), id(3));
    let story = Story::default()
        .submit(top, spec(None, vec![]))
        .submit(middle, spec(None, vec![on(top)]))
        .submit(bottom, spec(None, vec![on(middle)]))
        .run(top, 1)
        .check(&[(top, JobState::Failed), (middle, JobState::Failed), (bottom, JobState::Failed)]);
    assert_eq!(story.stored[&bottom].reason.as_deref(), Some("Dependent Job failed"));
    assert!(story.ledger.is_empty());
}

#[test]
fn a_dependency_that_has_ended_before_counts_as_it_ended() {
    let story = Story::default().submit(id(1), spec(None, vec![])).run(id(1), 0);
    let story = story.submit(id(2), spec(None, vec![on(id(1))])).check(&[(id(2), JobState::Runnable)]);
    let story = story.submit(id(3), spec(None, vec![])).run(id(3), 1);
    story
        .submit(id(4), spec(None, vec![on(id(3))]))
        .check(&[(id(4), JobState::Failed)])
        .submit(id(6), spec(None, vec![on(id(5))]))
        .check(&[(id(6), JobState::Failed)]);
}

#[test]
fn an_array_ends_with_its_last_child() {
    use JobState::{Failed, Pending, Runnable, Succeeded};
    let array = id(1);
    let story = Story::default().submit(array, spec(Some(3), vec![])).check(&[
        (array, Pending),
        (array.with_child(0), Runnable),
        (array.with_child(2), Runnable),
    ]);
    let story = story.run(array.with_child(1), 0).run(array.with_child(0), 0).check(&[(array, Pending)]);
    let story = story.run(array.with_child(2), 0).check(&[(array, Succeeded)]);
    assert!(story.ledger.is_empty());
    let story = Story::default().submit(array, spec(Some(2), vec![])).run(array.with_child(0), 9);
    let story = story.check(&[(array, Pending)]).run(array.with_child(1), 0).check(&[(array, Failed)]);
    assert_eq!(story.stored[&array].reason.as_deref(), Some("Array Child Job failed"));
}

#[test]
fn children_wait_for_each_other_as_they_were_asked_to() {
    use JobState::{Failed, Pending, Runnable};
    let (first, second) = (id(1), id(2));
    let n_to_n = Dependency { job_id: Some(first), kind: Some(DependencyKind::NToN) };
    Story::default()
        .submit(first, spec(Some(2), vec![]))
        .submit(second, spec(Some(2), vec![n_to_n]))
        .check(&[(second.with_child(0), Pending), (second.with_child(1), Pending)])
        .run(first.with_child(1), 0)
        .check(&[(second.with_child(0), Pending), (second.with_child(1), Runnable)])
        .run(first.with_child(0), 1)
        .check(&[(second.with_child(0), Failed), (second.with_child(1), Runnable), (second, Pending)])
        .run(second.with_child(1), 0)
        .check(&[(second, Failed)]);
    let sequential = Dependency { job_id: None, kind: Some(DependencyKind::Sequential) };
    Story::default()
        .submit(first, spec(Some(3), vec![sequential]))
        .check(&[(first.with_child(0), Runnable), (first.with_child(1), Pending), (first.with_child(2), Pending)])
        .run(first.with_child(0), 0)
        .check(&[(first.with_child(1), Runnable), (first.with_child(2), Pending)])
        .run(first.with_child(1), 1)
        .check(&[(first.with_child(2), Failed), (first, Failed)]);
}

#[test]
fn a_whole_array_can_be_waited_for_and_a_single_child() {
    use JobState::{Pending, Runnable};
    let (array, after, after_child) = (id(1), id(2), id(3));
    Story::default()
        .submit(array, spec(Some(2), vec![]))
        .submit(after, spec(None, vec![on(array)]))
        .submit(after_child, spec(None, vec![on(array.with_child(1))]))
        .run(array.with_child(1), 0)
        .check(&[(after, Pending), (after_child, Runnable)])
        .run(array.with_child(0), 0)
        .check(&[(after, Runnable)]);
}

#[test]
fn an_array_fails_with_what_it_depends_on_and_its_children_with_it() {
    use JobState::Failed;
    let (top, array) = (id(1), id(2));
    let all = [(array, Failed), (array.with_child(0), Failed), (array.with_child(1), Failed)];
    let story = Story::default().submit(top, spec(None, vec![])).submit(array, spec(Some(2), vec![on(top)]));
    let story = story.run(top, 1).check(&all);
    assert_eq!(story.stored[&array].reason.as_deref(), Some("Dependent Job failed"));
    assert!(story.ledger.is_empty() && story.ledger.arrays.is_empty());
    let late = Story::default().submit(top, spec(None, vec![])).run(top, 1).submit(array, spec(Some(2), vec![on(top)]));
    let late = late.check(&all);
    assert!(late.ledger.is_empty() && late.ledger.arrays.is_empty());
}

#[test]
fn whoever_stops_an_array_stops_its_children() {
    use JobState::{Failed, Runnable, Succeeded};
    let array = id(1);
    let story = Story::default().submit(array, spec(Some(3), vec![])).run(array.with_child(0), 0);
    let story = story.stop(array, StopKind::Terminate).check(&[
        (array.with_child(0), Succeeded),
        (array.with_child(1), Failed),
        (array.with_child(2), Failed),
        (array, Failed),
    ]);
    assert_eq!(story.stored[&array].reason.as_deref(), Some("enough"));
    let alone = Story::default().submit(array, spec(Some(2), vec![])).stop(array.with_child(1), StopKind::Cancel);
    alone
        .check(&[(array.with_child(1), Failed), (array.with_child(0), Runnable)])
        .run(array.with_child(0), 0)
        .check(&[(array, Failed)]);
}

#[test]
fn a_retry_goes_to_the_front_of_its_queue() {
    let retry = RetryStrategy { attempts: 2, evaluate_on_exit: Vec::new() };
    let again = Spec { retry: Some(retry), ..spec(None, vec![]) };
    let story = Story::default().submit(id(1), spec(None, vec![])).submit(id(2), again).run(id(2), 1);
    let order: Vec<JobId> = story.ledger.waiting(10, |_| false, now()).jobs.iter().map(|live| live.record.id).collect();
    assert_eq!(order, [id(2), id(1)]);
    assert_eq!(story.ledger.waiting_in("q"), 2);
    let one: Vec<JobId> = story.ledger.waiting(1, |_| true, now()).jobs.iter().map(|live| live.record.id).collect();
    assert_eq!(one, [id(2)]);
}

#[test]
fn a_ledger_that_starts_in_the_middle_goes_on_from_there() {
    use JobState::{Failed, Pending, Succeeded};
    let (array, after) = (id(1), id(2));
    let before = Story::default()
        .submit(array, spec(Some(3), vec![]))
        .submit(after, spec(None, vec![on(array)]))
        .run(array.with_child(0), 0)
        .run(array.with_child(1), 1);
    let mut story = Story { stored: before.stored.clone(), ..Story::default() };
    for record in before.stored.values().cloned() {
        let spec = if record.id.job == after.job { spec(None, vec![on(array)]) } else { spec(Some(3), vec![]) };
        story.ledger.take_in(record, &Arc::new(spec), &Arc::new(Shape::default()), now());
    }
    story.ledger.ended_children(array.job, &BTreeMap::from([(Succeeded, 1), (Failed, 1)]));
    story.ledger.consider(&HashMap::new(), now());
    story.store();
    story.check(&[(after, Pending)]).run(array.with_child(2), 0).check(&[(array, Failed), (after, Failed)]);
}

#[test]
fn a_pod_that_the_cluster_refuses_is_tried_again_later_and_five_times_at_most() {
    let mut story = Story::default().submit(id(1), spec(None, vec![]));
    let mut at = now();
    for placement in 0..5 {
        let live = story.ledger.get(id(1)).unwrap();
        assert_eq!((live.record.state, live.record.placement, live.record.attempt), (JobState::Runnable, placement, 1));
        at = story.ledger.wake_at().unwrap_or(at);
        story.ledger.tick(at);
        story.store();
        story.ledger.dispatched(id(1), &placed(id(1), 1, placement), at);
        story.ledger.not_made(id(1), "not allowed", false, at);
        story.store();
    }
    assert_eq!(story.stored[&id(1)].reason.as_deref(), Some("The cluster refuses the pod: not allowed"));
    story.check(&[(id(1), JobState::Failed)]);
}

#[test]
fn a_refusal_that_passes_never_uses_up_the_job() {
    let mut story = Story::default().submit(id(1), spec(None, vec![]));
    let mut at = now();
    for _ in 0..12 {
        at = story.ledger.wake_at().unwrap_or(at);
        story.ledger.tick(at);
        story.store();
        story.ledger.dispatched(id(1), &placed(id(1), 1, 0), at);
        story.ledger.not_made(id(1), "exceeded quota", true, at);
        story.store();
    }
    let record = &story.ledger.get(id(1)).unwrap().record;
    // What may really go wrong is still to come, and it may go wrong as often as ever.
    assert_eq!((record.attempt, record.placement), (1, 0));
    assert_eq!(story.ledger.wake_at().unwrap().duration_since(at).as_secs(), 30);
    story.check(&[(id(1), JobState::Runnable)]);
}

#[test]
fn a_dependency_that_is_still_to_be_taken_in_is_waited_for() {
    let (first, second) = (id(1), id(2));
    let mut story = Story::default();
    let waits = spec(None, vec![on(first)]);
    story.stored.insert(second, JobRecord::submitted(second, now()));
    story.ledger.submitted(JobRecord::submitted(second, now()), &Arc::new(waits), &Arc::new(Shape::default()));
    story.ledger.consider(&HashMap::from([(first, JobState::Submitted.into())]), now());
    story.store();
    let story = story.check(&[(second, JobState::Pending)]);
    let story = story.submit(first, spec(None, vec![])).check(&[(second, JobState::Pending)]);
    assert_eq!(story.ledger.unknown(), []);
    story.run(first, 0).check(&[(second, JobState::Runnable)]);
}

/// A job and an array wait for a job that never comes into the ledger, and another that does.
#[test]
fn a_job_that_kubernetes_runs_is_waited_for_until_it_ends() {
    use JobState::{Failed, Pending, Runnable, Running, Succeeded};
    let (other, inside, after, array) = (id(1), id(2), id(3), id(4));
    let states = [(after, Pending), (array, Pending), (array.with_child(0), Pending)];
    for (end, state) in [(Some(Succeeded), Runnable), (Some(Failed), Failed), (None, Failed)] {
        let mut story = Story::default().submit(inside, spec(None, vec![]));
        story.stored.insert(other, JobRecord { state: Running, ..JobRecord::submitted(other, now()) });
        let story = story.submit(after, spec(None, vec![on(other), on(inside)]));
        let story = story.submit(array, spec(Some(2), vec![on(other)])).check(&states);
        let mut story = story.run(inside, 0).check(&states);
        assert_eq!(story.ledger.unknown(), [other]);
        story.ledger.consider(&HashMap::from([(other, Running.into())]), now());
        story.store();
        let mut story = story.check(&states);
        story.ledger.consider(&end.map(|state| (other, state.into())).into_iter().collect(), now());
        story.store();
        assert_eq!(story.ledger.unknown(), []);
        story.check(&[(after, state), (array.with_child(0), state), (array.with_child(1), state)]);
    }
}

#[test]
fn what_waits_for_a_job_of_unknown_outcome_is_not_started_and_says_why() {
    let (other, lost) = (id(1), Outcome { state: JobState::Failed, unknown: true });
    // It was known to be lost before, or was not.
    for first in [lost, JobState::Running.into()] {
        let mut ledger = Ledger::default();
        let (terms, shape) = (Arc::new(spec(None, vec![on(other)])), Arc::new(Shape::default()));
        ledger.submitted(JobRecord::submitted(id(2), now()), &terms, &shape);
        for outcome in [first, lost] {
            ledger.consider(&HashMap::from([(other, outcome)]), now());
        }
        let change = &ledger.changes().last().unwrap().record;
        assert_eq!(change.state, JobState::Failed);
        assert!(
            change.reason.as_ref().unwrap().starts_with("Dependent Job may have succeeded: its outcome is unknown")
        );
    }
}

#[test]
fn a_child_that_has_ended_stays_ended_when_a_ledger_starts_anew() {
    let array = id(1);
    let mut ledger = Ledger::default();
    let child = |index, state| JobRecord { state, ..JobRecord::submitted(array.with_child(index), now()) };
    let terms = Arc::new(spec(Some(2), vec![]));
    for record in [JobRecord::submitted(array, now()), child(0, JobState::Submitted), child(1, JobState::Failed)] {
        ledger.take_in(record, &terms, &Arc::new(Shape::default()), now());
    }
    assert!(ledger.get(array.with_child(0)).is_some() && ledger.get(array.with_child(1)).is_none());
}

#[test]
fn a_pending_job_whose_dependency_has_no_record_any_more_goes_on() {
    let mut story = Story::default();
    let record = JobRecord { state: JobState::Pending, ..JobRecord::submitted(id(2), now()) };
    story.stored.insert(id(2), record.clone());
    story.ledger.take_in(record, &Arc::new(spec(None, vec![on(id(1))])), &Arc::new(Shape::default()), now());
    story.ledger.consider(&HashMap::new(), now());
    story.store();
    story.check(&[(id(2), JobState::Runnable)]);
}

#[test]
fn jobs_that_back_off_do_not_block_those_behind_them() {
    let story = Story::default().submit(id(1), spec(None, vec![])).submit(id(2), spec(None, vec![]));
    let mut story = story;
    for placement in 0..2 {
        story.ledger.dispatched(id(1), &placed(id(1), 1, placement), now());
        story.ledger.not_made(id(1), "exceeded quota", true, now());
    }
    story.store();
    let heads: Vec<JobId> = story.ledger.waiting(1, |_| true, now()).jobs.iter().map(|live| live.record.id).collect();
    assert_eq!(heads, [id(2)]);
}

#[test]
fn what_a_leader_stored_whose_clock_was_ahead_holds_up_nothing_for_long() {
    let after = |seconds: i64| now() + SignedDuration::from_secs(seconds);
    let (terms, shape) = (Spec { timeout_seconds: Some(60), ..spec(None, vec![]) }, Arc::new(Shape::default()));
    for ahead in [3600, 300_000_000] {
        let (state, mut ledger) = (JobState::Runnable, Ledger::default());
        let rests = JobRecord { state, not_before: Some(after(ahead)), ..JobRecord::submitted(id(1), now()) };
        let (state, started) = (JobState::Running, Some(after(ahead)));
        let place = Some(Placed { pod_uid: Some("u".into()), ..placed(id(2), 1, 0) });
        let runs = JobRecord { state, started, placed: place, ..JobRecord::submitted(id(2), now()) };
        for record in [rests, runs] {
            ledger.take_in(record, &Arc::new(terms.clone()), &shape, now());
        }
        ledger.tick(after(59));
        assert_eq!((ledger.changes().len(), ledger.wake_at()), (0, Some(after(60))), "{ahead}");
        ledger.tick(after(60));
        let stop = ledger.get(id(2)).unwrap().record.stop.as_ref().map(|stop| stop.kind);
        assert_eq!((stop, ledger.wake_at()), (Some(StopKind::Timeout), Some(after(320))), "{ahead}");
        ledger.tick(after(320));
        assert_eq!(ledger.waiting(1, |_| true, after(320)).jobs.len(), 1, "{ahead}");
    }
}
