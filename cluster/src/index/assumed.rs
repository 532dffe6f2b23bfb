//! What our own writes changed that the watches have not shown yet.
//!
//! Invariant: an assumption ends when the watch shows it or its object is gone. After [`LIFETIME`] one about a Job ends, and one about a pod is
//! to be looked up, because its room is given to somebody else when it ends: so a wrong one cannot last, however long a watch is silent.
//! Does not know whether a write succeeded: whoever wrote says so.

use std::collections::HashMap;
use std::time::Duration;

use model::clock::Moment;
use model::status::Status;

/// Above the time that a watch takes to show a write, even when it has to start again; below the time at which a unit that hangs
/// would be noticed by people.
const LIFETIME: Duration = Duration::from_secs(30);
/// Pods that are looked up at the same time, and when one of which nothing was learned is looked up again.
const MOST: usize = 32;
const AGAIN: Duration = Duration::from_secs(5);
/// kube-scheduler does not say which hold it refused, so a refusal that was there before counts again only after this time:
/// above the back-off in its configuration (`podMaxBackoffSeconds`), after which it has tried the new hold.
const DOUBT: Duration = Duration::from_secs(3);

/// What is assumed about pods and Jobs, by UID.
#[derive(Debug, Default)]
pub(super) struct Assumed {
    pods: HashMap<String, Entry<AssumedPlace>>,
    released: HashMap<String, Entry<()>>,
    status: HashMap<String, Entry<Status>>,
}

#[derive(Debug)]
struct Entry<T> {
    since: Moment,
    what: T,
    asked: Option<Moment>,
}

impl<T> Entry<T> {
    fn new(what: T, now: Moment) -> Self {
        Self { since: now, what, asked: None }
    }

    fn lives(&self, now: Moment) -> bool {
        self.after(LIFETIME) > now
    }

    fn after(&self, time: Duration) -> Moment {
        self.since.plus(time)
    }
}

/// Where we put a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AssumedPlace {
    /// On this node.
    Bound(String),
    /// With kube-scheduler, which may choose among these nodes.
    Held {
        /// Names of the nodes.
        nodes: Vec<String>,
        /// There was a hold before: a refusal may be of that one.
        again: bool,
    },
}

impl Entry<AssumedPlace> {
    /// Until when a refusal may be of the hold before.
    fn doubt(&self) -> Option<Moment> {
        matches!(self.what, AssumedPlace::Held { again: true, .. }).then(|| self.after(DOUBT))
    }
}

impl Assumed {
    pub(super) fn bound(&mut self, pod: &str, node: &str, now: Moment) {
        self.pods.insert(pod.to_owned(), Entry::new(AssumedPlace::Bound(node.to_owned()), now));
    }

    pub(super) fn held(&mut self, pod: &str, nodes: &[String], again: bool, now: Moment) {
        self.pods.insert(pod.to_owned(), Entry::new(AssumedPlace::Held { nodes: nodes.to_vec(), again }, now));
    }

    pub(super) fn released(&mut self, job: &str, now: Moment) {
        self.released.insert(job.to_owned(), Entry::new((), now));
    }

    pub(super) fn status(&mut self, job: &str, status: &Status, now: Moment) {
        self.status.insert(job.to_owned(), Entry::new(status.clone(), now));
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.released.remove(uid);
        self.status.remove(uid);
    }

    /// UIDs of pods of which the watch has shown nothing for so long that they are to be looked up, a few at a time.
    pub(super) fn unseen(&mut self, now: Moment) -> Vec<String> {
        let due = self
            .pods
            .iter_mut()
            .filter(|(_, entry)| !entry.lives(now) && entry.asked.is_none_or(|last| now.since(last) >= AGAIN));
        let ask = |(uid, entry): (&String, &mut Entry<AssumedPlace>)| {
            entry.asked = Some(now);
            uid.clone()
        };
        due.take(MOST).map(ask).collect()
    }

    /// Drops what is too old and what `shown` says is no longer news. Returns of which pods and Jobs, the pods with where they were put.
    pub(super) fn settle(&mut self, now: Moment, shown: &impl Shown) -> (Vec<(String, AssumedPlace)>, Vec<String>) {
        let over = |uid: &String, entry: &mut Entry<AssumedPlace>| match shown.pod(uid, &entry.what) {
            Seen::NotYet => false,
            Seen::Refused => entry.doubt().is_none_or(|end| end <= now),
            Seen::Yes => true,
        };
        let pods = self.pods.extract_if(over).map(|(uid, entry)| (uid, entry.what)).collect();
        let released = self.released.extract_if(|uid, entry| !entry.lives(now) || shown.release(uid));
        let mut jobs: Vec<String> = released.map(|(uid, _)| uid).collect();
        let status = self.status.extract_if(|uid, entry| !entry.lives(now) || shown.status(uid, &entry.what));
        jobs.extend(status.map(|(uid, _)| uid));
        (pods, jobs)
    }

    /// When the next refusal counts again that is not believed yet.
    pub(super) fn next_doubt(&self, now: Moment) -> Option<Moment> {
        self.pods.values().filter_map(Entry::doubt).filter(|end| *end > now).min()
    }

    pub(super) fn of_pod(&self, uid: &str) -> Option<&AssumedPlace> {
        self.pods.get(uid).map(|entry| &entry.what)
    }

    /// UIDs of the pods that we put on a node.
    pub(super) fn bound_to<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a str> {
        self.bound_pods().filter(move |(_, to)| *to == node).map(|(uid, _)| uid)
    }

    /// UIDs of all pods that we put on a node, with its name.
    pub(super) fn bound_pods(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pods.iter().filter_map(|(uid, entry)| match &entry.what {
            AssumedPlace::Bound(node) => Some((uid.as_str(), node.as_str())),
            AssumedPlace::Held { .. } => None,
        })
    }

    pub(super) fn is_released(&self, uid: &str) -> bool {
        self.released.contains_key(uid)
    }

    pub(super) fn status_of(&self, uid: &str) -> Option<&Status> {
        self.status.get(uid).map(|entry| &entry.what)
    }
}

/// How much of where a pod was put the watch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing.
    NotYet,
    /// The hold, and a refusal that may be of the hold before.
    Refused,
    /// It is where it was put, or further on, or gone.
    Yes,
}

/// What the watches show by now, or can no longer show because the object is gone.
pub(super) trait Shown {
    /// Whether a pod was seen where it was put, or further on.
    fn pod(&self, uid: &str, placed: &AssumedPlace) -> Seen;
    /// Whether a Job was seen released.
    fn release(&self, uid: &str) -> bool;
    /// Whether a Job was seen with this status.
    fn status(&self, uid: &str, status: &Status) -> bool;
}
