//! What a provider says about machines ends no node that is Ready, and no job.

use std::time::Duration;

use anyhow::{Result, ensure};
use api::ComputeEnvironment;
use api::crd::{Phase, Validity};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tests::{Fixture, eventually, job, ready, steadily};

use crate::Scenario;

/// Lists that agree for a minute are believed, of a machine whose node is not Ready.
const LONG: Duration = Duration::from_secs(75);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a provider that has lost its books ends no node and no job, and the environment says that its machines seem lost",
        short: "books",
        local_only: true,
        run: |fixture| Box::pin(empty_books(fixture)),
    }]
}

async fn empty_books(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("runs", 4, "400m", "64Mi", "until test -e /tmp/end; do sleep 0.5; done")).await?;
    eventually("four units run on a node each", || async {
        let ready = fixture.jobs(&namespace).get("runs").await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(4) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await?;

    fixture.world.provider_faults(&json!({"emptyBooks": true})).await?;
    let environments: Api<ComputeEnvironment> = Api::all(fixture.world.client.clone());
    eventually("the environment says that its machines seem lost", || async {
        let status = environments.get(&environment).await?.status.unwrap_or_default();
        let reason = status.status_reason.unwrap_or_default();
        let says =
            reason.starts_with("4 of its 4 machines seem lost at once") && status.status == Some(Validity::Valid);
        Ok(if says { Ok(()) } else { Err(format!("{:?} {reason}", status.status)) })
    })
    .await?;
    steadily(LONG, "all machines serve and all units run", || serve(fixture, &environment, &namespace)).await?;
    let told = fixture.events("default", &environment).await?;
    ensure!(told.iter().any(|text| text.starts_with("MachinesLost: 4 of its 4 machines")), "Events: {told:?}");

    // Somebody ends one of them: it retires, and is not taken for gone because its provider does not know it.
    let pods = fixture.pods_of(&namespace, "runs").await?;
    for pod in &pods {
        fixture.world.kubectl(&["exec", "-n", &namespace, &pod.name_any(), "--", "touch", "/tmp/end"]).await?;
    }
    fixture.completed(&namespace, "runs").await?;
    let first = fixture.machines(&environment).await?.first().map(kube::ResourceExt::name_any).unwrap_or_default();
    fixture.world.kubectl(&["delete", "batchnode", &first, "--wait=false"]).await?;
    eventually("idle machines retire", || async {
        let phases: Vec<Phase> = fixture.machines(&environment).await?.iter().map(api::BatchNode::phase).collect();
        let all = phases.len() == 4 && phases.iter().all(|phase| *phase == Phase::Retiring);
        Ok(if all { Ok(()) } else { Err(format!("{phases:?}")) })
    })
    .await?;

    // The books are found again.
    fixture.world.provider_faults(&json!({})).await?;
    fixture.no_machines(&environment).await
}

async fn serve(fixture: &Fixture, environment: &str, namespace: &str) -> Result<Result<(), String>> {
    let machines = fixture.machines(environment).await?;
    let mut nodes = 0;
    for machine in &machines {
        nodes += usize::from(fixture.nodes().get_opt(&machine.name_any()).await?.as_ref().is_some_and(ready));
    }
    let phases: Vec<Phase> = machines.iter().map(api::BatchNode::phase).collect();
    let running = fixture.jobs(namespace).get("runs").await?.status.unwrap_or_default();
    let good = nodes == 4 && phases == [Phase::Ready; 4] && running.ready == Some(4) && running.failed.is_none();
    Ok(if good { Ok(()) } else { Err(format!("{nodes} nodes are Ready, phases {phases:?}, Job {running:?}")) })
}
