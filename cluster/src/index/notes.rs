//! What no object in the cluster says about machines: offers and setbacks, which the planner must know, losses, and what hinders work on nodes,
//! by environment.
//!
//! Invariant: an environment that nobody asked the provider about says so. Does not speak to providers.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use model::clock::{Moment, Now};
use model::snapshot::{Offer, Setback};

/// How long a list of offers that has become shorter must last to be believed, as one that misses machines must.
const AGREED: Duration = Duration::from_mins(1);
/// How long a provider may be silent until nothing more is expected of it.
const SILENT: Duration = Duration::from_mins(5);

/// Offers and setbacks by object name of the environment.
#[derive(Debug, Default)]
pub(super) struct Launches {
    notes: HashMap<String, Notes>,
    /// Machines that providers have delivered since they last failed, by the key of the provider.
    delivered: HashMap<String, u32>,
    /// By UUID of the environment.
    nodes: BTreeMap<NotesOf, BTreeMap<String, String>>,
}

/// Who notes what hinders work on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotesOf {
    /// Whoever looks after machines.
    Machines,
    /// Whoever marks nodes that users have labelled.
    Labelled,
    /// Whoever looks after pods made for the API.
    Attempts,
}

#[derive(Debug, Default)]
struct Notes {
    offers: Option<Result<Vec<Offer>, String>>,
    /// Names of the offers that were last known.
    sold: Vec<String>,
    /// When one of them was missing first.
    shrank: Option<Moment>,
    /// Since when offers have not been known.
    unknown: Option<Moment>,
    setbacks: Vec<Counted>,
    losses: Option<String>,
}

#[derive(Debug)]
struct Counted {
    setback: Setback,
    until: Moment,
    /// In a row; what failed together counts once.
    failures: u32,
}

impl Notes {
    /// Notes whether less is known to be offered than before.
    fn compare(&mut self, offers: &Result<Vec<Offer>, String>, now: Now) {
        let Ok(offers) = offers else {
            self.unknown.get_or_insert(now.moment);
            return;
        };
        self.unknown = None;
        let sold: Vec<String> = offers.iter().map(|offer| offer.name.clone()).collect();
        if self.sold.iter().any(|name| !sold.contains(name)) {
            self.shrank = Some(now.moment);
        }
        self.sold = sold;
    }
}

impl Launches {
    pub(super) fn set_node_notes(&mut self, of: NotesOf, texts: BTreeMap<String, String>) -> bool {
        let known = self.nodes.entry(of).or_default();
        let changed = *known != texts;
        *known = texts;
        changed
    }

    pub(super) fn node_notes(&self, uuid: &str) -> Option<String> {
        let all: Vec<&str> = self.nodes.values().filter_map(|texts| texts.get(uuid)).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    pub(super) fn set_offers(&mut self, environment: &str, offers: Result<Vec<Offer>, String>, now: Now) -> bool {
        let notes = self.notes.entry(environment.to_owned()).or_default();
        let changed = notes.offers.as_ref() != Some(&offers);
        notes.compare(&offers, now);
        notes.offers = Some(offers);
        changed
    }

    pub(super) fn add_setback(&mut self, environment: &str, setback: Setback, failures: u32, now: Now) {
        let counted = Counted { until: now.moment_of(setback.until), setback, failures };
        let setbacks = &mut self.notes.entry(environment.to_owned()).or_default().setbacks;
        match setbacks.iter_mut().find(|one| one.setback.offer == counted.setback.offer) {
            Some(one) => *one = counted,
            None => setbacks.push(counted),
        }
    }

    pub(super) fn clear_setbacks(&mut self, environment: &str) -> bool {
        let setbacks = self.notes.get_mut(environment).map(|notes| std::mem::take(&mut notes.setbacks));
        setbacks.is_some_and(|setbacks| !setbacks.is_empty())
    }

    /// A provider has delivered a machine.
    pub(super) fn deliver(&mut self, provider: &str) {
        let delivered = self.delivered.entry(provider.to_owned()).or_default();
        *delivered = delivered.saturating_add(1);
    }

    /// A provider has not delivered, and not for want of capacity.
    pub(super) fn distrust(&mut self, provider: &str) {
        self.delivered.insert(provider.to_owned(), 0);
    }

    /// How many machines a provider has delivered since it last failed; what has been delivered before anybody looked is `there`.
    pub(super) fn delivered(&mut self, provider: &str, there: impl FnOnce() -> u32) -> u32 {
        *self.delivered.entry(provider.to_owned()).or_insert_with(there)
    }

    /// What began before a setback was over failed together with what caused it: nothing was launched in between.
    pub(super) fn setback_count(&self, environment: &str, offer: Option<&str>, begun: Moment) -> u32 {
        let setbacks = self.notes.get(environment).map(|notes| notes.setbacks.as_slice()).unwrap_or_default();
        let last = setbacks.iter().find(|one| one.setback.offer.as_deref() == offer);
        last.map_or(1, |last| last.failures.saturating_add(u32::from(begun >= last.until)))
    }

    /// Whether that is news.
    pub(super) fn set_losses(&mut self, environment: &str, losses: Option<String>) -> bool {
        if self.losses(environment) == losses {
            return false;
        }
        self.notes.entry(environment.to_owned()).or_default().losses = losses;
        true
    }

    pub(super) fn losses(&self, environment: &str) -> Option<String> {
        self.notes.get(environment)?.losses.clone()
    }

    /// Drops what is known about an environment that is gone.
    pub(super) fn drop_environment(&mut self, environment: &str) {
        self.notes.remove(environment);
    }

    /// What is offered, and until when more may be in a moment.
    pub(super) fn offers(&mut self, environment: &str, now: Now) -> (Result<Vec<Offer>, String>, Option<Timestamp>) {
        let notes = self.notes.entry(environment.to_owned()).or_default();
        if notes.offers.is_none() {
            notes.unknown.get_or_insert(now.moment);
        }
        let unsettled = notes.unknown.map(|since| since.plus(SILENT)).or(notes.shrank.map(|since| since.plus(AGREED)));
        let until = unsettled.filter(|until| *until > now.moment).map(|until| now.at(until));
        (notes.offers.clone().unwrap_or_else(|| Err("the provider has not answered yet".to_owned())), until)
    }

    /// Setbacks that are not over at `now`, and until when on its clock.
    pub(super) fn setbacks(&self, environment: &str, now: Now) -> Vec<Setback> {
        let setbacks = self.notes.get(environment).map(|notes| notes.setbacks.as_slice()).unwrap_or_default();
        let still = setbacks.iter().filter(|one| one.until > now.moment);
        still.map(|one| Setback { until: now.at(one.until), ..one.setback.clone() }).collect()
    }
}
