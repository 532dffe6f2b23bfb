//! Which providers are asked about a machine: its environment's, which an admin may have moved, and the one that launched it.
//!
//! Invariant: who launched a machine is asked as long as it is there, whatever becomes of its environment. Reads memory only.

use std::collections::HashMap;

use api::BatchNode;
use api::crd::Provider;
use cluster::index::Index;
use kube::ResourceExt as _;

/// Providers of the environments, by object name.
pub(crate) struct Whose(HashMap<String, Provider>);

impl Whose {
    /// As the environments are now.
    pub(crate) fn read(index: &Index) -> Self {
        let environments = index.compute_environments().into_iter();
        Self(environments.filter_map(|one| Some((one.name_any(), one.spec.provider?))).collect())
    }

    /// Those that may have a machine, its environment's first.
    pub(crate) fn of(&self, machine: &BatchNode) -> Vec<Provider> {
        let launched = machine.spec.provider.clone();
        let moved = self.0.get(&machine.spec.compute_environment).filter(|now| **now != launched);
        moved.cloned().into_iter().chain([launched]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_machine_is_asked_for_where_its_environment_is_now_and_where_it_was_launched() {
        let provider = |url: &str| serde_json::from_value::<Provider>(json!({"external": {"url": url}})).unwrap();
        let machine: BatchNode = serde_json::from_value(json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "BatchNode", "metadata": {"name": "m"},
            "spec": {
                "computeEnvironment": "ce", "computeEnvironmentUuid": "u", "computeEnvironmentName": "CE", "offer": "o",
                "milliVcpus": 1, "allocatable": {}, "provider": provider("http://old"),
            },
        }))
        .unwrap();
        for (environments, expected) in [
            (vec![("ce", "http://old")], vec!["http://old"]),
            (vec![("ce", "http://new")], vec!["http://new", "http://old"]),
            (vec![("other", "http://new")], vec!["http://old"]),
        ] {
            let whose = Whose(environments.iter().map(|(name, url)| ((*name).to_owned(), provider(url))).collect());
            assert_eq!(whose.of(&machine), expected.into_iter().map(provider).collect::<Vec<_>>(), "{environments:?}");
        }
    }
}
