//! What may be otherwise than the last look found it.
//!
//! Invariant: whatever may have changed is marked, rather too much than too little. While all is marked nothing is noted one by one, so that
//! it takes no memory where nobody looks. Does not know what has changed.

use std::collections::BTreeSet;

/// What is to be looked at again.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked {
    /// UIDs of pods: they have changed, or what hangs on them.
    pub(super) pods: BTreeSet<String>,
    /// UIDs of Jobs.
    pub(super) jobs: BTreeSet<String>,
    /// Names of nodes.
    pub(super) nodes: BTreeSet<String>,
    /// Every Job of which pods are or were refused.
    pub(super) refusals: bool,
    /// Every Job of which a pod may wait for a volume.
    pub(super) mounts: bool,
    /// What nodes have taught, because machines or environments have changed.
    pub(super) lessons: bool,
}

/// What is marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// `None`: everything.
    single: Option<Marked>,
}

impl Marks {
    /// Everything, whatever it was.
    pub(super) fn all(&mut self) {
        self.single = None;
    }

    /// A pod.
    pub(super) fn pod(&mut self, uid: &str) {
        note(self.single.as_mut().map(|marked| &mut marked.pods), uid);
    }

    /// A Job.
    pub(super) fn job(&mut self, uid: &str) {
        note(self.single.as_mut().map(|marked| &mut marked.jobs), uid);
    }

    /// A node.
    pub(super) fn node(&mut self, name: &str) {
        note(self.single.as_mut().map(|marked| &mut marked.nodes), name);
    }

    /// Something of which there is not one by one.
    pub(super) fn with(&mut self, mark: impl FnOnce(&mut Marked)) {
        if let Some(marked) = &mut self.single {
            mark(marked);
        }
    }

    /// What is marked, if that is not everything; from now on nothing is.
    pub(super) fn take(&mut self) -> Option<Marked> {
        self.single.replace(Marked::default())
    }
}

fn note(marked: Option<&mut BTreeSet<String>>, key: &str) {
    if let Some(marked) = marked.filter(|marked| !marked.contains(key)) {
        marked.insert(key.to_owned());
    }
}
