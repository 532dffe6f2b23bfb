//! Facts: what comes into a world, each thing as it is now.
//!
//! Invariant: a fact says all of one thing, so that only the last one about it counts. Knows nothing about what follows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use model::snapshot::{Closed, Environment, Job, Machine, Node, Queue, Refused, Unit};

/// Something that is so now.
#[derive(Clone, Debug)]
pub enum Fact<'a> {
    /// Whether the API server calls Bulkhead for new pods.
    HooksMissing(bool),
    /// All namespaces in which no pod of the API can be made.
    Closed(Cow<'a, BTreeMap<String, Closed>>),
    /// A queue is so.
    Queue(Cow<'a, Queue>),
    /// An environment is so.
    Environment(Cow<'a, Environment>),
    /// A node is so.
    Node(Cow<'a, Node>),
    /// A machine is so.
    Machine(Cow<'a, Machine>),
    /// A Job is so.
    Job(Cow<'a, Job>),
    /// A unit is so.
    Unit(Cow<'a, Unit>),
    /// Since when room has been kept for what still waits, by UID.
    KeptSince(Cow<'a, BTreeMap<String, Timestamp>>),
    /// All writes that did not go through.
    Refused(Cow<'a, [Refused]>),
    /// Something is not there any more.
    Gone(Thing<'a>),
}

/// Something that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing<'a> {
    /// A queue, by its object name.
    Queue(&'a str),
    /// An environment, by its object name.
    Environment(&'a str),
    /// A node, by its name.
    Node(&'a str),
    /// A machine, by its name.
    Machine(&'a str),
    /// A Job, by its UID.
    Job(&'a str),
    /// A unit, by its UID.
    Unit(&'a str),
}
