//! A cluster that does not let Bulkhead write to nodes, evict pods or take its finalizer off pods: the refusal is told where admins look, other
//! nodes and pods pass, and all of it goes on by itself when the refusal ends.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture, attempts, eventually, together};

use crate::rogue::CONTROLLER;
use crate::{Company, Scenario};

/// What the policies of these tests say.
const WORDS: &str = "nobody does that here";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "refused writes to nodes, evictions and removals of finalizers are told, keep nothing else, and go on by themselves",
        short: "held",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(withheld(fixture)),
    }]
}

async fn withheld(fixture: &Fixture) -> Result<()> {
    together(vec![
        ("taints of labelled nodes", Box::pin(taints(fixture))),
        ("evictions", Box::pin(evictions(fixture))),
        ("finalizers", Box::pin(finalizers(fixture))),
    ])
    .await
}

async fn taints(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("lab").await?;
    let uuid = fixture.environment_uuid(&environment).await?;
    let locked = fixture.named("locked");
    fixture.add_node(&locked, "500m", "512Mi").await?;
    let mark = format!("{locked}=yes");
    fixture.world.kubectl(&["label", "node", &locked, &mark]).await?;
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["nodes"], "operations": ["UPDATE"]});
    let free = format!("!('{locked}' in object.metadata.labels)");
    let binding = deny(fixture, "nodes", json!({"resourceRules": [rule]}), &free).await?;
    let change = format!("{}=probe", keys::TAINTED);
    let user = format!("--as={CONTROLLER}");
    let probe = ["annotate", "node", &locked, "--dry-run=server", &change, &user];
    in_force(fixture, &probe, "").await?;

    let label = format!("{}={uuid}", keys::CE_UUID);
    fixture.world.kubectl(&["label", "node", &locked, &label]).await?;
    let beginning = format!("1 of its nodes; {locked}: cannot change its taints: ");
    says(fixture, &environment, &beginning).await?;
    told(fixture, "default", &locked, "Refused: cannot change its taints: ").await?;
    // Another one gets its taint all the same.
    fixture.label_node(&environment, "free", "500m", "512Mi").await?;

    fixture.world.kubectl(&["delete", "validatingadmissionpolicybinding", &binding]).await?;
    eventually("the node has its taint", || async {
        let node: Node = fixture.nodes().get(&locked).await?;
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let tainted = taints.iter().any(|taint| taint.key == keys::BATCH_TAINT);
        Ok(if tainted { Ok(()) } else { Err(format!("{taints:?}")) })
    })
    .await?;
    healthy(fixture, &environment).await
}

