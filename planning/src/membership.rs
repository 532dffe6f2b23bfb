//! Whether a node that carries the label of an environment belongs to it.
//!
//! Invariant: a kubelet's own word gets it work only where the environment says so: whoever holds a kubelet's credentials would get others'
//! work with it. Policies keep kubelets from changing the label later. Does not look at taints or readiness.

/// What is known about a node's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// A machine that Bulkhead launched for the same environment has the node's name.
    pub has_machine: bool,
    /// The node brought the label when it registered, and nobody else has set it since.
    pub registered: bool,
}

/// Whose label it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Of an environment whose nodes Bulkhead launches.
    Managed,
    /// Of one whose nodes the user labels, or if it allows that, the nodes themselves.
    Unmanaged {
        /// Whether a node may register with the label.
        self_registration: bool,
    },
}

/// Whether the node belongs to the environment.
pub fn belongs(label: Label, of: Of) -> bool {
    match of {
        Of::Managed => label.has_machine,
        Of::Unmanaged { self_registration } => self_registration || !label.registered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_belongs_to_an_environment_that_has_reason_to_believe_it() {
        let open = Of::Unmanaged { self_registration: true };
        let closed = Of::Unmanaged { self_registration: false };
        for (has_machine, registered, of, expected) in [
            (true, true, Of::Managed, true),
            (false, true, Of::Managed, false),
            (false, false, Of::Managed, false),
            (false, true, open, true),
            (false, false, open, true),
            (false, true, closed, false),
            (false, false, closed, true),
        ] {
            let label = Label { has_machine, registered };
            assert_eq!(belongs(label, of), expected, "{label:?} {of:?}");
        }
    }
}
