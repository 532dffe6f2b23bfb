//! The main line: an Indexed Job goes in unchanged, runs on nodes of its environment and nowhere else, the nodes go.

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use tests::{FORM_1, Fixture, env_of};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "form 1 completes unchanged on nodes that a user labelled",
            short: "f1u",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(unmanaged(fixture)),
        },
        Scenario {
            name: "form 1 completes unchanged on nodes that come and go",
            short: "f1m",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(managed(fixture)),
        },
    ]
}

async fn unmanaged(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "2Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, FORM_1).await?;
    check_form_1(fixture, &namespace, &environment).await
}

async fn managed(fixture: &Fixture) -> Result<()> {
    // Logs go with their node: it stays until they have been read.
    let environment = fixture.managed("ce", 2, "scaleDownDelay: 10m").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, FORM_1).await?;
    check_form_1(fixture, &namespace, &environment).await?;
    let soon = r#"{"spec":{"scaleDownDelay":"1s"}}"#;
    fixture.world.kubectl(&["patch", "ce", &environment, "--type=merge", "-p", soon]).await?;
    fixture.no_machines(&environment).await
}

/// Form 1 completes, says what it should, on nodes of its environment, with the contract on its pods.
async fn check_form_1(fixture: &Fixture, namespace: &str, environment: &str) -> Result<()> {
    let uuid = fixture.environment_uuid(environment).await?;
    fixture.completed(namespace, "indexed-job").await?;
    let logs: Vec<String> = fixture.logs(namespace, "indexed-job").await?.into_iter().map(|(_, text)| text).collect();
    ensure!(logs == ["oof", "rab", "zab", "xuq", "zyx"], "logs by index: {logs:?}");
    let nodes = fixture.nodes().list(&ListParams::default()).await?.items;
    for pod in fixture.pods_of(namespace, "indexed-job").await? {
        let spec = pod.spec.as_ref().context("a pod without spec")?;
        let name = spec.node_name.as_deref().unwrap_or_default();
        ensure!(pod.labels().get(keys::CE_UUID) == Some(&uuid), "labels {:?}", pod.labels());
        let node = nodes.iter().find(|node| node.name_any() == name).with_context(|| format!("node {name} is gone"))?;
        ensure!(node.labels().get(keys::CE_UUID) == Some(&uuid), "{} ran on {name}", pod.name_any());
        ensure!(pod.labels().get(keys::NODE_UID) == node.metadata.uid.as_ref(), "labels {:?}", pod.labels());
        let job_id = pod.annotations().get(keys::JOB_ID_RAW).context("a pod without job id")?;
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            ensure!(env_of(container, "AWS_BATCH_JOB_ID") == Some(job_id), "variables {:?}", container.env);
            ensure!(env_of(container, "AWS_BATCH_JOB_ARRAY_SIZE") == Some("5"), "variables {:?}", container.env);
        }
        // Its host name carries the index.
        ensure!(spec.host_network != Some(true), "hostNetwork {:?}", spec.host_network);
    }
    Ok(())
}
