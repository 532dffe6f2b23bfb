//! What becomes of the pods on a machine that retires.
//!
//! Invariant: while a unit is on it, nothing on it is touched; what ends with its node anyway is left to that. It waits for the foreign pods
//! that were there when its draining began, and for no others: a pod that tolerates everything, or names the node, is made again on it as often
//! as it is evicted. Does not evict.

use std::collections::HashSet;
use std::time::Duration;

use model::clock::Moment;

/// For so long after the first look kube-scheduler may bind pods that it had placed before it saw the retiring taint.
const LATE: Duration = Duration::from_secs(5);

/// A pod on the node, as it was listed past all caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// UID.
    pub uid: String,
    /// Whose it is.
    pub kind: Kind,
    /// How far it is.
    pub life: Life,
}

/// Whose a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A unit that was put on this very node.
    Unit,
    /// It ends with its node: of a DaemonSet, or a static one.
    OfNode,
    /// Anything else.
    Foreign,
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody has told it to go.
    There,
    /// It is being deleted already.
    Going,
    /// Nothing of it runs any more.
    Ended,
}

/// What to do about the pods of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again later.
    Wait,
    /// Evict these, by their place in the list, and look again.
    Evict(Vec<usize>),
    /// Nobody is left on it that is waited for.
    Empty,
}

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

    /// What to do about the pods that are there.
    pub fn next(&mut self, pods: &[Occupant], now: Moment) -> Next {
        let alive = || pods.iter().enumerate().filter(|(_, pod)| pod.life != Life::Ended);
        if alive().any(|(_, pod)| pod.kind == Kind::Unit) {
            return Next::Wait;
        }
        let foreign: Vec<_> = alive().filter(|(_, pod)| pod.kind == Kind::Foreign).collect();
        let uids: Vec<String> = foreign.iter().map(|(_, pod)| pod.uid.clone()).collect();
        let waits = self.waits_for(&uids, now);
        let awaited: Vec<_> = foreign.into_iter().zip(waits).filter(|(_, waits)| *waits).map(|(pod, _)| pod).collect();
        let evicted: Vec<usize> =
            awaited.iter().filter(|(_, pod)| pod.life == Life::There).map(|(place, _)| *place).collect();
        match (awaited.is_empty(), evicted.is_empty()) {
            (true, _) => Next::Empty,
            (false, true) => Next::Wait,
            (false, false) => Next::Evict(evicted),
        }
    }

    /// Takes in the foreign pods that are there, by UID; says of each whether it is to be evicted and waited for.
    fn waits_for(&mut self, foreign: &[String], now: Moment) -> Vec<bool> {
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

    /// Letters of each pod: `u`nit, of its `n`ode; `e`nded, `g`oing.
    fn occupants(pods: &[&str]) -> Vec<Occupant> {
        let one = |(number, pod): (usize, &&str)| Occupant {
            uid: number.to_string(),
            kind: match pod {
                pod if pod.contains('u') => Kind::Unit,
                pod if pod.contains('n') => Kind::OfNode,
                _ => Kind::Foreign,
            },
            life: match pod {
                pod if pod.contains('e') => Life::Ended,
                pod if pod.contains('g') => Life::Going,
                _ => Life::There,
            },
        };
        pods.iter().enumerate().map(one).collect()
    }

    #[track_caller]
    fn check(pods: &[&str], expected: &Next) {
        assert_eq!(Drain::new(at(0)).next(&occupants(pods), at(0)), *expected);
    }

    #[test]
    fn foreign_pods_are_evicted_once_no_unit_is_left() {
        check(&[], &Next::Empty);
        check(&["e", "n", "eu"], &Next::Empty);
        check(&["", "n", ""], &Next::Evict(vec![0, 2]));
        check(&["g", ""], &Next::Evict(vec![1]));
        check(&["g", "e"], &Next::Wait);
        check(&["", "u"], &Next::Wait);
        check(&["ug"], &Next::Wait);
    }

    #[test]
    fn nobody_is_evicted_who_came_late() {
        let (mut drain, mut pods) = (Drain::new(at(0)), occupants(&["n", ""]));
        assert_eq!(drain.next(&pods, at(0)), Next::Evict(vec![1]));
        pods[1].uid = "again".to_owned();
        assert_eq!(drain.next(&pods, at(60)), Next::Empty);
    }

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }
}
