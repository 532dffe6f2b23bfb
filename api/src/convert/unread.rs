//! What is kept of a pod that cannot be read as a whole: it grew too large, or has a field that nobody here knows.
//!
//! Invariant: it takes at least the room that it took while it could be read; where that is not known, its node counts as full. Nobody
//! dispatches it. Does not know what the index holds.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use model::job::{ContainerFacts, PodFacts};
use model::snapshot::Place;

use super::Problems;
use super::pod::{WatchedPod, pod};

/// What is kept of a pod of which only this could be read. `known`: what was kept of it before.
pub fn unread(remains: &Pod, known: Option<&WatchedPod>, facts: Option<&PodFacts>) -> WatchedPod {
    let mut seen = pod(remains, &mut Problems::new());
    // Without containers it is not known what they request.
    seen.fills_node = remains.spec.as_ref().is_none_or(|spec| spec.containers.is_empty());
    let mut kept = known.map_or_else(|| seen.clone(), |known| with_news(known, &seen));
    let on_node = kept.node.is_some();
    if let Some(queued) = &mut kept.queued {
        let stays = |place: &Place| match place {
            Place::Bound { .. } => on_node,
            // kube-scheduler has it all the same.
            Place::Held { .. } => known.is_some() && !on_node && !kept.terminating,
            Place::Waiting => false,
        };
        queued.place = queued.place.take().filter(stays);
    }
    kept.attempt = seen.attempt.map(|seen| Arc::new(with_last(PodFacts::clone(&seen), facts)));
    kept
}

/// What was known, and what can still be seen of what has come of it.
fn with_news(known: &WatchedPod, seen: &WatchedPod) -> WatchedPod {
    // Of one that waited and was barred nothing is known.
    let is_known = seen.fills_node && !known.queued.as_ref().is_some_and(|queued| queued.barred);
    let measured = if is_known { known } else { seen };
    let place = |seen: &WatchedPod| seen.queued.as_ref().and_then(|queued| queued.place.clone());
    let bound = |seen: &WatchedPod| place(seen).filter(|place| matches!(place, Place::Bound { .. }));
    let mut kept = WatchedPod {
        ended: seen.ended.or(known.ended),
        node: seen.node.clone().or_else(|| known.node.clone()),
        unlabelled: seen.unlabelled.clone(),
        terminating: seen.terminating || known.terminating,
        dispatched: seen.dispatched.clone().or_else(|| known.dispatched.clone()),
        requests: measured.requests.clone(),
        fills_node: measured.fills_node,
        ..known.clone()
    };
    if let Some(queued) = &mut kept.queued {
        // Of one that ran, its status may be what cannot be read.
        let ran = |place: &Place| matches!(place, Place::Bound { running: true, .. });
        queued.place = place(known).filter(ran).or_else(|| bound(seen)).or_else(|| place(known));
    }
    kept
}

/// What is seen of an attempt; what its containers did last, if that is not, and that it is kept until somebody sees that it is not.
fn with_last(seen: PodFacts, known: Option<&PodFacts>) -> PodFacts {
    let Some(known) = known else { return seen };
    let or =
        |seen: Vec<ContainerFacts>, known: &Vec<ContainerFacts>| if seen.is_empty() { known.clone() } else { seen };
    PodFacts {
        containers: or(seen.containers, &known.containers),
        init_containers: or(seen.init_containers, &known.init_containers),
        kept: seen.kept || known.kept,
        node: seen.node.or_else(|| known.node.clone()),
        deleting: known.deleting.or(seen.deleting),
        ..seen
    }
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
