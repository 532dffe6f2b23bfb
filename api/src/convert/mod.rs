//! From Kubernetes objects to `model`: what the planner needs of an object, a few hundred bytes instead of kilobytes.
//!
//! Invariant: pure, and total: no object makes a conversion fail. What cannot be understood counts as nothing and is told to the
//! caller as a [`Problems`] line. Does not know where objects come from or what is kept of them.

pub mod added;
pub mod asked;
pub mod attempt;
pub mod custom;
mod duration;
pub mod job;
pub mod mount;
pub mod node;
pub mod outcome;
pub mod pod;
pub mod refusal;
pub mod requests;
pub mod resident;
pub mod shape;
mod size;
pub mod unread;

pub use duration::duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use model::keys;
use model::snapshot::ObjectKey;

/// What could not be understood in an object, one sentence each.
pub type Problems = Vec<String>;

/// A Job or pod of which the plan would need more bytes than this is not planned for. The largest of sensible ones need a quarter of it.
const LARGEST: usize = 8 << 10;
/// Longest message of somebody that is kept.
const LONGEST_MESSAGE: usize = 1024;

/// The beginning of a message, whose author may have written a megabyte.
fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_MESSAGE)].to_owned()
}

/// Namespace and name.
fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn uid(meta: &ObjectMeta) -> String {
    meta.uid.clone().unwrap_or_default()
}

/// Every stored object has a creation time; one without counts as the oldest.
fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Value of the queue label, if it names a queue.
fn queue(meta: &ObjectMeta) -> Option<&str> {
    label(meta, keys::QUEUE).filter(|queue| !queue.is_empty() && *queue != keys::QUEUE_NONE)
}
