//! What nodes of an offer really gave to units: allocatable less what `DaemonSets` and others use.
//!
//! Invariant: what the nodes that are Ready show replaces what was remembered; without one, the memory stays, so that a machine that was
//! too small is not launched again as soon as it is gone. Kept in memory only: after a restart one machine teaches it anew.

use std::collections::{BTreeMap, HashMap};

use model::resources::Resources;
use model::snapshot::{Environment, Machine, Node};

/// By environment (object name), then by offer.
#[derive(Debug, Default)]
pub(super) struct Learned(BTreeMap<String, BTreeMap<String, Resources>>);

impl Learned {
    /// Takes in what is there, and writes what is known on the environments.
    pub(super) fn update(&mut self, environments: &mut [Environment], machines: &[Machine], nodes: &[Node]) {
        let mut now: BTreeMap<(&str, &str), Resources> = BTreeMap::new();
        let ready: HashMap<&str, &Node> =
            nodes.iter().filter(|node| node.ready).map(|node| (node.name.as_str(), node)).collect();
        for machine in machines {
            let Some(node) = ready.get(machine.name.as_str()) else { continue };
            let mut given = node.allocatable.clone();
            given.sub(&node.foreign);
            let least = now.entry((&machine.environment, &machine.offer)).or_insert_with(|| given.clone());
            *least = least.least(&given);
        }
        for ((environment, offer), given) in now {
            self.0.entry(environment.to_owned()).or_default().insert(offer.to_owned(), given);
        }
        self.0.retain(|name, _| environments.iter().any(|environment| environment.name == *name));
        for environment in environments {
            if let (Some(scaling), Some(learned)) = (&mut environment.scaling, self.0.get(&environment.name)) {
                scaling.learned = learned.clone();
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
            problem: None,
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
        memory.update(&mut environments, &[machine], &nodes);
        environments[0].scaling.as_ref()?.learned.get("o").map(|given| given.cpu)
    }

    #[test]
    fn what_a_node_gave_is_remembered_until_another_gives_something_else() {
        let mut memory = Learned::default();
        assert_eq!(learned(&mut memory, None), None);
        assert_eq!(learned(&mut memory, Some(200)), Some(800));
        assert_eq!(learned(&mut memory, None), Some(800), "the node is gone");
        assert_eq!(learned(&mut memory, Some(0)), Some(1000), "the DaemonSet is gone");
        memory.update(&mut [], &[], &[]);
        assert_eq!(learned(&mut memory, None), None, "the environment is gone");
    }
}
