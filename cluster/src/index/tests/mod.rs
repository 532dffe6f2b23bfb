//! Tests of the index: events go in, snapshots come out.

#![allow(clippy::needless_pass_by_value, reason = "JSON reads better by value")]

mod assumptions;
mod attempts;
mod clocks;
mod crowds;
mod lists;
mod objects;
mod pods_and_nodes;
mod refusals;
mod sizes;
mod told;
mod unread;

use std::collections::BTreeMap;
use std::time::Duration;

use api::{BatchNode, ComputeEnvironment, JobQueue};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use model::clock::{Moment, Now};
use model::keys;
use model::names::ArnBase;
use model::resources::Resources;
use model::snapshot::{Node as BatchNodeView, Place, Unit};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Change, Index};

/// Seconds since some moment.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// That time, on clocks that go evenly.
fn even(wall: Timestamp) -> Now {
    Now { wall, moment: Moment::after(Duration::from_secs(u64::try_from(wall.as_second()).unwrap())) }
}

fn read<K: DeserializeOwned>(object: &Value) -> DeserializeGuard<K> {
    DeserializeGuard(Ok(serde_json::from_value(object.clone()).unwrap()))
}

fn apply<K: DeserializeOwned>(index: &Index, object: &Value)
where
    Change: From<Event<DeserializeGuard<K>>>,
{
    index.feed(Event::Apply(read::<K>(object)));
}

fn delete<K: DeserializeOwned>(index: &Index, object: &Value)
where
    Change: From<Event<DeserializeGuard<K>>>,
{
    index.feed(Event::Delete(read::<K>(object)));
}

fn list<K: DeserializeOwned>(index: &Index, objects: &[Value])
where
    Change: From<Event<DeserializeGuard<K>>>,
{
    index.feed(Event::<DeserializeGuard<K>>::Init);
    for object in objects {
        index.feed(Event::InitApply(read::<K>(object)));
    }
    index.feed(Event::<DeserializeGuard<K>>::InitDone);
}

/// An index in which every watch has delivered an empty list.
fn index() -> Index {
    let index = Index::new(ArnBase::default());
    list::<Pod>(&index, &[]);
    list::<Job>(&index, &[]);
    list::<Node>(&index, &[]);
    list::<ComputeEnvironment>(&index, &[]);
    list::<JobQueue>(&index, &[]);
    list::<BatchNode>(&index, &[]);
    list::<Namespace>(&index, &[]);
    list::<LimitRange>(&index, &[]);
    list::<RuntimeClass>(&index, &[]);
    index
}

/// A pod of `job` that waits for its dispatch.
fn pod(name: &str, job: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "n", "name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(0).to_string(),
            "labels": {keys::QUEUE: "q", keys::JOB_ID: "id"}, "annotations": {},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": format!("uid-{job}"), "controller": true}],
        },
        "spec": {
            "schedulerName": keys::SCHEDULER_DIRECT,
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Ki"}}}],
        },
        "status": {"phase": "Pending"},
    })
}

/// A pod that was dispatched to a node.
fn on(mut pod: Value, node: &str) -> Value {
    pod["spec"]["nodeName"] = json!(node);
    annotated(pod, keys::NODE_UID, &format!("uid-{node}"))
}

fn in_phase(mut pod: Value, phase: &str) -> Value {
    pod["status"]["phase"] = json!(phase);
    pod
}

fn created(mut object: Value, time: Timestamp) -> Value {
    object["metadata"]["creationTimestamp"] = json!(time.to_string());
    object
}

fn indexed(mut pod: Value, index: &str) -> Value {
    pod["metadata"]["annotations"][keys::K8S_COMPLETION_INDEX] = json!(index);
    pod
}

/// A pod that has nothing to do with Bulkhead.
fn foreign(name: &str, node: &str) -> Value {
    let mut pod = on(pod(name, "other"), node);
    pod["metadata"]["labels"] = json!({});
    pod["spec"]["schedulerName"] = json!("default-scheduler");
    pod
}

fn job(name: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "n", "name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(-100).to_string(),
            "labels": {keys::QUEUE: "q", keys::JOB_ID: "id"}, "annotations": {},
        },
        "spec": {"completions": 1, "template": {"spec": {"containers": [{"name": "c"}]}}},
        "status": {},
    })
}

fn annotated(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["annotations"][key] = json!(value);
    object
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {keys::CE_UUID: "ce-uuid"}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "4", "memory": "1Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn custom(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "10"}, "spec": spec})
}

fn environment(name: &str) -> Value {
    custom("ComputeEnvironment", name, json!({"type": "MANAGED", "provider": {"external": {"url": "http://p"}}}))
}

fn queue(name: &str) -> Value {
    custom("JobQueue", name, json!({"computeEnvironments": ["ce"]}))
}

fn machine(name: &str, version: &str, phase: &str) -> Value {
    let spec = json!({"computeEnvironment": "ce", "computeEnvironmentUuid": "u", "computeEnvironmentName": "CE",
        "offer": "m5.large", "milliVcpus": 2000, "allocatable": {"cpu": "2"}, "provider": {}});
    let mut object = custom("BatchNode", name, spec);
    object["metadata"]["resourceVersion"] = json!(version);
    object["status"] = json!({"phase": phase});
    object
}

fn units(index: &Index) -> Vec<Unit> {
    let mut units = index.snapshot(even(at(0))).units;
    units.sort_by(|a, b| a.key.cmp(&b.key));
    units
}

/// The only node of the snapshot.
fn only_node(index: &Index, now: Timestamp) -> BatchNodeView {
    let mut nodes = index.snapshot(even(now)).nodes;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].units, index.units_on(&nodes[0].name));
    nodes.remove(0)
}

fn bound(node: &str, running: bool) -> Place {
    Place::Bound { node: node.to_owned(), running }
}

fn cores(count: i64) -> Resources {
    Resources::new(count * 1000, count * 1024).with("pods", count)
}

fn version(index: &Index) -> u64 {
    *index.version().borrow()
}
