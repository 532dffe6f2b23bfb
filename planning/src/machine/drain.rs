//! Which foreign pods a machine that retires waits for.
//!
//! Invariant: it waits for those that were there when its draining began, and for no others: a pod that tolerates everything, or names the
//! node, is made again on it as often as it is evicted. Does not know whose pods are.

use std::collections::HashSet;
use std::time::Duration;

use model::clock::Moment;

/// For so long after the first look kube-scheduler may bind pods that it had placed before it saw the retiring taint.
const LATE: Duration = Duration::from_secs(5);

/// The draining of one machine.
#[derive(Clone, Debug)]
pub struct Drain {
    began: Moment,
    /// UIDs of the pods that are waited for.
    residents: HashSet<String>,
}

impl Drain {
    /// It begins now.
    pub fn new(now: Moment) -> Self {
        Self { began: now, residents: HashSet::new() }
    }

    /// Takes in the foreign pods that are there, by UID; says of each whether it is to be evicted and waited for.
    pub fn waits_for(&mut self, foreign: &[String], now: Moment) -> Vec<bool> {
        if now.since(self.began) <= LATE {
            self.residents.extend(foreign.iter().cloned());
        }
        foreign.iter().map(|uid| self.residents.contains(uid)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_waits_for_the_pods_that_it_had_and_not_for_those_that_come_back() {
        let mut drain = Drain::new(at(100));
        for (second, there, expected) in [
            (100, &["a", "b"][..], &[true, true][..]),
            // Bound before the taint was seen; made again at once.
            (102, &["a", "c", "a2"], &[true, true, true]),
            // A disruption budget keeps `a`; the others are evicted, and come again and again.
            (106, &["a", "c2", "a3"], &[true, false, false]),
            (9000, &["a"], &[true]),
            (9002, &["a9"], &[false]),
            (9004, &[], &[]),
        ] {
            let there: Vec<String> = there.iter().map(ToString::to_string).collect();
            assert_eq!(drain.waits_for(&there, at(second)), expected, "{second}");
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }
}
