//! The cluster's cables: a bridge on the host, a network namespace per node, and the fence around them.
//! Invariant: no packet of a cluster leaves this machine. Addresses that nobody has are unreachable instead of routed
//! onwards, and the host forwards only between the cluster's own addresses.

use std::path::Path;

use anyhow::Result;

use crate::command::{run, run_with_input, words};
use crate::slot::Slot;

/// True if the slot's bridge exists.
pub(crate) fn bridge_exists(slot: Slot) -> bool {
    Path::new("/sys/class/net").join(slot.bridge()).exists()
}

/// Makes bridge, routes and fence; harmless if they exist.
pub(crate) fn make_bridge(slot: Slot) -> Result<()> {
    // The fence first: there is no moment without it.
    run_with_input("nft", &["-f", "-"], &fence(slot))?;
    for range in [slot.services(), slot.pods()] {
        run("ip", &words(&format!("route replace unreachable {range}")))?;
    }
    let bridge = slot.bridge();
    if !bridge_exists(slot) {
        run("ip", &words(&format!("link add {bridge} type bridge")))?;
    }
    // Forwarding is switched on for this interface alone, so the machine does not become a router by it.
    for setting in [format!("net.ipv6.conf.{bridge}.disable_ipv6=1"), format!("net.ipv4.conf.{bridge}.forwarding=1")] {
        set_kernel(&setting)?;
    }
    let network = slot.network();
    run("ip", &words(&format!("addr replace {}/{} dev {bridge}", slot.gateway(), network.prefix)))?;
    run("ip", &words(&format!("link set {bridge} up")))?;
    Ok(())
}

/// Writes `name=value` below `/proc/sys`; IPv6 settings are skipped on a machine without IPv6.
fn set_kernel(setting: &str) -> Result<()> {
    let Some((name, value)) = setting.split_once('=') else { return Ok(()) };
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    if name.contains("ipv6") && !path.exists() {
        return Ok(());
    }
    std::fs::write(&path, value)
        .map_err(|error| anyhow::anyhow!("cannot write {} (is /proc/sys read-only here?): {error}", path.display()))
}

/// Removes what [`make_bridge`] made; harmless if it is not there.
pub(crate) fn remove_bridge(slot: Slot) {
    let _ = run("ip", &words(&format!("link del {}", slot.bridge())));
    for range in [slot.services(), slot.pods()] {
        let _ = run("ip", &words(&format!("route del unreachable {range}")));
    }
    let _ = run("nft", &words(&format!("delete table inet {}", slot.fence())));
}

/// The nftables rules of a slot. Rejected, not dropped: a pull from an unknown registry fails at once.
fn fence(slot: Slot) -> String {
    let (table, bridge, gateway) = (slot.fence(), slot.bridge(), slot.gateway());
    format!(
        r#"table inet {table}
delete table inet {table}
table inet {table} {{
  chain forward {{
    type filter hook forward priority 0;
    iifname "{bridge}" oifname != "{bridge}" reject with icmpx admin-prohibited
    oifname "{bridge}" iifname != "{bridge}" reject with icmpx admin-prohibited
  }}
  chain input {{
    type filter hook input priority 0;
    iifname "{bridge}" ip daddr != {gateway} reject with icmpx admin-prohibited
    iifname "{bridge}" meta nfproto ipv6 drop
    iifname "{bridge}" udp dport 53 reject
    iifname "{bridge}" tcp dport 53 reject
  }}
}}
"#
    )
}

/// Makes a node's namespace afresh and plugs it in.
pub(crate) fn make_node(slot: Slot, index: u8) -> Result<()> {
    remove_node(slot, index);
    let (namespace, link) = (slot.node_namespace(index), slot.node_link(index));
    let (address, gateway, prefix) = (slot.node_address(index), slot.gateway(), slot.network().prefix);
    run("ip", &words(&format!("netns add {namespace}")))?;
    let outside = format!(
        "link add {link} type veth peer name eth0 address {} netns {namespace}\n\
         link set {link} master {} up\n\
         route replace {} via {address}\n",
        slot.node_mac(index),
        slot.bridge(),
        slot.node_pods(index),
    );
    run_with_input("ip", &["-batch", "-"], &outside)?;
    let inside = format!(
        "addr add {address}/{prefix} dev eth0\n\
         link set lo up\n\
         link set eth0 up\n\
         route add default via {gateway}\n"
    );
    run_with_input("ip", &["-n", &namespace, "-batch", "-"], &inside)?;
    Ok(())
}

/// Unplugs a node and removes its namespace; harmless if it is not there.
pub(crate) fn remove_node(slot: Slot, index: u8) {
    let (namespace, link) = (slot.node_namespace(index), slot.node_link(index));
    if Path::new("/sys/class/net").join(&link).exists() {
        let _ = run("ip", &words(&format!("route del {}", slot.node_pods(index))));
        let _ = run("ip", &words(&format!("link del {link}")));
    }
    if Path::new("/run/netns").join(&namespace).exists() {
        let _ = run("ip", &words(&format!("netns del {namespace}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_names_only_its_own_slot() {
        let text = fence(Slot::new(3).unwrap());
        assert!(text.contains(r#"iifname "bh3" oifname != "bh3" reject"#));
        assert!(text.contains("ip daddr != 10.203.0.1 reject"));
        assert!(!text.contains("bh0"));
    }
}
