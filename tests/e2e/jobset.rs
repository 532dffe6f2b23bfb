//! JobSets: another controller makes the Jobs and resumes them whenever it finds them suspended. They queue all the same.

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};
use tests::{Fixture, eventually};

use crate::outage::in_contract;
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "the Jobs of a JobSet wait in the queue, are not changed by its controller, and complete",
        short: "set",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(jobset(fixture)),
    }]
}

async fn jobset(fixture: &Fixture) -> Result<()> {
    let cluster = fixture.world.local()?.clone();
    tokio::task::spawn_blocking(move || cluster.start_jobset()).await??;
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    // The API server says that it serves a new kind some moments before it does.
    eventually("a JobSet can be made", || async {
        let made = fixture.apply(&namespace, &manifest().to_string()).await.map(drop);
        Ok(made.map_err(|error| format!("{error:#}")))
    })
    .await?;
    for name in ["set-leader-0", "set-workers-0", "set-workers-1"] {
        eventually(&format!("Job {name} is made"), || async {
            let made = fixture.jobs(&namespace).get_opt(name).await?.is_some();
            Ok(if made { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await?;
        fixture.waits_with(&namespace, name, "CAPACITY:NO_ROOM").await?;
    }
    // Its controller has tried to resume them; what is stored is what was.
    let version = |job: &k8s_openapi::api::batch::v1::Job| job.metadata.generation;
    let jobs = fixture.jobs(&namespace).list(&ListParams::default()).await?.items;
    ensure!(
        jobs.len() == 3 && jobs.iter().all(|job| version(job) == Some(1)),
        "generations {:?}",
        jobs.iter().map(version).collect::<Vec<_>>()
    );
    ensure!(jobs.iter().all(|job| job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)), "a Job was released");

    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    for job in &jobs {
        fixture.completed(&namespace, &job.name_any()).await?;
        let pods = fixture.pods_of(&namespace, &job.name_any()).await?;
        ensure!(
            !pods.is_empty() && pods.iter().all(in_contract),
            "pods of {} are outside the contract",
            job.name_any()
        );
    }
    eventually("the JobSet has completed", || async {
        let text = fixture.world.kubectl(&["get", "jobset", "set", "-n", &namespace, "-o", "json"]).await?;
        let set: Value = serde_json::from_str(&text)?;
        let done = set["status"]["terminalState"] == json!("Completed");
        Ok(if done { Ok(()) } else { Err(set["status"].to_string()) })
    })
    .await
}

/// One leader and two workers. What JobSet's own webhook would fill in is written out.
fn manifest() -> Value {
    let job = |name: &str, replicas: u32| {
        json!({
            "name": name, "replicas": replicas, "groupName": "default",
            "template": {"spec": {
                "completions": 1, "parallelism": 1, "completionMode": "Indexed", "backoffLimit": 0, "suspend": false,
                "template": {"spec": {
                    "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["true"],
                                    "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}}}]}}}},
        })
    };
    json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "set"},
        "spec": {
            "suspend": false,
            "successPolicy": {"operator": "All"},
            "startupPolicy": {"startupPolicyOrder": "AnyOrder"},
            "network": {"enableDNSHostnames": false, "publishNotReadyAddresses": true},
            "replicatedJobs": [job("leader", 1), job("workers", 2)],
        },
    })
}
