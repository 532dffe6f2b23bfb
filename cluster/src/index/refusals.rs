//! The Jobs whose pods the cluster refuses.
//!
//! Invariant: a refusal counts only while it can be of the present: not once a pod has been made after it, and not when it has
//! not been repeated for longer than the Job controller ever pauses. Does not decide what is done about it.

use std::collections::HashMap;

use api::convert::refusal::Refusal;
use jiff::SignedDuration;
use model::clock::Now;
use model::snapshot::{Job, Unit};

use super::ages::Ages;
use super::table::Table;

/// The Job controller tries again at least once a minute; Events are written a little later, and their times are whole seconds.
const REPEATED_WITHIN: SignedDuration = SignedDuration::from_secs(150);

/// Notes on each Job why the cluster refuses its pods, if it does at `now`.
pub(super) fn note(jobs: &mut [Job], refusals: &Table<Refusal>, ages: &mut Ages, units: &[Unit], now: Now) {
    let mut latest: HashMap<(&str, &str), &Refusal> = HashMap::new();
    for (event, refusal) in refusals.iter() {
        if now.wall.duration_since(ages.of(event, refusal.at, now)) >= REPEATED_WITHIN {
            continue;
        }
        let known = latest.entry((refusal.namespace.as_str(), refusal.job.as_str())).or_insert(refusal);
        // Of the same second the same one, whatever the order of events.
        if (known.at, &known.message) < (refusal.at, &refusal.message) {
            *known = refusal;
        }
    }
    if latest.is_empty() {
        return;
    }
    for unit in units {
        let Some(job) = &unit.job else { continue };
        let key = (unit.key.namespace.as_str(), job.uid.as_str());
        if latest.get(&key).is_some_and(|refusal| unit.created > refusal.at) {
            latest.remove(&key);
        }
    }
    for job in jobs {
        job.refusal =
            latest.get(&(job.key.namespace.as_str(), job.uid.as_str())).map(|refusal| refusal.message.clone());
    }
}
