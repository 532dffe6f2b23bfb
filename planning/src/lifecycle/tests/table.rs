//! Every state, every event.

use model::status::Code;

use super::*;

const STATES: [JobState; 7] = [
    JobState::Submitted,
    JobState::Pending,
    JobState::Runnable,
    JobState::Starting,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
];

/// What the event makes of a job in each of the states, in their order; `spec` allows two attempts.
#[track_caller]
fn row(event: impl Fn(&JobRecord) -> Event<'static>, expected: [&str; 7]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let record = record(state);
        check(&record, &spec(2), &event(&record), expected);
    }
}

/// A pod for a table, which outlives it.
fn seen(pod: PodFacts) -> Event<'static> {
    Event::PodSeen(Box::leak(Box::new(pod)))
}

#[test]
fn before_it_has_a_place() {
    row(|_| Event::Considered { waits: true }, ["PENDING 1/0", "-", "-", "-", "-", "-", "-"]);
    row(|_| Event::Considered { waits: false }, ["RUNNABLE 1/0", "-", "-", "-", "-", "-", "-"]);
    row(|_| Event::DependenciesMet, ["-", "RUNNABLE 1/0", "-", "-", "-", "-", "-"]);
    let failed = "FAILED 1/0 (Dependent Job failed)";
    row(|_| Event::DependencyFailed { unknown: false }, [failed, failed, "-", "-", "-", "-", "-"]);
    row(|_| Event::Explained(Some("full")), ["-", "-", "RUNNABLE 1/0 (full)", "-", "-", "-", "-"]);
    row(|_| Event::Explained(None), ["-"; 7]);
    let placed = |record: &JobRecord| Event::Dispatched(Box::leak(Box::new(placed(record))));
    row(placed, ["-", "-", "STARTING 1/0", "-", "-", "-", "-"]);
}

#[test]
fn while_its_pod_lives() {
    row(|record| seen(pod(record)), ["-"; 7]);
    let running =
        |record: &JobRecord| seen(PodFacts { phase: PodPhase::Running, containers: vec![runs("main")], ..pod(record) });
    row(running, ["-", "-", "-", "RUNNING 1/0", "-", "-", "-"]);
    let unknown = |record: &JobRecord| seen(PodFacts { phase: PodPhase::Unknown, ..pod(record) });
    row(unknown, ["-"; 7]);
    let stuck = |record: &JobRecord| {
        seen(PodFacts { containers: vec![waits("main", Some("CreateContainerConfigError"))], ..pod(record) })
    };
    let trouble = ["STARTING 1/0 (CreateContainerConfigError)", "RUNNING 1/0 (CreateContainerConfigError)"];
    row(stuck, ["-", "-", "-", trouble[0], trouble[1], "-", "-"]);
}

#[test]
fn when_its_pod_ends() {
    let well = "SUCCEEDED 1/0 | 1: 10..30 well";
    row(|record| seen(ended(record, 0)), ["-", "-", "-", well, well, "-", "-"]);
    let badly = "RUNNABLE 2/0 (Essential container in task exited) | 1: 10..30 Essential container in task exited";
    row(|record| seen(ended(record, 1)), ["-", "-", "-", badly, badly, "-", "-"]);
    let gone = |started: &str| {
        let text = "Pod was deleted by somebody else";
        format!("RUNNABLE 2/0 ({text}) | 1: {started}..50 {text}")
    };
    row(|_| Event::PodGone, ["-", "-", "-", &gone("never"), &gone("10"), "-", "-"]);
    let lost = "Host EC2 (instance i-1) terminated.";
    let (replaced, retried) = (format!("RUNNABLE 1/1 ({lost})"), format!("RUNNABLE 2/0 ({lost}) | 1: 10..50 {lost}"));
    row(|_| Event::NodeGone { instance: "i-1" }, ["-", "-", "-", &replaced, &retried, "-", "-"]);
}

#[test]
fn when_its_end_is_asked_for() {
    let asked = |kind| move |_: &JobRecord| Event::StopAsked(Box::leak(Box::new(stop(kind))));
    let early = "FAILED 1/0 (enough) stop Cancel";
    row(asked(StopKind::Cancel), [early, early, early, "-", "-", "-", "-"]);
    for (kind, word) in [(StopKind::Terminate, "Terminate"), (StopKind::Hopeless, "Hopeless")] {
        let early = format!("FAILED 1/0 (enough) stop {word}");
        let late = ["STARTING", "RUNNING"].map(|state| format!("{state} 1/0 stop {word}"));
        row(asked(kind), [&early, &early, &early, &late[0], &late[1], "-", "-"]);
    }
    row(asked(StopKind::Timeout), ["-", "-", "-", "-", "RUNNING 1/0 stop Timeout", "-", "-"]);
}

#[test]
fn when_time_passes_or_children_are_counted() {
    row(|_| Event::Tick, ["-"; 7]);
    row(|_| Event::Children(Box::leak(Box::new([(JobState::Failed, 3)].into()))), ["-"; 7]);
}

#[test]
fn an_array_job_itself() {
    let asked = Box::leak(Box::new(stop(StopKind::Cancel)));
    let events = [
        (Event::Considered { waits: true }, ["PENDING 1/0", "-", "-", "-"]),
        (Event::Considered { waits: false }, ["PENDING 1/0", "-", "-", "-"]),
        (Event::DependenciesMet, ["-"; 4]),
        (
            Event::DependencyFailed { unknown: false },
            ["FAILED 1/0 (Dependent Job failed)", "FAILED 1/0 (Dependent Job failed)", "-", "-"],
        ),
        (Event::Explained(Some("full")), ["-"; 4]),
        (Event::PodGone, ["-"; 4]),
        (Event::NodeGone { instance: "i-1" }, ["-"; 4]),
        (Event::Tick, ["-"; 4]),
        (Event::StopAsked(asked), ["SUBMITTED 1/0 stop Cancel", "PENDING 1/0 stop Cancel", "-", "-"]),
    ];
    let states = [JobState::Submitted, JobState::Pending, JobState::Succeeded, JobState::Failed];
    for (event, row) in events {
        for (state, expected) in states.into_iter().zip(row) {
            check(&record(state), &array(3), &event, expected);
        }
    }
    let record = record(JobState::Pending);
    check(&record, &array(3), &Event::Dispatched(&placed(&record)), "-");
    check(&record, &array(3), &seen(ended(&record, 1)), "-");
}

#[test]
fn it_waits_for_machines_since_the_first_launch_that_was_tried() {
    let launching = format!("{} - 1 machine is coming", Code::Launching.as_str());
    let sold_out = format!("{} - none is sold", Code::InsufficientCapacity.as_str());
    let broken = format!("{} - it does not answer", Code::ProviderError.as_str());
    let full = format!("{} - 3 nodes are full", Code::NoRoom.as_str());
    let fuller = format!("{} - 4 nodes are full", Code::NoRoom.as_str());
    let mut job = record(JobState::Runnable);
    for (second, reason, since) in [
        (0, &full, 0),
        (10, &fuller, 0),
        (20, &launching, 20),
        (30, &sold_out, 20),
        (40, &launching, 20),
        (50, &broken, 20),
        (60, &full, 60),
        (70, &sold_out, 70),
    ] {
        job = next(&job, &spec(1), &Event::Explained(Some(reason)), at(second)).unwrap().record;
        assert_eq!(job.reason_since, Some(at(since)), "{second} s: {reason}");
    }
}
