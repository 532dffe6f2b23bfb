//! How much may be stored of jobs that have not ended, and whether another one fits.
//!
//! Invariant: pure. Children of array jobs count like jobs; whoever could never fit is told so, and not to wait. Does not know where the
//! numbers come from (`usage`), nor that there will be other scopes than these: of a queue, of whoever submits.

use std::collections::HashMap;
use std::fmt;

/// Of jobs that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Jobs and children.
    pub jobs: u64,
    /// Bytes of what they ask for, as it is stored; children share their array job's.
    pub bytes: u64,
}

/// Whose jobs are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Everybody's.
    All,
    /// Those whose pods go to this namespace.
    Namespace(String),
}

/// How much may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// For each namespace.
    pub namespace: Amount,
    /// For all together.
    pub all: Amount,
}

/// What of an [`Amount`] is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Jobs and children.
    Jobs,
    /// Bytes.
    Bytes,
}

/// Why a job is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose limit it is.
    pub of: Counted,
    /// What is limited.
    pub measure: Measure,
    /// The limit.
    pub limit: u64,
    /// What there is.
    pub used: u64,
    /// What the job would add.
    pub asked: u64,
}

impl Amount {
    /// More than anybody has.
    pub const MOST: Self = Self { jobs: u64::MAX, bytes: u64::MAX };

    fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Jobs => self.jobs,
            Measure::Bytes => self.bytes,
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { jobs: self.jobs.saturating_add(other.jobs), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self { namespace: Amount { jobs: 100_000, bytes: 64 << 20 }, all: Amount { jobs: 200_000, bytes: 128 << 20 } }
    }
}

impl Quotas {
    /// No limit.
    pub const NONE: Self = Self { namespace: Amount::MOST, all: Amount::MOST };

    /// Whether a job of a namespace fits beside what there is; then it is counted there.
    pub(crate) fn admit(
        &self,
        used: &mut HashMap<Counted, Amount>,
        namespace: &str,
        asked: &Amount,
    ) -> Result<(), Exceeded> {
        let scopes = [(Counted::Namespace(namespace.to_owned()), self.namespace), (Counted::All, self.all)];
        let mut exceeded = Vec::new();
        for (of, limit) in &scopes {
            let there = used.get(of).copied().unwrap_or_default();
            for measure in [Measure::Jobs, Measure::Bytes] {
                let [limit, used, asked] = [limit, &there, asked].map(|it| it.of(measure));
                if used.saturating_add(asked) > limit {
                    exceeded.push(Exceeded { of: of.clone(), measure, limit, used, asked });
                }
            }
        }
        if let Some(at) = exceeded.iter().position(Exceeded::is_for_ever).or((!exceeded.is_empty()).then_some(0)) {
            return Err(exceeded.swap_remove(at));
        }
        for (of, _) in scopes {
            let there = used.entry(of).or_default();
            *there = there.plus(asked);
        }
        Ok(())
    }
}

