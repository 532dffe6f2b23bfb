//! That dependencies point one way: vocabulary ← decisions ← types ← input and output ← edges ← the binary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::checkout::{metadata, own_packages};
use crate::report;

/// Crates of the workspace and which of it they may use.
const MAY_USE: [(&str, &[&str]); 17] = [
    ("model", &[]),
    ("planning", &["model"]),
    ("api", &["model", "planning"]),
    // Its tests start a PostgreSQL.
    ("records", &["model", "planning", "api", "testbed"]),
    ("cluster", &["model", "planning", "api"]),
    ("outputs", &["model"]),
    ("certs", &["model", "api", "cluster"]),
    // Tests of the doors alone use it.
    ("siege", &["cluster"]),
    // Edges do not know each other.
    ("webhook", &["model", "planning", "api", "cluster", "certs", "siege"]),
    ("scheduler", &["model", "planning", "api", "cluster", "siege"]),
    ("queue", &["model", "planning", "api", "cluster", "records", "outputs"]),
    ("nodes", &["model", "planning", "api", "cluster"]),
    ("gateway", &["model", "planning", "api", "cluster", "records", "outputs", "siege"]),
    (
        "bulkhead",
        &[
            "model",
            "planning",
            "api",
            "records",
            "outputs",
            "cluster",
            "certs",
            "webhook",
            "scheduler",
            "queue",
            "nodes",
            "gateway",
        ],
    ),
    // Tools see Bulkhead from outside; what they share with it is vocabulary, types and the way to connect.
    ("testbed", &["model", "api"]),
    ("tests", &["model", "api", "cluster", "testbed"]),
    // It also measures the webhook's routes, and the gateway's on a record store, without a cluster.
    (
        "xtask",
        &["model", "planning", "api", "cluster", "records", "outputs", "webhook", "scheduler", "gateway", "testbed"],
    ),
];

/// Crates without input, output and time.
const PURE: [&str; 2] = ["model", "planning"];
/// What pure crates do not reach, neither directly nor through others.
const IMPURE: [&str; 10] =
    ["kube", "kube-client", "k8s-openapi", "tokio", "hyper", "axum", "sqlx", "reqwest", "rustls", "rand"];

#[test]
fn crates_use_only_what_is_below_them() {
    let metadata = metadata();
    let own: Vec<&str> = own_packages(metadata).iter().filter_map(|package| package["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in own_packages(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(it, _)| *it == name) else {
            wrong.push(format!("{name}: say in MAY_USE ({}) what this crate may use", file!()));
            continue;
        };
        let uses = package["dependencies"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str());
        let up: BTreeSet<&str> = uses.filter(|it| own.contains(it) && !allowed.contains(it)).collect();
        wrong.extend(up.iter().map(|it| format!("{name} uses {it}; it may use only {allowed:?}")));
    }
    report(&wrong);
}

#[test]
fn the_pure_crates_reach_no_input_output_or_randomness() {
    let metadata = metadata();
    let graph = Graph::new(metadata);
    let mut wrong = Vec::new();
    for pure in PURE {
        let reached = graph.reached(pure);
        assert!(reached.contains("serde_json"), "{pure}: its dependencies were not read");
        wrong.extend(IMPURE.iter().filter(|it| reached.contains(*it)).map(|it| {
            format!("{pure} reaches {it}; `cargo tree --package {pure} --edges normal --invert {it}` shows how")
        }));
    }
    report(&wrong);
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for path in own_packages(metadata).iter().filter_map(|package| package["manifest_path"].as_str()) {
        let text = std::fs::read_to_string(path).expect("cargo has just read it");
        if !text.contains("[lints]\nworkspace = true\n") {
            wrong.push(format!("{path}: it does not say `[lints]` `workspace = true`"));
        }
    }
    report(&wrong);
}

/// Which crate is linked with which, tests and build scripts apart.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    links: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Value) -> Self {
        let array = |value: &'a Value| value.as_array().into_iter().flatten();
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let names = array(&metadata["packages"]).map(|it| (text(&it["id"]), text(&it["name"]))).collect();
        let linked = |it: &&Value| it["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null());
        let node =
            |it: &'a Value| (text(&it["id"]), array(&it["deps"]).filter(linked).map(|it| text(&it["pkg"])).collect());
        Self { names, links: array(&metadata["resolve"]["nodes"]).map(node).collect() }
    }

    /// Names of the crates that one is linked with, itself among them.
    fn reached(&self, name: &str) -> BTreeSet<&'a str> {
        let mut open: Vec<&str> = self.names.iter().filter(|(_, it)| **it == name).map(|(id, _)| *id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.links.get(id).into_iter().flatten());
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).copied().collect()
    }
}
