//! In whose name pods of the API are made: as user `aws-batch`, where an admin has given it the right, and by nobody else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture, Site, brief, eventually, eventually_for, job, together};

use crate::{Company, Scenario};

/// It ignores that it is told to end.
const RUNS: &str = "trap '' TERM; while :; do sleep 1; done";
/// A namespace goes when the last kubelet has ended its pods.
const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "without the right to make pods jobs of the API wait, Jobs go on, and so do the jobs when the right comes or has gone",
            short: "right",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(right_comes_and_goes(fixture)),
        },
        Scenario {
            name: "a namespace with running jobs of the API can be deleted, with and without the right to make pods in it",
            short: "nsgo",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(namespaces_go(fixture)),
        },
        Scenario {
            name: "who may edit one namespace gains nothing from user aws-batch",
            short: "edit",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(editor_gains_nothing(fixture)),
        },
        Scenario {
            name: "the controller's account writes what a release and a dispatch take, on objects with many labels too, and nothing else",
            short: "own",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(own_account(fixture)),
        },
    ]
}

async fn right_comes_and_goes(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "1Gi").await?;
    let (aws, namespace) = (&site.aws, &site.namespace);
    fixture.world.bulkhead(&["namespace", "disable", namespace]).await?;
    let definition = site.definition("true");
    aws.define(&definition, "0.25", "true", &json!({})).await?;
    let id = aws.submit(&site.queue, &definition, &json!({})).await?;
    waits(aws, &id, &format!("user aws-batch may not create pods in {namespace}")).await?;

    // A Job on the same node, in the same queue.
    let jobs = fixture.namespace("jobs", Some(&site.queue)).await?;
    fixture.apply(&jobs, &job("by-kubectl", 1, "50m", "16Mi", "true")).await?;
    fixture.completed(&jobs, "by-kubectl").await?;
    waits(aws, &id, &format!("bulkhead namespace enable {namespace}")).await?;

    let told = fixture.world.bulkhead(&["namespace", "enable", namespace]).await?;
    ensure!(told.contains("created") && told.contains(keys::BATCH_ROLE_BINDING), "it says {told}");
    aws.reaches(&id, "SUCCEEDED").await?;
    let again = fixture.world.bulkhead(&["namespace", "enable", namespace]).await?;
    ensure!(again.matches("unchanged").count() == 2, "it says {again}");
    Ok(())
}

/// Waits until a job is RUNNABLE and its reason has this in it.
async fn waits(aws: &Aws, id: &str, text: &str) -> Result<()> {
    eventually(&format!("job {id} waits: {text}"), || async {
        let job = aws.job(id).await?;
        let says =
            job["status"] == "RUNNABLE" && job["statusReason"].as_str().is_some_and(|reason| reason.contains(text));
        Ok(if says { Ok(()) } else { Err(brief(&job)) })
    })
    .await
}

async fn namespaces_go(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "2", "1Gi").await?;
    let other = fixture.api_namespace("other").await?;
    let (aws, site) = (&site.aws, &site);
    let mut running = Vec::new();
    for (what, namespace) in [("with", &site.namespace), ("without", &other)] {
        let definition = site.definition(what);
        let pod = json!({
            "metadata": {"namespace": namespace},
            "containers": [{
                "image": "docker.io/library/busybox", "command": ["sh", "-c", RUNS],
                "resources": {"limits": {"cpu": "0.25", "memory": "32Mi"}},
            }],
        });
        let input =
            json!({"jobDefinitionName": definition, "type": "container", "eksProperties": {"podProperties": pod}});
        aws.call("RegisterJobDefinition", &input).await?;
        let id = aws.submit(&site.queue, &definition, &json!({})).await?;
        aws.reaches(&id, "RUNNING").await?;
        running.push((namespace, id));
    }
    fixture.world.bulkhead(&["namespace", "disable", &other]).await?;
    fixture.world.kubectl(&["delete", "namespace", "--wait=false", &site.namespace, &other]).await?;
    let gone = |namespace: String| async move {
        eventually_for(PATIENCE, &format!("namespace {namespace} is gone"), || async {
            let left =
                fixture.world.kubectl(&["get", "namespace", &namespace, "--ignore-not-found", "-o", "yaml"]).await?;
            Ok(if left.is_empty() { Ok(()) } else { Err(left) })
        })
        .await
    };
    together(vec![
        ("with the right", Box::pin(gone(site.namespace.clone()))),
        ("without the right", Box::pin(gone(other.clone()))),
    ])
    .await?;
    for (namespace, id) in running {
        let job = aws.reaches(&id, "FAILED").await.with_context(|| format!("the job in {namespace}"))?;
        ensure!(job["statusReason"].is_string(), "the job in {namespace} ended as {job:#}");
    }
    Ok(())
}