async fn evictions(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ev", 2, "minvCpus: 2, instanceTypes: [local.medium]").await?;
    let uuid = fixture.environment_uuid(&environment).await?;
    let selector = ListParams::default().labels(&format!("{}={uuid}", keys::CE_UUID));
    let nodes = eventually("the environment has two nodes", || async {
        let nodes = fixture.nodes().list(&selector).await?.items;
        let ready: Vec<String> = nodes.iter().filter(|node| tests::ready(node)).map(Node::name_any).collect();
        Ok(if ready.len() == 2 { Ok(ready) } else { Err(format!("{ready:?}")) })
    })
    .await?;
    let (locked, budget) = (fixture.namespace("evl", None).await?, fixture.namespace("evb", None).await?);
    foreign(fixture, &locked, &nodes[0]).await?;
    foreign(fixture, &budget, &nodes[1]).await?;
    let disruptions = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "foreign"}}}});
    fixture.apply(&budget, &disruptions.to_string()).await?;
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/eviction"], "operations": ["CREATE"]});
    let binding = deny(fixture, "evictions", in_namespace(&locked, &rule), "false").await?;
    let path = format!("/api/v1/namespaces/{locked}/pods/foreign/eviction");
    let dry = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "foreign", "namespace": locked},
        "deleteOptions": {"dryRun": ["All"]}});
    in_force(fixture, &["create", "--raw", &path, "-f", "-", "--as", CONTROLLER], &dry.to_string()).await?;

    // They have nothing to do.
    let none = r#"{"spec": {"minvCpus": 0}}"#;
    fixture.world.kubectl(&["patch", "computeenvironment", &environment, "--type=merge", "-p", none]).await?;
    let cannot = format!("cannot take the pods off its node: {locked}/foreign: ");
    says(fixture, &environment, &format!("1 of its nodes; {}: {cannot}", nodes[0])).await?;
    told(fixture, "default", &nodes[0], &format!("Refused: {cannot}")).await?;
    let waits = format!("Waiting: pod {budget}/foreign is not evicted yet: ");
    eventually("an Event says that a budget is waited for", || async {
        let said = fixture.events("default", &nodes[1]).await?;
        let told = said.iter().any(|one| one.starts_with(&waits) && one.contains("disruption budget"));
        Ok(if told { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await?;

    // The one goes while the other is refused.
    fixture.world.kubectl(&["delete", "poddisruptionbudget", "one", "-n", &budget]).await?;
    eventually("one machine is left", || async {
        let left: Vec<String> = fixture.machines(&environment).await?.iter().map(kube::ResourceExt::name_any).collect();
        Ok(if left == [nodes[0].clone()] { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await?;
    ensure!(fixture.pods(&locked).get_opt("foreign").await?.is_some(), "the pod that nobody evicts is gone");
    fixture.world.kubectl(&["delete", "validatingadmissionpolicybinding", &binding]).await?;
    fixture.no_machines(&environment).await?;
    healthy(fixture, &environment).await
}

/// A pod on a batch node that is not of a queue; returns when it runs.
async fn foreign(fixture: &Fixture, namespace: &str, node: &str) -> Result<()> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "foreign", "labels": {"app": "foreign"}},
        "spec": {"nodeName": node, "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 1,
                 "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["sleep", "600"]}]}});
    fixture.apply(namespace, &pod.to_string()).await?;
    let pods = fixture.pods(namespace);
    eventually("a pod that is not of a queue runs", || async {
        let phase = pods.get("foreign").await?.status.and_then(|status| status.phase);
        Ok(if phase.as_deref() == Some("Running") { Ok(()) } else { Err(format!("{phase:?}")) })
    })
    .await
}

async fn finalizers(fixture: &Fixture) -> Result<()> {
    let (locked, free) = (fixture.api_namespace("apl").await?, fixture.api_namespace("apf").await?);
    let environment = fixture.unmanaged_in("api", &locked).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.ends_jobs_of(&queue);
    fixture.label_node(&environment, "api", "1", "512Mi").await?;
    let aws = Aws::of(&fixture.world).await?;
    let held = start(&aws, &queue, &locked, "until test -e /tmp/end; do sleep 0.2; done").await?;
    let job = aws.reaches(&held, "RUNNING").await?;
    let pod = job["eksProperties"]["podProperties"]["podName"].as_str().context("no podName")?.to_owned();
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["UPDATE"]});
    let kept = format!(
        "!oldObject.metadata.?finalizers.orValue([]).exists(one, one == '{0}') || object.metadata.?finalizers.orValue([]).exists(one, one == '{0}')",
        keys::RECORD_FINALIZER
    );
    let binding = deny(fixture, "finalizers", in_namespace(&locked, &rule), &kept).await?;
    let off = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
    let probe = ["patch", "pod", &pod, "-n", &locked, "--as", CONTROLLER, "--dry-run=server", "--type=json", "-p", off];
    in_force(fixture, &probe, "").await?;

    fixture.end_with(&locked, &pod, "touch /tmp/end").await?;
    aws.reaches(&held, "SUCCEEDED").await?;
    let cannot = "cannot take Bulkhead's finalizer off the pod: ";
    told(fixture, &locked, &pod, &format!("Refused: {cannot}")).await?;
    says(fixture, &environment, &format!("1 of its pods; {locked}/{pod}: {cannot}")).await?;
    // Another one is let go all the same.
    let passes = start(&aws, &queue, &free, "true").await?;
    let job = aws.reaches(&passes, "SUCCEEDED").await?;
    let other = attempts(&job)[0]["podName"].as_str().context("no podName")?.to_owned();
    let_go(fixture, &free, &other).await?;
    ensure!(!is_free(fixture.pods(&locked).get_opt(&pod).await?.as_ref()), "{locked}/{pod} was let go");

    fixture.world.kubectl(&["delete", "validatingadmissionpolicybinding", &binding]).await?;
    let_go(fixture, &locked, &pod).await?;
    healthy(fixture, &environment).await
}

/// Submits a job whose pod goes into this namespace; its id.
async fn start(aws: &Aws, queue: &str, namespace: &str, script: &str) -> Result<String> {
    let definition = format!("{queue}-{namespace}");
    let container = json!({"image": "docker.io/library/busybox", "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "0.25", "memory": "16Mi"}}});
    let pod = json!({"containers": [container], "metadata": {"namespace": namespace}});
    let body = json!({"jobDefinitionName": definition, "type": "container", "eksProperties": {"podProperties": pod}});
    aws.call("RegisterJobDefinition", &body).await?;
    aws.submit(queue, &definition, &json!({})).await
}

/// Waits until a pod is gone or has no finalizer of ours.
async fn let_go(fixture: &Fixture, namespace: &str, pod: &str) -> Result<()> {
    let pods = fixture.pods(namespace);
    eventually(&format!("pod {namespace}/{pod} is let go"), || async {
        let pod = pods.get_opt(pod).await?;
        Ok(if is_free(pod.as_ref()) { Ok(()) } else { Err("it has its finalizer".to_owned()) })
    })
    .await
}

fn is_free(pod: Option<&Pod>) -> bool {
    pod.is_none_or(|pod| !pod.finalizers().iter().any(|one| one == keys::RECORD_FINALIZER))
}

fn in_namespace(namespace: &str, rule: &Value) -> Value {
    json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "resourceRules": [rule]})
}

/// Makes a policy that denies the controller what matches, unless the expression allows it; returns the name of its binding.
async fn deny(fixture: &Fixture, what: &str, matches: Value, allows: &str) -> Result<String> {
    let policy = fixture.named(what);
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        fixture.on_clean(&["delete", kind, &policy, "--ignore-not-found"], "");
    }
    let by = format!("request.userInfo.username == '{CONTROLLER}'");
    let rule = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": policy},
        "spec": {"matchConstraints": matches, "matchConditions": [{"name": "controller", "expression": by}],
                 "validations": [{"expression": allows, "message": WORDS}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    fixture.world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [rule, binding]}).to_string()).await?;
    Ok(policy)
}

/// Waits until what changes nothing is refused.
async fn in_force(fixture: &Fixture, args: &[&str], input: &str) -> Result<()> {
    eventually("the policy is in force", || async {
        Ok(match fixture.world.kubectl_with(args, input).await {
            Err(error) if format!("{error:#}").contains(WORDS) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await
}

/// Waits until an environment that can be used says what is withheld from it.
async fn says(fixture: &Fixture, environment: &str, what: &str) -> Result<()> {
    let reads = "jsonpath={.status.status} {.status.statusReason}";
    let args = ["get", "computeenvironment", environment, "-o", reads];
    eventually(&format!("{environment} says {what:?}"), || async {
        let said = fixture.world.kubectl(&args).await?;
        let beginning = "VALID ComputeEnvironment Healthy; Bulkhead cannot do what is due to ";
        let told = said.strip_prefix(beginning).is_some_and(|rest| rest.starts_with(what) && rest.contains(WORDS));
        Ok(if told { Ok(()) } else { Err(said) })
    })
    .await
}

/// Waits until an environment has nothing to say any more.
async fn healthy(fixture: &Fixture, environment: &str) -> Result<()> {
    let args = ["get", "computeenvironment", environment, "-o", "jsonpath={.status.statusReason}"];
    eventually(&format!("{environment} is healthy"), || async {
        let said = fixture.world.kubectl(&args).await?;
        Ok(if said == "ComputeEnvironment Healthy" { Ok(()) } else { Err(said) })
    })
    .await
}

/// Waits until an Event about an object begins like this and has the policy's words.
async fn told(fixture: &Fixture, namespace: &str, name: &str, beginning: &str) -> Result<()> {
    eventually(&format!("an Event about {name} says {beginning:?}"), || async {
        let said = fixture.events(namespace, name).await?;
        let told = said.iter().any(|one| one.starts_with(beginning) && one.contains(WORDS));
        Ok(if told { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await
}
