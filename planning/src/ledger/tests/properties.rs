//! Properties of any story that an array job can have.

use proptest::prelude::*;

use super::*;

/// Something that can happen to one of a few jobs.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Place,
    Runs,
    Ends(i32),
    Cancel,
    Terminate,
    NodeGone,
    Explained,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Place),
        3 => Just(Happening::Runs),
        3 => (0..3_i32).prop_map(Happening::Ends),
        1 => Just(Happening::Cancel),
        1 => Just(Happening::Terminate),
        1 => Just(Happening::NodeGone),
        1 => Just(Happening::Explained),
    ]
}

proptest! {
    #[test]
    fn counts_always_sum_up_and_nothing_changes_after_its_end(
        size in 2..6_u32,
        attempts in 1..4_u32,
        sequential in any::<bool>(),
        story in prop::collection::vec((0..8_u32, happening()), 0..80),
    ) {
        let array = id(1);
        let exits = EvaluateOnExit {
            on_status_reason: None, on_reason: None, on_exit_code: Some("2".into()), action: RetryAction::Exit,
        };
        let retry = RetryStrategy { attempts, evaluate_on_exit: vec![exits] };
        let depends_on = sequential.then_some(Dependency { job_id: None, kind: Some(DependencyKind::Sequential) });
        let terms = Spec { retry: Some(retry), ..spec(Some(size), depends_on.into_iter().collect()) };
        let mut told = Story::default().submit(array, terms);
        for (child, what) in story {
            let job = if child >= size { array } else { array.with_child(child) };
            match what {
                Happening::Place => told.place(job),
                Happening::Runs => told.pod(job, PodPhase::Running, None),
                Happening::Ends(0) => told.pod(job, PodPhase::Succeeded, Some(0)),
                Happening::Ends(code) => told.pod(job, PodPhase::Failed, Some(code)),
                Happening::Cancel => told = told.stop(job, StopKind::Cancel),
                Happening::Terminate => told = told.stop(job, StopKind::Terminate),
                Happening::NodeGone => told.ledger.node_gone(job, "i-1", now()),
                Happening::Explained => told.ledger.explained(job, Some("full"), now()),
            }
            told.store();
            let children = || (0..size).map(|index| &told.stored[&array.with_child(index)]);
            if let Some(states) = told.ledger.arrays.get(&array.job) {
                prop_assert_eq!(states.values().sum::<u32>(), size);
                for state in states.keys() {
                    let count = children().filter(|child| child.state == *state).count();
                    prop_assert_eq!(states[state] as usize, count, "{:?}", state);
                }
            }
            let all_ended = children().all(|child| child.state.is_terminal());
            prop_assert_eq!(told.state(array).is_terminal(), all_ended);
            let any_failed = children().any(|child| child.state == JobState::Failed);
            prop_assert_eq!(told.state(array) == JobState::Failed, all_ended && any_failed);
            for (job, count) in &told.attempts {
                prop_assert!(*count <= attempts, "{} had {} attempts", job, count);
            }
            let placed = told.ledger.placed().count();
            let waiting = told.ledger.waiting_in("q");
            let by_state = |wanted: &[JobState]| children().filter(|child| wanted.contains(&child.state)).count();
            prop_assert_eq!(placed, by_state(&[JobState::Starting, JobState::Running]));
            prop_assert_eq!(waiting, by_state(&[JobState::Runnable]));
        }
    }
}
