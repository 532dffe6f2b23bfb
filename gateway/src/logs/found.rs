//! Which streams there are: those of the attempts of jobs that have begun.
//!
//! Invariant: what a caller may not see is not there; what he may see and not read is refused, with the right that lacks.

use jiff::Timestamp;
use model::job::{Door, JobId, Spec};
use outputs::Whose;
use planning::access::Ask;
use planning::api_pod;
use records::Kept;

use super::DEFAULT;
use super::latest::{self, AT_ONCE};
use super::request::{GROUP, no_group};
use super::stream::{Named, Stream, named};
use crate::failure::Failure;
use crate::objects::Objects;
use crate::rights::about;
use crate::session::Session;

/// Streams that a list has at most.
const MOST: usize = 10_000;

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

/// The streams of a job: of each attempt, one for each container that has begun. Of those that run before others nobody knows when they did.
fn streams_of(kept: &Kept) -> Vec<Found> {
    let Kept { record, spec, attempts, .. } = kept;
    if spec.door != Door::Api || (spec.array_size.is_some() && record.id.child.is_none()) {
        return Vec::new();
    }
    let containers = api_pod::containers(&spec.pod);
    let first_init = spec.pod["containers"].as_array().map_or(0, Vec::len);
    let ended = attempts.iter().map(|it| {
        let at = (it.number, &it.namespace, &it.pod_name);
        (at, it.started, !it.init_containers.is_empty(), Some(it.stopped))
    });
    let runs = record.placed.iter().map(|placed| {
        let at = (record.attempt, &placed.namespace, &placed.pod_name);
        (at, record.started, true, None)
    });
    let mut all = Vec::new();
    for ((attempt, namespace, pod), since, has_begun, until) in ended.chain(runs) {
        for (at, container) in containers.iter().enumerate() {
            let is_init = at >= first_init;
            if since.is_none() && !(is_init && has_begun) {
                continue;
            }
            let called = if spec.container.is_some() && at == 0 { DEFAULT } else { container };
            let (namespace, pod, container) = (namespace.clone(), pod.clone(), container.clone());
            let whose = Whose { namespace, pod, container, is_over: until.is_some() };
            let since = since.filter(|_| !is_init);
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

/// The group that a definition names for its jobs' output.
fn group_of(spec: &Spec) -> Option<&str> {
    let properties = &spec.container.as_ref()?.properties;
    properties.get("logConfiguration")?.get("options")?.get("awslogs-group")?.as_str()
}

/// A stream by its name, in the group of all or in that which its definition names. Which that is learns only who may read the stream.
pub(super) async fn find<O: Objects>(session: &Session<O>, group: &str, name: &str) -> Result<Found, Failure> {
    let stream: Stream = name.parse().map_err(|_| no_stream())?;
    let kept = seen(session, &[stream.job]).await?.pop().ok_or_else(no_stream)?;
    let found = streams_of(&kept).into_iter().find(|found| found.stream == stream).ok_or_else(no_stream)?;
    // Where it ran, which for a job that names no namespace may have been another one than that which it was submitted for.
    session.demand(&found.right(), &session.config.arn.log_stream(GROUP, name)).await?;
    if group == GROUP || group_of(&kept.spec) == Some(group) { Ok(found) } else { Err(no_group()) }
}

/// Streams whose names begin like this, of the latest jobs, as far as the caller may read them.
pub(super) async fn listed<O: Objects>(session: &Session<O>, prefix: &str) -> Result<Vec<Found>, Failure> {
    let store = session.records()?;
    let ids = match named(prefix) {
        Some(Named::Attempts(job)) => vec![job],
        Some(Named::Job(job)) => latest::of_job(&store, job).await?,
        None => {
            let queues: Vec<api::JobQueue> = session.objects.list().await?;
            let queues: Vec<&str> = queues.iter().map(api::JobQueue::aws_name).collect();
            latest::in_queues(&store, &queues, prefix).await?
        }
    };
    let mut all = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let kept = seen(session, ids).await?;
        let begin = kept.iter().flat_map(streams_of).filter(|found| found.stream.to_string().starts_with(prefix));
        all.extend(session.seen(begin.collect(), Found::right).await?);
        if all.len() >= MOST {
            all.truncate(MOST);
            break;
        }
    }
    Ok(all)
}
