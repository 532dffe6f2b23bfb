//! One planning cycle: a snapshot and the time in, a plan out.
//!
//! Invariant: pure and deterministic; every job that waits gets a reason. Knows nothing about who executes the plan.

use std::collections::HashMap;

use jiff::Timestamp;
use model::plan::{Plan, QueueCounts, StatusChange};
use model::snapshot::{Job, Place, Snapshot, Unit, Write};
use model::status::{JobState, Reason, Status};

use crate::aside::{self, Aside, Stood};
use crate::dispatch::Cycle;
use crate::order::{self, Demand, Line, PODS_EXPECTED, Wanted};
use crate::{explain, offers, scale};

/// Plans one cycle.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan {
    let mut lines = order::lines(snapshot, now);
    let barred: Vec<(Demand<'_>, &Reason)> = lines.values_mut().flat_map(Line::take_barred).collect();
    let queues = order::queues(snapshot);
    let mut cycle = Cycle::new(snapshot, now);
    let aside = Aside::new(snapshot);
    let stood: Vec<Stood<'_>> = lines.values_mut().flat_map(|line| aside.take_out(line)).collect();
    for (demand, refused) in &stood {
        cycle.explain(demand, aside::reason(refused));
    }
    let mut turned_away: HashMap<&str, Vec<Demand<'_>>> = HashMap::new();
    for queue in &queues {
        if let Some(line) = lines.get_mut(queue.name.as_str()) {
            if !queue.enabled {
                turned_away.insert(&queue.name, line.turn_away());
            }
            cycle.count(queue, line);
        }
    }
    for queue in &queues {
        let line = lines.get(queue.name.as_str());
        let away = turned_away.get(queue.name.as_str()).map_or(&[][..], Vec::as_slice);
        let waits_aside: Vec<Demand<'_>> =
            stood.iter().map(|(demand, _)| *demand).filter(|demand| in_queue(demand, &queue.name)).collect();
        let waiting = line.map_or(0, |line| cycle.serve(queue, line));
        let barred_pods: Vec<Demand<'_>> =
            barred.iter().map(|(demand, _)| *demand).filter(|demand| in_queue(demand, &queue.name)).collect();
        let barred = snapshot.jobs.iter().filter(|job| job.barred.is_some() && !job.released && !job.held);
        let barred = barred.filter(|job| job.queue == queue.name).map(order::together).fold(0, u32::saturating_add);
        let waiting = waiting.saturating_add(size(away)).saturating_add(size(&waits_aside)).saturating_add(barred);
        let waiting = waiting.saturating_add(size(&barred_pods));
        for demand in away {
            cycle.explain(demand, explain::queue_disabled(&queue.name));
        }
        let dispatched = line.map_or(0, |line| line.dispatched);
        let problem = problem(snapshot, &queue.environments);
        cycle.plan.queues.push(QueueCounts { queue: queue.name.clone(), waiting, dispatched, problem, refused: None });
    }
    for (demand, reason) in &barred {
        cycle.explain(demand, Reason::clone(reason));
    }
    explain_the_lost(&mut cycle, &lines);
    scale::keep_minimum(&mut cycle);
    scale::retire_idle(&mut cycle);
    wake_for_retries(&mut cycle);
    let changes = changes(&cycle);
    let notes = aside::notes(snapshot, &stood, &aside, &changes);
    let mut plan = cycle.plan;
    for counts in &mut plan.queues {
        counts.refused = notes.get(counts.queue.as_str()).cloned();
    }
    plan.probe = aside::probes(&stood);
    let rests = |change: &StatusChange| aside.of(&change.uid, Write::Status).is_some_and(|refused| refused.rests);
    (plan.unwritten, plan.status) = changes.into_iter().partition(rests);
    plan
}

fn in_queue(demand: &Demand<'_>, name: &str) -> bool {
    match (demand.job, demand.wanted) {
        (Some(job), _) => job.queue == name,
        (None, Wanted::Unit(unit)) => unit.queue == name,
        (None, Wanted::Future(_)) => false,
    }
}

