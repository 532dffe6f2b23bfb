//! The two series that stand beside Bulkhead: bare pods, made on their node, and placed by the cluster's own scheduler.

use std::time::Instant;

use anyhow::{Result, bail};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};

use super::super::load::{self, Caller, Extent, Failure};
use super::clocks::Clocks;
use super::lean;
use super::measured::{Measured, all_run};
use super::place::{Kind, Place};
use super::sample::{self, Node};
use super::sight::Sight;
use super::watch::Watch;

/// Pods that are created at the same time.
pub(super) const AT_ONCE: usize = 64;
/// Looks for pods that are still there, a fifth of a second apart.
const LOOKS: u32 = 600;

/// Pods that name their node: the least that starting a unit can take.
pub(super) async fn created(place: &Place, units: u32) -> Result<Measured> {
    let nodes: Vec<String> = place.nodes(Kind::Created).await?.into_iter().collect();
    run(place, Kind::Created, units, &|number| Node::Named(nodes[number % nodes.len()].clone())).await
}

/// Pods for which kube-scheduler finds a node.
pub(super) async fn scheduled(place: &Place, units: u32) -> Result<Measured> {
    run(place, Kind::Scheduled, units, &|_| Node::Chosen).await
}

async fn run(place: &Place, kind: Kind, units: u32, node: &dyn Fn(usize) -> Node) -> Result<Measured> {
    let pods = Api::namespaced_with(place.once().clone(), kind.namespace(), &lean::kind());
    let mut creators: Vec<Creator> = (0..AT_ONCE).map(|_| Creator { pods: pods.clone(), node }).collect();
    let mut watch = Watch::begin(place.ground().client(), kind.namespace()).await?;
    let (before, mut sight) = (Clocks::read(place.cluster())?, Sight::default());
    let begin = Instant::now();
    let outcome = load::run(&mut creators, 0, Extent::Times(units as usize)).await;
    if let Some(problem) = outcome.problem("creations") {
        bail!(problem);
    }
    watch.until(begin, &mut sight, all_run(units)).await?;
    let measured = Measured::of(place, kind, units, outcome.lasted, &sight, &before).await?;
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    gone(place, kind).await?;
    Ok(measured)
}

/// Waits until a series has no pods.
pub(super) async fn gone(place: &Place, kind: Kind) -> Result<()> {
    let pods = lean::pods(place.ground().client(), kind.namespace());
    for _ in 0..LOOKS {
        if pods.list(&ListParams::default().limit(1)).await?.items.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    bail!("pods in {} do not go away", kind.namespace())
}

/// Who creates.
struct Creator<'a> {
    pods: Api<DynamicObject>,
    node: &'a dyn Fn(usize) -> Node,
}

impl Caller for Creator<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let failed = |error: String| Failure::Failed(error);
        let pod = serde_json::from_value(sample::pod(number, &(self.node)(number)));
        let pod = pod.map_err(|error| failed(error.to_string()))?;
        let answer = self.pods.create(&PostParams::default(), &pod).await;
        answer.map(drop).map_err(|error| failed(::cluster::telemetry::chain(&error)))
    }
}
