//! Reads everything that has not ended, once, when a leader begins.
//!
//! Invariant: the ledger is complete before anything is planned on it. Whatever was under way when the last leader ended is found again
//! here: pods that were to be made are made, and pods that ended are recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cluster::index::Index;
use jiff::{SignedDuration, Timestamp};
use model::clock::Jumps;
use model::job::{Door, JobId, JobRecord, Spec};
use planning::ledger::Ledger;
use planning::lifecycle::patience::Patience;
use records::{Error, Leading, Store, Term};

use super::mirror::Mirror;
use super::refused::Refused;
use super::terms::{self, Terms};
use super::{Open, pods, retention};

/// Jobs that are read at a time: what each asks for is in memory only meanwhile, and may be large.
const PAGE: u32 = 100;
/// Array jobs whose children are counted in one request.
const ARRAYS: usize = 100;

pub(super) async fn open(
    index: Index,
    store: Store,
    term: Term,
    retention: SignedDuration,
    now: Timestamp,
) -> Result<Open, Error> {
    // From here on nobody who led before changes what is read.
    let store = store.lead(&term).await?;
    let news = store.changed();
    let (mut ledger, mut terms, mut mirror) = (Ledger::default(), Terms::default(), Mirror::new(retention));
    let count = take_in(&store, &index, (&mut ledger, &mut terms, &mut mirror), now).await?;
    let outcomes = match ledger.unknown() {
        unknown if unknown.is_empty() => HashMap::new(),
        unknown => store.outcomes(&unknown).await?,
    };
    ledger.consider(&outcomes, now);
    tracing::info!(jobs = count, "the record store is read");
    let retention = retention::start(store.clone(), retention);
    Ok(Open {
        store,
        news,
        ledger,
        hidden: BTreeMap::new(),
        shown: BTreeSet::new(),
        jumps: Jumps::default(),
        terms,
        stale: false,
        reading: None,
        late: false,
        taken: Vec::new(),
        polled: None,
        explained: None,
        pods: Vec::new(),
        patience: Patience::default(),
        strange: HashSet::new(),
        _retention: retention,
        rests_until: None,
        deeds: pods::Deeds::default(),
        refused: Refused::default(),
        mirror,
    })
}

/// Reads everything that has not ended: jobs of the API into the ledger, Jobs into the mirror. Returns how many there are.
async fn take_in(
    store: &Leading,
    index: &Index,
    (ledger, terms, mirror): (&mut Ledger, &mut Terms, &mut Mirror),
    now: Timestamp,
) -> Result<usize, Error> {
    let mut arrays: Vec<JobId> = Vec::new();
    let (mut count, mut last) = (0, None);
    loop {
        let page = store.live(last, PAGE).await?;
        last = page.last().map(|(record, _)| record.id);
        count += page.len();
        let is_last = page.len() < PAGE as usize;
        for (record, spec) in page {
            if spec.door == Door::Job {
                mirror.known(record, &spec);
                continue;
            }
            if record.id.child.is_none() && spec.array_size.is_some() {
                arrays.push(record.id);
            }
            let (spec, shape) = terms.of(index, &spec);
            ledger.take_in(record, &spec, &shape, now);
        }
        if is_last {
            break;
        }
    }
    for some in arrays.chunks(ARRAYS) {
        for kept in store.jobs(some).await? {
            ledger.ended_children(kept.record.id.job, &kept.children.unwrap_or_else(BTreeMap::new));
        }
    }
    Ok(count)
}

/// Everything that has not ended, with no more of what was asked for than its terms are made from.
pub(super) async fn all_lean(store: &Leading) -> Result<Vec<(JobRecord, Arc<Spec>)>, Error> {
    let (mut all, mut last) = (Vec::new(), None);
    loop {
        let page = store.live(last, PAGE).await?;
        last = page.last().map(|(record, _)| record.id);
        let is_last = page.len() < PAGE as usize;
        // The children of an array job share what was asked for.
        let mut shared: Option<(Arc<Spec>, Arc<Spec>)> = None;
        for (record, spec) in page {
            let lean = match &shared {
                Some((whole, lean)) if Arc::ptr_eq(whole, &spec) => lean.clone(),
                _ => Arc::new(terms::lean(&spec)),
            };
            shared = Some((spec, lean.clone()));
            all.push((record, lean));
        }
        if is_last {
            return Ok(all);
        }
    }
}