async fn own_account(fixture: &Fixture) -> Result<()> {
    let namespace = fixture.namespace("ns", None).await?;
    let many = |value: &str| -> Value { (0..1_900).map(|index| (format!("k{index:04}"), json!(value))).collect() };
    let labels = many(&"x".repeat(63));
    let mut work: Value = serde_saphyr::from_str(&job("many", 1, "10m", "16Mi", "true"))?;
    work["metadata"]["labels"] = labels.clone();
    work["metadata"]["annotations"] = many("some fifteen...");
    work["spec"]["suspend"] = json!(true);
    let create = ["create", "-n", &namespace, "-f", "-"];
    fixture.world.kubectl_with(&create, &work.to_string()).await?;
    for name in ["many", "aws-batch.others"] {
        let mut pod = pod(name);
        pod["metadata"]["labels"] = labels.clone();
        pod["metadata"]["annotations"] = many("some fifteen...");
        // Nobody schedules it.
        pod["spec"]["schedulingGates"] = json!([{"name": "example.com/never"}]);
        fixture.world.kubectl_with(&create, &pod.to_string()).await?;
    }
    let as_controller = format!("--as={}", keys::CONTROLLER_USER);
    let attempt = async |kind: &str, name: &str, patch: Value| {
        let patch = patch.to_string();
        let args =
            ["patch", kind, name, "-n", &namespace, "--dry-run=server", "--type=merge", "-p", &patch, &as_controller];
        fixture.world.kubectl(&args).await.map(drop).map_err(|error| format!("{error:#}"))
    };
    let labelled = |key: &str, value: Value| json!({"metadata": {"labels": {key: value}}});
    let annotated = |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
    let mut release = annotated(keys::STATUS, json!("{}"));
    release["metadata"]["annotations"][keys::RELEASED] = json!("true");
    release["spec"] = json!({"suspend": false});
    let mut dispatch = annotated(keys::HOLD, json!("n"));
    dispatch["metadata"]["labels"] = json!({keys::CE_UUID: "u", keys::NODE_UID: "u"});
    dispatch["spec"] = json!({"nodeSelector": {keys::CE_UUID: "u"}});
    for (kind, what, patch, lets_in) in [
        ("job", "a release", release, true),
        ("job", "another annotation", annotated("k0001", json!("other")), false),
        ("job", "an annotation less", annotated("k0001", Value::Null), false),
        ("job", "an id", labelled(keys::JOB_ID, json!("x")), false),
        ("pod", "a dispatch", dispatch, true),
        ("pod", "another label", labelled("k0001", json!("other")), false),
        ("pod", "a label less", labelled("k0001", Value::Null), false),
        ("pod", "an id", labelled(keys::JOB_ID, json!("x")), false),
        ("pod", "what tells pods of the API", annotated(keys::PLACEMENT, json!("0")), false),
        ("pod", "a finalizer", json!({"metadata": {"finalizers": [keys::RECORD_FINALIZER]}}), false),
    ] {
        let seen = attempt(kind, "many", patch).await;
        let as_expected =
            seen.as_ref().map_or_else(|said| !lets_in && said.contains("the controller may"), |()| lets_in);
        ensure!(as_expected, "{what} of a {kind}: {seen:?}");
    }
    status_of_pods(fixture, &namespace).await?;
    specs_of_jobs(fixture, &namespace).await?;
    for name in ["many", "aws-batch.others"] {
        let args = ["delete", "pod", name, "-n", &namespace, "--dry-run=server", &as_controller];
        let seen = fixture.world.kubectl(&args).await.map_err(|error| format!("{error:#}"));
        ensure!(seen.as_ref().is_err_and(|said| said.contains("no pods but those")), "{name} is deleted: {seen:?}");
    }
    Ok(())
}

