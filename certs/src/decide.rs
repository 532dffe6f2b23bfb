//! What the leader issues next.
//!
//! The life of a CA: made → stands in every bundle and settles → signs leaves, once the older one is past two thirds of its
//! life → past two thirds itself it stops signing as soon as the other can → its last leaf is replaced and that settles →
//! replaced. Ends of life are staggered, so that only one of the two is on the way out.
//!
//! Invariant: one step at a time, each safe to be the last one for a long while. It does not know how certificates are made
//! or stored.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::{
    config::Times,
    examine::{Ca, Flaw, Leaf, Stored},
    memory::Settled,
};

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// All is well.
    Nothing,
    /// No CA can sign: both CAs and the leaf are made anew.
    Everything { why: Why },
    /// A leaf is made by this CA.
    Leaf { signer: usize, why: Why },
    /// This CA is made anew; the leaf stays.
    Ca { slot: usize, life: Duration, why: Why },
}

/// The reason of a step, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    First,
    NoSigner,
    Broken(Flaw),
    NoKey,
    NotValidNow,
    Due,
    SignerLeaves,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("there is nothing yet"),
            Self::NoSigner => f.write_str("no CA is valid and able to sign"),
            Self::Broken(flaw) => write!(f, "it cannot be used: {flaw}"),
            Self::NoKey => f.write_str("its private key is missing or does not belong to it"),
            Self::NotValidNow => f.write_str("it is not valid at this time"),
            Self::Due => f.write_str("two thirds of its life are over"),
            Self::SignerLeaves => f.write_str("its CA is about to be replaced"),
        }
    }
}

/// Decides for what is `stored` (nothing: no Secret) at `now`.
pub(crate) fn decide(stored: Option<&Stored>, settled: Settled, now: Timestamp, times: &Times) -> Action {
    let Some(stored) = stored else {
        return Action::Everything { why: Why::First };
    };
    let leaf = match unusable(stored, now) {
        Ok(leaf) => leaf,
        Err(why) => return urgent_leaf(stored, settled, now, why),
    };
    if let Some(action) = better_leaf(stored, leaf, settled, now, times) {
        return action;
    }
    replaced_ca(stored, leaf, settled, now, times).unwrap_or(Action::Nothing)
}

fn can_sign(ca: &Result<Ca, Flaw>, now: Timestamp) -> bool {
    ca.as_ref().is_ok_and(|ca| ca.can_sign && ca.certificate.is_valid(now))
}

/// A CA on its way out: it may still be trusted but should sign nothing more.
fn leaves(ca: &Result<Ca, Flaw>, now: Timestamp) -> Option<Why> {
    match ca {
        Err(flaw) => Some(Why::Broken(flaw.clone())),
        Ok(ca) if !ca.can_sign => Some(Why::NoKey),
        Ok(ca) if !ca.certificate.is_valid(now) => Some(Why::NotValidNow),
        Ok(ca) if ca.certificate.is_due(now) => Some(Why::Due),
        Ok(_) => None,
    }
}

/// The leaf, or why nobody can accept it.
fn unusable(stored: &Stored, now: Timestamp) -> Result<&Leaf, Why> {
    let leaf = stored.leaf.as_ref().map_err(|flaw| Why::Broken(flaw.clone()))?;
    let signer_valid = stored.cas[leaf.signer].as_ref().is_ok_and(|ca| ca.certificate.is_valid(now));
    if leaf.certificate.is_valid(now) && signer_valid { Ok(leaf) } else { Err(Why::NotValidNow) }
}

/// Nothing can get worse: the best CA signs, settled or not.
fn urgent_leaf(stored: &Stored, settled: Settled, now: Timestamp, why: Why) -> Action {
    let rank = |slot: &usize| {
        let ca = &stored.cas[*slot];
        (!settled.cas[*slot], leaves(ca, now).is_some(), end(ca))
    };
    match [0, 1].into_iter().filter(|slot| can_sign(&stored.cas[*slot], now)).min_by_key(rank) {
        Some(signer) => Action::Leaf { signer, why },
        None => Action::Everything { why: Why::NoSigner },
    }
}

/// The leaf is fine but should be renewed, or signed by the CA that stays.
fn better_leaf(stored: &Stored, leaf: &Leaf, settled: Settled, now: Timestamp, times: &Times) -> Option<Action> {
    let due = leaf.certificate.is_due(now);
    let signer_leaves = leaves(&stored.cas[leaf.signer], now).is_some();
    if !due && !signer_leaves {
        return None;
    }
    let why = if due { Why::Due } else { Why::SignerLeaves };
    // The older one signs, so that the younger is well known by the time it has to.
    let staying = [0, 1]
        .into_iter()
        .filter(|slot| settled.cas[*slot] && leaves(&stored.cas[*slot], now).is_none())
        .min_by_key(|slot| end(&stored.cas[*slot]));
    match staying {
        Some(signer) => Some(Action::Leaf { signer, why }),
        // The other CA has not settled yet. The one that leaves may sign once more, if that gains any time: a leaf never
        // outlives its CA, and renewing one without gain would be repeated faster and faster.
        None if due && can_sign(&stored.cas[leaf.signer], now) => {
            let new_end = after(now, times.leaf_life).min(end(&stored.cas[leaf.signer]));
            let gain = new_end.duration_since(leaf.certificate.not_after);
            let enough = gain.is_positive() && gain.unsigned_abs() > times.leaf_life / 12;
            enough.then_some(Action::Leaf { signer: leaf.signer, why })
        }
        None => None,
    }
}

/// A CA on its way out is replaced once nobody serves a leaf it has signed.
fn replaced_ca(stored: &Stored, leaf: &Leaf, settled: Settled, now: Timestamp, times: &Times) -> Option<Action> {
    let slot = 1 - leaf.signer;
    let why = leaves(&stored.cas[slot], now)?;
    // What cannot even be trusted has nothing to wait for.
    if stored.cas[slot].is_ok() && !settled.leaf {
        return None;
    }
    Some(Action::Ca { slot, life: staggered(times.ca_life, end(&stored.cas[leaf.signer]), now), why })
}

/// Half a life when the other CA would end at about the same time.
pub(crate) fn staggered(life: Duration, other_end: Timestamp, now: Timestamp) -> Duration {
    let apart = after(now, life).duration_since(other_end).unsigned_abs();
    if apart < life / 6 { life / 2 } else { life }
}

fn after(now: Timestamp, life: Duration) -> Timestamp {
    now.checked_add(life).unwrap_or(Timestamp::MAX)
}

fn end(ca: &Result<Ca, Flaw>) -> Timestamp {
    ca.as_ref().map_or(Timestamp::MIN, |ca| ca.certificate.not_after)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
