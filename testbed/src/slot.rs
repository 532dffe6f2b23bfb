//! One of the places a local cluster can take on this machine, and every name and address that follows from it.
//! Invariant: two slots share no name, no address range and no port on a shared address. Knows nothing about who holds
//! a slot (see `claim`) and touches nothing.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Port of the image registry on the gateway address.
pub const REGISTRY_PORT: u16 = 25000;
/// Port of the API server on the gateway address.
pub const API_PORT: u16 = 6443;
/// Port of the node provider on the gateway address.
pub const PROVIDER_PORT: u16 = 25080;
/// Port of the JobSet controller's webhooks.
pub const JOBSET_PORT: u16 = 25081;
/// Port of every kubelet on its node's address.
pub const KUBELET_PORT: u16 = 10250;

/// A slot number below [`Slot::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Slot(u8);

/// An IPv4 range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub address: Ipv4Addr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<u8> for Slot {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("slot {number} does not exist; there are {}", Self::COUNT))
    }
}

impl From<Slot> for u8 {
    fn from(slot: Slot) -> u8 {
        slot.0
    }
}

impl Slot {
    /// How many clusters can run side by side.
    pub const COUNT: u8 = 8;

    /// The slot with this number.
    pub fn new(number: u8) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// Every slot, lowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Bridge that the nodes are plugged into; the control plane listens on its address.
    pub fn bridge(self) -> String {
        format!("bh{}", self.0)
    }

    /// Range of the bridge.
    pub fn network(self) -> Range {
        Range { address: Ipv4Addr::new(10, 200 + self.0, 0, 0), prefix: 16 }
    }

    /// The bridge's own address, the nodes' default gateway.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.0, 0, 1)
    }

    /// Range of Service addresses.
    pub fn services(self) -> Range {
        Range { address: Ipv4Addr::new(10, 210 + self.0, 0, 0), prefix: 16 }
    }

    /// Address of the Service `kubernetes`.
    pub fn api_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 210 + self.0, 0, 1)
    }

    /// Range of pod addresses.
    pub fn pods(self) -> Range {
        Range { address: Ipv4Addr::new(10, 220 + self.0, 0, 0), prefix: 16 }
    }

    /// Address of the node with this index (1..=254).
    pub fn node_address(self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.0, 1, index)
    }

    /// Range of the pods of one node.
    pub fn node_pods(self, index: u8) -> Range {
        Range { address: Ipv4Addr::new(10, 220 + self.0, index, 0), prefix: 24 }
    }

    /// The host's end of a node's cable.
    pub fn node_link(self, index: u8) -> String {
        format!("bh{}n{index}", self.0)
    }

    /// Hardware address of a node: fixed, so that a node that takes over an address is found at once.
    pub fn node_mac(self, index: u8) -> String {
        format!("02:bb:{:02x}:00:01:{index:02x}", self.0)
    }

    /// Network namespace of a node.
    pub fn node_namespace(self, index: u8) -> String {
        self.node_link(index)
    }

    /// nftables table that keeps the cluster's packets on this machine.
    pub fn fence(self) -> String {
        format!("bulkhead_fence_{}", self.0)
    }

    /// etcd's ports for clients and peers, on the loopback address.
    pub fn etcd_ports(self) -> (u16, u16) {
        let client = 23790 + 2 * u16::from(self.0);
        (client, client + 1)
    }

    /// The API server's address as clients write it.
    pub fn api_url(self) -> String {
        format!("https://{}:{API_PORT}", self.gateway())
    }

    /// The image registry as an image reference starts.
    pub fn registry(self) -> String {
        format!("{}:{REGISTRY_PORT}", self.gateway())
    }

    /// The node provider's address.
    pub fn provider_url(self) -> String {
        format!("http://{}:{PROVIDER_PORT}", self.gateway())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn overlaps(a: Range, b: Range) -> bool {
        let bits = a.prefix.min(b.prefix);
        let mask = u32::MAX << (32 - u32::from(bits));
        u32::from(a.address) & mask == u32::from(b.address) & mask
    }

    #[test]
    fn addresses_follow_from_the_slot_and_the_index() {
        let check = |slot: u8, index: u8, expect: [&str; 8]| {
            let s = Slot::new(slot).unwrap();
            let got = [
                s.network().to_string(),
                s.services().to_string(),
                s.pods().to_string(),
                s.gateway().to_string(),
                s.node_address(index).to_string(),
                s.node_pods(index).to_string(),
                s.node_link(index),
                s.node_mac(index),
            ];
            assert_eq!(got, expect.map(str::to_owned));
        };
        check(
            0,
            1,
            [
                "10.200.0.0/16",
                "10.210.0.0/16",
                "10.220.0.0/16",
                "10.200.0.1",
                "10.200.1.1",
                "10.220.1.0/24",
                "bh0n1",
                "02:bb:00:00:01:01",
            ],
        );
        check(
            7,
            254,
            [
                "10.207.0.0/16",
                "10.217.0.0/16",
                "10.227.0.0/16",
                "10.207.0.1",
                "10.207.1.254",
                "10.227.254.0/24",
                "bh7n254",
                "02:bb:07:00:01:fe",
            ],
        );
    }

    #[test]
    fn no_range_of_any_slot_overlaps_another() {
        let ranges: Vec<Range> = Slot::all().flat_map(|s| [s.network(), s.services(), s.pods()]).collect();
        for (i, a) in ranges.iter().enumerate() {
            assert!(a.address.is_private(), "{a} is not private");
            for b in &ranges[i + 1..] {
                assert!(!overlaps(*a, *b), "{a} overlaps {b}");
            }
        }
    }

    #[test]
    fn names_and_loopback_ports_are_unique_and_interfaces_fit_fifteen_characters() {
        let mut names = BTreeSet::new();
        let mut ports = BTreeSet::new();
        for slot in Slot::all() {
            for name in std::iter::once(slot.bridge()).chain((1..=254).map(|i| slot.node_link(i))) {
                assert!(name.len() <= 15, "{name}");
                assert!(names.insert(name.clone()), "{name} twice");
            }
            let (client, peer) = slot.etcd_ports();
            assert!(ports.insert(client) && ports.insert(peer));
        }
    }

    #[test]
    fn a_slot_beyond_the_last_does_not_exist() {
        assert_eq!(Slot::new(Slot::COUNT), None);
        assert!(serde_json::from_str::<Slot>("9").is_err());
    }
}
