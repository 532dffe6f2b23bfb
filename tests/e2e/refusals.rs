//! A cluster that refuses the pods of a Job: the refusal is the Job's reason, and mending it is enough.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{Fixture, job};

use crate::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "what refuses a Job's pods is its reason, and names the annotation that helps",
        short: "refus",
        local_only: true,
        run: |fixture| Box::pin(refused(fixture)),
    }]
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
