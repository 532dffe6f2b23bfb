//! What is not labelled is not touched: it runs where it would run without Bulkhead, as it would be stored without it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use serde_json::{Map, Value, json};
use tests::{Fixture, eventually, job_with, ready, steadily};

use crate::{Company, Scenario, hooks};

/// What differs between any two objects, or comes later and at no fixed time.
const TRANSIENT: [&str; 8] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "generateName",
    "nodeName",
    "status",
];

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "pods of an unlabelled namespace never land on batch nodes",
            short: "apart",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(apart(fixture)),
        },
        Scenario {
            name: "objects of an unlabelled namespace are stored as they are without Bulkhead",
            short: "same",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(same(fixture)),
        },
    ]
}

/// Idle batch nodes of both kinds are there, and the pods would rather have them than others.
async fn apart(fixture: &Fixture) -> Result<()> {
    let unmanaged = fixture.unmanaged("un").await?;
    let managed = fixture.managed("man", 1, "minvCpus: 1, instanceTypes: [local.medium]").await?;
    let labelled = fixture.label_node(&unmanaged, "n", "1", "2Gi").await?;
    let uuid = fixture.environment_uuid(&managed).await?;
    let of_managed = ListParams::default().labels(&format!("{}={uuid}", keys::CE_UUID));
    let launched = eventually("the managed environment has its node", || async {
        let nodes = fixture.nodes().list(&of_managed).await?.items;
        Ok(nodes.iter().find(|node| ready(node)).map(Node::name_any).ok_or_else(|| format!("{} nodes", nodes.len())))
    })
    .await?;
    let batch = [labelled, launched];

    let namespace = fixture.namespace("ns", None).await?;
    let rather = format!(
        "affinity:\n  nodeAffinity:\n    preferredDuringSchedulingIgnoredDuringExecution:\n    \
         - {{weight: 100, preference: {{matchExpressions: [{{key: {}, operator: Exists}}]}}}}\n",
        keys::CE_UUID
    );
    fixture.apply(&namespace, &deployment(3, &rather)).await?;
    fixture.apply(&namespace, &job_with("job", 3, "10m", "16Mi", "true", &rather)).await?;
    // One that has nowhere else to go waits.
    let only = format!("nodeSelector: {{kubernetes.io/hostname: {}}}\n", batch[0]);
    fixture.apply(&namespace, &job_with("only", 1, "10m", "16Mi", "true", &only)).await?;
    fixture.completed(&namespace, "job").await?;
    available(fixture, &namespace).await?;
    let refused = || async {
        let pods = fixture.pods_of(&namespace, "only").await?;
        let refused = pods.iter().any(|pod| unschedulable(pod).is_some());
        Ok(if refused { Ok(()) } else { Err(format!("{} pods, none refused yet", pods.len())) })
    };
    eventually("kube-scheduler has refused the pod that selects a batch node", refused).await?;
    steadily(Duration::from_secs(3), "no pod of an unlabelled namespace is on a batch node", || async {
        let pods = fixture.pods(&namespace).list(&ListParams::default()).await?.items;
        let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let strays: Vec<String> = pods
            .iter()
            .filter(|pod| node(pod).is_some_and(|node| batch.contains(&node)))
            .map(|pod| format!("{} on {:?}", pod.name_any(), node(pod)))
            .collect();
        Ok(if strays.is_empty() { Ok(()) } else { Err(format!("{strays:?}")) })
    })
    .await
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|one| one.reason.as_deref() == Some("Unschedulable"))?;
    found.message.clone()
}

/// The same workloads with the hooks taken away and with the hooks in force.
async fn same(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let labelled = fixture.namespace("labelled", Some(&queue)).await?;
    let saved = hooks::save(fixture).await?;
    hooks::delete(fixture).await?;
    hooks::in_force(fixture, &labelled, false).await?;
    let before = stored(fixture, "before").await?;
    hooks::put(fixture, &saved).await?;
    hooks::in_force(fixture, &labelled, true).await?;
    let after = stored(fixture, "after").await?;
    ensure!(before.len() == after.len(), "{} objects before, {} after", before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        ensure!(before == after, "without Bulkhead:\n{before:#}\nwith Bulkhead:\n{after:#}");
    }
    Ok(())
}

/// Creates a Deployment and a Job in a namespace without label; all objects that come of them, as they are stored, less what
/// differs between any two objects.
async fn stored(fixture: &Fixture, what: &str) -> Result<Vec<Value>> {
    let namespace = fixture.namespace(what, None).await?;
    fixture.apply(&namespace, &deployment(1, "")).await?;
    fixture.apply(&namespace, &job_with("job", 1, "10m", "16Mi", "exec sleep 600", "")).await?;
    available(fixture, &namespace).await?;
    let job = fixture.jobs(&namespace);
    eventually("the Job's pod is ready", || async {
        let ready = job.get("job").await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(1) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await?;
    let mut all = Vec::new();
    for kind in ["deployments", "replicasets", "jobs", "pods"] {
        let text = fixture.world.kubectl(&["get", kind, "-n", &namespace, "-o", "json"]).await?;
        let mut list: Value = serde_json::from_str(&text)?;
        let Value::Array(items) = list["items"].take() else { bail!("kubectl's list has no items") };
        all.extend(items.into_iter().map(|item| normal(item, &namespace)));
    }
    ensure!(all.len() == 5, "a Deployment, a ReplicaSet, a Job and two pods were expected: {all:#?}");
    // By owner, because the names of pods are random.
    all.sort_by_key(|object| (object["kind"].to_string(), object["metadata"]["ownerReferences"].to_string()));
    Ok(all)
}

/// An object without what differs between any two objects: UIDs, generated names, names of token volumes, times.
fn normal(value: Value, namespace: &str) -> Value {
    match value {
        Value::Object(members) => {
            let generated = members.contains_key("generateName");
            let differs = |key: &str| TRANSIENT.contains(&key) || (generated && key == "name");
            let kept = members.into_iter().filter(|(key, _)| !differs(key));
            Value::Object(kept.map(|(key, value)| (key, normal(value, namespace))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(|item| normal(item, namespace)).collect(),
        Value::String(text) if uuid::Uuid::parse_str(&text).is_ok() => json!("a UID"),
        Value::String(text) if text.starts_with("kube-api-access-") => json!("a token volume"),
        // Part of a longer text in last-applied-configuration.
        Value::String(text) => json!(text.replace(namespace, "the namespace")),
        other => other,
    }
}

fn deployment(replicas: u32, spec: &str) -> String {
    let more = spec.lines().fold(String::new(), |all, line| all + "      " + line + "\n");
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
{more}      containers:
      - name: main
        image: docker.io/library/busybox
        command: [sleep, "600"]
        resources:
          requests: {{cpu: 10m, memory: 16Mi}}
"#
    )
}

async fn available(fixture: &Fixture, namespace: &str) -> Result<()> {
    let args = ["rollout", "status", "-n", namespace, "deployment/web", "--timeout=120s"];
    fixture.world.kubectl(&args).await.map(drop)
}
