//! What a container needs of a node: `vcpus`, `memory` and `resourceRequirements`
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html>).
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::collections::BTreeMap;

use super::properties::{ContainerProperties, Requirement};
use crate::definitions::ContainerResources;
use crate::failure::Invalid;
use crate::limits::one_of;

/// Where a definition may run, in AWS's words: it decides which amounts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    Ec2,
    Fargate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Vcpu,
    Memory,
    Gpu,
}

const KINDS: [(&str, Kind); 3] = [("GPU", Kind::Gpu), ("VCPU", Kind::Vcpu), ("MEMORY", Kind::Memory)];

/// Requests and limits of the container. A vCPU is a share and no limit, as on an instance of Amazon ECS; memory is both.
pub(crate) fn resources(
    properties: &ContainerProperties,
    capability: Capability,
) -> Result<ContainerResources, Invalid> {
    let given = requirements(&properties.resource_requirements)?;
    let both = |member: &str, kind: &str| {
        Invalid::err(format!("Cannot use both ECS containerProperties {member} and resourceRequirement {kind}"))
    };
    let vcpus = match (properties.vcpus, given.get(&Kind::Vcpu)) {
        (Some(_), Some(_)) => return both("vcpus", "VCPU"),
        (Some(vcpus), None) => vcpus.to_string(),
        (None, Some(vcpus)) => (*vcpus).to_owned(),
        (None, None) => return Invalid::err("vCPU is required."),
    };
    let memory = match (properties.memory, given.get(&Kind::Memory)) {
        (Some(_), Some(_)) => return both("memory", "MEMORY"),
        (Some(memory), None) => memory.to_string(),
        (None, Some(memory)) => (*memory).to_owned(),
        (None, None) => return Invalid::err("Memory is required."),
    };
    let memory = format!("{}Mi", mebibytes(&memory)?);
    let mut requests = BTreeMap::from([("cpu".to_owned(), cpu(&vcpus, capability)?)]);
    requests.insert("memory".to_owned(), memory.clone());
    let mut limits = BTreeMap::from([("memory".to_owned(), memory)]);
    if let Some(gpus) = given.get(&Kind::Gpu) {
        limits.insert("nvidia.com/gpu".to_owned(), gpus_of(gpus)?.to_string());
    }
    Ok(ContainerResources { limits, requests })
}

fn requirements(given: &[Requirement]) -> Result<BTreeMap<Kind, &str>, Invalid> {
    let mut all = BTreeMap::new();
    for Requirement { value, kind } in given {
        let kind = one_of("resourceRequirements.type", kind, &KINDS)?;
        if all.insert(kind, value.as_str()).is_some() {
            return Invalid::err("Cannot provide duplicates in resourceRequirements.");
        }
    }
    Ok(all)
}

/// A whole number, or with Fargate a quarter or a half.
fn cpu(given: &str, capability: Capability) -> Result<String, Invalid> {
    if capability == Capability::Fargate && matches!(given, "0.25" | ".25" | "0.5" | ".5" | "0.50") {
        return Ok(if given.contains("25") { "0.25" } else { "0.5" }.to_owned());
    }
    let whole = given.strip_suffix(".0").unwrap_or(given);
    match number(whole) {
        Some(vcpus) if vcpus >= 1 => Ok(vcpus.to_string()),
        Some(_) => Invalid::err(format!("vCPU must be at least 1, got {given}.")),
        None => Invalid::err(format!("vCPU must be a whole number, got {given}.")),
    }
}

fn mebibytes(given: &str) -> Result<i64, Invalid> {
    match number(given) {
        Some(memory) if memory >= 4 => Ok(memory),
        Some(_) => Invalid::err(format!("Memory must be at least 4 Mib, got {given} Mib.")),
        None => Invalid::err(format!("Memory must be a whole number of MiB, got {given}.")),
    }
}

