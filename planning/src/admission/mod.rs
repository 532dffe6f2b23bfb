//! What admission does to Jobs, Pods and Nodes: pure functions from the received JSON to a JSON patch.
//!
//! Invariants: a patch always applies to the object it was made from, touches nothing but Bulkhead's own fields, keeps what it
//! does not know, and is empty on a second pass. Knows nothing about webhooks, HTTP or caches: whoever calls says where the
//! object belongs ([`policy`]) and carries the patch away.

mod edit;
pub mod identity;
pub mod job;
pub mod node;
pub mod pod;
pub mod policy;
#[cfg(test)]
mod properties;
mod reserved;
pub mod size;

pub use json_patch::PatchOperation;

use edit::{Editor, Fault};

/// The answer to one admission request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// Let in, with these changes.
    Allowed(Allowed),
    /// Not let in.
    Refused(Refusal),
}

/// An object that is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// What was decided about the object.
    pub outcome: Outcome,
    /// Changes to the object; empty if there are none.
    pub patch: Vec<PatchOperation>,
    /// Sentences for whoever made the request.
    pub warnings: Vec<String>,
}

/// An object that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code for the client.
    pub code: u16,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// What was decided about an object; a word for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It goes through a queue.
    Queued,
    /// It belongs to a queue already; its own values were kept.
    Kept,
    /// It said `none`.
    OptedOut,
    /// It cannot be queued and stays outside, with a warning.
    LeftOutside,
    /// It is none of our business.
    LeftAlone,
    /// A node got its taints.
    Tainted,
}

impl Outcome {
    /// The word used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Kept => "kept",
            Self::OptedOut => "opted_out",
            Self::LeftOutside => "left_outside",
            Self::LeftAlone => "left_alone",
            Self::Tainted => "tainted",
        }
    }
}

impl Admit {
    /// Lets the object in as it is.
    pub fn unchanged(outcome: Outcome) -> Self {
        Self::Allowed(Allowed { outcome, patch: Vec::new(), warnings: Vec::new() })
    }

    /// Refuses the object.
    pub fn refused(code: u16, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { code, message: message.into() })
    }

    /// Lets the edited object in, or refuses it because it is not shaped as Kubernetes defines it.
    fn edited(outcome: Outcome, editor: Editor, warnings: Vec<String>) -> Self {
        match editor.finish() {
            Ok(patch) => Self::Allowed(Allowed { outcome, patch, warnings }),
            Err(Fault { path, expected }) => Self::refused(400, format!("{path} must be {expected}")),
        }
    }
}
