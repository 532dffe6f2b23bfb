//! Whoever has a right of Kubernetes' that users of one namespace lack, and a node by its own identity, still cannot change what is
//! Bulkhead's by it.

use anyhow::Result;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually};

use crate::policies::{expect, pod};
use crate::{Company, Scenario};

/// May do what the test grants.
const BOB: &str = "bob@example.com";
const RESERVED: Result<(), &str> = Err("of a pod is reserved");

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "namespaces, statuses, Bindings and a node's own labels are no way around Bulkhead for those who may write them",
        short: "grant",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(granted(fixture)),
    }]
}

async fn granted(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let node = fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (plain, queued) = (fixture.namespace("plain", None).await?, fixture.namespace("queued", Some(&queue)).await?);
    let gated = json!({"schedulingGates": [{"name": "example.com/mine"}]});
    for (namespace, name, labels) in [(&plain, "mine", json!({})), (&queued, "waits", json!({keys::QUEUE: queue}))] {
        let pod = pod(json!({"generateName": "", "name": name, "labels": labels}), gated.clone());
        fixture.world.kubectl_with(&["create", "-n", namespace, "-f", "-"], &pod.to_string()).await?;
    }
    grant(fixture, "role", BOB, &json!([
        {"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "pods", "pods/status"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods/binding", "bindings"], "verbs": ["create"]}]))
    .await?;
    let bob = ["--as", BOB];
    eventually("Bob has his rights", || async {
        Ok(patched(fixture, &["namespace", &plain], &json!({"metadata": {"labels": {"team": "red"}}}), &bob).await)
    })
    .await?;

    namespaces(fixture, &plain, &queue).await?;
    statuses(fixture, (&plain, &queued), &queue).await?;
    bindings(fixture, (&plain, &queued), &node).await?;
    nodes(fixture, &node).await
}

