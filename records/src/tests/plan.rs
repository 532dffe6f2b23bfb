//! Which lines of history changes make.

use std::collections::HashMap;

use model::job::Change;
use model::status::JobState;
use proptest::prelude::*;

use super::{change, job};
use crate::write::{Order, Plan, Stored, plan};

fn fresh() -> Stored {
    let changed = super::at(0).as_millisecond();
    Stored { state: JobState::Submitted, reason: None, changed, entries: 0, version: 0 }
}

/// What is stored after a plan was carried out.
fn after(stored: &HashMap<model::job::JobId, Stored>, plan: &Plan) -> HashMap<model::job::JobId, Stored> {
    let mut stored = stored.clone();
    for row in &plan.records {
        let it = Stored {
            state: row.record.state,
            reason: row.record.reason.clone(),
            changed: row.at,
            entries: row.entries,
            version: row.version,
        };
        stored.insert(row.record.id, it);
    }
    stored
}

/// Changes of four jobs, numbered; clocks may be set back.
fn some_changes() -> impl Strategy<Value = Vec<Change>> {
    let states = prop::sample::select(vec![
        JobState::Pending,
        JobState::Runnable,
        JobState::Starting,
        JobState::Running,
        JobState::Failed,
    ]);
    let one = (0..4u32, states, prop::option::of("[ab]"), 0..9_i64);
    prop::collection::vec(one, 0..16).prop_map(|all| {
        let mut numbers = HashMap::new();
        let numbered = |(number, state, reason, at): (u32, JobState, Option<String>, i64)| {
            let mut change = change(job(number), state, reason.as_deref(), at);
            let version = numbers.entry(number).or_insert(0);
            *version += 1;
            change.record.version = *version;
            change
        };
        all.into_iter().map(numbered).collect()
    })
}

proptest! {
    #[test]
    fn a_line_is_a_change_numbers_have_no_gap_and_nothing_follows_an_end(changes in some_changes()) {
        let stored: HashMap<_, _> = (0..3).map(|it| (job(it), fresh())).collect();
        let plan = plan(&stored, &changes, Order::Numbered);
        for (id, start) in &stored {
            let lines: Vec<_> = plan.history.iter().filter(|it| it.id == *id).collect();
            let (mut before, mut time) = ((start.state, start.reason.as_deref()), start.changed);
            for (number, line) in (0..).zip(lines) {
                prop_assert_eq!(line.entry, number);
                prop_assert_ne!((line.state, line.reason), before);
                prop_assert!(line.at >= time, "times go back");
                prop_assert!(before.0 != JobState::Failed, "it had ended");
                (before, time) = ((line.state, line.reason), line.at);
            }
            let of_job = || changes.iter().filter(|it| it.record.id == *id);
            let last = of_job().find(|it| it.record.state == JobState::Failed).or(of_job().next_back());
            let record = plan.records.iter().find(|it| it.record.id == *id).map(|it| it.record);
            prop_assert_eq!(record, last.map(|it| &it.record));
            if let Some(last) = last {
                prop_assert_eq!(before, (last.record.state, last.record.reason.as_deref()));
            }
        }
        prop_assert!(plan.records.iter().all(|it| stored.contains_key(&it.record.id)), "unknown jobs are left out");
    }

    #[test]
    fn however_often_and_with_what_else_changes_are_written_they_count_once(
        changes in some_changes(),
        parts in prop::collection::vec((0..17_usize, 0..17_usize), 0..6),
    ) {
        let stored: HashMap<_, _> = (0..4).map(|it| (job(it), fresh())).collect();
        let once = plan(&stored, &changes, Order::Numbered);
        // What is written begins with what is not known to be stored, and that grows; nothing is left out.
        let (mut seen, mut lines, mut done) = (stored.clone(), Vec::new(), 0);
        for (from, to) in parts.into_iter().chain([(0, changes.len())]) {
            let part = &changes[from.min(done)..to.clamp(done, changes.len())];
            let plan = plan(&seen, part, Order::Numbered);
            lines.extend(plan.history.iter().cloned());
            seen = after(&seen, &plan);
            done = done.max(to.min(changes.len()));
        }
        prop_assert_eq!(&seen, &after(&stored, &once));
        let sorted = |mut lines: Vec<crate::write::HistoryRow>| {
            lines.sort_by_key(|it| (it.id, it.entry));
            format!("{lines:?}")
        };
        prop_assert_eq!(sorted(lines), sorted(once.history.clone()));
    }
}
