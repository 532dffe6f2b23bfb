//! What is known about policies, kind by kind, from the events of their watches.
//!
//! Invariant: a kind counts as yes for everybody until it was listed or found absent; a relist is taken over as a whole.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::watcher::Event;

use super::Kind;

/// Namespace (none: it is for the whole cluster) and name of a policy.
pub(super) type Policy = (Option<String>, String);

/// What is known about all kinds.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<Kind, Seen>);

#[derive(Debug, Default)]
struct Seen {
    asked: bool,
    /// `None`: nobody has said yet.
    there: Option<BTreeSet<Policy>>,
    relisted: BTreeSet<Policy>,
}

impl Known {
    pub(super) fn nothing(kinds: &[Kind]) -> Self {
        Self(kinds.iter().map(|kind| (*kind, Seen::default())).collect())
    }

    pub(super) fn may_apply(&self, namespace: &str) -> bool {
        self.0.values().any(|seen| {
            let Some(there) = &seen.there else { return true };
            there.iter().any(|(of, _)| of.as_deref().is_none_or(|of| of == namespace))
        })
    }

    /// Whether every kind was asked for, successfully or not.
    pub(super) fn all_asked(&self) -> bool {
        self.0.values().all(|seen| seen.asked)
    }

    /// The cluster does not have this kind.
    pub(super) fn absent(&mut self, kind: Kind) {
        self.0.insert(kind, Seen { asked: true, there: Some(BTreeSet::new()), relisted: BTreeSet::new() });
    }

    /// It cannot be asked for now. What was known before goes on.
    pub(super) fn failed(&mut self, kind: Kind) {
        self.0.entry(kind).or_default().asked = true;
    }

    pub(super) fn take(&mut self, kind: Kind, event: Event<Policy>) {
        let seen = self.0.entry(kind).or_default();
        match event {
            Event::Init => seen.relisted.clear(),
            Event::InitApply(policy) => drop(seen.relisted.insert(policy)),
            Event::InitDone => {
                seen.there = Some(std::mem::take(&mut seen.relisted));
                seen.asked = true;
            }
            Event::Apply(policy) => drop(seen.there.get_or_insert_default().insert(policy)),
            Event::Delete(policy) => drop(seen.there.as_mut().is_some_and(|there| there.remove(&policy))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

    const CORE: Kind = KINDS[0];
    const GLOBAL: Kind = KINDS[1];

    fn policy(namespace: Option<&str>, name: &str) -> Policy {
        (namespace.map(str::to_owned), name.to_owned())
    }

    /// Everything is listed, and there is nothing.
    fn empty() -> Known {
        let mut known = Known::nothing(&[CORE, GLOBAL]);
        known.take(CORE, Event::Init);
        known.take(CORE, Event::InitDone);
        known.absent(GLOBAL);
        known
    }

    #[test]
    fn what_is_not_known_counts_as_yes() {
        let mut known = Known::nothing(&[CORE, GLOBAL]);
        assert!(known.may_apply("a"));
        known.take(CORE, Event::Init);
        known.take(CORE, Event::InitDone);
        assert!(known.may_apply("a") && !known.all_asked(), "the other kind is not known");
        known.failed(GLOBAL);
        assert!(known.may_apply("a") && known.all_asked(), "to have asked is not to know");
        known.absent(GLOBAL);
        assert!(!known.may_apply("a"));
        known.failed(GLOBAL);
        assert!(!known.may_apply("a"), "what was known goes on");
    }

    #[test]
    fn one_in_a_namespace_counts_there_and_one_for_the_cluster_everywhere() {
        let mut known = empty();
        known.take(CORE, Event::Apply(policy(Some("a"), "x")));
        assert!(known.may_apply("a") && !known.may_apply("b"));
        known.take(GLOBAL, Event::Apply(policy(None, "x")));
        assert!(known.may_apply("b"));
        known.take(GLOBAL, Event::Delete(policy(None, "x")));
        known.take(CORE, Event::Delete(policy(Some("a"), "x")));
        assert!(!known.may_apply("a") && !known.may_apply("b"));
    }

    #[test]
    fn a_relist_is_taken_over_as_a_whole_and_a_kind_that_goes_takes_its_objects_along() {
        let mut known = empty();
        known.take(CORE, Event::Apply(policy(Some("a"), "x")));
        known.take(CORE, Event::Init);
        assert!(known.may_apply("a"), "a list that only begins proves nothing");
        known.take(CORE, Event::InitApply(policy(Some("b"), "y")));
        assert!(known.may_apply("a") && !known.may_apply("b"));
        known.take(CORE, Event::InitDone);
        assert!(!known.may_apply("a") && known.may_apply("b"));
        known.absent(CORE);
        assert!(!known.may_apply("b"));
    }
}
