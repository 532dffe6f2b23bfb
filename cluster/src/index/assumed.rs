//! What our own writes changed that the watches have not shown yet.
//!
//! Invariant: an assumption ends when the watch shows it, when its object is gone, or after [`LIFETIME`], so a wrong one cannot
//! last. Does not know whether a write succeeded: whoever wrote says so.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use model::status::Status;

/// Above the time that a watch takes to show a write, even when it has to start again; below the time at which a unit that hangs
/// would be noticed by people.
const LIFETIME: SignedDuration = SignedDuration::from_secs(30);

/// What is assumed about pods and Jobs, by UID.
#[derive(Debug, Default)]
pub(super) struct Assumed {
    pods: HashMap<String, Entry<Placed>>,
    released: HashMap<String, Entry<()>>,
    status: HashMap<String, Entry<Status>>,
}

#[derive(Debug)]
struct Entry<T> {
    until: Timestamp,
    what: T,
}

impl<T> Entry<T> {
    fn new(what: T, now: Timestamp) -> Self {
        Self { until: now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX), what }
    }
}

/// Where we put a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// On this node.
    Bound(String),
    /// With kube-scheduler, which may choose among these nodes.
    Held(Vec<String>),
}

impl Assumed {
    pub(super) fn bound(&mut self, pod: &str, node: &str, now: Timestamp) {
        self.pods.insert(pod.to_owned(), Entry::new(Placed::Bound(node.to_owned()), now));
    }

    pub(super) fn held(&mut self, pod: &str, nodes: &[String], now: Timestamp) {
        self.pods.insert(pod.to_owned(), Entry::new(Placed::Held(nodes.to_vec()), now));
    }

    pub(super) fn released(&mut self, job: &str, now: Timestamp) {
        self.released.insert(job.to_owned(), Entry::new((), now));
    }

    pub(super) fn status(&mut self, job: &str, status: &Status, now: Timestamp) {
        self.status.insert(job.to_owned(), Entry::new(status.clone(), now));
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.released.remove(uid);
        self.status.remove(uid);
    }

    /// Drops what is too old and what `shown` says is no longer news.
    pub(super) fn settle(&mut self, now: Timestamp, shown: &impl Shown) {
        self.pods.retain(|uid, entry| entry.until > now && !shown.pod(uid, &entry.what));
        self.released.retain(|uid, entry| entry.until > now && !shown.release(uid));
        self.status.retain(|uid, entry| entry.until > now && !shown.status(uid, &entry.what));
    }

    pub(super) fn of_pod(&self, uid: &str) -> Option<&Placed> {
        self.pods.get(uid).map(|entry| &entry.what)
    }

    pub(super) fn is_released(&self, uid: &str) -> bool {
        self.released.contains_key(uid)
    }

    pub(super) fn status_of(&self, uid: &str) -> Option<&Status> {
        self.status.get(uid).map(|entry| &entry.what)
    }
}

/// What the watches show by now, or can no longer show because the object is gone.
pub(super) trait Shown {
    /// Whether a pod was seen where it was put, or further on.
    fn pod(&self, uid: &str, placed: &Placed) -> bool;
    /// Whether a Job was seen released.
    fn release(&self, uid: &str) -> bool;
    /// Whether a Job was seen with this status.
    fn status(&self, uid: &str, status: &Status) -> bool;
}
