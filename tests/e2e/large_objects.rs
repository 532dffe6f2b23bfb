//! Objects as large as the API server takes: they cost the controller neither its life nor others their turn.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually, job};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "large pods of one tenant cost the controller neither its life nor others their turn",
            short: "large",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(large(fixture)),
        },
        Scenario {
            name: "network policies of one tenant with labels by the ten thousand cost no webhook its life",
            short: "labels",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(labels(fixture, ("webhook", "webhook"), policy)),
        },
        Scenario {
            name: "pods of one tenant with labels by the ten thousand cost no extender its life",
            short: "plabels",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(labels(fixture, ("scheduler", "extender"), pod)),
        },
    ]
}

/// Each as a list of short arguments, which take eleven times their length as typed values. A controller that held them would need two
/// times what it may have.
const PODS: usize = 24;
const ARGUMENTS: usize = 250_000;

async fn large(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (others, ours) = (fixture.namespace("large", None).await?, fixture.namespace("ns", Some(&queue)).await?);
    for number in 0..PODS {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}")}, "spec": {
            "schedulingGates": [{"name": "example.com/never"}],
            "containers": [{"name": "c", "image": "x", "args": vec!["a"; ARGUMENTS]}],
        }});
        fixture.world.kubectl_with(&["create", "-n", &others, "-f", "-"], &pod.to_string()).await?;
    }
    fixture.apply(&ours, &job("before", 1, "50m", "16Mi", "true")).await?;
    fixture.completed(&ours, "before").await?;
    // Another reads them all at once.
    let before = controller(fixture).await?;
    fixture.world.kubectl(&["delete", "pod", "-n", keys::NAMESPACE, &before.name_any()]).await?;
    eventually("another controller is there", || async {
        let now = controller(fixture).await;
        let other = now.as_ref().is_ok_and(|now| now.uid() != before.uid());
        Ok(if other { Ok(()) } else { Err(format!("{:?}", now.map(|now| now.status))) })
    })
    .await?;
    fixture.apply(&ours, &job("after", 1, "50m", "16Mi", "true")).await?;
    fixture.completed(&ours, "after").await?;
    let status = controller(fixture).await?.status.unwrap_or_default();
    let restarts: i32 = status.container_statuses.iter().flatten().map(|one| one.restart_count).sum();
    ensure!(restarts == 0, "the controller was started again: {status:?}");
    Ok(())
}

/// A page of these, read whole, takes more than a webhook has.
const LABELLED: usize = 30;
const LABELS: usize = 60_000;

fn policy(name: &str, _queue: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"no": "such"}}, "policyTypes": ["Ingress"]}})
}

/// One for the second scheduler, that waits for good.
fn pod(name: &str, queue: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {keys::QUEUE: queue}}, "spec": {"containers": [{
        "name": "c", "image": "x", "ports": [{"containerPort": 4711, "hostPort": 4711}], "resources": {"requests": {"cpu": "1k"}}}]}})
}

/// Objects of which a container of a component reads every one.
async fn labels(
    fixture: &Fixture,
    (component, container): (&str, &str),
    object: fn(&str, &str) -> Value,
) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (many, ours) = (fixture.namespace("many", Some(&queue)).await?, fixture.namespace("ns", Some(&queue)).await?);
    let labels: BTreeMap<String, &str> = (0..LABELS).map(|number| (format!("l{number}"), "")).collect();
    let patch = json!({"metadata": {"labels": labels}}).to_string();
    for number in 0..LABELLED {
        let object = object(&format!("p{number}"), &queue);
        fixture.apply(&many, &object.to_string()).await?;
        let (kind, name) = (object["kind"].as_str().unwrap_or_default(), format!("p{number}"));
        let args = ["patch", kind, &name, "-n", &many, "--type=merge", "--patch-file=/dev/stdin"];
        fixture.world.kubectl_with(&args, &patch).await?;
    }
    // All of them read all at once.
    let selector = format!("app.kubernetes.io/component={component}");
    fixture.world.kubectl(&["delete", "pod", "-n", keys::NAMESPACE, "-l", &selector]).await?;
    eventually("its pods are there again", || async {
        let all = fixture.pods(keys::NAMESPACE).list(&ListParams::default().labels(&selector)).await?.items;
        let states = all.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
        // What kube-scheduler reads is its own affair.
        let states: Vec<(bool, i32)> =
            states.filter(|one| one.name == container).map(|one| (one.ready, one.restart_count)).collect();
        ensure!(states.iter().all(|(_, restarts)| *restarts == 0), "one was started again: {states:?}");
        let ready = states.len() == all.len() && states.len() > 1 && states.iter().all(|(ready, _)| *ready);
        Ok(if ready { Ok(()) } else { Err(format!("{states:?}")) })
    })
    .await?;
    fixture.apply(&ours, &job("after", 1, "50m", "16Mi", "true")).await?;
    fixture.completed(&ours, "after").await.map(drop)
}

/// The controller's pod.
async fn controller(fixture: &Fixture) -> Result<Pod> {
    let selector = ListParams::default().labels("app.kubernetes.io/component=controller");
    let mut all = fixture.pods(keys::NAMESPACE).list(&selector).await?.items;
    ensure!(all.len() == 1, "{} controllers", all.len());
    Ok(all.remove(0))
}
