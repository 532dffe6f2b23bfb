//! What a Job's pods show of the contract while they run: labels, annotations and variables, with right values.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::LogParams;
use model::keys;
use tests::{FORM_2, FORM_3, Fixture, pod_index};

use crate::{Company, Scenario};

/// Prints its environment in an init container and in a container; both have variables of the user's own.
const PRINTS: &str = "apiVersion: batch/v1
kind: Job
metadata:
  name: prints
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      initContainers:
      - name: before
        image: docker.io/library/busybox
        command: [env]
        env: &env
        - {name: X, value: part-$(JOB_COMPLETION_INDEX)}
        - {name: WHO, value: $(AWS_BATCH_JOB_ID)/$(AWS_BATCH_JOB_ATTEMPT)}
      containers:
      - name: main
        image: docker.io/library/busybox
        command: [env]
        env: *env
        resources: {requests: {cpu: 50m, memory: 16Mi}}
";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a pod shows the labels and variables of the contract, and the user's variables can refer to them",
            short: "env",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(shows(fixture)),
        },
        Scenario {
            name: "forms 2 and 3 complete unchanged",
            short: "f23",
            company: Company::Others,
            local_only: false,
            run: |fixture| Box::pin(forms(fixture)),
        },
    ]
}

async fn shows(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let node = fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, PRINTS).await?;
    let job = fixture.completed(&namespace, "prints").await?;
    let job_id = job.labels().get(keys::JOB_ID).context("the Job has no job id")?;
    let uuid = fixture.environment_uuid(&environment).await?;
    let node_uid = fixture.nodes().get(&node).await?.metadata.uid.context("the node has no UID")?;

    let pods = fixture.pods_of(&namespace, "prints").await?;
    ensure!(pods.len() == 2, "{} pods", pods.len());
    for pod in pods {
        let index = pod_index(&pod).context("a pod without index")?;
        let labels = [
            (keys::JOB_ID, format!("{job_id}.{index}")),
            (keys::QUEUE, queue.clone()),
            (keys::CE_UUID, uuid.clone()),
            (keys::NODE_UID, node_uid.clone()),
        ];
        check(&format!("labels of index {index}"), pod.labels(), &labels)?;
        let annotations = [
            (keys::JOB_ID_RAW, format!("{job_id}:{index}")),
            (keys::NODE_UID, node_uid.clone()),
            (keys::COMPUTE_ENVIRONMENT, environment.clone()),
            (keys::ATTEMPT, "1".to_owned()),
        ];
        check(&format!("annotations of index {index}"), pod.annotations(), &annotations)?;
        let variables = [
            ("AWS_BATCH_JOB_ID", format!("{job_id}:{index}")),
            ("AWS_BATCH_JQ_NAME", queue.clone()),
            ("AWS_BATCH_CE_NAME", environment.clone()),
            ("AWS_BATCH_JOB_ATTEMPT", "1".to_owned()),
            ("AWS_BATCH_JOB_KUBERNETES_NODE_UID", node_uid.clone()),
            ("AWS_BATCH_JOB_ARRAY_INDEX", index.to_string()),
            ("AWS_BATCH_JOB_ARRAY_SIZE", "2".to_owned()),
            ("JOB_COMPLETION_INDEX", index.to_string()),
            // The second of the three ways in which the Job documentation tells a pod its index.
            ("HOSTNAME", format!("prints-{index}")),
            ("X", format!("part-{index}")),
            ("WHO", format!("{job_id}:{index}/1")),
        ];
        for container in ["before", "main"] {
            let shown = environment_of(fixture, &pod, container).await?;
            check(&format!("variables of {container}, index {index}"), &shown, &variables)?;
        }
    }
    Ok(())
}

/// What `env` printed in a container.
async fn environment_of(fixture: &Fixture, pod: &Pod, container: &str) -> Result<BTreeMap<String, String>> {
    let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    let pods = fixture.pods(&pod.namespace().unwrap_or_default());
    let text = pods.logs(&pod.name_any(), &params).await?;
    let split = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(text.lines().filter_map(split).collect())
}

fn check(what: &str, shown: &BTreeMap<String, String>, expected: &[(&str, String)]) -> Result<()> {
    for (key, value) in expected {
        ensure!(shown.get(*key) == Some(value), "{what}: {key} should be {value:?}; shown are {shown:?}");
    }
    Ok(())
}

async fn forms(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "2Gi").await?;
    let forms = [
        ("two", FORM_2, ["0", "1", "2", "3", "4"]),
        ("three", FORM_3, ["0 part-0", "1 part-1", "2 part-2", "3 part-3", "4 part-4"]),
    ];
    let mut namespaces = Vec::new();
    for (what, form, expected) in forms {
        let namespace = fixture.namespace(what, Some(&queue)).await?;
        fixture.apply(&namespace, form).await?;
        namespaces.push((namespace, expected));
    }
    for (namespace, expected) in namespaces {
        fixture.completed(&namespace, "indexed-job").await?;
        let logs: Vec<String> =
            fixture.logs(&namespace, "indexed-job").await?.into_iter().map(|(_, text)| text).collect();
        ensure!(logs == expected, "logs in {namespace} by index: {logs:?}");
    }
    Ok(())
}
