//! Requests and limits of a container
//! (<https://docs.aws.amazon.com/batch/latest/userguide/memory-cpu-batch-eks.html>).
//!
//! Invariant: pure; AWS's words where they are recorded.

use std::collections::BTreeMap;

use super::pod::ContainerResources;
use crate::failure::Invalid;

const CPU: &str = "cpu";
const MEMORY: &str = "memory";
const GPU: &str = "nvidia.com/gpu";

/// Checks the resources of a container. A main container must say what it needs.
pub(crate) fn validate(resources: Option<&ContainerResources>, main: bool) -> Result<(), Invalid> {
    let nothing = ContainerResources::default();
    let ContainerResources { limits, requests } = resources.unwrap_or(&nothing);
    for (name, value) in limits.iter().chain(requests) {
        amount(name, value)?;
    }
    let given = |name: &str| limits.contains_key(name) || requests.contains_key(name);
    if main && !(given(CPU) && given(MEMORY)) {
        return Invalid::err("cpu and memory resources must be provided.");
    }
    let both = |name: &str| both(name, requests, limits);
    if both(CPU).is_some_and(|(request, limit)| request > limit) {
        return Invalid::err("cpu request must be <= to cpu limit if both are provided.");
    }
    if both(MEMORY).is_some_and(|(request, limit)| request != limit) {
        return Invalid::err("memory request must be equal to memory limit if both are provided.");
    }
    if both(GPU).is_some_and(|(request, limit)| request != limit) {
        return Invalid::err("gpu request must be equal to gpu limit if both are provided.");
    }
    Ok(())
}

/// Request and limit, in any unit that lets them be compared.
fn both(name: &str, requests: &BTreeMap<String, String>, limits: &BTreeMap<String, String>) -> Option<(u64, u64)> {
    Some((amount(name, requests.get(name)?).ok()?, amount(name, limits.get(name)?).ok()?))
}

/// Quarters of a CPU, MiB, or GPUs.
fn amount(name: &str, value: &str) -> Result<u64, Invalid> {
    match name {
        CPU => cpu_quarters(value).ok_or_else(|| {
            Invalid(format!("Value {value} for type cpu in resources is not valid. Provide a valid number and unit."))
        }),
        MEMORY => value
            .strip_suffix("Mi")
            .and_then(|number| number.parse().ok())
            .filter(|mib| *mib >= 4)
            .ok_or_else(|| Invalid(format!("Value {value} for type memory is not valid."))),
        GPU => value
            .parse()
            .map_err(|_| Invalid(format!("Value {value} for type nvidia.com/gpu in resources is not valid."))),
        other => Invalid::err(format!("{other} is not a supported type for resources.")),
    }
}

/// A decimal number that is a multiple of 0.25 and not 0.
fn cpu_quarters(value: &str) -> Option<u64> {
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let quarters = match part.trim_end_matches('0') {
        "" => 0,
        "25" => 1,
        "5" => 2,
        "75" => 3,
        _ => return None,
    };
    let digits = !whole.is_empty() && !part.is_empty() && whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit());
    let total = whole.parse::<u64>().ok().filter(|_| digits)?.checked_mul(4)?.checked_add(quarters)?;
    (total > 0).then_some(total)
}