/// Gives somebody rights in all of the cluster.
async fn grant(fixture: &Fixture, what: &str, who: &str, rules: &Value) -> Result<()> {
    let role = fixture.named(what);
    for kind in ["clusterrole", "clusterrolebinding"] {
        fixture.on_clean(&["delete", kind, &role, "--ignore-not-found"], "");
    }
    let api = "rbac.authorization.k8s.io/v1";
    fixture
        .world
        .apply(
            &json!({"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules}).to_string(),
        )
        .await?;
    let user = format!("--user={who}");
    fixture
        .world
        .kubectl(&["create", "clusterrolebinding", &role, &format!("--clusterrole={role}"), &user])
        .await
        .map(drop)
}

/// What the API server says to a patch; nothing is stored.
async fn patched(fixture: &Fixture, object: &[&str], patch: &Value, who: &[&str]) -> Result<(), String> {
    let patch = patch.to_string();
    let args = [&["patch"], object, &["--type=merge", "--dry-run=server", "-p", &patch], who].concat();
    fixture.world.kubectl(&args).await.map(drop).map_err(|error| format!("{error:#}"))
}

/// A namespace's queue is for those who may use the queue.
async fn namespaces(fixture: &Fixture, plain: &str, queue: &str) -> Result<()> {
    let refused = Err("you may not use job queue");
    let named = |queue: &str| json!({"metadata": {"labels": {keys::QUEUE: queue}}});
    let bob = ["--as", BOB];
    let by_status = ["--as", BOB, "--subresource=status"];
    for (what, queue, who, expected) in [
        ("a namespace's queue", queue, &bob[..], refused),
        ("a namespace's queue, by its status", queue, &by_status[..], refused),
        ("a queue that does not exist", "none-such", &bob[..], refused),
        ("no queue", "none", &bob[..], Ok(())),
    ] {
        expect(what, patched(fixture, &["namespace", plain], &named(queue), who).await, expected)?;
    }
    let own = json!([{"apiGroups": ["bulkhead.dev"], "resources": ["jobqueues"], "resourceNames": [queue], "verbs": ["use"]}]);
    grant(fixture, "use", BOB, &own).await?;
    eventually("Bob may name the queue that he may use", || async {
        Ok(patched(fixture, &["namespace", plain], &named(queue), &bob).await)
    })
    .await?;
    expect("another queue", patched(fixture, &["namespace", plain], &named("none-such"), &bob).await, refused)
}

/// Labels and annotations of a pod can be written with its status, too.
async fn statuses(fixture: &Fixture, (plain, queued): (&str, &str), queue: &str) -> Result<()> {
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    let condition = json!({"status": {"conditions": [{"type": "example.com/seen", "status": "True"}]}});
    for (what, namespace, name, patch, expected) in [
        ("a plain pod's queue", plain, "mine", labels(json!({keys::QUEUE: queue})), RESERVED),
        ("a plain pod's id", plain, "mine", labels(json!({keys::JOB_ID: "x"})), RESERVED),
        ("no queue any more", queued, "waits", labels(json!({keys::QUEUE: null})), RESERVED),
        ("another id", queued, "waits", labels(json!({keys::JOB_ID: "x"})), RESERVED),
        ("a hold", queued, "waits", json!({"metadata": {"annotations": {keys::HOLD: "n"}}}), RESERVED),
        ("a condition", queued, "waits", condition, Ok(())),
    ] {
        let who = ["-n", namespace, "--as", BOB, "--subresource=status"];
        expect(&format!("{what}, by the status"), patched(fixture, &["pod", name], &patch, &who).await, expected)?;
    }
    Ok(())
}

/// A Binding puts its labels and annotations onto the pod.
async fn bindings(fixture: &Fixture, (plain, queued): (&str, &str), node: &str) -> Result<()> {
    let ours = Err("labels and annotations of a Binding under bulkhead.dev/");
    // Kubernetes' own word: what comes so far was stopped by nothing of ours.
    let gated = Err("has non-empty .spec.schedulingGates");
    for (what, metadata, expected) in [
        ("annotation", json!({"annotations": {keys::NODE_UID: "u"}}), ours),
        ("label", json!({"labels": {keys::CE_UUID: "u"}}), ours),
        ("queue", json!({"labels": {keys::QUEUE: "none"}}), ours),
        ("nothing of ours", json!({"labels": {"mine": "x"}}), gated),
    ] {
        for (namespace, name) in [(plain, "mine"), (queued, "waits")] {
            let mut binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": metadata,
                "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
            binding["metadata"]["name"] = json!(name);
            for path in [format!("pods/{name}/binding"), "bindings".to_owned()] {
                let path = format!("/api/v1/namespaces/{namespace}/{path}");
                let args = ["create", "--raw", &path, "-f", "-", "--as", BOB];
                let seen = fixture.world.kubectl_with(&args, &binding.to_string()).await;
                let seen = seen.map(drop).map_err(|error| format!("{error:#}"));
                expect(&format!("a Binding with {what} to {path}"), seen, expected)?;
            }
        }
    }
    Ok(())
}

/// A kubelet may not move its node into an environment, nor out of one; an administrator may.
async fn nodes(fixture: &Fixture, node: &str) -> Result<()> {
    let refused = Err("are not the node's own");
    let user = format!("system:node:{node}");
    let kubelet = ["--as", &user, "--as-group", "system:nodes", "--as-group", "system:authenticated"];
    // kubectl reads the status before it patches it, which a kubelet neither does nor may.
    grant(fixture, "node", &user, &json!([{"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["get"]}]))
        .await?;
    eventually("the kubelet may read its status", || async {
        let args = [&["get", "node", node, "--subresource=status"], &kubelet[..]].concat();
        Ok(fixture.world.kubectl(&args).await.map(drop).map_err(|error| format!("{error:#}")))
    })
    .await?;
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    for (what, patch, expected) in [
        ("another environment", labels(json!({keys::CE_UUID: "other"})), refused),
        ("no environment any more", labels(json!({keys::CE_UUID: null})), refused),
        ("a machine's mark", json!({"metadata": {"annotations": {keys::TAINTED: "x"}}}), refused),
        ("a label of its own", labels(json!({"mine": "x"})), Ok(())),
    ] {
        expect(what, patched(fixture, &["node", node], &patch, &kubelet).await, expected)?;
        let by_status = [&kubelet[..], &["--subresource=status"]].concat();
        expect(
            &format!("{what}, by the status"),
            patched(fixture, &["node", node], &patch, &by_status).await,
            expected,
        )?;
        expect(&format!("{what}, by an administrator"), patched(fixture, &["node", node], &patch, &[]).await, Ok(()))?;
    }
    Ok(())
}
