//! What is asked about, and what of it waits.
//!
//! Invariant: a name that fits more than one thing of a kind is an error that names them; nothing is guessed.

use std::collections::BTreeSet;

use model::placement::Shape;
use model::plan::Plan;
use model::snapshot::{Environment, Job, ObjectKey, Place, Queue, Refused, Snapshot, Unit, Write};
use model::status::Reason;

use super::Check;
use crate::world::facts::together;

/// Kinds of things that can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A Job of Kubernetes, or a job of the API.
    Job,
    /// A pod.
    Pod,
    /// A job queue.
    Queue,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `None`: whatever has the name, a job first.
    pub what: Option<What>,
    /// `None`: in any.
    pub namespace: Option<&'a str>,
    /// Name of a Job or pod, id of a job of the API, name of a queue.
    pub name: &'a str,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum Subject<'s> {
    Job(&'s Job),
    Unit(&'s Unit),
    Queue(&'s Queue),
}

/// Finds it.
pub(super) fn find<'s>(snapshot: &'s Snapshot, asked: &Asked<'_>) -> Result<Subject<'s>, String> {
    let wants = |what: What| asked.what.is_none_or(|only| only == what);
    let is_it = |key: &ObjectKey| key.name == asked.name && asked.namespace.is_none_or(|it| it == key.namespace);
    if wants(What::Job) {
        let jobs = snapshot.jobs.iter().filter(|job| is_it(&job.key)).collect::<Vec<_>>();
        if let Some(job) = only(&jobs, |job| &job.key)? {
            return Ok(Subject::Job(job));
        }
        if let Some(unit) = of_api(snapshot, asked.name) {
            return Ok(Subject::Unit(unit));
        }
    }
    if wants(What::Pod) {
        let pods = snapshot.units.iter().filter(|unit| unit.record.is_none() && is_it(&unit.key)).collect::<Vec<_>>();
        if let Some(unit) = only(&pods, |unit| &unit.key)? {
            return Ok(Subject::Unit(unit));
        }
    }
    let is_queue = |queue: &&Queue| queue.name == asked.name || queue.aws_name == asked.name;
    if let Some(queue) = snapshot.queues.iter().find(|queue| wants(What::Queue) && is_queue(queue)) {
        return Ok(Subject::Queue(queue));
    }
    let what = match asked.what {
        None => "no job, pod or queue",
        Some(What::Job) => "no job",
        Some(What::Pod) => "no pod",
        Some(What::Queue) => "no queue",
    };
    let place = asked.namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let name = asked.name;
    Err(format!(
        "{what} {name}{place} is planned for: it has ended, is in no queue, waits for other jobs (dependsOn), or for somebody else's \
         scheduling gate, or is one of very many in its queue and not looked at yet; `bulkhead jobs show` and `kubectl describe` tell"
    ))
}

/// An attempt of a job of the API; of an array job the first child that waits, or any.
fn of_api<'s>(snapshot: &'s Snapshot, id: &str) -> Option<&'s Unit> {
    let of = |unit: &&Unit| {
        let record = unit.record.map(|record| record.to_string());
        record.is_some_and(|record| record == id || record.split_once(':').is_some_and(|(array, _)| array == id))
    };
    let waits = |unit: &&Unit| matches!(unit.place, Place::Waiting);
    let mut own: Vec<&Unit> = snapshot.units.iter().filter(of).collect();
    own.sort_by_key(|unit| (!waits(unit), unit.index));
    own.first().copied()
}

fn only<'s, T>(found: &[&'s T], key: impl Fn(&T) -> &ObjectKey) -> Result<Option<&'s T>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        more => {
            let names: Vec<String> = more.iter().map(|one| key(one).to_string()).collect();
            Err(format!("there are {}: say which namespace is meant", names.join(" and ")))
        }
    }
}

/// Whether it is this unit, or one of this Job.
pub(super) fn is_of(unit: &Unit, uid: &str) -> bool {
    unit.uid == uid || unit.job.as_ref().is_some_and(|job| job.uid == uid)
}

/// A Job or a unit that may want room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'s> {
    /// Of the Job, or of the unit if it is of none, or alone is asked about.
    pub(super) uid: &'s str,
    pub(super) job: Option<&'s Job>,
    pub(super) unit: Option<&'s Unit>,
    pub(super) queue: &'s str,
    pub(super) shape: &'s Shape,
    /// Its units that wait.
    pub(super) waiting: usize,
}

