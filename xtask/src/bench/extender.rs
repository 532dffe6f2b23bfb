//! `cargo xtask bench extender`: what kube-scheduler's extender takes to judge many nodes (W8).
//!
//! Invariant: each answer is checked: it admits the nodes of the hold and no others. No socket, no cluster: what remains is decoding,
//! deciding and answering.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use k8s_openapi::api::core::v1::Node;
use model::keys;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tower::ServiceExt as _;

use super::numbers::{Quantiles, grouped, milliseconds};
use super::{machine, optimised, processor};

/// Of a request.
const GOAL: Duration = Duration::from_millis(2);
/// Nodes of which a pod may choose one.
const HOLD: usize = 16;
const WARM_UP: usize = 100;
/// Nobody listens there.
const NOWHERE: &str = "https://127.0.0.1:1";
/// Far above any answer.
const ANSWER_LIMIT: usize = 8 << 20;

/// Arguments of `cargo xtask bench extender`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Nodes of the cluster, all of which kube-scheduler asks about; may be repeated.
    #[arg(long, default_values_t = [100, 1000, 5000])]
    nodes: Vec<usize>,
    /// Requests of each verb.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
}

/// Measures, in an optimised build.
pub(super) fn run(args: &Args) -> Result<()> {
    ensure!(args.requests > 0, "there is nothing to measure");
    if !optimised::IS {
        return optimised::run_again();
    }
    print!("{}", machine::machine()?);
    processor::pin(processor::apart()?.server)?;
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot start the asynchronous runtime")?;
    let mut text = format!(
        "{} requests of each verb, one after the other; a hold on {HOLD} nodes; milliseconds; goal: p99 at most {}\n\n\
         | nodes | bytes | read and write the JSON, p50 and p99 | filter | prioritize |\n| --- | --- | --- | --- | --- |\n",
        grouped(args.requests),
        GOAL.as_millis()
    );
    for nodes in &args.nodes {
        let line = runtime.block_on(measured(*nodes, args.requests))?;
        let _ = writeln!(text, "{line}");
    }
    println!("{text}");
    Ok(())
}

async fn measured(nodes: usize, requests: usize) -> Result<String> {
    let names: Vec<String> =
        (0..nodes).map(|number| format!("ip-10-0-{}-{}.internal", number / 250, number % 250)).collect();
    // Spread over all of them.
    let held: Vec<&String> = names.iter().step_by((nodes / HOLD).max(1)).take(HOLD).collect();
    let router = extender(&names)?;
    let body = serde_json::to_vec(&request(&names, &held))?;
    let (mut json, mut filter, mut prioritize) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP + requests {
        let begin = Instant::now();
        let read: Value = serde_json::from_slice(black_box(&body))?;
        black_box(serde_json::to_vec(&read)?);
        drop(read);
        let only_json = begin.elapsed();
        let (filtering, answer) = ask(&router, "/filter", &body).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["NodeNames"] == json!(held), "it admits {}", answer["NodeNames"]);
        let (scoring, answer) = ask(&router, "/prioritize", &body).await?;
        let scores: Value = serde_json::from_slice(&answer)?;
        ensure!(scores.as_array().map(Vec::len) == Some(nodes), "each node has a score");
        if number >= WARM_UP {
            json.push(only_json);
            filter.push(filtering);
            prioritize.push(scoring);
        }
    }
    let cells = [json, filter, prioritize].map(|times| cell(times).unwrap_or_default());
    let [json, filter, prioritize] = cells;
    let verdict = |(text, met): (String, bool)| format!("{text}{}", if met { "" } else { ", missed" });
    let (nodes, bytes) = (grouped(nodes), grouped(body.len()));
    Ok(format!("| {nodes} | {bytes} | {} | {} | {} |", json.0, verdict(filter), verdict(prioritize)))
}

/// The middle and the end, and whether the goal is met.
fn cell(times: Vec<Duration>) -> Option<(String, bool)> {
    let Quantiles { p50, p99, .. } = Quantiles::of(times)?;
    Some((format!("{:.2}, {:.2}", milliseconds(p50), milliseconds(p99)), p99 <= GOAL))
}

async fn ask(router: &Router, path: &str, body: &[u8]) -> Result<(Duration, Bytes)> {
    let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_vec()))?;
    let begin = Instant::now();
    let response = router.clone().oneshot(request).await?;
    let code = response.status();
    let answer = to_bytes(response.into_body(), ANSWER_LIMIT).await?;
    let took = begin.elapsed();
    ensure!(code.is_success(), "{path} is answered with {code}");
    Ok((took, answer))
}

fn extender(names: &[String]) -> Result<Router> {
    let node = |name: &String| -> Result<Node> {
        Ok(serde_json::from_value(json!({"metadata": {"name": name, "uid": name, "labels": {keys::CE_UUID: "u"}}}))?)
    };
    let nodes: Vec<Node> = names.iter().map(node).collect::<Result<_>>()?;
    let clients = cluster::client::from_config(kube::Config::new(NOWHERE.parse()?))?;
    Ok(scheduler::fixed(&nodes, clients))
}

/// What kube-scheduler sends of a pod with a volume, and of all nodes.
fn request(names: &[String], held: &[&String]) -> Value {
    let room: Vec<&str> = held.iter().map(|name| name.as_str()).collect();
    json!({
        "Pod": {
            "metadata": {
                "name": "train-0-x7k2p",
                "namespace": "science",
                "uid": "0d1c9f6e-5a8d-4b55-9f4e-0d7f5f6c1a01",
                "resourceVersion": "4711",
                "labels": {keys::CE_UUID: "u", keys::QUEUE: "main"},
                "annotations": {keys::HOLD: room.join(",")},
            },
            "spec": {
                "schedulerName": keys::SCHEDULER_EXTENDED,
                "containers": [{"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "1"}}}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        },
        "Nodes": null,
        "NodeNames": names,
    })
}
