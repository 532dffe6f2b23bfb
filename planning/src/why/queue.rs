//! A queue: its environments, and who is in line.
//!
//! Invariant: shows the line in the order in which the plan looks at it.

use std::collections::HashSet;

use model::snapshot::Queue;

use super::{Check, Explained, Seen, environment};
use crate::world::facts::Facts;
use crate::world::lines::{Demand, Line};
use crate::world::rank::Rank;

/// So many are shown of those that wait.
const SHOWN: usize = 20;

/// How a queue is.
pub(super) fn explain(seen: &Seen<'_>, facts: &Facts<'_>, queue: &Queue) -> Explained {
    let line = facts.lines.get(&queue.name);
    let state = if queue.enabled { "ENABLED" } else { "DISABLED" };
    let strict = if queue.strict_fifo { ", strictFifo" } else { "" };
    let (waiting, dispatched) = line.map_or((0, 0), |line| (line.size + line.barred, line.dispatched));
    let title = format!(
        "queue {}: {state}, priority {}{strict}; {waiting} units wait, {dispatched} are on nodes",
        queue.name, queue.priority
    );
    let mut checks: Vec<Check> = queue.environments.iter().map(|name| environment::check(seen, name, None)).collect();
    if let Some(line) = line {
        checks.extend(in_line(seen, facts, line));
    }
    Explained { title, reason: None, checks, changes: Vec::new() }
}

/// Those that wait, each job once.
fn in_line(seen: &Seen<'_>, facts: &Facts<'_>, line: &Line) -> Option<Check> {
    let mut all: Vec<(&Rank, Demand)> =
        line.lanes.values().flat_map(|lane| &lane.demands).map(|(rank, demand)| (rank, *demand)).collect();
    all.sort_unstable_by_key(|(rank, _)| *rank);
    let (mut told, mut rows) = (HashSet::new(), Vec::new());
    for (_, demand) in all {
        let (uid, text) = match demand {
            Demand::Future(slot, _) => of_job(seen, facts, slot),
            Demand::Unit(slot) => of_unit(seen, facts, slot),
        }?;
        if told.insert(uid) {
            rows.push(text);
        }
    }
    if rows.is_empty() {
        return None;
    }
    let count = rows.len();
    let mut below: Vec<Check> = (1..)
        .zip(rows.into_iter().take(SHOWN))
        .map(|(place, text)| Check::new(None, format!("{place}. {text}")))
        .collect();
    if count > SHOWN {
        below.push(Check::new(None, format!("and {} more", count - SHOWN)));
    }
    Some(Check::new(None, "in line:").with(below))
}

fn of_job(seen: &Seen<'_>, facts: &Facts<'_>, slot: u32) -> Option<(String, String)> {
    let job = facts.jobs.get(slot)?.job.as_deref()?;
    let starts = seen.plan.release.iter().any(|change| change.uid == job.uid);
    let reason = seen.status(job).and_then(|status| status.reason).filter(|_| !starts);
    let text = reason.map_or_else(
        || if starts { "starts".to_owned() } else { "its pods are being made".to_owned() },
        |reason| format!("{}: {}", reason.code.as_str(), reason.message),
    );
    Some((job.uid.clone(), format!("job {}: {text}", job.key)))
}

fn of_unit(seen: &Seen<'_>, facts: &Facts<'_>, slot: u32) -> Option<(String, String)> {
    let fact = facts.units.get(slot)?;
    let unit = &*fact.unit;
    if let Some((uid, text)) = fact.job.and_then(|job| of_job(seen, facts, job)) {
        return Some((uid, text));
    }
    let called = unit.record.map_or_else(|| format!("pod {}", unit.key), |id| format!("job {id}"));
    let reason = seen.reason(unit).map(|reason| format!("{}: {}", reason.code.as_str(), reason.message));
    Some((unit.uid.clone(), format!("{called}: {}", reason.unwrap_or_else(|| super::place(seen, unit)))))
}
