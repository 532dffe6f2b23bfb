//! What comes of a snapshot in virtual time: plans are carried out, machines join, pods start and end.
//!
//! Invariant: the same snapshot and terms give the same course. Nobody submits anything, nothing fails, and what runs takes as long as is said:
//! how long things really take is not known here. A job that waits for others is not in a snapshot, and never comes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::plan::{Launch, Plan};
use model::snapshot::{Job, JobRef, Machine, ObjectKey, Place, Snapshot, Stage, Unit};

use crate::delivery;
use crate::world::World;
use crate::world::facts::together;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// From a launch until the node takes work, and until a machine that goes is gone.
    pub boots: SignedDuration,
    /// From its start until a pod succeeds; what runs already, from now on.
    pub runs: SignedDuration,
}

/// Something that happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A machine's node takes work.
    Joins(String),
    /// A pod, by its UID, has succeeded.
    Ends(String),
    /// A machine is gone.
    Goes(String),
}

/// A world in which time passes.
#[derive(Debug)]
pub struct Simulation {
    snapshot: Snapshot,
    now: Timestamp,
    terms: Terms,
    events: BTreeSet<(Timestamp, Event)>,
    /// Machines and pods that were made.
    made: usize,
}

impl Simulation {
    /// From a snapshot on.
    pub fn new(snapshot: Snapshot, now: Timestamp, terms: Terms) -> Self {
        let mut simulation = Self { snapshot, now, terms, events: BTreeSet::new(), made: 0 };
        for machine in simulation.snapshot.machines.clone() {
            match machine.stage {
                Stage::Coming => simulation.after(terms.boots, Event::Joins(machine.name)),
                Stage::Going => simulation.after(terms.boots, Event::Goes(machine.name)),
                Stage::Serving => {}
            }
        }
        for unit in simulation.snapshot.units.clone() {
            match unit.place {
                Place::Bound { .. } => simulation.after(terms.runs, Event::Ends(unit.uid)),
                Place::Held { nodes, refused: false } => simulation.choose(&unit.uid, &nodes),
                Place::Held { .. } | Place::Waiting => {}
            }
        }
        // The Job controller makes what is missing at once.
        for job in simulation.snapshot.jobs.clone().into_iter().filter(|job| job.released) {
            let there = simulation.pods_of(&job.uid);
            (there..together(&job)).for_each(|index| simulation.make_pod(&job, index));
        }
        simulation
    }

