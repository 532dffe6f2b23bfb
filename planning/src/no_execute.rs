//! When a node that a user labelled gets the batch taint with `NoExecute`, too, so that a pod which names the node does not stay.
//!
//! Invariant: it ends nothing that was there before the node became a batch node, and no agent that its DaemonSet would bring back again and
//! again, or that the node may need before it can run anything. What came later, past the `NoSchedule`, does not block it.

use jiff::Timestamp;

/// A pod on the node that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Namespace and name.
    pub name: String,
    /// When it came onto the node.
    pub bound: Timestamp,
    /// It would stay: it tolerates the taint for good, or a kubelet runs it by itself.
    pub withstands: bool,
}

/// A DaemonSet, as far as this node goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Namespace and name.
    pub name: String,
    /// Its pods may run on the node, going by its labels.
    pub selects: bool,
    /// They tolerate the taint with `NoSchedule`.
    pub comes: bool,
    /// They tolerate it with `NoExecute`.
    pub withstands: bool,
}

/// What the taint would harm on a node that has been a batch node since `since`; `None`: nothing, so it may go on.
pub fn obstacle(since: Timestamp, residents: &[Resident], daemons: &[Daemon]) -> Option<String> {
    let before =
        residents.iter().filter(|pod| !pod.withstands && pod.bound <= since).map(|pod| pod.name.as_str()).min();
    let daemon = daemons.iter().filter(|one| one.selects && one.comes && !one.withstands);
    let daemon = daemon.map(|one| one.name.as_str()).min();
    before
        .map(|name| format!("pod {name} was there before it was labelled"))
        .or_else(|| daemon.map(|name| format!("DaemonSet {name} tolerates only the NoSchedule taint")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// The node is tainted at 10. Pods: when they were bound, and whether they withstand.
    #[track_caller]
    fn check(pods: &[(i64, bool)], daemons: &[[bool; 3]], expected: Option<&str>) {
        let pods = pods.iter().map(|(bound, withstands)| Resident {
            name: format!("n/{bound}"),
            bound: at(*bound),
            withstands: *withstands,
        });
        let daemons = daemons.iter().map(|[selects, comes, withstands]| Daemon {
            name: "n/d".to_owned(),
            selects: *selects,
            comes: *comes,
            withstands: *withstands,
        });
        let found = obstacle(at(10), &pods.collect::<Vec<_>>(), &daemons.collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn what_was_there_before_stays_and_what_came_later_blocks_nothing() {
        check(&[], &[], None);
        check(&[(5, false), (3, false)], &[], Some("pod n/3 was there before it was labelled"));
        check(&[(10, false)], &[], Some("pod n/10 was there before it was labelled"));
        check(&[(5, true)], &[], None);
        check(&[(11, false)], &[], None);
    }

    #[test]
    fn an_agent_that_comes_and_would_not_stay_blocks_it() {
        check(&[], &[[true, true, false]], Some("DaemonSet n/d tolerates only the NoSchedule taint"));
        check(&[], &[[true, true, true], [false, true, false], [true, false, false]], None);
    }
}
