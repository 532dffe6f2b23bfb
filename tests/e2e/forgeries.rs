//! What is made to look as if it were a queue's, and is not: labels that name none, ids and stamps that no hook has given, mirror pods.
//!
//! Invariant: each is tried as an ordinary user, or as the controller by whose hand the user's template comes back.

use anyhow::Result;
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, job};

use crate::policies::{ALICE, attempt, edited_by_alice, expect, pod, tolerating};
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "an empty queue label names no queue, and nobody forges an id, a mirror pod or a place at Bulkhead's schedulers",
        short: "forge",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(forgeries(fixture)),
    }]
}

async fn forgeries(fixture: &Fixture) -> Result<()> {
    let namespace = edited_by_alice(fixture, "ns", None).await?;
    for (what, object, expected) in pods() {
        expect(what, attempt(fixture, &namespace, &["--as", ALICE], &object).await, expected)?;
    }
    // What users write into templates comes back by the hand of a controller.
    for user in ["job-controller", "daemon-set-controller"] {
        let user = format!("system:serviceaccount:kube-system:{user}");
        let mirror = pod(json!({"annotations": {keys::K8S_MIRROR: "x"}}), json!({"nodeName": "ordinary"}));
        let scheduled = pod(json!({}), json!({"schedulerName": keys::SCHEDULER_EXTENDED}));
        for (object, words) in [(mirror, keys::K8S_MIRROR), (scheduled, "is for pods of a queue")] {
            expect(&user, attempt(fixture, &namespace, &["--as", &user], &object).await, Err(words))?;
        }
    }
    stamps(fixture, &namespace).await
}

fn ours() -> Value {
    tolerating(&json!({"key": keys::BATCH_TAINT, "operator": "Exists"}))
}

/// Pods, and what is said to whoever makes them.
fn pods() -> Vec<(&'static str, Value, Result<(), &'static str>)> {
    let unnamed = || json!({"labels": {keys::QUEUE: ""}});
    let with_id = json!({"labels": {keys::QUEUE: "", keys::JOB_ID: "x"}});
    let with_hold = json!({"labels": {keys::QUEUE: ""}, "annotations": {keys::HOLD: "n"}});
    let none = json!({"labels": {keys::QUEUE: "none"}});
    let at = |scheduler: &str| json!({"schedulerName": scheduler});
    vec![
        ("no queue's name", pod(unnamed(), json!({})), Ok(())),
        ("an id", pod(with_id, json!({})), Err("label batch.amazonaws.com/job-id is reserved")),
        ("a hold", pod(with_hold, json!({})), Err("annotation bulkhead.dev/hold is reserved")),
        ("our toleration", pod(unnamed(), ours()), Err("the toleration of Bulkhead's taint is reserved")),
        ("another scheduler", pod(json!({}), at("theirs")), Ok(())),
        (
            "the scheduler of queued pods",
            pod(json!({}), at(keys::SCHEDULER_EXTENDED)),
            Err("schedulerName bulkhead-scheduler is for pods of a queue"),
        ),
        (
            "the controller as scheduler",
            pod(none, at(keys::SCHEDULER_DIRECT)),
            Err("schedulerName bulkhead is for pods of a queue"),
        ),
    ]
}

/// Jobs that look as if they had been through the hook.
async fn stamps(fixture: &Fixture, namespace: &str) -> Result<()> {
    let plain: Value = serde_saphyr::from_str(&job("stamped", 1, "10m", "16Mi", "true"))?;
    let forged = |labels: &Value, of_pods: &Value| {
        let mut job = plain.clone();
        job["metadata"]["labels"] = labels.clone();
        job["spec"]["suspend"] = json!(true);
        job["spec"]["template"]["metadata"]["labels"] = of_pods.clone();
        job["spec"]["template"]["spec"]["tolerations"] = ours()["tolerations"].clone();
        job
    };
    let id = json!({keys::JOB_ID: "forged"});
    let other = json!({"app": "x"});
    for queue in ["", "none"] {
        let named = json!({keys::QUEUE: queue});
        let both = json!({keys::QUEUE: queue, keys::JOB_ID: "forged"});
        for (labels, of_pods) in [(&id, &named), (&id, &both), (&both, &both), (&other, &both), (&other, &named)] {
            let seen = attempt(fixture, namespace, &["--as", ALICE], &forged(labels, of_pods)).await;
            expect(&format!("a Job with {labels} and pods with {of_pods}"), seen, Err("reserved"))?;
        }
    }
    // Nor by who may use the queue: its pods would go where they like.
    let half = forged(&id, &json!({keys::QUEUE: "any", keys::JOB_ID: "forged"}));
    expect("a Job whose pods alone name a queue", attempt(fixture, namespace, &[], &half).await, Err("reserved"))
}
