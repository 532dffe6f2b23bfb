//! Properties of what is remembered of plans: a world that was asked before plans as one does that has just been made of the same facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::plan::Plan;
use model::snapshot::{Closed, Environment, Job, Place, Queue, Refused, Snapshot, Unit, Write};
use model::status::{Code, Reason};
use proptest::prelude::*;

use super::any::{crowds, spread, worlds, write};
use super::build::{before, noon};
use crate::world::World;

/// A world that is asked again and again, and what it was told last.
struct Course {
    world: World<'static>,
    snapshot: Snapshot,
    now: Timestamp,
    /// Plans that somebody still has, as they were.
    had: Vec<(Plan, Plan)>,
    /// What is gone, and may come back.
    gone: Vec<Unit>,
    gone_jobs: Vec<Job>,
    gone_queues: Vec<Queue>,
    gone_environments: Vec<Environment>,
}

/// Something that happens: what, to which, and how.
type Step = (u8, usize, [u8; 4]);

impl Course {
    /// Plans, and compares.
    fn plan(&mut self, when: &str) -> Result<Plan, TestCaseError> {
        let expected = World::of(&self.snapshot).plan(self.now);
        let plan = self.world.plan(self.now);
        prop_assert!(plan == expected, "{when}: {plan:#?}\nnot {expected:#?}");
        let again = self.world.plan(self.now);
        prop_assert!(again == expected, "{when}, again: {again:#?}\nnot {expected:#?}");
        prop_assert!(self.had.iter().all(|(plan, then)| plan == then), "{when}: a plan is not what it was");
        let (queues, keeps) = (Arc::new((*plan.queues).clone()), Arc::new((*plan.keeps).clone()));
        self.had.push((plan.clone(), Plan { queues, keeps, ..plan.clone() }));
        Ok(plan)
    }

    /// The plan is carried out.
    fn carry_out(&mut self, plan: &Plan) {
        for release in &plan.release {
            if let Some(job) = self.snapshot.jobs.iter_mut().find(|job| job.uid == release.uid) {
                (job.released, job.started, job.status) = (true, Some(self.now), Some(release.status.clone()));
            }
        }
        let dispatched = plan.dispatch.iter().map(|one| (&one.uid, &one.node));
        for (uid, node) in dispatched.chain(plan.hold.iter().map(|one| (&one.uid, &one.nodes[0]))) {
            let Some(unit) = self.snapshot.units.iter_mut().find(|unit| unit.uid == *uid) else { continue };
            unit.place = Place::Bound { node: node.clone(), running: false };
            if let Some(node) = self.snapshot.nodes.iter_mut().find(|one| one.name == *node) {
                node.used.add(&unit.shape.requests);
                (node.units, node.idle_since) = (node.units + 1, None);
            }
        }
        self.snapshot.kept_since.retain(|uid, _| plan.keeps.contains(uid));
        for uid in plan.keeps.iter() {
            self.snapshot.kept_since.entry(uid.clone()).or_insert(self.now);
        }
    }

    /// Something happens that no plan asked for.
    fn happen(&mut self, what: u8, which: usize, how: u8) {
        let Snapshot { queues, environments, jobs, units, nodes, hooks_missing, refused, .. } = &mut self.snapshot;
        let reason = Reason { code: Code::NamespaceWaiting, message: "many".into() };
        let (of_jobs, of_units, of_nodes) = (jobs.len().max(1), units.len().max(1), nodes.len().max(1));
        let (of_queues, of_places) = (queues.len(), environments.len());
        match (what, jobs.get_mut(which % of_jobs), units.get_mut(which % of_units)) {
            (0, Some(job), _) => job.held = !job.held,
            (1, Some(job), _) => job.barred = job.barred.is_none().then_some(reason),
            (2, Some(job), _) => job.status = None,
            (3, Some(job), _) => (job.released, job.started) = (!job.released, None),
            (4, Some(job), _) => job.parallelism = u32::from(how % 4),
            (5, Some(job), _) => job.queue = ["a", "b", "c", "missing"][usize::from(how % 4)].into(),
            (6, _, Some(unit)) => unit.said = None,
            (7, _, Some(unit)) => unit.barred = unit.barred.is_none().then(|| reason.into()),
            (8, _, Some(unit)) => {
                unit.place = Place::Held { nodes: vec!["n0".into()], refused: how.is_multiple_of(2) };
            }
            (9, _, Some(unit)) => unit.place = Place::Waiting,
            (10, _, Some(unit)) => unit.attempt = 3 - unit.attempt.min(2),
            (11, ..) => queues[which % of_queues].enabled ^= true,
            (12, ..) => queues[which % of_queues].strict_fifo ^= true,
            (13, ..) if of_places > 0 => environments[which % of_places].enabled ^= true,
            (14, ..) => *hooks_missing = !*hooks_missing,
            (15, ..) => drop(refused.pop()),
            (16, ..) => self.now += SignedDuration::from_secs(i64::from(how % 16)),
            (17..20, ..) if !nodes.is_empty() => nodes[which % of_nodes].used.cpu += i64::from(how),
            _ => {}
        }
    }

