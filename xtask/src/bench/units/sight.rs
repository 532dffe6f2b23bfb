//! What was seen of the pods of one run, when, and what is wrong with it. Decides only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Pods that a fake node takes.
pub(super) const ALLOCATABLE: usize = 110;

/// One look at one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The unit that it is of.
    pub(super) unit: String,
    pub(super) uid: String,
    pub(super) node: Option<String>,
    pub(super) running: bool,
}

/// All looks of a run.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pods: HashMap<String, Pod>,
    /// When pods were first seen on a node, in order.
    bound: Vec<Duration>,
    running: Vec<Duration>,
    moved: usize,
}

#[derive(Debug)]
struct Pod {
    unit: String,
    node: Option<String>,
    running: bool,
}

impl Sight {
    /// Takes in a look.
    pub(super) fn saw(&mut self, at: Duration, seen: Seen) {
        let Seen { unit, uid, node, running } = seen;
        let pod = self.pods.entry(uid).or_insert(Pod { unit, node: None, running: false });
        match (&pod.node, node) {
            (None, Some(node)) => {
                pod.node = Some(node);
                self.bound.push(at);
            }
            (Some(before), Some(node)) if *before != node => self.moved += 1,
            _ => {}
        }
        if running && !pod.running {
            pod.running = true;
            self.running.push(at);
        }
    }

    /// When each pod was first seen on a node.
    pub(super) fn bound(&self) -> &[Duration] {
        &self.bound
    }

    /// When each pod was first seen RUNNING.
    pub(super) fn running(&self) -> &[Duration] {
        &self.running
    }

    /// What is wrong, given how many units there were, and the nodes on which they may be.
    pub(super) fn problems(&self, units: usize, nodes: &BTreeSet<String>) -> Vec<String> {
        let (mut of_unit, mut of_node) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
        for pod in self.pods.values() {
            *of_unit.entry(&pod.unit).or_default() += 1;
            if let Some(node) = &pod.node {
                *of_node.entry(node).or_default() += 1;
            }
        }
        let twice = of_unit.values().filter(|pods| **pods > 1).count();
        let elsewhere = of_node.keys().filter(|node| !nodes.contains(**node)).count();
        let full = of_node.values().filter(|pods| **pods > ALLOCATABLE).count();
        let complaints = [
            (units.abs_diff(of_unit.len()), "units too many or too few"),
            (twice, "units have more than one pod"),
            (self.pods.values().filter(|pod| pod.node.is_none()).count(), "pods have no node"),
            (self.moved, "pods have changed their node"),
            (elsewhere, "nodes have pods and are not of this series"),
            (full, "nodes have more pods than they allow"),
        ];
        let wrong = complaints.into_iter().filter(|(count, _)| *count > 0);
        wrong.map(|(count, what)| format!("{count} {what}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(unit: &str, uid: &str, node: Option<&str>, running: bool) -> Seen {
        Seen { unit: unit.into(), uid: uid.into(), node: node.map(Into::into), running }
    }

    fn sight(looks: &[Seen]) -> Sight {
        let mut sight = Sight::default();
        for (at, seen) in (1..).zip(looks) {
            sight.saw(Duration::from_secs(at), seen.clone());
        }
        sight
    }

    #[test]
    fn a_pod_counts_when_it_is_first_seen_so() {
        let looks = [
            look("a", "1", None, false),
            look("a", "1", Some("n"), false),
            look("b", "2", Some("n"), true),
            look("a", "1", Some("n"), true),
            look("a", "1", Some("n"), true),
        ];
        let sight = sight(&looks);
        assert_eq!(sight.bound(), [2, 3].map(Duration::from_secs));
        assert_eq!(sight.running(), [3, 4].map(Duration::from_secs));
        assert_eq!(sight.problems(2, &["n".to_owned()].into()), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |looks: &[Seen], units: usize, expect: &str| {
            assert_eq!(sight(looks).problems(units, &["n".to_owned()].into()), [expect]);
        };
        check(&[look("a", "1", Some("n"), true)], 2, "1 units too many or too few");
        check(&[look("a", "1", Some("n"), true), look("a", "2", Some("n"), true)], 1, "1 units have more than one pod");
        check(&[look("a", "1", None, false)], 1, "1 pods have no node");
        check(
            &[look("a", "1", Some("n"), false), look("a", "1", Some("m"), false)],
            1,
            "1 pods have changed their node",
        );
        check(&[look("a", "1", Some("m"), true)], 1, "1 nodes have pods and are not of this series");
        let many: Vec<Seen> =
            (0..=ALLOCATABLE).map(|it| look(&it.to_string(), &it.to_string(), Some("n"), true)).collect();
        check(&many, ALLOCATABLE + 1, "1 nodes have more pods than they allow");
    }
}
