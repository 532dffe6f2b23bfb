//! Which lines of history changes make.

use std::collections::HashMap;

use model::job::Change;
use model::status::JobState;
use proptest::prelude::*;

use super::{change, job};
use crate::write::{Plan, Stored, plan};

fn fresh() -> Stored {
    Stored { state: JobState::Submitted, reason: None, changed: super::at(0).as_millisecond(), entries: 0 }
}

/// What is stored after a plan was carried out.
fn after(stored: &HashMap<model::job::JobId, Stored>, plan: &Plan) -> HashMap<model::job::JobId, Stored> {
    let mut stored = stored.clone();
    for (record, at, entries) in &plan.records {
        let it = Stored {
            state: record.state,
            reason: record.reason.clone(),
            changed: at.as_millisecond(),
            entries: *entries,
        };
        stored.insert(record.id, it);
    }
    stored
}

fn some_changes() -> impl Strategy<Value = Vec<Change>> {
    let states = prop::sample::select(vec![JobState::Pending, JobState::Runnable, JobState::Running, JobState::Failed]);
    let one = (0..4u32, states, prop::option::of("[ab]"));
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let all = (1..).zip(all);
        all.map(|(at, (number, state, reason))| change(job(number), state, reason.as_deref(), at / 2)).collect()
    })
}

proptest! {
    #[test]
    fn a_line_is_a_change_and_numbers_have_no_gap(changes in some_changes()) {
        let stored: HashMap<_, _> = (0..3).map(|it| (job(it), fresh())).collect();
        let plan = plan(&stored, &changes);
        for (id, start) in &stored {
            let lines: Vec<_> = plan.history.iter().filter(|it| it.id == *id).collect();
            let mut before = (start.state, start.reason.as_deref());
            for (number, line) in (0..).zip(lines) {
                prop_assert_eq!(line.entry, number);
                prop_assert_ne!((line.state, line.reason), before);
                before = (line.state, line.reason);
            }
            let last = changes.iter().rfind(|it| it.record.id == *id);
            let record = plan.records.iter().find(|it| it.0.id == *id).map(|it| it.0);
            prop_assert_eq!(record, last.map(|it| &it.record));
            if let Some(last) = last {
                prop_assert_eq!(before, (last.record.state, last.record.reason.as_deref()));
            }
        }
        prop_assert!(plan.records.iter().all(|it| stored.contains_key(&it.0.id)), "unknown jobs are left out");
    }

    #[test]
    fn carried_out_twice_it_adds_nothing(changes in some_changes()) {
        let stored: HashMap<_, _> = (0..4).map(|it| (job(it), fresh())).collect();
        let once = after(&stored, &plan(&stored, &changes));
        let again = plan(&once, &changes);
        prop_assert!(again.history.is_empty(), "{:?}", again.history);
        prop_assert_eq!(after(&once, &again), once);
    }
}
