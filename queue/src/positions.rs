//! Who comes next in each queue, and since when each has been at its place: told after each plan.
//!
//! Invariant: a job that is at the place where the last plan found it has been there since a plan found it there first. In the leader's memory
//! alone: after another has been elected, all have just come to their places.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::clock::{Moment, Now};
use model::front::{Front, Fronts, InLine, MOST};
use model::job::JobId;
use model::plan::Plan;
use planning::world::{Waiting, World};
use tokio::sync::watch;

/// Where it is told. `None`: no plan has been made here that knew all jobs.
pub type Told = watch::Sender<Option<Arc<Fronts>>>;

/// The places of the last plan.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    told: Told,
    /// By AWS name of the queue.
    last: HashMap<String, Vec<(JobId, Moment)>>,
}

impl Positions {
    /// Told to whoever listens there.
    pub(crate) fn new(told: Told) -> Self {
        Self { told, last: HashMap::new() }
    }

    /// Tells what a plan leaves waiting that was made now. `id_of` knows the job id of a Job.
    /// `hidden`: how many jobs it was not shown, by AWS name of their queue.
    pub(crate) fn tell(
        &mut self,
        world: &World<'_>,
        plan: &Plan,
        (id_of, hidden): (impl Fn(&str) -> Option<JobId>, &BTreeMap<String, usize>),
        now: Now,
    ) {
        let (begun, mut last, mut queues) = (begun(plan), std::mem::take(&mut self.last), BTreeMap::new());
        for counts in plan.queues.iter().filter(|counts| counts.waiting > 0 || counts.dispatched > 0) {
            let Some(queue) = world.queue(&counts.queue) else { continue };
            let front = world.front(&counts.queue, MOST, |uid| begun.contains(uid));
            let ids = front.into_iter().filter_map(|one| match one {
                Waiting::Record(id) => Some(id),
                Waiting::Job(uid) => id_of(uid),
            });
            let places = places(&last.remove(&queue.aws_name).unwrap_or_default(), ids, now.moment);
            let jobs = places.iter().map(|(job, since)| InLine { job: *job, since: now.at(*since) }).collect();
            let hidden = hidden.get(&queue.aws_name).copied().unwrap_or_default();
            queues.insert(queue.aws_name.clone(), Front { jobs, milli_cpu: counts.milli_cpu, hidden });
            self.last.insert(queue.aws_name.clone(), places);
        }
        self.told.send_replace(Some(Arc::new(Fronts { at: now.wall, queues })));
    }
}

/// UIDs of Jobs and ids of jobs of the API that a plan begins.
fn begun(plan: &Plan) -> HashSet<&str> {
    let released = plan.release.iter().map(|one| &one.uid);
    let placed = plan.dispatch.iter().map(|one| one.job.as_ref().unwrap_or(&one.uid));
    // A Job whose pods kube-scheduler has is RUNNABLE until they have a node.
    let held = plan.hold.iter().filter(|one| one.record.is_some()).map(|one| &one.uid);
    released.chain(placed).chain(held).map(String::as_str).collect()
}

