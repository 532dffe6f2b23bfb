//! What admission adds to pods is planned for before their Job is released.

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tests::{Fixture, eventually};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a Job whose requests come from a LimitRange is released when there is room for those, not before",
            short: "limit",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(limit_range(fixture)),
        },
        Scenario {
            name: "twelve small containers without requests run on a node of two CPUs",
            short: "small",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(small_containers(fixture)),
        },
    ]
}

/// A Job whose containers ask for nothing.
fn manifest(name: &str, containers: usize, script: &str) -> Value {
    let container = |index: usize| json!({"name": format!("c{index}"), "image": "docker.io/library/busybox", "command": ["sh", "-c", script]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
        }}},
    })
}

async fn queue_with_node(fixture: &Fixture, cpu: &str) -> Result<String> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", cpu, "1Gi").await?;
    fixture.namespace("ns", Some(&queue)).await
}

async fn limit_range(fixture: &Fixture) -> Result<()> {
    let namespace = queue_with_node(fixture, "1").await?;
    let limits = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "600m"}}]},
    });
    fixture.apply(&namespace, &limits.to_string()).await?;
    fixture.apply(&namespace, &manifest("first", 1, "sleep 600").to_string()).await?;
    eventually("the first Job runs", || async {
        let pods = fixture.pods_of(&namespace, "first").await?;
        let runs =
            pods.iter().any(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
        Ok(if runs { Ok(()) } else { Err(format!("{} pods", pods.len())) })
    })
    .await?;
    let mut second = manifest("second", 1, "true");
    second["spec"]["activeDeadlineSeconds"] = json!(20);
    fixture.apply(&namespace, &second.to_string()).await?;
    let reason = fixture.waits_with(&namespace, "second", "CAPACITY:NO_ROOM").await?;
    ensure!(reason.contains("600m cpu"), "reason: {reason}");
    let jobs = fixture.jobs(&namespace);
    let waiting = jobs.get("second").await?;
    ensure!(waiting.spec.and_then(|spec| spec.suspend) == Some(true), "it was released without room");
    ensure!(waiting.status.and_then(|status| status.start_time).is_none(), "its clock runs");
    jobs.delete("first", &DeleteParams::background()).await?;
    fixture.completed(&namespace, "second").await?;
    Ok(())
}

async fn small_containers(fixture: &Fixture) -> Result<()> {
    let namespace = queue_with_node(fixture, "2").await?;
    fixture.apply(&namespace, &manifest("twelve", 12, "true").to_string()).await?;
    fixture.completed(&namespace, "twelve").await?;
    for pod in fixture.pods_of(&namespace, "twelve").await? {
        let name = pod.name_any();
        let requests = |container: &k8s_openapi::api::core::v1::Container| {
            container.resources.as_ref().and_then(|resources| resources.requests.clone()).unwrap_or_default()
        };
        let all: Vec<_> = pod.spec.iter().flat_map(|spec| &spec.containers).map(requests).collect();
        ensure!(all.iter().filter(|one| !one.is_empty()).count() == 1 && !all[0].is_empty(), "{name} requests {all:?}");
    }
    Ok(())
}