/// Of what can be changed of a Job it changes whether it is suspended.
async fn specs_of_jobs(fixture: &Fixture, namespace: &str) -> Result<()> {
    let as_controller = format!("--as={}", keys::CONTROLLER_USER);
    for (member, value) in [
        ("parallelism", json!(9)),
        ("backoffLimit", json!(9)),
        ("activeDeadlineSeconds", json!(9)),
        ("ttlSecondsAfterFinished", json!(9)),
        ("podReplacementPolicy", json!("Failed")),
    ] {
        let patch = json!({"spec": {member: value}}).to_string();
        let args = ["patch", "job", "many", "-n", namespace, "--dry-run=server", "--type=merge", "-p", &patch];
        fixture.world.kubectl(&args).await.with_context(|| format!("{member}, by an administrator"))?;
        let seen = fixture.world.kubectl(&[&args[..], &[&as_controller]].concat()).await;
        let seen = seen.map_err(|error| format!("{error:#}"));
        ensure!(seen.as_ref().is_err_and(|said| said.contains("the controller may")), "{member}: {seen:?}");
    }
    Ok(())
}

/// Of the status of pods it writes why those wait that go through a queue.
async fn status_of_pods(fixture: &Fixture, namespace: &str) -> Result<()> {
    let queue = fixture.queue("jq", 1, &["no-such-environment"]).await?;
    let mut queued = pod("queued");
    queued["metadata"]["labels"] = json!({keys::QUEUE: queue});
    fixture.world.kubectl_with(&["create", "-n", namespace, "-f", "-"], &queued.to_string()).await?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig(fixture).await?, &KubeConfigOptions::default()).await?;
    config.headers.push(("impersonate-user".parse()?, keys::CONTROLLER_USER.parse()?));
    // kubectl reads the status before it patches it, which the controller neither does nor may.
    let pods: Api<Pod> = Api::namespaced(cluster::client::from_config(config)?.once, namespace);
    let trial = PatchParams { dry_run: true, ..PatchParams::default() };
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason});
    let queued = condition("PodScheduled", "False", keys::QUEUED_REASON);
    let status = |status: Value| json!({"status": status});
    let conditions = |one: &Value| status(json!({"conditions": [one]}));
    let mut labelled = conditions(&queued);
    labelled["metadata"] = json!({"labels": {keys::QUEUE: "other"}});
    for (name, what, patch, lets_in) in [
        ("queued", "why it waits", conditions(&queued), true),
        ("queued", "that it is scheduled", conditions(&condition("PodScheduled", "True", "Queued")), false),
        ("queued", "another reason", conditions(&condition("PodScheduled", "False", "Unschedulable")), false),
        ("queued", "another condition", conditions(&condition("Ready", "True", "Queued")), false),
        ("queued", "a phase", status(json!({"phase": "Succeeded", "conditions": [queued]})), false),
        ("queued", "an address", status(json!({"podIP": "10.0.0.1", "conditions": [queued]})), false),
        ("queued", "a resize", status(json!({"resize": "Proposed", "conditions": [queued]})), false),
        ("queued", "a label", labelled, false),
        ("many", "why one of no queue waits", conditions(&queued), false),
    ] {
        let seen = pods.patch_status(name, &trial, &Patch::Strategic(patch)).await.map(drop);
        let seen = seen.map_err(|error| format!("{error:#}"));
        let as_expected =
            seen.as_ref().map_or_else(|said| !lets_in && said.contains("the controller may"), |()| lets_in);
        ensure!(as_expected, "{what}: {seen:?}");
    }
    Ok(())
}

async fn kubeconfig(fixture: &Fixture) -> Result<Kubeconfig> {
    let text = fixture.world.kubectl(&["config", "view", "--raw", "--flatten", "-o", "yaml"]).await?;
    Ok(Kubeconfig::from_yaml(&text)?)
}

