//! `BatchNode`s, which come from a watch and from our own writes.
//!
//! Invariant: never goes back to an older version of an object, nor brings back one that we saw go. Does not write any.

use api::BatchNode;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use super::super::table::Taken;
use super::{Raw, State, by_name, keep, same_meta, same_raw};

impl State {
    pub(super) fn feed_batch_node(&mut self, event: Event<DeserializeGuard<BatchNode>>) -> bool {
        let told = &mut self.told;
        let event = keep(event, by_name, |object| Some(told.raw("batch node", object)));
        match &event {
            Event::Apply((name, Some(Ok(object)))) => {
                let stale = self.batch_nodes.get(name).is_some_and(|known| is_newer(known, object));
                if stale || self.is_removed(object) {
                    return false;
                }
            }
            Event::InitApply((name, Some(Ok(object)))) => {
                let listed = self.batch_nodes.next_mut().and_then(|next| next.get(name));
                let stale = listed.is_some_and(|known| is_newer(known, object));
                if stale || self.is_removed(object) {
                    return false;
                }
            }
            Event::Delete((name, Some(Ok(object)))) => {
                if self.is_removed(object) {
                    self.removed.remove(name);
                }
                // Another one of that name may have been made since.
                if self.batch_nodes.get(name).is_some_and(|known| !is_same(known, object)) {
                    return false;
                }
            }
            _ => {}
        }
        let taken = self.batch_nodes.take(event, matters_not);
        self.machines_changed(taken)
    }

    pub(in super::super) fn apply_batch_node(&mut self, mut object: BatchNode) -> bool {
        object.metadata.managed_fields = None;
        let name = object.name_any();
        // A list that is being delivered may have been read before this write.
        if let Some(next) = self.batch_nodes.next_mut()
            && !next.get(&name).is_some_and(|known| is_newer(known, &object))
        {
            next.insert(name.clone(), Ok(object.clone()));
        }
        if self.batch_nodes.get(&name).is_some_and(|known| is_newer(known, &object)) || self.is_removed(&object) {
            return false;
        }
        let taken = self.batch_nodes.put(name, Ok(object), matters_not);
        self.machines_changed(taken)
    }

    pub(in super::super) fn remove_batch_node(&mut self, name: &str) -> bool {
        let known = self.batch_nodes.get(name).and_then(|known| known.as_ref().ok());
        if let Some(uid) = known.and_then(|known| known.metadata.uid.clone()) {
            self.removed.insert(name.to_owned(), uid);
        }
        if let Some(next) = self.batch_nodes.next_mut() {
            next.remove(name);
        }
        let taken = self.batch_nodes.remove(name.to_owned());
        self.machines_changed(taken)
    }

    fn machines_changed(&mut self, Taken { changed, touched, .. }: Taken) -> bool {
        for name in touched {
            self.mark_machine(&name);
        }
        changed
    }

    fn is_removed(&self, object: &BatchNode) -> bool {
        self.removed.get(&object.name_any()).is_some_and(|uid| Some(uid) == object.metadata.uid.as_ref())
    }
}

fn matters_not(a: &Raw<BatchNode>, b: &Raw<BatchNode>) -> bool {
    same_raw(a, b, |a, b| a.spec == b.spec && a.status == b.status && same_meta(&a.metadata, &b.metadata))
}

fn is_same(known: &Raw<BatchNode>, object: &BatchNode) -> bool {
    known.as_ref().map_or(true, |known| known.metadata.uid == object.metadata.uid)
}

/// Whether what is known is a newer version of the same object. Versions are opaque by contract and numbers in fact; those that
/// are not are not compared.
fn is_newer(known: &Raw<BatchNode>, object: &BatchNode) -> bool {
    let version = |object: &BatchNode| object.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    let Ok(known) = known else { return false };
    known.metadata.uid == object.metadata.uid
        && version(known).zip(version(object)).is_some_and(|(known, given)| known > given)
}
