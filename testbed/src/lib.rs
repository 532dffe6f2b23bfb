//! The local cluster that Bulkhead is developed and tested on: a real Kubernetes on one Linux machine, without Docker.
//!
//! Control plane, image registry and node provider are processes of this machine; every node is a real kubelet with its
//! own containerd in a network namespace of its own. Nothing of it leaves the machine, several run side by side, and
//! all of it is made so that making it again repairs it. Knows nothing about Bulkhead itself, except the wire format of
//! the `external` node provider.

pub mod binaries;
pub mod image;
pub mod provider;
pub mod slot;

mod cargo_deny;
mod cgroup;
mod cgroup_tree;
mod claim;
mod cluster;
mod command;
mod config;
mod control_plane;
mod files;
mod jobset;
mod kwok;
mod layout;
mod limits;
mod network;
mod node;
mod packages;
mod pki;
mod postgresql;
mod process;
mod progress;
mod python;
mod say;
mod shape;
mod status;

pub use binaries::Release;
pub use cargo_deny::ensure_cargo_deny;
pub use cluster::{Cluster, UpOptions};
pub use kwok::FakeNodes;
pub use layout::{Layout, default_name};
pub use node::NodeOptions;
pub use packages::{ensure as ensure_packages, ensure_postgresql};
pub use postgresql::Postgresql;
pub use python::AwsClients;
pub use shape::Machine;
pub use status::{Component, NodeStatus, Status};
