//! A cluster that refuses the pods of a Job, or what Bulkhead writes to it: the refusal is the reason, others go on, and mending it is enough.

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use model::keys;
use model::status::JobState;
use serde_json::json;
use tests::{Aws, Fixture, job, job_with};

use crate::rogue::{CONTROLLER, DENIAL, Manner, Rogue};
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "what refuses a Job's pods is its reason, and names the annotation that helps",
            short: "refus",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(refused(fixture)),
        },
        Scenario {
            name: "a Job that a policy lets nobody change takes no room from others, and says why elsewhere",
            short: "denied",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(denied(fixture, Denier::Policy)),
        },
        Scenario {
            name: "a Job that a webhook lets nobody change, as if it conflicted, takes no room from others, and says why elsewhere",
            short: "den409",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(denied(fixture, Denier::Webhook(409))),
        },
        Scenario {
            name: "a Job that a webhook lets nobody change, as if it were not there, takes no room from others, and says why elsewhere",
            short: "den404",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(denied(fixture, Denier::Webhook(404))),
        },
        Scenario {
            name: "a pod that a webhook lets nobody bind, as if it were not there, takes no room from others, and its Job says why",
            short: "unbound",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(unbound(fixture, "")),
        },
        Scenario {
            name: "a pod that a webhook lets kube-scheduler not bind takes no room from others, and its Job says why",
            short: "misb",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(unbound(fixture, APART)),
        },
        Scenario {
            name: "somebody's webhook hangs on the deletion of a job's pod: other Jobs go on meanwhile",
            short: "sticks",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(sticks(fixture)),
        },
    ]
}

/// Who denies the controller what it does.
#[derive(Clone, Copy)]
enum Denier {
    Policy,
    /// With this status code.
    Webhook(u16),
}

/// Of a pod that only kube-scheduler can judge.
const APART: &str = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
    [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {no: such}}}]}}";

async fn unbound(fixture: &Fixture, spec: &str) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (locked, free) =
        (fixture.namespace("locked", Some(&queue)).await?, fixture.namespace("free", Some(&queue)).await?);
    let rogue = Rogue::start(fixture, Manner::Denies(404)).await?;
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]});
    let hook = rogue.is_asked(fixture, &locked, rule).await?;
    fixture.apply(&locked, &job_with("large", 1, "700m", "16Mi", "true", spec)).await?;
    let said = fixture.waits_with(&locked, "large", "ADMISSION:WRITE_REFUSED").await?;
    ensure!(said.contains(DENIAL), "reason: {said}");
    fixture.apply(&free, &job("small", 1, "500m", "16Mi", "true")).await?;
    fixture.completed(&free, "small").await?;
    fixture.world.kubectl(&["delete", "validatingwebhookconfiguration", &hook]).await?;
    fixture.completed(&locked, "large").await.map(drop)
}

async fn sticks(fixture: &Fixture) -> Result<()> {
    let stuck = fixture.api_namespace("stuck").await?;
    let environment = fixture.unmanaged_in("ce", &stuck).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let free = fixture.namespace("free", Some(&queue)).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let aws = Aws::of(&fixture.world).await?;
    let definition = aws.define(&fixture.named("long"), "0.25", "sleep 600", &json!({})).await?;
    let id = aws.submit(&queue, &definition, &json!({})).await?;
    aws.reaches(&id, "RUNNING").await?;

    let rogue = Rogue::start(fixture, Manner::Hangs).await?;
    let operations = ["UPDATE", "DELETE"];
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["pods"]});
    let hook = rogue.is_asked(fixture, &stuck, rule).await?;
    let user = format!("--as={CONTROLLER}");
    let args =
        ["delete", "pods", "--all", "-n", &stuck, "--dry-run=server", "--wait=false", "--request-timeout=2s", &user];
    tests::eventually("the webhook is asked", || async {
        Ok(if fixture.world.kubectl(&args).await.is_err() { Ok(()) } else { Err("it was not".to_owned()) })
    })
    .await?;
    aws.call("TerminateJob", &json!({"jobId": id, "reason": "enough"})).await?;
    // One pod after another: each takes a turn of the loop, and there are more of them than there is time for if a turn takes half a minute.
    let free_job = job("free", 12, "100m", "16Mi", "true").replace("parallelism: 12", "parallelism: 1");
    fixture.apply(&free, &free_job).await?;
    fixture.completed(&free, "free").await?;
    ensure!(aws.job(&id).await?["status"] == "RUNNING", "its pod was deleted all the same");
    fixture.world.kubectl(&["delete", "validatingwebhookconfiguration", &hook]).await?;
    let ended = aws.reaches(&id, "FAILED").await?;
    ensure!(ended["statusReason"] == "enough", "{ended}");
    Ok(())
}

