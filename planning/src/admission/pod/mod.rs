//! The contract between Bulkhead and a pod, kept from AWS Batch on EKS: labels, variables, toleration, scheduler, network.
//!
//! Invariant: the same function serves every way in; it needs the pod and what is known about its unit and queue, nothing else.
//! What the user wrote stays, except under reserved names. Knows nothing about where the pod will run.

mod env;
pub mod host_network;
mod labels;
mod requests;
mod schedule;

pub use host_network::Surroundings;
pub use schedule::judged;

use super::edit::Editor;
use super::identity::UnitName;
use super::policy::Pass;
use super::{Admit, Outcome, reserved};
use model::keys;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is known about a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its AWS name.
    pub name: String,
    /// Requests of a pod in which no container asks for anything.
    pub default_requests: BTreeMap<String, String>,
    /// Whether pods get the host network when they do not say; `None`: all but those of Indexed Jobs.
    pub host_network: Option<bool>,
}

impl QueueFacts {
    /// A queue of which nothing but its name is known.
    pub fn unknown(name: impl Into<String>) -> Self {
        Self { name: name.into(), default_requests: BTreeMap::new(), host_network: None }
    }
}

/// What is known about a pod besides the pod itself.
#[derive(Debug, Clone)]
pub struct PodContext<'a> {
    /// The unit it is.
    pub unit: &'a UnitName,
    /// Value of its queue label; without one the pod gets no queue label and no hook is called for it.
    pub queue_label: Option<&'a str>,
    /// Its queue.
    pub queue: &'a QueueFacts,
    /// Number of children of its array job, where the pod itself does not say.
    pub array_size: Option<u64>,
    /// The user's choice about the host network, where the pod itself does not say.
    pub host_network: Option<bool>,
    /// What else speaks against the host network.
    pub surroundings: Surroundings,
    /// When it is looked at.
    pub pass: Pass,
}

/// A container with our variables takes 400 bytes and more, so that etcd's 1.5 MiB hold no pod of a few thousand. While one is
/// reviewed, each takes 15 KB of memory.
const MOST_CONTAINERS: usize = 1_000;

/// Applies the whole contract to a pod.
pub fn mutate(pod: Value, context: &PodContext) -> Admit {
    let count = CONTAINER_LISTS.into_iter().map(|list| super::edit::items(&pod, &["spec", list]).len()).sum::<usize>();
    if count > MOST_CONTAINERS {
        return Admit::refused(
            422,
            format!("the pod has {count} containers; a pod of a queue has at most {MOST_CONTAINERS}"),
        );
    }
    let mut editor = Editor::new(pod);
    let array_size = labels::apply(&mut editor, context);
    match context.pass {
        Pass::First => host_network::apply(&mut editor, context),
        // Others' webhooks have seen the network that it has, and have acted on it: it is not given any more.
        Pass::Again => host_network::reconsider(&mut editor, context),
        Pass::Late => {}
    }
    requests::apply(&mut editor, &context.queue.default_requests);
    env::apply(&mut editor, context, array_size);
    schedule::apply(&mut editor, context.pass);
    Admit::edited(Outcome::Queued, editor, Vec::new())
}

/// Lets a pod in that was labelled for a queue but cannot go through it: without anything that would make it look like ours.
pub fn leave_outside(pod: Value, reason: String) -> Admit {
    let mut editor = Editor::new(pod);
    editor.unset(&["metadata", "labels", keys::QUEUE]);
    reserved::strip(&mut editor, &["metadata", "labels"], &[]);
    reserved::strip(&mut editor, &["metadata", "annotations"], &[]);
    reserved::close(&mut editor, &["spec", "tolerations"]);
    Admit::edited(Outcome::LeftOutside, editor, vec![reason])
}

/// The lists of a pod spec that hold containers; sidecars are among the init containers.
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// Paths of all containers of a pod.
fn container_paths(pod: &Value) -> Vec<(&'static str, String)> {
    CONTAINER_LISTS
        .into_iter()
        .flat_map(|list| {
            let count = super::edit::items(pod, &["spec", list]).len();
            (0..count).map(move |index| (list, index.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
