//! What holds after any events in any order.

use proptest::prelude::*;

use super::super::{Duty, duty};
use super::*;

/// The same, by a clock that is ahead or behind by so many seconds.
fn skewed(containers: Vec<ContainerFacts>, by: i64) -> Vec<ContainerFacts> {
    let skew = |time: Option<Timestamp>| time.map(|time| time + SignedDuration::from_secs(by));
    let one = |mut container: ContainerFacts| {
        container.state = match container.state {
            ContainerState::Running { since } => ContainerState::Running { since: skew(since) },
            ContainerState::Ended { exit_code, reason, message, started, finished } => {
                ContainerState::Ended { exit_code, reason, message, started: skew(started), finished: skew(finished) }
            }
            waits @ ContainerState::Waiting { .. } => waits,
        };
        container
    };
    containers.into_iter().map(one).collect()
}

/// An event, to be made for the job as it is then.
#[derive(Clone, Debug)]
enum Draft {
    Considered(bool),
    DependenciesMet,
    DependencyFailed(bool),
    Explained(Option<&'static str>),
    Dispatched,
    /// kube-scheduler chooses.
    Given,
    /// Other nodes to choose among, in this environment or another.
    Held(bool),
    /// What the pod shows, and whether it is of the current placement.
    PodSeen(Box<PodFacts>, bool),
    PodOverdue(Box<PodFacts>),
    PodGone,
    NodeGone,
    StopAsked(StopKind),
    Tick,
}

fn containers() -> impl Strategy<Value = Vec<ContainerFacts>> {
    let states = prop_oneof![
        Just(waits("c", None)),
        Just(waits("c", Some("ImagePullBackOff"))),
        Just(runs("c")),
        (0..3).prop_map(|code| exits("c", code, "Error")),
    ];
    prop::collection::vec(states, 0..3)
}

prop_compose! {
    fn facts()(
        phase in prop::sample::select(&[PodPhase::Pending, PodPhase::Running, PodPhase::Succeeded, PodPhase::Failed][..]),
        reason in prop::sample::select(&[None, Some("OutOfcpu"), Some("Evicted")][..]),
        disruption in prop::option::weighted(0.1, Just("DeletionByPodGC".to_owned())),
        containers in containers(),
        init_containers in containers(),
        deleting in prop::option::weighted(0.2, (0_i64..60).prop_map(at)),
        confirmed in prop::bool::weighted(0.1),
        skew in prop_oneof![Just(0_i64), -7200..7200_i64],
    ) -> PodFacts {
        let (containers, init_containers) = (skewed(containers, skew), skewed(init_containers, skew));
        let reason = reason.map(ToOwned::to_owned);
        let plain = pod(&record(JobState::Starting));
        PodFacts { phase, reason, disruption, containers, init_containers, deleting, confirmed, ..plain }
    }
}

fn draft() -> impl Strategy<Value = Draft> {
    let kinds = &[StopKind::Cancel, StopKind::Terminate, StopKind::Timeout, StopKind::Hopeless][..];
    prop_oneof![
        2 => any::<bool>().prop_map(Draft::Considered),
        2 => Just(Draft::DependenciesMet),
        1 => any::<bool>().prop_map(Draft::DependencyFailed),
        1 => prop::sample::select(&[None, Some("full")][..]).prop_map(Draft::Explained),
        8 => Just(Draft::Dispatched),
        4 => Just(Draft::Given),
        3 => any::<bool>().prop_map(Draft::Held),
        9 => (facts(), prop::bool::weighted(0.9)).prop_map(|(facts, current)| Draft::PodSeen(Box::new(facts), current)),
        1 => facts().prop_map(|facts| Draft::PodOverdue(Box::new(facts))),
        1 => Just(Draft::PodGone),
        2 => Just(Draft::NodeGone),
        1 => prop::sample::select(kinds).prop_map(Draft::StopAsked),
        2 => Just(Draft::Tick),
    ]
}

/// Sends the event that a draft means for this job, twice.
fn send(record: &JobRecord, spec: &Spec, draft: &Draft, now: Timestamp) -> Option<Transition> {
    let (place, asked, nodes);
    let mut facts = pod(record);
    let event = match draft {
        Draft::Considered(waits) => Event::Considered { waits: *waits },
        Draft::DependenciesMet => Event::DependenciesMet,
        Draft::DependencyFailed(unknown) => Event::DependencyFailed { unknown: *unknown },
        Draft::Explained(reason) => Event::Explained(*reason),
        Draft::Dispatched => {
            place = placed(record);
            Event::Dispatched(&place)
        }
        Draft::Given => {
            place = given(record);
            Event::Dispatched(&place)
        }
        Draft::Held(here) => {
            nodes = ["other".to_owned()];
            Event::Held { nodes: &nodes, environment_uuid: if *here { "ce-uuid" } else { "other" } }
        }
        Draft::PodSeen(seen, current) => {
            facts = PodFacts { name: facts.name, attempt: facts.attempt, placement: facts.placement, ..*seen.clone() };
            facts.placement += u32::from(!current);
            Event::PodSeen(&facts)
        }
        Draft::PodOverdue(seen) => {
            facts = PodFacts { name: facts.name, attempt: facts.attempt, placement: facts.placement, ..*seen.clone() };
            Event::PodOverdue(&facts)
        }
        Draft::PodGone => Event::PodGone,
        Draft::NodeGone => Event::NodeGone { instance: "i-1" },
        Draft::StopAsked(kind) => {
            asked = stop(*kind);
            Event::StopAsked(&asked)
        }
        Draft::Tick => Event::Tick,
    };
    let transition = next(record, spec, &event, now);
    if let Some(Transition { record, .. }) = &transition {
        assert_eq!(next(record, spec, &event, now), None, "twice");
    }
    transition
}

fn holds(record: &JobRecord, spec: &Spec) {
    use JobState::{Failed, Running, Starting, Succeeded};
    let is_placed = matches!(record.state, Starting | Running);
    let is_over = matches!(record.state, Succeeded | Failed);
    assert!(record.attempt <= spec.attempts());
    assert!(record.placement < 5);
    assert_eq!(record.placed.is_some(), is_placed);
    assert_eq!(record.stopped.is_some(), is_over);
    let times = [Some(record.created), record.started, record.stopped];
    assert!(times.iter().flatten().is_sorted(), "times go back: {times:?}");
    assert!(record.started.is_some() || record.state != Running);
    assert!(record.started.is_none() || is_placed || is_over);
    assert!(record.reason.is_some() || record.state != Failed);
    assert!(record.stop.is_none() || is_placed || is_over, "what waits ends at once");
    assert_eq!(
        duty(record, None) == Duty::Create,
        record.state == Starting && record.placed.as_ref().is_some_and(|placed| placed.pod_uid.is_none())
    );
}

proptest! {
    #[test]
    fn whatever_happens_a_record_makes_sense(
        attempts in 1..4_u32,
        drafts in prop::collection::vec((draft(), 0..30_i64), 0..60),
    ) {
        let spec = spec(attempts);
        let mut record = record(JobState::Submitted);
        let (mut clock, mut ended, mut last) = (0, vec![], record.created);
        for (draft, seconds) in &drafts {
            clock += seconds;
            let Some(after) = send(&record, &spec, draft, at(clock)) else { continue };
            let again = send(&record, &spec, draft, at(clock));
            prop_assert_eq!(Some(&after), again.as_ref(), "the same comes to the same");
            prop_assert!(!matches!(record.state, JobState::Succeeded | JobState::Failed), "left {:?}", record.state);
            if let Some(attempt) = &after.attempt {
                let times = [Some(last), attempt.started, Some(attempt.stopped), Some(at(clock))];
                prop_assert!(times.iter().flatten().is_sorted(), "times go back: {:?}", times);
                last = attempt.stopped;
            }
            ended.extend(after.attempt.iter().map(|attempt| attempt.number));
            holds(&after.record, &spec);
            record = after.record;
        }
        let expected: Vec<u32> = (1..).take(ended.len()).collect();
        prop_assert_eq!(ended, expected, "attempts are numbered in their order, each once");
    }
}
