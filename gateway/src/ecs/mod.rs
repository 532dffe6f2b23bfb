//! Definitions and jobs of the kind that AWS Batch has for Amazon ECS, of one container, run as pods.
//!
//! Invariant: from here on they are pods like those of `eksProperties`; only what clients send and are shown is of the other kind. Knows no
//! store and no cluster.

mod check;
mod efs;
mod needs;
mod overrides;
mod pod;
mod properties;
mod show;

pub(crate) use check::{capability, validate};
pub(crate) use overrides::merge;
pub(crate) use pod::{escaped, literal, pod};
pub(crate) use properties::{ContainerOverrides, ContainerProperties};
pub(crate) use show::{attempts, container, reason, rest, went_well};
