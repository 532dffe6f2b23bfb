//! The Jobs whose pods the cluster refuses.
//!
//! Invariant: a refusal counts until a pod has been made after it, the Job was started anew, or its Event is gone. That it is not repeated says
//! nothing: of an object with many Events client-go sends one in five minutes. Does not decide what is done about it.

use std::collections::HashMap;

use api::convert::refusal::Refusal;
use model::snapshot::{Job, Unit};

use super::table::Table;

/// Notes on each Job why the cluster refuses its pods, if it does. When Jobs were started is as the cluster says it.
pub(super) fn note(jobs: &mut [Job], refusals: &Table<Refusal>, units: &[Unit]) {
    let mut latest: HashMap<(&str, &str), &Refusal> = HashMap::new();
    for refusal in refusals.values() {
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
        let said = latest.get(&(job.key.namespace.as_str(), job.uid.as_str()));
        let said = said.filter(|refusal| job.started.is_none_or(|started| refusal.at >= started));
        job.refusal = said.map(|refusal| refusal.message.clone());
    }
}
