//! Which streams there are: those of the attempts of jobs that have begun.
//!
//! Invariant: what a caller may not see is not there; what he may see and not read is refused, with the right that lacks.

use jiff::Timestamp;
use model::job::{Door, JobId};
use planning::access::Ask;
use planning::api_pod;
use records::{By, Filter, Kept, Pattern, Scope};

use super::DEFAULT;
use super::output::Whose;
use super::request::GROUP;
use super::stream::{Stream, job_of};
use crate::failure::Failure;
use crate::objects::Objects;
use crate::rights::about;
use crate::session::Session;

/// Lists look at so many jobs, latest first, of each queue as many as of others; children count.
const LOOKED_AT: usize = 1000;
/// At least so many of each queue.
const OF_EACH: usize = 20;
/// Jobs that are in memory at a time with all that was asked for.
const AT_ONCE: usize = 50;

/// A stream with the job that it is of.
pub(super) struct Found {
    pub(super) stream: Stream,
    pub(super) whose: Whose,
    /// When the attempt began.
    pub(super) since: Option<Timestamp>,
    /// When it ended.
    pub(super) until: Option<Timestamp>,
}

impl Found {
    /// The right to it.
    fn right(&self) -> Ask {
        Ask::output(Some(&self.whose.namespace))
    }
}

/// The streams of a job: of each attempt that has begun, one for each container.
fn streams_of(kept: &Kept) -> Vec<Found> {
    let Kept { record, spec, attempts, .. } = kept;
    if spec.door != Door::Api || (spec.array_size.is_some() && record.id.child.is_none()) {
        return Vec::new();
    }
    let containers = api_pod::containers(&spec.pod);
    let ended = attempts
        .iter()
        .filter_map(|it| Some((it.number, &it.namespace, &it.pod_name, Some(it.started?), Some(it.stopped))));
    let runs = record.placed.as_ref().filter(|_| record.started.is_some());
    let runs = runs.map(|placed| (record.attempt, &placed.namespace, &placed.pod_name, record.started, None));
    let mut all = Vec::new();
    for (attempt, namespace, pod, since, until) in ended.chain(runs) {
        for (at, container) in containers.iter().enumerate() {
            let called = if spec.container.is_some() && at == 0 { DEFAULT } else { container };
            let whose = Whose { namespace: namespace.clone(), pod: pod.clone(), container: container.clone() };
            all.push(Found { stream: Stream::of(spec, called, record.id, attempt), whose, since, until });
        }
    }
    all
}

/// Jobs that a caller may know of.
async fn seen<O: Objects>(session: &Session<O>, ids: &[JobId]) -> Result<Vec<Kept>, Failure> {
    let kept = session.records()?.jobs(ids).await?;
    session.seen(kept, |kept| about("get", kept)).await
}

fn no_stream() -> Failure {
    Failure::NotFound("The specified log stream does not exist.".to_owned())
}

/// A stream by its name.
pub(super) async fn find<O: Objects>(session: &Session<O>, name: &str) -> Result<Found, Failure> {
    let stream: Stream = name.parse().map_err(|_| no_stream())?;
    let kept = seen(session, &[stream.job]).await?.pop().ok_or_else(no_stream)?;
    let found = streams_of(&kept).into_iter().find(|found| found.stream == stream).ok_or_else(no_stream)?;
    // Where it ran, which for a job that names no namespace may have been another one than that which it was submitted for.
    session.demand(&found.right(), &session.config.arn.log_stream(GROUP, name)).await?;
    Ok(found)
}

/// Streams whose names begin like this, of the latest jobs, as far as the caller may read them.
pub(super) async fn listed<O: Objects>(session: &Session<O>, prefix: &str) -> Result<Vec<Found>, Failure> {
    let ids = match job_of(prefix) {
        Some(job) => vec![job],
        None => latest(session, prefix).await?,
    };
    let mut all = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let kept = seen(session, ids).await?;
        let begin = kept.iter().flat_map(streams_of).filter(|found| found.stream.to_string().starts_with(prefix));
        all.extend(session.seen(begin.collect(), Found::right).await?);
    }
    Ok(all)
}

/// Ids of the latest jobs of a definition that begins, or is called, like this, the children of array jobs included.
async fn latest<O: Objects>(session: &Session<O>, prefix: &str) -> Result<Vec<JobId>, Failure> {
    let by = match prefix.split_once('/') {
        Some((name, _)) => Some(By::Definition(Pattern::Exact(name.to_owned()))),
        None if prefix.is_empty() => None,
        None => Some(By::Definition(Pattern::Prefix(prefix.to_owned()))),
    };
    let store = session.records()?;
    let queues: Vec<api::JobQueue> = session.objects.list().await?;
    let of_each = (LOOKED_AT / queues.len().max(1)).max(OF_EACH);
    let mut ids = Vec::new();
    for queue in &queues {
        let filter = Filter { scope: Scope::Queue(queue.aws_name().to_owned()), state: None, by: by.clone() };
        let (mut left, mut after) = (of_each, None);
        while left > 0 {
            let size = u32::try_from(left.min(AT_ONCE)).unwrap_or(u32::MAX);
            let page = store.list(&filter, after.as_deref(), size).await?;
            for kept in page.items {
                let id = kept.record.id;
                let begin = ids.len();
                match kept.spec.array_size {
                    Some(size) => ids.extend((0..size).take(left).map(|child| id.with_child(child))),
                    None => ids.extend((left > 0).then_some(id)),
                }
                left -= ids.len() - begin;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(ids)
}