    /// Something goes, or another queue has a name.
    fn go(&mut self, what: u8, which: usize) {
        let Snapshot { queues, jobs, units, .. } = &mut self.snapshot;
        match what {
            20 | 34 if !units.is_empty() => self.gone.push(units.remove(which % units.len())),
            35 | 36 => units.extend(self.gone.pop().map(|unit| Unit { said: None, ..unit })),
            21 | 37 if !jobs.is_empty() => self.gone_jobs.push(jobs.remove(which % jobs.len())),
            38 => jobs.extend(self.gone_jobs.pop()),
            39 if queues.len() > 1 => self.gone_queues.push(queues.remove(which % queues.len())),
            40 => {
                // Somebody else may have its name by now.
                let back = self.gone_queues.pop().filter(|one| queues.iter().all(|other| other.name != one.name));
                queues.extend(back);
            }
            22 => {
                let of_queues = queues.len();
                let queue = &mut queues[which % of_queues];
                queue.name = if queue.name == "missing" { queue.aws_name.to_lowercase() } else { "missing".into() };
                let name = queue.name.clone();
                queues.iter_mut().rev().filter(|one| one.name == name).skip(1).for_each(|one| one.name += "x");
            }
            _ => {}
        }
    }

    /// Nodes give more or less, and queues and environments are other ones.
    fn turn(&mut self, what: u8, which: usize, how: u8) {
        let Snapshot { queues, environments, units, nodes, closed, refused, kept_since, .. } = &mut self.snapshot;
        let (of_units, of_nodes, of_queues) = (units.len().max(1), nodes.len().max(1), queues.len());
        let (node, unit) = (nodes.get_mut(which % of_nodes), units.get(which % of_units));
        match (what, node, unit) {
            (23 | 24, Some(node), _) => {
                (node.used, node.units, node.idle_since) = (node.foreign.clone(), 0, Some(before(i64::from(how))));
            }
            (25, Some(node), _) => node.foreign.cpu = i64::from(how) * 10,
            (26, Some(node), _) => node.ready ^= true,
            (27, ..) => queues[which % of_queues].environments.rotate_left(1),
            (28, ..) => queues[which % of_queues].priority = i32::from(how % 7),
            (29, ..) => {
                for environment in environments.iter_mut().filter(|one| ["n", "v"].contains(&one.name.as_str())) {
                    let others = [environment.name.to_uppercase(), "x".to_owned()];
                    environment.aws_name = others[usize::from(environment.aws_name != "x")].clone();
                }
            }
            (30, ..) if closed.is_empty() => *closed = BTreeMap::from([("work".into(), Closed::Forbidden)]),
            (30, ..) => closed.clear(),
            (31, _, Some(unit)) => {
                let (uid, write, message) = (unit.uid.clone(), Write::Bind, "policy p denies it".into());
                refused.push(Refused { uid, write, message, rests: how.is_multiple_of(2) });
            }
            (32, _, Some(unit)) => drop(kept_since.insert(unit.uid.clone(), before(i64::from(how) * 10))),
            (33 | 41, ..) if environments.len() > 1 => {
                self.gone_environments.push(environments.remove(which % environments.len()));
            }
            (42, ..) => environments.extend(self.gone_environments.pop()),
            (43, ..) => {
                let sold = environments.iter().find_map(|one| one.scaling.clone());
                let one = which % environments.len();
                environments[one].scaling = if environments[one].scaling.is_none() { sold } else { None };
            }
            (44, Some(node), _) => node.environment_uuid.clone_from(&environments[which % environments.len()].uuid),
            _ => {}
        }
    }

    fn step(&mut self, (what, which, how): Step, plan: &Plan) {
        write(&mut self.snapshot, plan, &how);
        if what.is_multiple_of(3) {
            self.carry_out(plan);
        }
        self.happen(what, which, how[0]);
        self.go(what, which);
        self.turn(what, which, how[0]);
        // What has not changed is not taken in again.
        self.world.show(self.snapshot.clone());
    }
}

fn check(snapshot: Snapshot, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::default();
    world.show(snapshot.clone());
    let mut course = Course {
        world,
        snapshot,
        now: noon(),
        had: Vec::new(),
        gone: Vec::new(),
        gone_jobs: Vec::new(),
        gone_queues: Vec::new(),
        gone_environments: Vec::new(),
    };
    let mut plan = course.plan("at first")?;
    for step in steps {
        course.step(*step, &plan);
        plan = course.plan(&format!("after {step:?}"))?;
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![2 => Just([0; 4]), 1 => any::<[u8; 4]>()];
    prop::collection::vec((0..45u8, any::<usize>(), how), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn the_plan_does_not_hang_on_what_is_remembered_of_those_before(given in worlds(), steps in steps()) {
        check(given.snapshot(), &steps)?;
    }

    #[test]
    fn nor_does_it_where_many_wait_for_one_reason(given in crowds(), steps in steps()) {
        check(given.snapshot(), &steps)?;
    }

    #[test]
    fn nor_does_it_where_many_queues_share_some_environments(
        given in prop_oneof![worlds(), crowds()], numbers in any::<[u8; 16]>(), steps in steps(),
    ) {
        check(spread(given.snapshot(), numbers), &steps)?;
    }
}