    /// What is so by now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The next plan that decides something, and when; it is carried out. `None`: nothing is decided any more before `until`.
    pub fn step(&mut self, until: Timestamp) -> Option<(Timestamp, Plan)> {
        loop {
            let plan = World::of(&self.snapshot).plan(self.now);
            self.remember(&plan);
            if decides(&plan) {
                self.carry_out(&plan);
                return Some((self.now, plan));
            }
            let event = self.events.first().map(|(time, _)| *time);
            let wake = plan.wake_at.map(|wake| wake.max(self.now + SignedDuration::from_millis(1)));
            let next = event.into_iter().chain(wake).min().filter(|next| *next <= until)?;
            self.now = next.max(self.now);
            while self.events.first().is_some_and(|(time, _)| *time <= self.now) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event);
                }
            }
        }
    }

    fn after(&mut self, time: SignedDuration, event: Event) {
        let due = self.now.checked_add(time).unwrap_or(Timestamp::MAX);
        self.events.insert((due, event));
    }

    /// What a plan leaves to be remembered until the next.
    fn remember(&mut self, plan: &Plan) {
        let now = self.now;
        self.snapshot.kept_since.retain(|uid, _| plan.keeps.contains(uid));
        for uid in plan.keeps.iter() {
            self.snapshot.kept_since.entry(uid.clone()).or_insert(now);
        }
        let changes: BTreeMap<&str, _> =
            plan.status.iter().chain(&plan.release).map(|change| (change.uid.as_str(), &change.status)).collect();
        for job in &mut self.snapshot.jobs {
            if let Some(status) = changes.get(job.uid.as_str()) {
                job.status = Some((*status).clone());
            }
        }
    }

    fn carry_out(&mut self, plan: &Plan) {
        for release in &plan.release {
            let now = self.now;
            let job = self.snapshot.jobs.iter_mut().find(|job| job.uid == release.uid);
            let Some(job) = job else { continue };
            (job.released, job.started) = (true, Some(now));
            let job = job.clone();
            (0..together(&job)).for_each(|index| self.make_pod(&job, index));
        }
        for dispatch in &plan.dispatch {
            self.start(&dispatch.uid, &dispatch.node);
        }
        for hold in &plan.hold {
            self.choose(&hold.uid, &hold.nodes);
        }
        plan.launch.iter().for_each(|launch| self.launch(launch));
        for retire in &plan.retire {
            for node in self.snapshot.nodes.iter_mut().filter(|node| node.name == retire.machine) {
                node.retiring = true;
            }
            for machine in self.snapshot.machines.iter_mut().filter(|machine| machine.name == retire.machine) {
                machine.stage = Stage::Going;
            }
            self.after(self.terms.boots, Event::Goes(retire.machine.clone()));
        }
    }

    fn launch(&mut self, launch: &Launch) {
        self.made += 1;
        let name = format!("simulated-{}", self.made);
        self.snapshot.machines.push(delivery::machine(launch, name.clone(), Stage::Coming));
        self.after(self.terms.boots, Event::Joins(name));
    }

    fn make_pod(&mut self, job: &Job, index: u32) {
        self.made += 1;
        let name = format!("{}-simulated-{}", job.key.name, self.made);
        self.snapshot.units.push(Unit {
            key: ObjectKey::new(&job.key.namespace, &name),
            uid: format!("{}-simulated-{}", job.uid, self.made),
            record: None,
            queue: job.queue.clone(),
            job: Some(JobRef { uid: job.uid.clone(), created: job.created, silent: false }),
            created: self.now,
            index,
            attempt: 1,
            shape: job.shape.clone(),
            place: Place::Waiting,
            barred: None,
            said: None,
        });
    }

    /// kube-scheduler takes the first of these nodes that has room for a pod.
    fn choose(&mut self, uid: &str, nodes: &[String]) {
        let Some(unit) = self.snapshot.units.iter().find(|unit| unit.uid == uid) else { return };
        let has_room = |name: &&String| {
            let node = self.snapshot.nodes.iter().find(|node| node.name == **name);
            node.is_some_and(|node| {
                let mut free = node.allocatable.clone();
                free.sub(&node.used);
                unit.shape.requests.fits(&free)
            })
        };
        if let Some(node) = nodes.iter().find(has_room).cloned() {
            return self.start(uid, &node);
        }
        for unit in self.snapshot.units.iter_mut().filter(|unit| unit.uid == uid) {
            unit.place = Place::Held { nodes: nodes.to_vec(), refused: true };
        }
    }

    /// A pod starts on a node.
    fn start(&mut self, uid: &str, node: &str) {
        let Some(unit) = self.snapshot.units.iter_mut().find(|unit| unit.uid == uid) else { return };
        unit.place = Place::Bound { node: node.to_owned(), running: true };
        let requests = unit.shape.requests.clone();
        for node in self.snapshot.nodes.iter_mut().filter(|one| one.name == node) {
            node.used.add(&requests);
            node.units += 1;
            node.idle_since = None;
        }
        self.after(self.terms.runs, Event::Ends(uid.to_owned()));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Joins(name) => self.join(&name),
            Event::Ends(uid) => self.end(&uid),
            Event::Goes(name) => {
                self.snapshot.machines.retain(|machine| machine.name != name);
                self.snapshot.nodes.retain(|node| node.name != name);
            }
        }
    }

    fn join(&mut self, name: &str) {
        let machine = self.snapshot.machines.iter_mut().find(|machine| machine.name == name);
        let Some(machine) = machine.filter(|machine| machine.stage == Stage::Coming) else { return };
        machine.stage = Stage::Serving;
        let machine: Machine = machine.clone();
        let environment = self.snapshot.environments.iter_mut().find(|one| one.name == machine.environment);
        let Some(environment) = environment else { return };
        if let Some(scaling) = &mut environment.scaling {
            scaling.delivered = scaling.delivered.saturating_add(1);
        }
        let mut node = delivery::node(environment, &machine);
        node.idle_since = Some(self.now);
        self.snapshot.nodes.retain(|other| other.name != node.name);
        self.snapshot.nodes.push(node);
    }

    fn end(&mut self, uid: &str) {
        let Some(place) = self.snapshot.units.iter().position(|unit| unit.uid == uid) else { return };
        let unit = self.snapshot.units.remove(place);
        if let Place::Bound { node, .. } = &unit.place {
            let now = self.now;
            for node in self.snapshot.nodes.iter_mut().filter(|one| one.name == *node) {
                node.used.sub(&unit.shape.requests);
                node.units = node.units.saturating_sub(1);
                node.idle_since = (node.units == 0).then_some(now);
            }
        }
        let Some(of) = &unit.job else { return };
        let Some(job) = self.snapshot.jobs.iter_mut().find(|job| job.uid == of.uid) else { return };
        job.remaining = Some(job.remaining.unwrap_or(job.parallelism).saturating_sub(1));
        let job = job.clone();
        if job.remaining == Some(0) {
            self.snapshot.jobs.retain(|one| one.uid != job.uid);
            return;
        }
        if job.released && self.pods_of(&job.uid) < together(&job) {
            self.make_pod(&job, unit.index);
        }
    }

    fn pods_of(&self, job: &str) -> u32 {
        let of = |unit: &&Unit| unit.job.as_ref().is_some_and(|of| of.uid == job);
        u32::try_from(self.snapshot.units.iter().filter(of).count()).unwrap_or(u32::MAX)
    }
}

fn decides(plan: &Plan) -> bool {
    let Plan { release, dispatch, hold, launch, retire, .. } = plan;
    !(release.is_empty() && dispatch.is_empty() && hold.is_empty() && launch.is_empty() && retire.is_empty())
}

#[cfg(test)]
mod tests;
