//! Nodes and pods to which cannot be done what is due, as their environment tells it.
//!
//! Invariant: whoever reads it learns how many there are, which one is meant, and in whose words. Pure text.

use std::collections::BTreeMap;

/// What environments say, by UUID. `kinds` are objects of them (`nodes`, `pods`), each `stuck` with its environment's UUID, its name and what
/// cannot be done to it.
pub fn notices<'a>(kinds: &str, stuck: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (environment, name, why) in stuck {
        all.entry(environment).or_default().insert(name, why);
    }
    let said = |stuck: &BTreeMap<&str, &str>| {
        let (first, why) = stuck.first_key_value()?;
        let count = stuck.len();
        Some(format!("Bulkhead cannot do what is due to {count} of its {kinds}; {first}: {why}"))
    };
    all.into_iter().filter_map(|(environment, stuck)| Some((environment.to_owned(), said(&stuck)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_by_name_stands_for_all_of_its_environment() {
        let stuck = [("u", "b", "cannot touch b"), ("u", "a", "cannot touch a"), ("v", "c", "cannot touch c")];
        let said = notices("nodes", stuck.into_iter());
        let beginning = "Bulkhead cannot do what is due to ";
        assert_eq!(said["u"], format!("{beginning}2 of its nodes; a: cannot touch a"));
        assert_eq!(said["v"], format!("{beginning}1 of its nodes; c: cannot touch c"));
        assert_eq!(notices("nodes", [].into_iter()), BTreeMap::new());
    }
}
