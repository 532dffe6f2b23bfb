//! Bulkhead's controller in a local cluster: its process on this machine, and what it counts.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use model::keys;
use testbed::Cluster;

use super::ground::Ground;

const POD: &str = "bulkhead-controller-0";
/// Where it shows its metrics.
const PORT: u16 = 8080;

/// The process.
pub(super) fn process(cluster: &Cluster) -> Result<u32> {
    match cluster.in_containers(&["/bulkhead", "controller"])[..] {
        [only] => Ok(only),
        [] => bail!("the controller does not run"),
        _ => bail!("more than one controller runs; the benchmark is for one"),
    }
}

/// Has it start anew, so that its memory has seen nothing yet, and waits until it leads.
pub(super) async fn restart(ground: &Ground) -> Result<()> {
    eprintln!("starting the controller anew");
    let work = |cluster: &Cluster| {
        cluster.kubectl_run(&["delete", "pod", "-n", keys::NAMESPACE, POD, "--timeout=60s"])?;
        let set = "statefulset/bulkhead-controller";
        cluster.kubectl_run(&["rollout", "status", "-n", keys::NAMESPACE, set, "--timeout=120s"])?;
        Ok(())
    };
    ground.blocking(work).await
}

/// Its pod.
pub(super) async fn pod(ground: &Ground) -> Result<Pod> {
    Ok(Api::namespaced(ground.client().clone(), keys::NAMESPACE).get(POD).await?)
}

/// What it counts, as text.
pub(super) async fn metrics(ground: &Ground) -> Result<String> {
    let address = pod(ground).await?.status.and_then(|status| status.pod_ip);
    let url = format!("http://{}:{PORT}/metrics", address.context("the controller has no address")?);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    Ok(answer.error_for_status()?.text().await?)
}
