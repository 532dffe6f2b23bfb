//! Pods that are created only for show: the API server does everything but store them.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;

use super::super::load::{Caller, Failure};

/// What is created, and whether what comes back is right.
pub(super) struct Show {
    pub(super) pods: Api<Pod>,
    pub(super) pod: Pod,
    pub(super) is_right: fn(&Pod) -> bool,
}

/// Who creates.
pub(super) struct Creator<'a>(pub(super) &'a Show);

impl Caller for Creator<'_> {
    async fn call(&mut self, number: usize) -> Result<(), Failure> {
        let Show { pods, pod, is_right } = self.0;
        let mut pod = pod.clone();
        pod.metadata.name = Some(format!("show-{number}"));
        match pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await {
            Ok(pod) if is_right(&pod) => Ok(()),
            Ok(pod) => Err(Failure::Wrong(serde_json::to_string(&pod).unwrap_or_else(|error| error.to_string()))),
            Err(error) => Err(Failure::Failed(::cluster::telemetry::chain(&error))),
        }
    }
}
