//! How much is still to be placed, by class: whoever launches a machine chooses it for all that may use it.
//!
//! Invariant: as if everything that waits had been counted before the plan, and each taken off once it was looked at, or passed over because it
//! sleeps; nothing is counted before somebody asks. Knows nothing about room.

use model::snapshot::Queue;

use super::Cycle;
use crate::world::board::Precedence;
use crate::world::class::ClassId;
use crate::world::lines::Line;

/// Units, by class.
pub(super) struct Pending {
    /// All that waited.
    all: Vec<u64>,
    /// Those of them that are not to be placed any more.
    gone: Vec<u64>,
    /// The queue that is served.
    at: Option<Precedence>,
    /// The queue up to which those that sleep are taken off, once somebody has asked.
    passed: Option<Precedence>,
    is_counted: bool,
}

impl Pending {
    pub(super) fn new(classes: usize) -> Self {
        Self { all: Vec::new(), gone: vec![0; classes], at: None, passed: None, is_counted: false }
    }

    /// So many of a class are no longer to be placed.
    pub(super) fn less(&mut self, class: ClassId, size: u64) {
        self.gone[class.index()] = self.gone[class.index()].saturating_add(size);
    }

    /// The queue that is served.
    pub(super) fn at(&self) -> Option<&Precedence> {
        self.at.as_ref()
    }

    /// Another queue is served.
    pub(super) fn serve(&mut self, at: &Precedence) {
        self.at = Some(at.clone());
    }
}

impl<'w> Cycle<'w, '_> {
    /// How many units of a class are still to be placed.
    pub(super) fn pending(&mut self, class: ClassId) -> u64 {
        if !self.pending.is_counted {
            self.pending.all = self.count();
            self.pending.is_counted = true;
        }
        self.pass();
        let Pending { all, gone, .. } = &self.pending;
        all[class.index()].saturating_sub(gone[class.index()])
    }

    /// Counts all that waits.
    fn count(&self) -> Vec<u64> {
        let mut all = vec![0; self.facts.classes.len()];
        for at in self.board.order() {
            let Some((queue, line)) = self.line(at) else { continue };
            let environments = if self.facts.closed.is_empty() { Vec::new() } else { self.environments(queue) };
            for (key, lane) in &line.lanes {
                if self.open_to(&environments, key.door).is_some_and(|own| own.iter().all(Result::is_err)) {
                    continue;
                }
                all[key.class.index()] += lane.size.saturating_sub(self.left_out.size(&queue.name, *key));
            }
        }
        all
    }

    /// Takes off what sleeps in queues whose turn has come.
    fn pass(&mut self) {
        let Some(at) = self.pending.at.clone().filter(|at| self.pending.passed.as_ref() != Some(at)) else { return };
        let passed = self.pending.passed.replace(at.clone());
        for queue in self.board.between(passed.as_ref(), &at) {
            let Some((_, line)) = self.line(queue).filter(|(queue, _)| !self.left_out.is_of(&queue.name)) else {
                continue;
            };
            // The first of those that sleep is looked at beside those that are awake.
            let looked_at = line.looked_at().map(|(key, _)| key).find(|key| !line.is_asleep() && !line.is_awake(*key));
            for (key, lane) in line.asleep().filter(|(key, _)| Some(*key) != looked_at) {
                self.pending.less(key.class, lane.size);
            }
        }
    }

    fn line(&self, at: &Precedence) -> Option<(&'w Queue, &'w Line)> {
        let queue: &'w Queue = self.facts.queues.get(&*at.queue)?;
        Some((queue, self.facts.lines.get(&queue.name)?))
    }
}
