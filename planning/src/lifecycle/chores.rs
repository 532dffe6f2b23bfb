//! Which duties to pods are carried out in one cycle.
//!
//! Invariant: no kind of duty keeps another from its turn, and none takes more than a part of a cycle; a pod whose log is promised stays
//! until then. Does not know how duties are carried out.

use std::sync::Arc;

use model::clock::Moment;
use model::job::PodFacts;

use super::Duty;

/// Pods of a kind at most in one cycle; the next follows at once.
const MOST: usize = 500;

/// What is due to pods now.
#[derive(Debug, Default)]
pub struct Chores<'a> {
    /// Whom, and what.
    pub due: Vec<(&'a Arc<PodFacts>, Duty)>,
    /// When time alone makes more of it.
    pub next: Option<Moment>,
}

/// Whether nothing is to be done to a pod any more but to delete it, once its log is not promised any longer.
pub fn is_left(pod: &PodFacts) -> bool {
    pod.ended() && !pod.kept && pod.deleting.is_none()
}

/// What is due to pods now, each with its duty, and the moment until which the log is promised of one that [`is_left`]. `may` says whether
/// something may be done now, and is asked only if it will be.
pub fn chores<'a>(
    pods: impl IntoIterator<Item = (&'a Arc<PodFacts>, Duty, Option<Moment>)>,
    now: Moment,
    mut may: impl FnMut(&PodFacts, Duty) -> bool,
) -> Chores<'a> {
    let mut chores = Chores::default();
    let (mut unwanted, mut released, mut old) = (0, 0, 0);
    for (pod, duty, promised) in pods {
        let (duty, count) = match (duty, promised) {
            (Duty::Delete, _) => (duty, Some(&mut unwanted)),
            (Duty::Release, _) => (duty, Some(&mut released)),
            (Duty::Hold, _) => (duty, None),
            (Duty::Nothing, Some(until)) if until > now => {
                chores.next = Some(chores.next.map_or(until, |next| next.min(until)));
                continue;
            }
            (Duty::Nothing, Some(_)) => (Duty::Delete, Some(&mut old)),
            (Duty::Nothing | Duty::Create, _) => continue,
        };
        if count.as_ref().is_some_and(|count| **count >= MOST) || !may(pod, duty) {
            continue;
        }
        if let Some(count) = count {
            *count += 1;
        }
        chores.due.push((pod, duty));
    }
    chores
}