fn size(demands: &[Demand<'_>]) -> u32 {
    let size = |demand: &Demand<'_>| if let Wanted::Future(count) = demand.wanted { count } else { 1 };
    demands.iter().map(size).fold(0, u32::saturating_add)
}

/// What is wrong with a queue: environments that do not exist.
fn problem(snapshot: &Snapshot, environments: &[String]) -> Option<String> {
    let exists = |name: &String| snapshot.environments.iter().any(|one| one.name == *name || one.aws_name == *name);
    let missing: Vec<&str> = environments.iter().filter(|name| !exists(name)).map(String::as_str).collect();
    (!missing.is_empty()).then(|| format!("compute environment {} does not exist", missing.join(", ")))
}

/// Gives a reason to what is in a queue that does not exist.
fn explain_the_lost<'a>(cycle: &mut Cycle<'a>, lines: &HashMap<&'a str, Line<'a>>) {
    for (name, line) in lines {
        if cycle.snapshot.queues.iter().all(|queue| queue.name != *name) {
            for demand in &line.demands {
                cycle.explain(demand, explain::queue_not_found(name));
            }
        }
    }
}

/// Plans again when a setback ends, when a node that has just joined is as it will be, and when a Job's missing pods are no longer expected.
fn wake_for_retries(cycle: &mut Cycle<'_>) {
    let now = cycle.now;
    for until in cycle.snapshot.nodes.iter().filter_map(|node| node.starting_until).filter(|until| *until > now) {
        scale::wake(&mut cycle.plan.wake_at, until);
    }
    for scaling in cycle.snapshot.environments.iter().filter_map(|environment| environment.scaling.as_ref()) {
        let unsettled = scaling.unsettled_until.filter(|until| *until > now);
        for time in offers::next_retry(scaling, now).into_iter().chain(unsettled) {
            scale::wake(&mut cycle.plan.wake_at, time);
        }
    }
    for job in cycle.snapshot.jobs.iter().filter(|job| job.released) {
        let due = job.started.and_then(|started| started.checked_add(PODS_EXPECTED).ok());
        if let Some(due) = due.filter(|due| *due > now) {
            scale::wake(&mut cycle.plan.wake_at, due);
        }
    }
}

/// The statuses that differ from what is written. A Job that is released gets its status with the release.
fn changes(cycle: &Cycle<'_>) -> Vec<StatusChange> {
    let mut units: HashMap<&str, Vec<&Unit>> = HashMap::new();
    for unit in &cycle.snapshot.units {
        if let Some(job) = &unit.job {
            units.entry(job.uid.as_str()).or_default().push(unit);
        }
    }
    let released: Vec<&str> = cycle.plan.release.iter().map(|change| change.uid.as_str()).collect();
    let jobs = cycle.snapshot.jobs.iter().filter(|job| !released.contains(&job.uid.as_str()));
    jobs.filter_map(|job| {
        let units = units.get(job.uid.as_str()).map_or(&[][..], Vec::as_slice);
        let status = status(job, units, cycle.reasons.get(job.uid.as_str()));
        let change = || StatusChange { job: job.key.clone(), uid: job.uid.clone(), status: status.clone() };
        (job.status.as_ref() != Some(&status)).then(change)
    })
    .collect()
}

/// State and reason of a Job that has not ended.
fn status(job: &Job, units: &[&Unit], reason: Option<&Reason>) -> Status {
    let any = |running: bool| {
        units.iter().any(|unit| matches!(unit.place, Place::Bound { running: is_running, .. } if is_running == running))
    };
    if !job.released {
        return if job.held {
            Status { state: JobState::Pending, reason: Some(explain::held()) }
        } else {
            let idle = (order::together(job) == 0).then(explain::nothing_to_run);
            Status { state: JobState::Runnable, reason: job.barred.as_ref().or(reason).cloned().or(idle) }
        };
    }
    let all_made = u32::try_from(units.len()).unwrap_or(u32::MAX) >= order::together(job);
    let refused = job.refusal.as_deref().filter(|_| !all_made).map(explain::pods_refused);
    let waits = refused.clone().or_else(|| reason.cloned());
    // Between two waves of pods nothing may run for a moment: a job that has begun does not go back.
    let has_run = job.status.as_ref().is_some_and(|status| status.state == JobState::Running);
    if any(true) || has_run {
        Status { state: JobState::Running, reason: waits }
    } else if any(false) {
        Status { state: JobState::Starting, reason: waits }
    } else if units.is_empty() {
        Status { state: JobState::Starting, reason: Some(refused.unwrap_or_else(explain::creating_pods)) }
    } else if waits.is_some() {
        Status { state: JobState::Runnable, reason: waits }
    } else {
        // Every unit has just been dispatched; what is written stays until that is seen.
        job.status.clone().unwrap_or(Status { state: JobState::Starting, reason: None })
    }
}
