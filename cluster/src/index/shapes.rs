//! What the pods of queues need, each shape once; of those that wait in one namespace not more than it may have.
//!
//! Invariant: what is kept for the waiting pods of a namespace stays below its limit, however many there are; a pod that was turned away is
//! asked for again when half of that is free. Does not know a pod.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::placement::Shape;

/// The shapes that somebody has.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// Of pods that wait, by namespace.
    waiting: HashMap<String, Held>,
    /// Of the others, which are as few as their nodes take.
    others: HashSet<Arc<Shape>>,
}

#[derive(Debug, Default)]
struct Held {
    /// With its bytes.
    shapes: HashMap<Arc<Shape>, usize>,
    bytes: usize,
    turned_away: bool,
}

impl Shapes {
    /// Keeps what a pod needs that waits. `None`: its namespace has too much already.
    pub(super) fn keep(
        &mut self,
        namespace: &str,
        shape: &Arc<Shape>,
        bytes: usize,
        limit: usize,
    ) -> Option<Arc<Shape>> {
        let held = self.waiting.entry(namespace.to_owned()).or_default();
        if let Some((known, _)) = held.shapes.get_key_value(shape) {
            return Some(known.clone());
        }
        if held.bytes.saturating_add(bytes) > limit {
            held.turned_away = true;
            return None;
        }
        held.bytes += bytes;
        held.shapes.insert(shape.clone(), bytes);
        Some(shape.clone())
    }

    /// What another pod needs, as it is kept.
    pub(super) fn share(&mut self, shape: &Arc<Shape>) -> Arc<Shape> {
        if let Some(known) = self.others.get(shape) {
            return known.clone();
        }
        self.others.insert(shape.clone());
        shape.clone()
    }

    /// Drops what nobody has any more. Returns whether those that were turned away are to be shown again.
    pub(super) fn settle(&mut self, limit: usize) -> bool {
        self.others.retain(|shape| Arc::strong_count(shape) > 1);
        let mut again = false;
        for held in self.waiting.values_mut() {
            held.shapes.retain(|shape, _| Arc::strong_count(shape) > 1);
            held.bytes = held.shapes.values().sum();
            if held.turned_away && held.bytes <= limit / 2 {
                held.turned_away = false;
                again = true;
            }
        }
        self.waiting.retain(|_, held| held.turned_away || !held.shapes.is_empty());
        again
    }
}