async fn denied(fixture: &Fixture, denier: Denier) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let (locked, free) =
        (fixture.namespace("locked", Some(&queue)).await?, fixture.namespace("free", Some(&queue)).await?);
    let rogue = match denier {
        Denier::Policy => None,
        Denier::Webhook(code) => Some(Rogue::start(fixture, Manner::Denies(code)).await?),
    };
    let (kind, name) = match &rogue {
        None => ("validatingadmissionpolicybinding", deny_updates(fixture, &locked).await?),
        Some(rogue) => {
            let rule =
                json!({"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["jobs"]});
            ("validatingwebhookconfiguration", rogue.is_asked(fixture, &locked, rule).await?)
        }
    };
    denies_updates(fixture, &locked).await?;

    // It is first in the queue, and wants all of the node.
    fixture.apply(&locked, &job("large", 1, "700m", "16Mi", "true")).await?;
    tests::eventually("Events say what is refused", || async {
        let said = fixture.events(&locked, "large").await?;
        let all = ["Refused: Cannot release the Job", "Waiting: ADMISSION:WRITE_REFUSED"];
        let told = all.iter().all(|words| said.iter().any(|one| one.contains(words) && one.contains(DENIAL)));
        Ok(if told { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await?;
    fixture.apply(&free, &job("small", 1, "500m", "16Mi", "true")).await?;
    fixture.completed(&free, "small").await?;

    // The Job itself cannot say it.
    let args = ["get", "jobqueue", &queue, "-o", "jsonpath={.status.status} {.status.statusReason}"];
    tests::eventually("the queue says what is refused", || async {
        let said = fixture.world.kubectl(&args).await?;
        let told = said.starts_with("VALID") && said.contains(&format!("{locked}/large")) && said.contains(DENIAL);
        Ok(if told { Ok(()) } else { Err(said) })
    })
    .await?;
    let aws = Aws::of(&fixture.world).await?;
    let id = fixture.jobs(&locked).get("large").await?.labels().get(keys::JOB_ID).cloned().unwrap_or_default();
    tests::eventually("its record says what is refused", || async {
        let found = aws.run(&["describe-jobs", "--jobs", &id]).await?;
        let shown = &found["jobs"][0];
        let reason = shown["statusReason"].as_str().unwrap_or_default();
        let told = shown["status"] == "RUNNABLE" && reason.contains("WRITE_REFUSED") && reason.contains(DENIAL);
        Ok(if told { Ok(()) } else { Err(found.to_string()) })
    })
    .await?;

    fixture.world.kubectl(&["delete", kind, &name]).await?;
    fixture.completed(&locked, "large").await?;
    tests::eventually("the Job says that it is done", || async {
        let status = fixture.status(&locked, "large").await?;
        let done = status.as_ref().is_some_and(|status| status.state == JobState::Succeeded);
        Ok(if done { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await
}

/// A policy that denies the controller every UPDATE of Jobs in one namespace; returns its name.
async fn deny_updates(fixture: &Fixture, namespace: &str) -> Result<String> {
    let policy = fixture.named("locked");
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        fixture.on_clean(&["delete", kind, &policy, "--ignore-not-found"], "");
    }
    let rule = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": policy},
        "spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                 "resourceRules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["UPDATE"]}]},
                 "matchConditions": [{"name": "controller", "expression": format!("request.userInfo.username == '{CONTROLLER}'")}],
                 "validations": [{"expression": "false", "message": DENIAL}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    fixture.world.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [rule, binding]}).to_string()).await?;
    Ok(policy)
}

/// Waits until the controller is denied every UPDATE of Jobs in a namespace.
async fn denies_updates(fixture: &Fixture, namespace: &str) -> Result<()> {
    // Of no queue, and never run.
    let probe = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe", "labels": {keys::QUEUE: keys::QUEUE_NONE}},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}});
    fixture.apply(namespace, &probe.to_string()).await?;
    let user = format!("--as={CONTROLLER}");
    // Of its own annotations, because those are all that the controller may change in any namespace.
    let change = format!("{}=probe", keys::STATUS);
    let args = ["annotate", "job", "probe", "-n", namespace, "--dry-run=server", "--overwrite", &change, &user];
    tests::eventually("the denial is in force", || async {
        let answer = fixture.world.kubectl(&args).await;
        Ok(match answer {
            Err(error) if format!("{error:#}").contains(DENIAL) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await
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