/// Since when jobs have been at their places, by where they were.
fn places(last: &[(JobId, Moment)], jobs: impl Iterator<Item = JobId>, now: Moment) -> Vec<(JobId, Moment)> {
    let mut last = last.iter();
    let place = |job: JobId| (job, last.next().filter(|(before, _)| *before == job).map_or(now, |(_, since)| *since));
    jobs.map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use model::placement::Shape;
    use model::resources::Resources;
    use model::snapshot::{Job, ObjectKey, Place, Queue, Snapshot, Unit};
    use uuid::Uuid;

    use super::*;

    fn wall() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    fn id(number: u128) -> JobId {
        JobId::new(Uuid::from_u128(number))
    }

    /// The Job with the UID `job` has this one.
    const OF_JOB: u128 = 99;

    fn unit(number: u128, place: Place) -> Unit {
        let id = id(number);
        Unit {
            key: ObjectKey::new("n", &id.to_string()),
            uid: id.to_string(),
            record: Some(id),
            queue: "q".into(),
            job: None,
            created: wall() + SignedDuration::from_secs(i64::try_from(number).unwrap()),
            index: 0,
            attempt: 1,
            shape: Arc::new(Shape { requests: Resources::new(1500, 0), ..Shape::default() }),
            place,
            barred: None,
            said: None,
        }
    }

    fn job() -> Job {
        Job {
            key: ObjectKey::new("n", "job"),
            uid: "job".into(),
            queue: "q".into(),
            created: wall(),
            held: false,
            released: false,
            started: None,
            parallelism: 1,
            remaining: Some(1),
            has_deadline: false,
            shape: Arc::default(),
            refusal: None,
            stuck: None,
            barred: None,
            status: None,
        }
    }

    fn queue() -> Queue {
        Queue {
            name: "q".into(),
            aws_name: "Q".into(),
            priority: 1,
            enabled: true,
            environments: Vec::new(),
            strict_fifo: false,
        }
    }

    #[test]
    fn a_job_keeps_its_time_as_long_as_it_keeps_its_place() {
        let (told, since) = (Told::default(), |seconds| Moment::after(Duration::from_secs(seconds)));
        let (listener, mut positions) = (told.subscribe(), Positions::new(told));
        for (seconds, waiting, expected) in [
            (0, vec![1, 2, 3], vec![(1, 0), (2, 0), (3, 0)]),
            (5, vec![1, 2, 3, 4], vec![(1, 5), (2, 5), (3, 5), (4, 0)]),
            // The first goes: all behind it have another place.
            (9, vec![2, 3, 4], vec![(2, 0), (3, 0), (4, 0)]),
            // One that is older comes between: those before it stay.
            (10, vec![2, 4, 5], vec![(2, 1), (4, 0), (5, 0)]),
            (12, vec![2, 3, 4, 5], vec![(2, 3), (3, 0), (4, 0), (5, 0)]),
            (13, vec![], vec![]),
            (14, vec![2], vec![(2, 0)]),
        ] {
            let units = waiting.iter().map(|number| unit(*number, Place::Waiting)).collect();
            let snapshot = Snapshot { queues: vec![queue()], units, ..Snapshot::default() };
            let mut world = World::of(&snapshot);
            let now = Now { wall: wall() + SignedDuration::from_secs(100), moment: since(seconds) };
            let plan = world.plan(now.wall);
            positions.tell(&world, &plan, (|_: &str| None, &BTreeMap::new()), now);
            let fronts = listener.borrow().clone().unwrap();
            assert_eq!(fronts.at, now.wall);
            let jobs = fronts.queues.get("Q").map(|front| front.jobs.clone()).unwrap_or_default();
            // However the wall's clock is set.
            let ago = |seconds| now.wall - SignedDuration::from_secs(seconds);
            let expected: Vec<InLine> =
                expected.into_iter().map(|(number, seconds)| InLine { job: id(number), since: ago(seconds) }).collect();
            assert_eq!(jobs, expected, "{seconds}");
        }
    }

    #[test]
    fn what_is_told_is_what_a_plan_leaves_waiting_and_what_has_room() {
        let on_node = Place::Bound { node: "gone".into(), running: true };
        let units = vec![unit(1, on_node), unit(2, Place::Waiting), unit(3, Place::Waiting)];
        let snapshot = Snapshot { queues: vec![queue()], jobs: vec![job()], units, ..Snapshot::default() };
        let mut world = World::of(&snapshot);
        let now = Now { wall: wall(), moment: Moment::after(Duration::ZERO) };
        let plan = world.plan(now.wall);
        let dispatch = |number: u128, job: Option<&str>| model::plan::Dispatch {
            unit: ObjectKey::default(),
            uid: id(number).to_string(),
            record: None,
            job: job.map(Into::into),
            node: String::new(),
            node_uid: String::new(),
            environment: String::new(),
            environment_uuid: String::new(),
            attempt: 1,
        };
        let check = |dispatch: Vec<model::plan::Dispatch>, expected: &[u128]| {
            let plan = Plan { dispatch, ..plan.clone() };
            let told = Told::default();
            let listener = told.subscribe();
            let (id_of, hidden) =
                (|uid: &str| (uid == "job").then(|| id(OF_JOB)), BTreeMap::from([("Q".to_owned(), 7)]));
            Positions::new(told).tell(&world, &plan, (id_of, &hidden), now);
            let front = listener.borrow().clone().unwrap().queues["Q"].clone();
            assert_eq!((front.milli_cpu, front.hidden), (1500, 7));
            let jobs: Vec<JobId> = front.jobs.iter().map(|one| one.job).collect();
            assert_eq!(jobs, expected.iter().copied().map(id).collect::<Vec<_>>());
        };
        check(vec![], &[OF_JOB, 2, 3]);
        check(vec![dispatch(2, None)], &[OF_JOB, 3]);
        check(vec![dispatch(7, Some("job"))], &[2, 3]);
    }
}