impl Exceeded {
    /// It would not fit if nothing else were there.
    pub fn is_for_ever(&self) -> bool {
        self.asked > self.limit
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, measure, limit, used, asked } = self;
        match of {
            Counted::All => write!(formatter, "All namespaces together have ")?,
            Counted::Namespace(name) => write!(formatter, "Namespace {name} has ")?,
        }
        match measure {
            Measure::Jobs => {
                write!(
                    formatter,
                    "{used} of at most {limit} jobs that have not ended, children of array jobs counted"
                )?;
            }
            Measure::Bytes => {
                write!(formatter, "{used} of at most {limit} bytes stored for jobs that have not ended")?;
            }
        }
        write!(formatter, "; this one would add {asked}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Quotas =
        Quotas { namespace: Amount { jobs: 100, bytes: 1_000 }, all: Amount { jobs: 150, bytes: 1_500 } };

    fn used(mine: (u64, u64), all: (u64, u64)) -> HashMap<Counted, Amount> {
        let amount = |(jobs, bytes)| Amount { jobs, bytes };
        [(Counted::Namespace("mine".to_owned()), amount(mine)), (Counted::All, amount(all))].into()
    }

    /// What is said, and whether it is for ever.
    fn asks(mine: (u64, u64), all: (u64, u64), asked: (u64, u64)) -> Result<(), (String, bool)> {
        let mut used = used(mine, all);
        let asked = Amount { jobs: asked.0, bytes: asked.1 };
        LIMITS.admit(&mut used, "mine", &asked).map_err(|it| (it.to_string(), it.is_for_ever()))
    }

    #[test]
    fn what_fits_is_taken_and_what_does_not_is_told_why() {
        let jobs = |of: &str, used: u64, limit: u64, asked: u64, for_ever: bool| {
            let text = format!(
                "{of} {used} of at most {limit} jobs that have not ended, children of array jobs counted; this one would add {asked}"
            );
            Err((text, for_ever))
        };
        let bytes = |of: &str, used: u64, limit: u64, asked: u64, for_ever: bool| {
            let text = format!(
                "{of} {used} of at most {limit} bytes stored for jobs that have not ended; this one would add {asked}"
            );
            Err((text, for_ever))
        };
        let (mine, all) = ("Namespace mine has", "All namespaces together have");
        for (namespace, together, asked, expect) in [
            // Nothing there, and exactly what fits.
            ((0, 0), (0, 0), (1, 10), Ok(())),
            ((0, 0), (0, 0), (100, 1_000), Ok(())),
            ((99, 0), (99, 0), (1, 10), Ok(())),
            ((0, 990), (0, 990), (1, 10), Ok(())),
            ((50, 0), (149, 1_490), (1, 10), Ok(())),
            // One too many: a job, an array, a byte.
            ((100, 0), (100, 0), (1, 10), jobs(mine, 100, 100, 1, false)),
            ((90, 0), (90, 0), (11, 10), jobs(mine, 90, 100, 11, false)),
            ((1, 991), (1, 991), (1, 10), bytes(mine, 991, 1_000, 10, false)),
            // Others have taken what there is.
            ((0, 0), (150, 0), (1, 10), jobs(all, 150, 150, 1, false)),
            ((0, 0), (60, 1_491), (1, 10), bytes(all, 1_491, 1_500, 10, false)),
            // Its own limit is named first.
            ((100, 0), (150, 0), (1, 10), jobs(mine, 100, 100, 1, false)),
            // What can never fit is said first: to wait does not help.
            ((0, 0), (0, 0), (101, 10), jobs(mine, 0, 100, 101, true)),
            ((100, 0), (150, 0), (1, 1_001), bytes(mine, 0, 1_000, 1_001, true)),
            // A limit that was lowered, and numbers that do not fit.
            ((120, 0), (120, 0), (1, 10), jobs(mine, 120, 100, 1, false)),
            ((u64::MAX, 0), (0, 0), (u64::MAX, 0), jobs(mine, u64::MAX, 100, u64::MAX, true)),
        ] {
            assert_eq!(asks(namespace, together, asked), expect, "{namespace:?} {together:?} {asked:?}");
        }
    }

    #[test]
    fn only_what_is_taken_counts() {
        let mut used = HashMap::new();
        let take = |used: &mut HashMap<Counted, Amount>, namespace: &str, jobs| {
            LIMITS.admit(used, namespace, &Amount { jobs, bytes: 1 }).is_ok()
        };
        let taken = [("a", 60), ("a", 60), ("a", 40), ("a", 1), ("b", 51), ("b", 50), ("c", 1)]
            .map(|(namespace, jobs)| take(&mut used, namespace, jobs));
        assert_eq!(taken, [true, false, true, false, false, true, false]);
        assert_eq!(used[&Counted::All], Amount { jobs: 150, bytes: 3 });
        assert_eq!(used[&Counted::Namespace("b".to_owned())], Amount { jobs: 50, bytes: 1 });
        assert!(Quotas::NONE.admit(&mut used, "c", &Amount { jobs: 10_001, bytes: 1 << 40 }).is_ok());
    }
}
