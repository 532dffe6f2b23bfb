//! Label and taints of batch nodes, as lists to write.
//!
//! Invariant: what somebody else put on a node stays. Pure; does not write.

use api::convert::node::NodeRecord;
use k8s_openapi::api::core::v1::Taint;
use model::keys;

/// Effects of the batch taint on a MANAGED node.
pub(crate) const MANAGED: [&str; 2] = ["NoSchedule", "NoExecute"];
/// Effects of the batch taint on an UNMANAGED node from the first: `NoExecute` might kill what runs there, and comes when it harms nothing.
pub(crate) const UNMANAGED: [&str; 1] = ["NoSchedule"];

/// Whether a MANAGED node has its environment's label and the batch taints.
pub(crate) fn is_marked(node: &NodeRecord, uuid: &str) -> bool {
    node.environment_uuid() == Some(uuid) && MANAGED.iter().all(|effect| has_batch_taint(&node.taints, effect))
}

/// Whether the batch taint is there with this effect.
pub(crate) fn has_batch_taint(taints: &[Taint], effect: &str) -> bool {
    taints.iter().any(|taint| taint.key == keys::BATCH_TAINT && taint.effect == effect)
}

/// The taints with the batch taint of these effects added.
pub(crate) fn with_batch(taints: &[Taint], effects: &[&str]) -> Vec<Taint> {
    let mut all = taints.to_vec();
    for effect in effects.iter().filter(|effect| !has_batch_taint(taints, effect)) {
        all.push(taint(keys::BATCH_TAINT, keys::BATCH_TAINT_VALUE, effect));
    }
    all
}

/// The taints without the batch taint.
pub(crate) fn without_batch(taints: &[Taint]) -> Vec<Taint> {
    taints.iter().filter(|taint| taint.key != keys::BATCH_TAINT).cloned().collect()
}

/// The taints with the retiring taint added.
pub(crate) fn with_retiring(taints: &[Taint]) -> Vec<Taint> {
    let mut all: Vec<Taint> = taints.iter().filter(|taint| taint.key != keys::RETIRING_TAINT).cloned().collect();
    all.push(taint(keys::RETIRING_TAINT, "true", "NoSchedule"));
    all
}

fn taint(key: &str, value: &str, effect: &str) -> Taint {
    Taint { key: key.to_owned(), value: Some(value.to_owned()), effect: effect.to_owned(), ..Taint::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_of_others_stay_and_ours_are_never_doubled() {
        let foreign = taint("dedicated", "x", "NoSchedule");
        let once = with_batch(std::slice::from_ref(&foreign), &MANAGED);
        assert_eq!(once.len(), 3);
        assert_eq!(with_batch(&once, &MANAGED), once);
        assert_eq!(with_retiring(&with_retiring(&once)).len(), 4);
        assert_eq!(without_batch(&once), [foreign]);
    }
}
