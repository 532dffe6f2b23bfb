//! Who comes next in a queue: against a model that sorts all that waits, and in words.

use std::collections::HashSet;

use model::snapshot::{Place, Snapshot, Unit};
use model::status::{JobState, Status};
use proptest::prelude::*;

use super::any::worlds;
use super::build::{World, bound, noon, waiting, world};
use crate::world::facts::{PODS_EXPECTED, together};
use crate::world::{Waiting, World as Known};

/// UIDs of those in front.
fn front(known: &Known<'_>, queue: &str, most: usize, over: &HashSet<&str>) -> Vec<String> {
    let text = |one: Waiting<'_>| match one {
        Waiting::Record(id) => id.to_string(),
        Waiting::Job(uid) => uid.to_owned(),
    };
    known.front(queue, most, |uid| over.contains(uid)).into_iter().map(text).collect()
}

/// The same by sorting everything.
fn model(snapshot: &Snapshot, queue: &str) -> Vec<String> {
    let is_of = |unit: &Unit, uid: &str| unit.job.as_ref().is_some_and(|job| job.uid == uid);
    let of = |uid: &str| snapshot.units.iter().filter(|unit| is_of(unit, uid)).collect::<Vec<_>>();
    let is_bound = |place: &Place| matches!(place, Place::Bound { .. });
    let runnable = |uid: &str| {
        let job = snapshot.jobs.iter().find(|job| job.uid == uid)?;
        let has_run = job.status.as_ref().is_some_and(|status| status.state == JobState::Running);
        let waits = !of(uid).is_empty() && !has_run && of(uid).iter().all(|unit| !is_bound(&unit.place));
        (!job.released || waits).then(|| uid.to_owned())
    };
    let mut all = Vec::new();
    for unit in snapshot.units.iter().filter(|unit| unit.queue == queue) {
        // What kube-scheduler has is no longer barred.
        if is_bound(&unit.place) || (unit.barred.is_some() && unit.place == Place::Waiting) {
            continue;
        }
        let who = match (&unit.job, &unit.record) {
            (Some(job), _) => runnable(&job.uid),
            (None, Some(_)) => (unit.place == Place::Waiting).then(|| unit.uid.clone()),
            (None, None) => None,
        };
        let own = unit.record.and(unit.uid.split(':').next()).unwrap_or(&unit.uid);
        let job = unit.job.as_ref().map_or((unit.created, own), |job| (job.created, job.uid.as_str()));
        all.push(((unit.attempt <= 1, job, false, unit.index, unit.created, unit.uid.as_str()), who));
    }
    for job in snapshot.jobs.iter().filter(|job| job.queue == queue) {
        let expected = match (job.released, job.started) {
            (false, _) => !job.held && job.barred.is_none(),
            (true, started) => started.is_none_or(|started| noon().duration_since(started) < PODS_EXPECTED),
        };
        if expected && together(job) as usize > of(&job.uid).len() {
            let uid = job.uid.as_str();
            all.push(((true, (job.created, uid), true, 0, job.created, uid), runnable(uid)));
        }
    }
    all.sort();
    let mut seen = HashSet::new();
    all.into_iter().filter_map(|(_, who)| who).filter(|who| seen.insert(who.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn the_front_of_a_queue_is_the_beginning_of_all_that_waits_in_order(given in worlds(), most in 1..6usize, odd in 0..3usize) {
        let snapshot = given.snapshot();
        let mut known = Known::of(&snapshot);
        let plan = known.plan(noon());
        for queue in ["a", "b", "c", "missing"] {
            let all = model(&snapshot, queue);
            prop_assert_eq!(&front(&known, queue, 100, &HashSet::new()), &all);
            let over: HashSet<&str> = all.iter().skip(odd).step_by(3).map(String::as_str).collect();
            let rest: Vec<String> = all.iter().filter(|uid| !over.contains(uid.as_str())).take(most).cloned().collect();
            prop_assert_eq!(front(&known, queue, most, &over), rest);
            let counts = plan.queues.iter().find(|counts| counts.queue == queue);
            let bound = snapshot.units.iter().filter(|unit| unit.queue == queue && matches!(unit.place, Place::Bound { .. }));
            let milli: i64 = bound.map(|unit| unit.shape.requests.cpu).sum();
            prop_assert_eq!(counts.map_or(milli, |counts| i64::from(counts.milli_cpu)), milli);
        }
    }

    #[test]
    fn jobs_in_front_are_runnable_as_their_status_says(given in worlds()) {
        let snapshot = given.snapshot();
        let mut known = Known::of(&snapshot);
        let plan = known.plan(noon());
        let placed = plan.dispatch.iter().map(|one| &one.job).chain(plan.hold.iter().map(|one| &one.job));
        let over: HashSet<&str> =
            plan.release.iter().map(|change| change.uid.as_str()).chain(placed.flatten().map(String::as_str)).collect();
        let told = |uid: &str| {
            let change = plan.status.iter().chain(&plan.unwritten).find(|change| change.uid == uid);
            let written = || snapshot.jobs.iter().find(|job| job.uid == uid)?.status.as_ref();
            change.map(|change| &change.status).or_else(written).map(|status| status.state)
        };
        for queue in ["a", "b", "c", "missing"] {
            for one in known.front(queue, 100, |uid| over.contains(uid)) {
                if let Waiting::Job(uid) = one {
                    prop_assert_eq!(told(uid), Some(JobState::Runnable), "{}", uid);
                }
            }
        }
    }
}

fn check(world: &World, expected: &[&str]) {
    let mut known = Known::of(&world.0);
    known.plan(noon());
    assert_eq!(front(&known, "q", 100, &HashSet::new()), expected);
}

fn id(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

#[test]
fn retries_come_first_and_then_the_oldest() {
    let all = world().unmanaged("u").queue("q", 1, &["u"]);
    let all = all.job("q", "old", 2, 100, 50).attempt("q", 1, 100, 40, 1).job("q", "new", 1, 200, 10);
    check(&all.clone().attempt("q", 2, 300, 5, 2), &[&id(2), "old", &id(1), "new"]);
    check(&all.attempt("other", 2, 300, 5, 2), &["old", &id(1), "new"]);
}

#[test]
fn a_job_is_there_once_and_only_while_it_waits_as_a_whole() {
    let all = || world().unmanaged("u").queue("q", 1, &["u"]).job("q", "j", 3, 100, 50);
    check(&all(), &["j"]);
    check(&all().that_job(|job| job.held = true), &[]);
    check(&all().that_job(|job| job.released = true), &[]);
    check(&all().pods(&[waiting(), waiting()]), &["j"]);
    check(&all().pods(&[waiting(), waiting()]).with(|snapshot| snapshot.units[1].attempt = 2), &["j"]);
    check(&all().pods(&[waiting(), bound("n")]), &[]);
    check(&all().pods(&[waiting(), Place::Bound { node: "n".into(), running: false }]), &[]);
    let has_run = Some(Status { state: JobState::Running, reason: None });
    check(&all().pods(&[waiting()]).that_job(|job| job.status = has_run), &[]);
    // A pod of no Job.
    check(&all().pods(&[waiting()]).with(|snapshot| snapshot.units[0].job = None), &[]);
}
