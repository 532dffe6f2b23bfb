//! What nodes of an offer really were: what they gave to units (allocatable less what `DaemonSets` use), their labels and taints.
//!
//! Invariant: what the nodes that are Ready give replaces what was remembered; without one, the memory stays for [`REMEMBERED`], so that a
//! machine that was too small, or had not the labels it was launched for, is not launched again as soon as it is gone. Of labels and taints
//! the newest node says what the next one will have, as it was when it had started: later changes are of that node alone. Kept in memory
//! only: after a restart one machine teaches it anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::clock::{Moment, Now};
use model::placement::Taint;
use model::resources::Resources;
use model::snapshot::{Environment, Given, Machine, Node};

/// How long a node may take from its creation until it has all that its offer promises (device plugins report their devices some time
/// after the kubelet is Ready) and has lost the taints of its start.
pub const START: SignedDuration = SignedDuration::from_mins(5);
/// How long what nodes gave counts when none of them is there any more: whoever makes nodes may have mended what they lacked.
const REMEMBERED: Duration = Duration::from_hours(1);
/// Taints for what a node's conditions say, and those of Bulkhead: they say nothing about other nodes.
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>)
const PASSING: [&str; 3] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "bulkhead.dev/"];

/// By environment (object name), then by offer.
#[derive(Debug, Default)]
pub struct Learned(BTreeMap<String, BTreeMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    given: Given,
    /// When the newest node was created, and its name.
    newest: Option<(Timestamp, String)>,
    /// Names of nodes that start.
    starting: BTreeSet<String>,
    /// What is known of the room does not rest on promises: a node had started.
    is_proven: bool,
    /// Labels of the one before it.
    before: BTreeMap<String, String>,
    /// When a node was last there.
    seen: Option<Moment>,
}

impl Learned {
    /// Takes in what is there at `now`, and writes what is known on the environments; `created` says when a node was.
    pub fn update(
        &mut self,
        environments: &mut [Environment],
        machines: &[Machine],
        nodes: &[Node],
        created: impl Fn(&str) -> Timestamp,
        now: Now,
    ) {
        let ready: HashMap<&str, &Node> =
            nodes.iter().filter(|node| node.ready).map(|node| (node.name.as_str(), node)).collect();
        let mut there: Vec<(Timestamp, &Machine, &Node)> = machines
            .iter()
            .filter_map(|machine| Some((created(&machine.name), machine, *ready.get(machine.name.as_str())?)))
            .collect();
        there.sort_by_key(|(at, _, node)| (*at, node.name.as_str()));
        let mut gave: BTreeMap<(&str, &str), Resources> = BTreeMap::new();
        // Those that have started first: what they lack is not expected of the others.
        for start in [false, true] {
            for (_, machine, node) in there.iter().filter(|(.., node)| starts(node, now) == start) {
                let known = self.0.entry(machine.environment.clone()).or_default();
                let known = known.entry(machine.offer.clone()).or_default();
                let offer = (machine.environment.as_str(), machine.offer.as_str());
                let given = known.gives(machine, node, start, gave.get(&offer));
                known.is_proven |= !start;
                let least = gave.get(&offer).map_or_else(|| given.clone(), |before| before.least(&given));
                gave.insert(offer, least);
            }
        }
        for ((environment, offer), room) in gave {
            if let Some(known) = self.0.get_mut(environment).and_then(|known| known.get_mut(offer)) {
                known.given.room = room;
                known.starting.retain(|name| ready.contains_key(name.as_str()));
            }
        }
        for (at, machine, node) in there {
            if let Some(known) = self.0.get_mut(&machine.environment).and_then(|known| known.get_mut(&machine.offer)) {
                known.see(at, machine, node, now);
            }
        }
        self.0.retain(|name, _| environments.iter().any(|environment| environment.name == *name));
        for known in self.0.values_mut() {
            known.retain(|_, known| known.seen.is_some_and(|seen| now.moment.since(seen) < REMEMBERED));
        }
        for environment in environments {
            if let (Some(scaling), Some(learned)) = (&mut environment.scaling, self.0.get(&environment.name)) {
                scaling.learned = learned.iter().map(|(offer, known)| (offer.clone(), known.given.clone())).collect();
            }
        }
    }
}

impl Known {
    /// What a node gives to units. Of what it has not reported while it starts counts what others gave, `now` or before, else what is
    /// promised.
    fn gives(&self, machine: &Machine, node: &Node, starts: bool, now: Option<&Resources>) -> Resources {
        let mut given = node.allocatable.clone();
        let others = now.or(self.is_proven.then_some(&self.given.room));
        for (name, promised) in machine.allocatable.other.iter().filter(|_| starts) {
            if given.get(name) == 0 {
                given.set(name, others.map_or(*promised, |others| others.get(name)));
            }
        }
        given.sub(&node.daemons);
        given
    }

    /// Remembers the labels of the newest node, and the taints of the newest that has started. Called in the order of their creation.
    fn see(&mut self, at: Timestamp, machine: &Machine, node: &Node, now: Now) {
        self.seen = Some(now.moment);
        let is_newer = self.newest.as_ref().is_none_or(|(newest, name)| (at, &node.name) > (*newest, name));
        if is_newer {
            if self.newest.is_some() {
                self.before = std::mem::take(&mut self.given.labels);
            }
            self.newest = Some((at, node.name.clone()));
        }
        let started = !starts(node, now) && self.starting.remove(&node.name);
        if starts(node, now) {
            self.starting.insert(node.name.clone());
        }
        if started {
            self.given.taints = node.taints.iter().filter(|taint| stays(taint)).cloned().collect();
        }
        let is_newest = self.newest.as_ref().is_some_and(|(_, newest)| *newest == node.name);
        if is_newer || is_newest && (started || starts(node, now)) {
            self.given.labels.clone_from(&node.labels);
            self.given.promised.clone_from(&machine.labels);
            let same = |(key, value): &(&String, &String)| self.before.get(*key) == Some(*value);
            let common = self.given.labels.iter().filter(same);
            self.given.same_labels = common.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
    }
}

fn starts(node: &Node, now: Now) -> bool {
    node.starting_until.is_some_and(|until| until > now.wall)
}

fn stays(taint: &Taint) -> bool {
    !PASSING.iter().any(|prefix| taint.key.starts_with(prefix))
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;
