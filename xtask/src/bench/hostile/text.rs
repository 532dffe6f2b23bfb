//! What a hostile namespace took, as text, and whether that is too much. Decides only.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::machine::Resident;
use super::super::numbers::grouped;
use super::sample::CHILDREN;

/// Jobs of the API that were not refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) arrays: usize,
    pub(super) unlike: usize,
}

impl Taken {
    /// Those that wait for room and not for others: the children of the first array, and those that are unlike.
    pub(super) fn waiting(self) -> usize {
        CHILDREN + self.unlike
    }
}

/// What the controller took at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) what: &'static str,
    pub(super) memory: Resident,
}

impl Moment {
    /// Said at once: whoever is above the limit may be ended before the next one.
    pub(super) fn noted(what: &'static str, memory: Resident) -> Self {
        eprintln!("{what}: {} MiB, at most {} so far", memory.now >> 10, memory.most >> 10);
        Self { what, memory }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) jobs: usize,
    pub(super) large: usize,
    pub(super) taken: Taken,
    /// In KiB.
    pub(super) limit: u64,
    /// Until a Job of another namespace said why it waits.
    pub(super) honest: Duration,
    pub(super) moments: Vec<Moment>,
}

impl Figures {
    /// Whether it was never more than the limit.
    pub(super) fn is_below(&self) -> bool {
        self.moments.iter().all(|moment| moment.memory.most < self.limit)
    }

    /// The table.
    pub(super) fn text(&self) -> String {
        let Self { jobs, large, taken, limit, honest, moments } = self;
        let mut text = format!(
            "one namespace: {} Jobs, {} large ones; of the API {} arrays of {} and {} jobs, the rest refused\n",
            grouped(*jobs),
            grouped(*large),
            taken.arrays,
            grouped(CHILDREN),
            grouped(taken.unlike),
        );
        let _ = writeln!(text, "  {:<44}{:>10}{:>16}", "controller, resident, MiB", "now", "at most so far");
        for Moment { what, memory } in moments {
            let _ = writeln!(text, "  {what:<44}{:>10}{:>16}", memory.now >> 10, memory.most >> 10);
        }
        let verdict = if self.is_below() { "never reached" } else { "EXCEEDED" };
        let _ = writeln!(text, "  limit: {} MiB, {verdict}; not restarted (both asserted)", limit >> 10);
        let _ = writeln!(text, "  a Job of another namespace says why it waits after {:.1} s", honest.as_secs_f64());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_most_is_judged_at_every_moment() {
        let figures = |most: [u64; 2]| Figures {
            jobs: 10_000,
            large: 1,
            taken: Taken { arrays: 2, unlike: 3 },
            limit: 2048,
            honest: Duration::from_millis(1500),
            moments: most.map(|most| Moment { what: "x", memory: Resident { now: 1, most } }).to_vec(),
        };
        assert!(figures([2047, 1]).is_below() && !figures([2048, 1]).is_below() && !figures([1, 4096]).is_below());
        let text = figures([1, 4096]).text();
        assert!(text.contains("limit: 2 MiB, EXCEEDED") && text.contains("after 1.5 s"), "{text}");
    }
}
