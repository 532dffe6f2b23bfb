//! Amounts of the resources that pods request and nodes offer, as integers.
//!
//! Invariant: a resource that is not named is zero. Knows nothing about where an amount comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantity::{self, InvalidQuantity};

/// Name of the resource that counts pods.
pub const PODS: &str = "pods";

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// All others by name, in whole units (bytes, devices, pods).
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    /// Of CPU (thousandths) and memory (bytes).
    pub fn new(cpu: i64, memory: i64) -> Self {
        Self { cpu, memory, other: BTreeMap::new() }
    }

    /// The same with `amount` of another resource.
    #[must_use]
    pub fn with(mut self, name: &str, amount: i64) -> Self {
        self.set(name, amount);
        self
    }

    /// From quantities by resource name.
    pub fn parse<'a>(quantities: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Self, InvalidQuantity> {
        let mut resources = Self::default();
        for (name, text) in quantities {
            let amount = if name == "cpu" { quantity::milli(text)? } else { quantity::units(text)? };
            resources.set(name, amount);
        }
        Ok(resources)
    }

    /// The amount of one resource, CPU in thousandths.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu,
            "memory" => self.memory,
            _ => self.other.get(name).copied().unwrap_or(0),
        }
    }

    /// Sets the amount of one resource, CPU in thousandths.
    pub fn set(&mut self, name: &str, amount: i64) {
        match name {
            "cpu" => self.cpu = amount,
            "memory" => self.memory = amount,
            _ if amount == 0 => drop(self.other.remove(name)),
            _ => drop(self.other.insert(name.to_owned(), amount)),
        }
    }

    /// Adds another amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes another amount away; may go below zero.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// The larger of each amount.
    pub fn max(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// The smaller of each amount. A resource that only one side names is not limited by the other: offers rarely count pods.
    #[must_use]
    pub fn least(&self, other: &Self) -> Self {
        let mut least = Self::new(self.cpu.min(other.cpu), self.memory.min(other.memory));
        for (name, amount) in self.other.iter().chain(&other.other) {
            let there = least.other.get(name).map_or(*amount, |before| *before.min(amount));
            least.set(name, there);
        }
        least
    }

    /// What can be had of this promise from nodes that were seen to give `given`: never more than either of CPU and memory; of what is
    /// promised what they gave; and what they gave unasked.
    #[must_use]
    pub fn limited_by(&self, given: &Self) -> Self {
        let mut limited = Self { cpu: self.cpu.min(given.cpu), memory: self.memory.min(given.memory), ..given.clone() };
        for (name, amount) in &self.other {
            limited.set(name, given.get(name).min(*amount));
        }
        limited
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.cpu = with(self.cpu, other.cpu);
        self.memory = with(self.memory, other.memory);
        for (name, amount) in &other.other {
            self.set(name, with(self.get(name), *amount));
        }
    }

    /// Whether it fits into `free`; a request of nothing always fits.
    pub fn fits(&self, free: &Self) -> bool {
        self.shortages(free).next().is_none()
    }

    /// The resources of which `free` has too little, with what is wanted and what is there.
    pub fn shortages<'a>(&'a self, free: &'a Self) -> impl Iterator<Item = (&'a str, i64, i64)> {
        let named = [("cpu", self.cpu), ("memory", self.memory)];
        let others = self.other.iter().map(|(name, amount)| (name.as_str(), *amount));
        named
            .into_iter()
            .chain(others)
            .map(|(name, wanted)| (name, wanted, free.get(name)))
            .filter(|(_, wanted, there)| *wanted > 0 && wanted > there)
    }
}

/// As people write it: `250m cpu, 256Mi memory`; pods are left out.
impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [("cpu", self.cpu), ("memory", self.memory)].into_iter().filter(|(_, amount)| *amount != 0);
        let others = self.other.iter().map(|(name, amount)| (name.as_str(), *amount)).filter(|(name, _)| *name != PODS);
        let all: Vec<String> = named.chain(others).map(|(name, amount)| describe(name, amount)).collect();
        f.write_str(if all.is_empty() { "a pod without requests" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// One amount with its unit, for messages.
pub fn describe(name: &str, amount: i64) -> String {
    match name {
        "cpu" => format!("{} cpu", quantity::format_milli(amount)),
        "memory" => format!("{} memory", quantity::format_bytes(amount)),
        _ => format!("{amount} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fits_when_every_resource_does() {
        let free = Resources::new(1000, 1 << 30).with("nvidia.com/gpu", 1);
        assert!(Resources::new(1000, 1 << 30).fits(&free));
        assert!(Resources::default().fits(&Resources::new(-5, -5)), "nothing always fits");
        assert!(!Resources::new(1001, 0).fits(&free));
        assert!(!Resources::new(1, 1).with("nvidia.com/gpu", 2).fits(&free));
        let wanted = Resources::new(2000, 1).with("example.com/fpga", 1);
        let short: Vec<_> = wanted.shortages(&free).collect();
        assert_eq!(short, [("cpu", 2000, 1000), ("example.com/fpga", 1, 0)]);
    }

    #[test]
    fn what_is_added_can_be_taken_away() {
        let mut sum = Resources::new(500, 10).with(PODS, 1);
        let more = Resources::new(1500, 5).with("a", 2);
        sum.add(&more);
        assert_eq!(sum, Resources::new(2000, 15).with(PODS, 1).with("a", 2));
        sum.sub(&more);
        assert_eq!(sum, Resources::new(500, 10).with(PODS, 1));
        assert_eq!(sum.to_string(), "500m cpu, 10 memory");
    }
}
