//! What nodes of an offer really were: what they gave to units (allocatable less what `DaemonSets` and others use), and their labels.
//!
//! Invariant: what the nodes that are Ready show replaces what was remembered; without one, the memory stays, so that a machine that was
//! too small, or had not the labels it was launched for, is not launched again as soon as it is gone. Of labels the newest node says what
//! the next one will have: older ones may have been labelled since. Kept in memory only: after a restart one machine teaches it anew.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use model::resources::Resources;
use model::snapshot::{Environment, Given, Machine, Node};

/// By environment (object name), then by offer: what is known, and when the newest node was created.
#[derive(Debug, Default)]
pub(super) struct Learned(BTreeMap<String, BTreeMap<String, (Given, Timestamp)>>);

impl Learned {
    /// Takes in what is there, and writes what is known on the environments; `created` says when a node was.
    pub(super) fn update(
        &mut self,
        environments: &mut [Environment],
        machines: &[Machine],
        nodes: &[Node],
        created: impl Fn(&str) -> Timestamp,
    ) {
        let mut now: BTreeMap<(&str, &str), Resources> = BTreeMap::new();
        let ready: HashMap<&str, &Node> =
            nodes.iter().filter(|node| node.ready).map(|node| (node.name.as_str(), node)).collect();
        for machine in machines {
            let Some(node) = ready.get(machine.name.as_str()) else { continue };
            let mut given = node.allocatable.clone();
            given.sub(&node.foreign);
            let least = now.entry((&machine.environment, &machine.offer)).or_insert_with(|| given.clone());
            *least = least.least(&given);
            let known = self.0.entry(machine.environment.clone()).or_default();
            let (given, newest) = known.entry(machine.offer.clone()).or_default();
            let at = created(&machine.name);
            if at >= *newest {
                *newest = at;
                if given.labels != node.labels || given.promised != machine.labels {
                    (given.labels, given.promised) = (node.labels.clone(), machine.labels.clone());
                }
            }
        }
        for ((environment, offer), room) in now {
            if let Some((given, _)) = self.0.get_mut(environment).and_then(|known| known.get_mut(offer)) {
                given.room = room;
            }
        }
        self.0.retain(|name, _| environments.iter().any(|environment| environment.name == *name));
        for environment in environments {
            if let (Some(scaling), Some(learned)) = (&mut environment.scaling, self.0.get(&environment.name)) {
                scaling.learned = learned.iter().map(|(offer, (given, _))| (offer.clone(), given.clone())).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use model::snapshot::{Scaling, Stage};

    use super::*;

    fn environment() -> Environment {
        let scaling = Scaling {
            min_milli: 0,
            max_milli: 8000,
            instance_types: vec![],
            spot: false,
            scale_down_delay: SignedDuration::from_secs(60),
            offers: Ok(vec![]),
            setbacks: vec![],
            learned: BTreeMap::new(),
        };
        Environment {
            name: "ce".into(),
            aws_name: "CE".into(),
            uuid: "u".into(),
            enabled: true,
            namespace: None,
            scaling: Some(scaling),
        }
    }

    fn learned(memory: &mut Learned, foreign: Option<i64>) -> Option<i64> {
        let machine = Machine {
            name: "n".into(),
            environment: "ce".into(),
            offer: "o".into(),
            milli_vcpus: 1000,
            allocatable: Resources::new(1000, 0),
            labels: BTreeMap::new(),
            stage: Stage::Serving,
        };
        let node = |foreign| Node {
            name: "n".into(),
            ready: true,
            allocatable: Resources::new(1000, 0),
            foreign: Resources::new(foreign, 0),
            ..Node::default()
        };
        let nodes: Vec<Node> = foreign.map(node).into_iter().collect();
        let mut environments = [environment()];
        memory.update(&mut environments, &[machine], &nodes, |_| Timestamp::UNIX_EPOCH);
        environments[0].scaling.as_ref()?.learned.get("o").map(|given| given.room.cpu)
    }

    /// Labels of the next node, when these are there, each with when it was created.
    fn labels(memory: &mut Learned, nodes: &[(&str, i64, &str)]) -> Vec<String> {
        let machine = |name: &str| Machine {
            name: name.into(),
            environment: "ce".into(),
            offer: "o".into(),
            milli_vcpus: 1000,
            allocatable: Resources::new(1000, 0),
            labels: BTreeMap::from([("promised".to_owned(), String::new())]),
            stage: Stage::Serving,
        };
        let node = |name: &str, label: &str| Node {
            name: name.into(),
            ready: true,
            labels: BTreeMap::from([(label.to_owned(), String::new())]),
            ..Node::default()
        };
        let machines: Vec<Machine> = nodes.iter().map(|(name, ..)| machine(name)).collect();
        let there: Vec<Node> = nodes.iter().map(|(name, _, label)| node(name, label)).collect();
        let created = |name: &str| {
            let (_, second, _) = nodes.iter().find(|(one, ..)| *one == name).unwrap();
            Timestamp::from_second(*second).unwrap()
        };
        let mut environments = [environment()];
        memory.update(&mut environments, &machines, &there, created);
        let given = &environments[0].scaling.as_ref().unwrap().learned["o"];
        assert!(given.promised.contains_key("promised"));
        given.labels.keys().cloned().collect()
    }

    #[test]
    fn the_newest_node_says_what_labels_the_next_one_has() {
        let mut memory = Learned::default();
        assert_eq!(labels(&mut memory, &[("a", 10, "plain")]), ["plain"]);
        assert_eq!(
            labels(&mut memory, &[("a", 10, "by-hand")]),
            ["by-hand"],
            "it may have been added by whoever makes nodes"
        );
        // One was launched for that label, and has not got it.
        assert_eq!(labels(&mut memory, &[("b", 20, "plain"), ("a", 10, "by-hand")]), ["plain"]);
        assert_eq!(labels(&mut memory, &[("a", 10, "by-hand"), ("b", 20, "plain")]), ["plain"]);
        assert_eq!(
            labels(&mut memory, &[("a", 10, "by-hand")]),
            ["plain"],
            "that one is gone; another would be like it"
        );
        assert_eq!(labels(&mut memory, &[("c", 30, "kept"), ("a", 10, "by-hand")]), ["kept"]);
    }

    #[test]
    fn what_a_node_gave_is_remembered_until_another_gives_something_else() {
        let mut memory = Learned::default();
        assert_eq!(learned(&mut memory, None), None);
        assert_eq!(learned(&mut memory, Some(200)), Some(800));
        assert_eq!(learned(&mut memory, None), Some(800), "the node is gone");
        assert_eq!(learned(&mut memory, Some(0)), Some(1000), "the DaemonSet is gone");
        memory.update(&mut [], &[], &[], |_| Timestamp::UNIX_EPOCH);
        assert_eq!(learned(&mut memory, None), None, "the environment is gone");
    }
}