impl<'s> Wanted<'s> {
    pub(super) fn of_job(snapshot: &'s Snapshot, job: &'s Job) -> Self {
        let own = snapshot.units.iter().filter(|unit| is_of(unit, &job.uid));
        let waiting = own.filter(|unit| matches!(unit.place, Place::Waiting)).count();
        Self { uid: &job.uid, job: Some(job), unit: None, queue: &job.queue, shape: &job.shape, waiting }
    }

    pub(super) fn of_unit(unit: &'s Unit) -> Self {
        let waiting = usize::from(matches!(unit.place, Place::Waiting));
        Self { uid: &unit.uid, job: None, unit: Some(unit), queue: &unit.queue, shape: &unit.shape, waiting }
    }

    /// The Job that is not released.
    pub(super) fn unreleased(&self) -> Option<&'s Job> {
        self.job.filter(|job| !job.released)
    }

    /// How many of its units the plan starts, or hands to kube-scheduler.
    pub(super) fn started(&self, plan: &Plan) -> usize {
        let is_own = |uid: &str, job: Option<&String>| {
            uid == self.uid || (self.job.is_some() && job.is_some_and(|job| job == self.uid))
        };
        let dispatched = plan.dispatch.iter().filter(|one| is_own(&one.uid, one.job.as_ref())).count();
        dispatched + plan.hold.iter().filter(|one| is_own(&one.uid, one.job.as_ref())).count()
    }

    /// Whether it, or a part of it, still waits when the plan has been carried out.
    pub(super) fn waits(&self, plan: &Plan) -> bool {
        match self.unreleased() {
            Some(_) => !plan.release.iter().any(|change| change.uid == self.uid),
            None => self.waiting > self.started(plan),
        }
    }

    /// Where its pod would be made in an environment; `None`: it is no job of the API.
    pub(super) fn api_namespace<'n>(&self, environment: &'n Environment) -> Option<&'n str>
    where
        's: 'n,
    {
        let unit = self.unit.filter(|unit| unit.record.is_some())?;
        Some(environment.namespace_for(Some(unit.key.namespace.as_str()).filter(|name| !name.is_empty())))
    }

    /// Why it, or one of its units, is not planned for.
    pub(super) fn barred(&self, snapshot: &'s Snapshot) -> Option<&'s Reason> {
        let of_job = self.unreleased().and_then(|job| job.barred.as_ref());
        let units =
            || snapshot.units.iter().filter(|unit| is_of(unit, self.uid) && matches!(unit.place, Place::Waiting));
        of_job.or_else(|| units().find_map(|unit| unit.barred.as_deref()))
    }

    /// The Job that it is, or is of.
    pub(super) fn of(&self, snapshot: &'s Snapshot) -> Option<&'s Job> {
        let of_unit = self.unit.and_then(|unit| unit.job.as_ref());
        self.job.or_else(|| snapshot.jobs.iter().find(|job| of_unit.is_some_and(|of| of.uid == job.uid)))
    }

    /// Why the cluster refuses pods of its Job.
    pub(super) fn refusal(&self, snapshot: &'s Snapshot) -> Option<&'s str> {
        self.of(snapshot)?.refusal.as_deref()
    }

    /// Writes to it, or to its units, that did not go through.
    pub(super) fn refused(&self, snapshot: &'s Snapshot) -> Vec<&'s Refused> {
        let own = snapshot.units.iter().filter(|unit| is_of(unit, self.uid)).map(|unit| unit.uid.as_str());
        let own: BTreeSet<&str> = own.chain([self.uid]).collect();
        let is_own = |one: &&Refused| one.write != Write::Status && own.contains(one.uid.as_str());
        snapshot.refused.iter().filter(is_own).collect()
    }

    /// What has to be so of itself and of the cluster.
    pub(super) fn own_checks(&self, snapshot: &'s Snapshot) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(job) = self.unreleased() {
            if job.held {
                checks.push(Check::new(false, "its user has let it go (suspend: false)"));
            }
            if together(job) == 0 {
                checks.push(Check::new(false, "it has pods to run (parallelism above 0)"));
            }
            if snapshot.hooks_missing {
                checks.push(Check::new(false, "the API server calls Bulkhead for new pods"));
            }
        }
        if let Some(reason) = self.barred(snapshot) {
            checks.push(Check::new(false, format!("it is planned for; it is not: {}", reason.message)));
        }
        if let Some(refusal) = self.refusal(snapshot) {
            checks.push(Check::new(false, format!("the cluster takes the Job's pods; it refused: {refusal}")));
        }
        let refused: BTreeSet<&str> = self.refused(snapshot).iter().map(|one| one.message.as_str()).collect();
        for message in refused {
            checks.push(Check::new(false, format!("the cluster takes what Bulkhead writes; it refused: {message}")));
        }
        checks
    }
}
