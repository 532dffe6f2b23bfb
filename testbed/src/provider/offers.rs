//! What the provider sells. Invariant: nothing larger than the machine; the price follows the vCPUs. Pure.

use std::collections::BTreeMap;

use api::provider::Offer;
use model::quantity;

use crate::shape::Machine;

/// Name, vCPUs and memory of everything that is ever sold.
const KINDS: [(&str, &str, &str); 3] =
    [("m5.large", "2", "8Gi"), ("local.medium", "1", "2Gi"), ("local.small", "500m", "1Gi")];
/// Price of a thousandth of a vCPU per hour, in millionths.
const MICROS_PER_MILLI: i64 = 48;
/// Pods per node, as every kubelet here is configured.
const PODS: &str = "110";

/// The offers that fit on this machine.
pub(super) fn offers(machine: Machine) -> Vec<Offer> {
    KINDS.iter().filter(|(_, cpu, memory)| machine.fits(cpu, memory)).map(|kind| offer(*kind)).collect()
}

fn offer((name, cpu, memory): (&str, &str, &str)) -> Offer {
    let allocatable = [("cpu", cpu), ("memory", memory), ("pods", PODS)];
    let price = quantity::milli(cpu).ok().and_then(|milli| u64::try_from(milli * MICROS_PER_MILLI).ok());
    Offer {
        name: name.to_owned(),
        cpu: cpu.to_owned(),
        memory: memory.to_owned(),
        resources: BTreeMap::new(),
        allocatable: allocatable.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        zone: None,
        labels: architecture(),
        price_micros: price,
        spot: false,
    }
}

/// What these machines are, where it is not what is taken for granted.
fn architecture() -> BTreeMap<String, String> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => return BTreeMap::new(),
        "aarch64" => "arm64",
        other => other,
    };
    BTreeMap::from([("kubernetes.io/arch".to_owned(), arch.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_is_offered_at_a_price_by_vcpu() {
        let check = |cpu_milli: u64, gib: u64, expect: &[(&str, u64)]| {
            let got = offers(Machine { cpu_milli, memory: gib << 30 });
            let got: Vec<_> = got.iter().map(|o| (o.name.as_str(), o.price_micros.unwrap())).collect();
            assert_eq!(got, expect);
        };
        check(2000, 24, &[("m5.large", 96_000), ("local.medium", 48_000), ("local.small", 24_000)]);
        check(2000, 7, &[("local.medium", 48_000), ("local.small", 24_000)]);
        check(1000, 1, &[("local.small", 24_000)]);
        check(250, 1, &[]);
    }
}
