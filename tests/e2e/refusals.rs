//! A cluster that refuses the pods of a Job, or what Bulkhead writes to it: the refusal is the reason, others go on, and mending it is enough.

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use model::keys;
use model::status::JobState;
use serde_json::json;
use tests::{Aws, Fixture, job};

use crate::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "what refuses a Job's pods is its reason, and names the annotation that helps",
            short: "refus",
            local_only: true,
            run: |fixture| Box::pin(refused(fixture)),
        },
        Scenario {
            name: "a Job that a policy lets nobody change takes no room from others, and says why elsewhere",
            short: "denied",
            local_only: true,
            run: |fixture| Box::pin(denied(fixture)),
        },
    ]
}

/// The controller, as policies see it.
const CONTROLLER: &str = "system:serviceaccount:bulkhead-system:bulkhead-controller";

async fn denied(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (locked, free) =
        (fixture.namespace("locked", Some(&queue)).await?, fixture.namespace("free", Some(&queue)).await?);
    let policy = deny_updates(fixture, &locked).await?;

    // It is first in the queue, and wants all of the node.
    fixture.apply(&locked, &job("large", 1, "700m", "16Mi", "true")).await?;
    tests::eventually("Events say what is refused", || async {
        let said = fixture.events(&locked, "large").await?;
        let all = ["Refused: Cannot release the Job", "Waiting: ADMISSION:WRITE_REFUSED"];
        let told =
            all.iter().all(|words| said.iter().any(|one| one.contains(words) && one.contains("nobody touches it")));
        Ok(if told { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await?;
    fixture.apply(&free, &job("small", 1, "500m", "16Mi", "true")).await?;
    fixture.completed(&free, "small").await?;

    // The Job itself cannot say it.
    let args = ["get", "jobqueue", &queue, "-o", "jsonpath={.status.status} {.status.statusReason}"];
    tests::eventually("the queue says what is refused", || async {
        let said = fixture.world.kubectl(&args).await?;
        let told = said.starts_with("VALID")
            && said.contains(&format!("{locked}/large"))
            && said.contains("nobody touches it");
        Ok(if told { Ok(()) } else { Err(said) })
    })
    .await?;
    let aws = Aws::of(&fixture.world).await?;
    let id = fixture.jobs(&locked).get("large").await?.labels().get(keys::JOB_ID).cloned().unwrap_or_default();
    tests::eventually("its record says what is refused", || async {
        let found = aws.run(&["describe-jobs", "--jobs", &id]).await?;
        let shown = &found["jobs"][0];
        let reason = shown["statusReason"].as_str().unwrap_or_default();
        let told =
            shown["status"] == "RUNNABLE" && reason.contains("WRITE_REFUSED") && reason.contains("nobody touches it");
        Ok(if told { Ok(()) } else { Err(found.to_string()) })
    })
    .await?;

    fixture.world.kubectl(&["delete", "validatingadmissionpolicybinding", &policy]).await?;
    fixture.completed(&locked, "large").await?;
    tests::eventually("the Job says that it is done", || async {
        let status = fixture.status(&locked, "large").await?;
        let done = status.as_ref().is_some_and(|status| status.state == JobState::Succeeded);
        Ok(if done { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await
}

/// A policy that denies the controller every UPDATE of Jobs in one namespace; returns its name once it is in force.
async fn deny_updates(fixture: &Fixture, namespace: &str) -> Result<String> {
    let policy = fixture.named("locked");
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        fixture.on_clean(&["delete", kind, &policy, "--ignore-not-found"], "");
    }
    let rule = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": policy},
        "spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                 "resourceRules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["UPDATE"]}]},
                 "matchConditions": [{"name": "controller", "expression": format!("request.userInfo.username == '{CONTROLLER}'")}],
                 "validations": [{"expression": "false", "message": "nobody touches it"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    fixture.world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [rule, binding]}).to_string()).await?;
    // Of no queue, and never run.
    let probe = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe", "labels": {keys::QUEUE: keys::QUEUE_NONE}},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}});
    fixture.apply(namespace, &probe.to_string()).await?;
    let user = format!("--as={CONTROLLER}");
    // Of its own annotations, because those are all that the controller may change in any namespace.
    let change = format!("{}=probe", keys::STATUS);
    let args = ["annotate", "job", "probe", "-n", namespace, "--dry-run=server", "--overwrite", &change, &user];
    tests::eventually("the policy is in force", || async {
        let answer = fixture.world.kubectl(&args).await;
        Ok(match answer {
            Err(error) if format!("{error:#}").contains("nobody touches it") => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    Ok(policy)
}

async fn refused(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    fixture.apply(&namespace, &quota.to_string()).await?;
    fixture.apply(&namespace, &job("quota", 1, "50m", "16Mi", "true")).await?;
    let said = fixture.waits_with(&namespace, "quota", "ADMISSION:PODS_REFUSED").await?;
    ensure!(said.contains("exceeded quota: none") && !said.contains("host-network"), "reason: {said}");
    fixture.world.kubectl(&["delete", "resourcequota", "none", "-n", &namespace]).await?;
    fixture.completed(&namespace, "quota").await?;

    // A policy engine that Bulkhead cannot know about.
    let policy = fixture.named("policy");
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        fixture.on_clean(&["delete", kind, &policy, "--ignore-not-found"], "");
    }
    let rule = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": policy},
        "spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                 "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]},
                 "validations": [{"expression": "!has(object.spec.hostNetwork) || !object.spec.hostNetwork", "message": "no hostNetwork here"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    fixture.world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [rule, binding]}).to_string()).await?;
    in_force(fixture, &namespace).await?;
    // The Job is an Indexed one, which would keep its own network.
    let of_host = r#"{"spec": {"hostNetwork": true}}"#;
    fixture.world.kubectl(&["patch", "jobqueue", &queue, "--type=merge", "-p", of_host]).await?;
    fixture.apply(&namespace, &job("policy", 1, "50m", "16Mi", "true")).await?;
    let said = fixture.waits_with(&namespace, "policy", "ADMISSION:PODS_REFUSED").await?;
    ensure!(
        said.contains("no hostNetwork here") && said.contains("bulkhead.dev/host-network: \"false\""),
        "reason: {said}"
    );
    fixture
        .world
        .kubectl(&["patch", "jobqueue", &queue, "--type=merge", "-p", r#"{"spec": {"hostNetwork": false}}"#])
        .await?;
    fixture.completed(&namespace, "policy").await?;
    Ok(())
}

/// Waits until the API server asks the policy.
async fn in_force(fixture: &Fixture, namespace: &str) -> Result<()> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
        "spec": {"hostNetwork": true, "containers": [{"name": "main", "image": "x"}]}});
    let args = ["create", "--dry-run=server", "-n", namespace, "-f", "-"];
    tests::eventually("the policy is in force", || async {
        let answer = fixture.world.kubectl_with(&args, &pod.to_string()).await;
        Ok(if answer.is_err() { Ok(()) } else { Err("the pod was let in".to_owned()) })
    })
    .await
}
