//! The Jobs whose pods the cluster refuses.
//!
//! Invariant: a refusal counts until a pod has been made after it, the Job was started anew, or its Event is gone. That it is not repeated says
//! nothing: of an object with many Events client-go sends one in five minutes. Does not decide what is done about it.

use std::collections::HashMap;

use api::convert::refusal::Refusal;

use super::table::Table;

/// The latest refusal of a pod of each Job, by its namespace and UID.
pub(super) fn latest(refusals: &Table<Refusal>) -> HashMap<(&str, &str), &Refusal> {
    let mut latest: HashMap<(&str, &str), &Refusal> = HashMap::new();
    for refusal in refusals.values() {
        let known = latest.entry((refusal.namespace.as_str(), refusal.job.as_str())).or_insert(refusal);
        // Of the same second the same one, whatever the order of events.
        if (known.at, &known.message) < (refusal.at, &refusal.message) {
            *known = refusal;
        }
    }
    latest
}
