//! What containers printed: read from their kubelets, kept after their pods are gone.
//!
//! Invariant: output is read as user `aws-batch`, so that a namespace's Role decides whether it can be shown and kept; what is kept is what was
//! read, or is not there. Knows neither who may see it nor when it has to be kept.

mod kept;
mod output;
mod pods;
mod sweep;

pub use self::kept::{Keep, Kept, MOST, Size};
pub use self::output::{Both, Extent, Lines, NoOutput, Outputs, Whose};
pub use self::pods::KubeOutputs;
pub use self::sweep::{Limits, Swept};

/// Why output was not kept, or cannot be read where it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used.
    #[error("logs cannot be kept in {place}: {source}")]
    Place {
        /// The directory.
        place: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It does not take, give or list.
    #[error("where logs are kept: {0}")]
    Store(#[source] Box<object_store::Error>),
    /// The output could not be read.
    #[error("the output cannot be read: {0}")]
    Output(#[source] std::io::Error),
    /// As much is there as may be.
    #[error("as much is kept as may be")]
    Full,
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Self::Store(Box::new(error))
    }
}