/// Somebody with `ClusterRole` `edit` in one namespace, by their own token: nobody speaks in their name.
async fn editor(fixture: &Fixture, namespace: &str) -> Result<(Client, Config)> {
    let subject = format!("--serviceaccount={namespace}:editor");
    fixture.world.kubectl(&["create", "serviceaccount", "editor", "-n", namespace]).await?;
    fixture
        .world
        .kubectl(&["create", "rolebinding", "editor", "-n", namespace, "--clusterrole=edit", &subject])
        .await?;
    let token = fixture.world.kubectl(&["create", "token", "editor", "-n", namespace]).await?;
    let mut file = kubeconfig(fixture).await?;
    for user in &mut file.auth_infos {
        user.auth_info = Some(AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() });
    }
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let client = cluster::client::from_config(config.clone())?.once;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    eventually("the editor may read pods", || async {
        Ok(pods.list_metadata(&ListParams::default()).await.map(drop).map_err(|error| error.to_string()))
    })
    .await?;
    Ok((client, config))
}

async fn editor_gains_nothing(fixture: &Fixture) -> Result<()> {
    let own = fixture.api_namespace("own").await?;
    let theirs = fixture.api_namespace("theirs").await?;
    let (client, mut config) = editor(fixture, &own).await?;
    let refused = |what: &'static str, answer: kube::Result<()>| match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message),
        other => Err(anyhow::anyhow!("{what} was to be forbidden: {other:?}")),
    };

    // To act as the user itself.
    let pod = pod("as-batch");
    config.headers.push(("impersonate-user".parse()?, keys::BATCH_USER.parse()?));
    let as_batch: Api<Pod> = Api::namespaced(cluster::client::from_config(config)?.once, &theirs);
    let answer = as_batch.create(&PostParams::default(), &serde_json::from_value(pod.clone())?).await.map(drop);
    let said = refused("to act as aws-batch", answer)?;
    ensure!(said.contains("cannot impersonate"), "it says {said}");

    // To give rights to it, or its rights to others.
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &own);
    let all: Api<RoleBinding> = Api::namespaced(fixture.world.client.clone(), &own);
    let there = all.get(keys::BATCH_ROLE_BINDING).await?;
    let metadata = ObjectMeta { name: Some("mine".to_owned()), ..ObjectMeta::default() };
    let make = bindings.create(&PostParams::default(), &RoleBinding { metadata, ..there }).await;
    refused("to bind the Role", make.map(drop))?;
    let me = json!({"subjects": [{"kind": "ServiceAccount", "name": "editor", "namespace": own}]});
    let change = bindings.patch(keys::BATCH_ROLE_BINDING, &PatchParams::default(), &Patch::Merge(me)).await;
    refused("to change the RoleBinding", change.map(drop))?;

    // To make what it makes.
    let pods: Api<Pod> = Api::namespaced(client.clone(), &own);
    for (what, key, value) in [
        ("a pod with a job's id", keys::JOB_ID, "00000000-0000-0000-0000-000000000000"),
        ("a pod of an environment", keys::CE_UUID, "00000000-0000-0000-0000-000000000000"),
    ] {
        let mut forged = pod.clone();
        forged["metadata"]["labels"] = json!({key: value});
        let answer = pods.create(&PostParams::default(), &serde_json::from_value(forged)?).await;
        refused(what, answer.map(drop))?;
    }
    let ordinary: Pod = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    ensure!(ordinary.name_any() == "as-batch", "an ordinary pod is still theirs to make");

    // The controller itself can make none.
    let controller = format!("--as={}", keys::CONTROLLER_USER);
    for (verb, what, may) in
        [("create", "pods", false), ("impersonate", "users/aws-batch", true), ("impersonate", "users/admin", false)]
    {
        // It fails where the answer is no.
        let answer =
            fixture.world.kubectl(&["auth", "can-i", verb, what, "-n", own.as_str(), controller.as_str()]).await;
        ensure!(answer.is_ok() == may, "may the controller {verb} {what}? {answer:?}");
    }
    for (account, secret) in
        [("webhook", "bulkhead-certs"), ("scheduler", "bulkhead-certs"), ("scheduler", "bulkhead-webhook-tls")]
    {
        let account = format!("--as=system:serviceaccount:{}:bulkhead-{account}", keys::NAMESPACE);
        let secret = format!("secret/{secret}");
        let answer = fixture.world.kubectl(&["auth", "can-i", "get", &secret, "-n", keys::NAMESPACE, &account]).await;
        ensure!(answer.is_err(), "{account} may read {secret}");
    }
    Ok(())
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "c", "image": "docker.io/library/busybox", "command": ["true"]}],
            "restartPolicy": "Never", "nodeSelector": {"no-such": "node"},
        },
    })
}
