//! Amounts of resources as numbers side by side: the common ones in a fixed vector, the rare ones beside it.
//!
//! Invariant: the same arithmetic as [`Resources`]; a resource that is not there is zero. Ids of rare resources are those of one
//! [`ResourceNames`].

use std::collections::HashMap;

use model::resources::{PODS, Resources};

/// Common resources: CPU (thousandths), memory, pods, local storage.
pub(crate) const COMMON: usize = 4;
const CPU: usize = 0;
const MEMORY: usize = 1;
const NAMED: [(usize, &str); 2] = [(2, PODS), (3, "ephemeral-storage")];

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    /// The common ones.
    pub(crate) common: [i64; COMMON],
    /// The others by id, in order; none of them is zero.
    pub(crate) rare: Vec<(u32, i64)>,
}

/// The names of rare resources.
#[derive(Debug, Default)]
pub(crate) struct ResourceNames {
    ids: HashMap<String, u32>,
    names: Vec<String>,
}

impl ResourceNames {
    /// The amounts of `resources`.
    pub(crate) fn amounts(&mut self, resources: &Resources) -> Amounts {
        let mut amounts = Amounts { common: [resources.cpu, resources.memory, 0, 0], rare: Vec::new() };
        for (name, amount) in &resources.other {
            if let Some((index, _)) = NAMED.iter().find(|(_, named)| named == name) {
                amounts.common[*index] = *amount;
            } else if *amount != 0 {
                amounts.rare.push((self.id(name), *amount));
            }
        }
        amounts.rare.sort_unstable();
        amounts
    }

    /// The resources of `amounts`.
    pub(crate) fn resources(&self, amounts: &Amounts) -> Resources {
        let mut resources = Resources::new(amounts.common[CPU], amounts.common[MEMORY]);
        for (index, name) in NAMED {
            resources.set(name, amounts.common[index]);
        }
        for (id, amount) in &amounts.rare {
            resources.set(&self.names[*id as usize], *amount);
        }
        resources
    }

    fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.ids.insert(name.to_owned(), id);
        self.names.push(name.to_owned());
        id
    }
}

impl Amounts {
    /// CPU in thousandths.
    pub(crate) fn cpu(&self) -> i64 {
        self.common[CPU]
    }

    /// Memory in bytes.
    pub(crate) fn memory(&self) -> i64 {
        self.common[MEMORY]
    }

    fn rare(&self, id: u32) -> i64 {
        self.rare.iter().find(|(one, _)| *one == id).map_or(0, |(_, amount)| *amount)
    }

    /// Takes `count` times another amount away; may go below zero.
    pub(crate) fn sub(&mut self, other: &Self, count: i64) {
        for (here, amount) in self.common.iter_mut().zip(other.common) {
            *here = here.saturating_sub(amount.saturating_mul(count));
        }
        for (id, amount) in &other.rare {
            let left = self.rare(*id).saturating_sub(amount.saturating_mul(count));
            self.set_rare(*id, left);
        }
    }

    fn set_rare(&mut self, id: u32, amount: i64) {
        match (self.rare.binary_search_by_key(&id, |(one, _)| *one), amount) {
            (Ok(index), 0) => drop(self.rare.remove(index)),
            (Ok(index), _) => self.rare[index].1 = amount,
            (Err(_), 0) => {}
            (Err(index), _) => self.rare.insert(index, (id, amount)),
        }
    }
}

/// What one unit asks for, made ready for comparing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// What room it takes.
    pub(crate) takes: Amounts,
    /// What must be there; a request of nothing always fits.
    pub(crate) least: [i64; COMMON],
    rare: Vec<(u32, i64)>,
}

impl Need {
    pub(crate) fn new(takes: Amounts) -> Self {
        let least = takes.common.map(|amount| if amount > 0 { amount } else { i64::MIN });
        let rare = takes.rare.iter().copied().filter(|(_, amount)| *amount > 0).collect();
        Self { takes, least, rare }
    }

    /// Whether the common part fits.
    pub(crate) fn fits_common(&self, free: &[i64; COMMON]) -> bool {
        self.least.iter().zip(free).all(|(least, free)| least <= free)
    }

    /// Whether it asks for rare resources.
    pub(crate) fn is_rare(&self) -> bool {
        !self.rare.is_empty()
    }

    /// Whether it fits.
    pub(crate) fn fits(&self, free: &Amounts) -> bool {
        self.fits_common(&free.common) && self.rare.iter().all(|(id, amount)| *amount <= free.rare(*id))
    }

    /// How many fit.
    pub(crate) fn capacity(&self, free: &Amounts) -> i64 {
        let common = self.least.iter().zip(free.common).filter(|(least, _)| **least > 0);
        let common = common.map(|(least, free)| free / least);
        let rare = self.rare.iter().map(|(id, amount)| free.rare(*id) / amount);
        common.chain(rare).min().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 5] = ["pods", "ephemeral-storage", "nvidia.com/gpu", "a", "z"];

    fn any_resources() -> impl Strategy<Value = Resources> {
        let others = prop::collection::vec((0..NAMES.len(), 0..4i64), 0..4);
        (0..4i64, 0..4i64, others).prop_map(|(cpu, memory, others)| {
            others.into_iter().fold(Resources::new(cpu, memory), |all, (name, amount)| all.with(NAMES[name], amount))
        })
    }

    proptest! {
        #[test]
        fn amounts_reckon_as_resources_do(one in any_resources(), other in any_resources(), count in 0..4i64) {
            let mut names = ResourceNames::default();
            let (a, b) = (names.amounts(&one), names.amounts(&other));
            prop_assert_eq!(names.resources(&a), one.clone());
            let (mut left, mut less) = (a.clone(), one.clone());
            left.sub(&b, count);
            (0..count).for_each(|_| less.sub(&other));
            prop_assert_eq!(names.resources(&left), less.clone());
            let need = Need::new(b.clone());
            prop_assert_eq!(need.fits(&a), other.fits(&one));
            prop_assert_eq!(need.fits(&left), other.fits(&less));
            if need.fits(&a) {
                let fits = need.capacity(&a).min(9);
                let mut rest = a;
                rest.sub(&need.takes, fits - 1);
                prop_assert!(fits >= 1 && need.fits(&rest));
                rest.sub(&need.takes, 1);
                prop_assert!(fits == 9 || !need.fits(&rest));
            }
        }
    }
}
