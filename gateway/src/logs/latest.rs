//! Which jobs lists of streams look at: those that run, and then those that ended last, the children of array jobs with them.
//!
//! Invariant: jobs that wait are not looked at, however many there are, and of each queue as many as of others, so that none hides others'. Does not
//! know who asks.

use model::job::JobId;
use model::status::JobState;
use records::{By, Filter, Pattern, Scope, Store};
use uuid::Uuid;

use crate::failure::Failure;

/// So many jobs in all.
const LOOKED_AT: usize = 1000;
/// At least so many of each queue.
const OF_EACH: usize = 20;
/// Jobs that are in memory at a time with all that was asked for.
pub(super) const AT_ONCE: usize = 50;

/// Where jobs that have begun are.
const BEGUN: [JobState; 3] = [JobState::Running, JobState::Failed, JobState::Succeeded];

/// Ids of those in queues, by AWS name, whose definition begins, or is called, as the beginning of a stream's name says.
pub(super) async fn in_queues(store: &Store, queues: &[&str], prefix: &str) -> Result<Vec<JobId>, Failure> {
    let by = match prefix.split_once('/') {
        Some((name, _)) => Some(By::Definition(Pattern::Exact(name.to_owned()))),
        None if prefix.is_empty() => None,
        None => Some(By::Definition(Pattern::Prefix(prefix.to_owned()))),
    };
    let of_each = (LOOKED_AT / queues.len().max(1)).max(OF_EACH);
    let mut all = Vec::new();
    for queue in queues {
        let scope = Scope::Queue((*queue).to_owned());
        let mut ids = Vec::new();
        // An array job is PENDING as long as its children run.
        for state in [BEGUN[0], JobState::Pending, BEGUN[1], BEGUN[2]] {
            for (id, is_array) in some(store, &scope, state, by.clone(), of_each - ids.len()).await? {
                if is_array {
                    ids.extend(children(store, id.job, of_each.saturating_sub(ids.len())).await?);
                } else if state != JobState::Pending {
                    ids.push(id);
                }
            }
            ids.truncate(of_each);
        }
        all.extend(ids);
    }
    Ok(all)
}

/// A job, or the children of an array job.
pub(super) async fn of_job(store: &Store, job: Uuid) -> Result<Vec<JobId>, Failure> {
    let mut ids = vec![JobId::new(job)];
    ids.extend(children(store, job, LOOKED_AT).await?);
    Ok(ids)
}

async fn children(store: &Store, array: Uuid, most: usize) -> Result<Vec<JobId>, Failure> {
    let mut ids = Vec::new();
    for state in BEGUN {
        let found = some(store, &Scope::Children(array), state, None, most - ids.len()).await?;
        ids.extend(found.into_iter().map(|(id, _)| id));
    }
    Ok(ids)
}

/// The first of a list, and whether they are array jobs.
async fn some(
    store: &Store,
    scope: &Scope,
    state: JobState,
    by: Option<By>,
    most: usize,
) -> Result<Vec<(JobId, bool)>, Failure> {
    let filter = Filter { scope: scope.clone(), state: Some(state), by };
    let (mut found, mut after) = (Vec::new(), None);
    while found.len() < most {
        let size = u32::try_from(AT_ONCE.min(most - found.len())).unwrap_or(u32::MAX);
        let page = store.list(&filter, after.as_deref(), size).await?;
        found.extend(page.items.iter().map(|kept| {
            let id = kept.record.id;
            (id, kept.spec.array_size.is_some() && id.child.is_none())
        }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}