fn gpus_of(given: &str) -> Result<u32, Invalid> {
    let gpus = number(given).and_then(|gpus| u32::try_from(gpus).ok()).filter(|gpus| *gpus >= 1);
    gpus.ok_or_else(|| Invalid(format!("GPU must be a whole number of at least 1, got {given}.")))
}

/// A whole number in digits, which may be negative.
pub(super) fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]
    fn check(properties: Value, capability: Capability, expect: Result<Value, &str>) {
        let read: ContainerProperties = serde_json::from_value(properties.clone()).unwrap();
        let got = resources(&read, capability).map(|it| serde_json::to_value(it).unwrap()).map_err(|it| it.0);
        assert_eq!(got, expect.map_err(str::to_owned), "{properties}");
    }

    fn needs(list: &[(&str, &str)]) -> Value {
        let list: Vec<Value> = list.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect();
        json!({"resourceRequirements": list})
    }

    #[test]
    fn amounts_are_those_of_a_pod() {
        let of = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"memory": "64Mi"}});
        check(json!({"vcpus": 2, "memory": 64}), Capability::Ec2, Ok(of("2")));
        check(needs(&[("VCPU", "2"), ("MEMORY", "64")]), Capability::Ec2, Ok(of("2")));
        check(needs(&[("VCPU", "2.0"), ("MEMORY", "64")]), Capability::Ec2, Ok(of("2")));
        check(needs(&[("VCPU", "0.25"), ("MEMORY", "64")]), Capability::Fargate, Ok(of("0.25")));
        check(needs(&[("VCPU", ".5"), ("MEMORY", "64")]), Capability::Fargate, Ok(of("0.5")));
        let mut mixed = needs(&[("MEMORY", "64"), ("GPU", "1")]);
        mixed["vcpus"] = json!(1);
        let expect =
            json!({"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "64Mi", "nvidia.com/gpu": "1"}});
        check(mixed, Capability::Ec2, Ok(expect));
    }

    #[test]
    fn every_rule_has_awss_words() {
        let mut twice = needs(&[("VCPU", "1"), ("MEMORY", "64")]);
        twice["vcpus"] = json!(1);
        let mut memory_twice = needs(&[("VCPU", "1"), ("MEMORY", "64")]);
        memory_twice["memory"] = json!(64);
        for (properties, message) in [
            (json!({"memory": 64}), "vCPU is required."),
            (json!({"vcpus": 1}), "Memory is required."),
            (json!({"vcpus": 0, "memory": 64}), "vCPU must be at least 1, got 0."),
            (json!({"vcpus": -1, "memory": 64}), "vCPU must be at least 1, got -1."),
            (json!({"vcpus": 1, "memory": 2}), "Memory must be at least 4 Mib, got 2 Mib."),
            (twice, "Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU"),
            (memory_twice, "Cannot use both ECS containerProperties memory and resourceRequirement MEMORY"),
            (needs(&[("VCPU", "1"), ("VCPU", "1")]), "Cannot provide duplicates in resourceRequirements."),
            (needs(&[("CPU", "1")]), "resourceRequirements.type must be one of [GPU, VCPU, MEMORY], got CPU."),
            (needs(&[("VCPU", "0.5"), ("MEMORY", "64")]), "vCPU must be a whole number, got 0.5."),
            (needs(&[("VCPU", "+2"), ("MEMORY", "64")]), "vCPU must be a whole number, got +2."),
            (needs(&[("VCPU", "1"), ("MEMORY", "+64")]), "Memory must be a whole number of MiB, got +64."),
            (needs(&[("VCPU", "1"), ("MEMORY", "1g")]), "Memory must be a whole number of MiB, got 1g."),
            (
                needs(&[("VCPU", "1"), ("MEMORY", "64"), ("GPU", "0")]),
                "GPU must be a whole number of at least 1, got 0.",
            ),
        ] {
            check(properties, Capability::Ec2, Err(message));
        }
        let third = needs(&[("VCPU", "0.3"), ("MEMORY", "64")]);
        check(third, Capability::Fargate, Err("vCPU must be a whole number, got 0.3."));
    }
}
