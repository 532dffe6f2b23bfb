//! What is wrong is said on the Job, nothing crashes because of it, and correcting it is enough.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use api::crd::Phase;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use model::keys;
use serde_json::json;
use tests::{Fixture, eventually, job};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a missing queue, a missing environment and maxvCpus 0 are said, and correcting them is enough",
            short: "miss",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(nothing_crashes(fixture, Box::pin(missing(fixture)))),
        },
        Scenario {
            name: "a unit larger than any offer says so and runs once the environment allows a larger one",
            short: "large",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(nothing_crashes(fixture, Box::pin(too_large(fixture)))),
        },
        Scenario {
            name: "a provider that fails or hangs is the reason, and work goes on when it answers again",
            short: "prov",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(nothing_crashes(fixture, Box::pin(broken_provider(fixture)))),
        },
        Scenario {
            name: "a machine that dies before it joins is the reason, and another is launched after a pause",
            short: "lost",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(nothing_crashes(fixture, Box::pin(lost_machine(fixture)))),
        },
        Scenario {
            name: "a Job that its user suspended waits until the user lets it go",
            short: "held",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(nothing_crashes(fixture, Box::pin(held(fixture)))),
        },
    ]
}

/// Exit status of a controller that could not renew its Lease in time.
const LEASE_LOST: i32 = 75;

/// Runs a scenario; afterwards no container of Bulkhead has crashed.
async fn nothing_crashes(fixture: &Fixture, scenario: impl Future<Output = Result<()>>) -> Result<()> {
    let before = crashes(fixture).await?;
    scenario.await?;
    let after = crashes(fixture).await?;
    ensure!(before == after, "crashes of Bulkhead's containers before {before:?}, after {after:?}");
    Ok(())
}

/// Restarts of all containers of ours and their last exit status. Left out are those that end by design when they could not
/// renew their Lease for 10 s, which an API server that shares two cores with everything else may cause: the stock
/// kube-scheduler, and a controller that says so by its exit status.
async fn crashes(fixture: &Fixture) -> Result<BTreeMap<String, (i32, Option<i32>)>> {
    let pods: Api<Pod> = fixture.pods(keys::NAMESPACE);
    let of_pod = |pod: Pod| {
        let name = pod.name_any();
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        statuses.into_iter().map(move |status| (format!("{name}/{}", status.name), status))
    };
    let all = pods.list(&ListParams::default()).await?.into_iter().flat_map(of_pod);
    let last = |status: &ContainerStatus| Some(status.last_state.as_ref()?.terminated.as_ref()?.exit_code);
    let ours = all.filter(|(_, status)| status.name != "kube-scheduler" && last(status) != Some(LEASE_LOST));
    Ok(ours
        .filter(|(_, status)| status.restart_count > 0)
        .map(|(name, status)| (name, (status.restart_count, last(&status))))
        .collect())
}

/// Waits until a Job waits with this code, on the object and as an Event, and returns the sentence.
async fn told(fixture: &Fixture, namespace: &str, job: &str, code: &str) -> Result<String> {
    let message = fixture.waits_with(namespace, job, code).await?;
    eventually(&format!("an Event on Job {namespace}/{job} says {code}"), || async {
        let events = fixture.events(namespace, job).await?;
        let said = events.iter().any(|event| event.starts_with(&format!("Waiting: {code}: ")));
        Ok(if said { Ok(()) } else { Err(format!("{events:?}")) })
    })
    .await?;
    Ok(message)
}

async fn missing(fixture: &Fixture) -> Result<()> {
    let (queue, environment) = (fixture.named("jq"), fixture.named("ce"));
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "400m", "64Mi", "true")).await?;
    let said = told(fixture, &namespace, "one", "MISCONFIGURATION:JOB_QUEUE_NOT_FOUND").await?;
    ensure!(said.contains(&queue), "reason: {said}");

    fixture.queue("jq", 1, &[&environment]).await?;
    let said = told(fixture, &namespace, "one", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_NOT_FOUND").await?;
    ensure!(said.contains(&environment), "reason: {said}");

    fixture.managed("ce", 0, "").await?;
    let said = told(fixture, &namespace, "one", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE").await?;
    ensure!(said.contains("maxvCpus is 0"), "reason: {said}");

    patch(fixture, &environment, r#"{"spec": {"maxvCpus": 1}}"#).await?;
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await
}

async fn too_large(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "900m", "64Mi", "true")).await?;
    let said = told(fixture, &namespace, "one", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT").await?;
    ensure!(said.contains(&environment) && said.contains("can never run it"), "reason: {said}");
    ensure!(fixture.machines(&environment).await?.is_empty(), "a machine was launched for what fits on none");

    patch(fixture, &environment, r#"{"spec": {"instanceTypes": ["m5"]}}"#).await?;
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await
}

async fn broken_provider(fixture: &Fixture) -> Result<()> {
    // Room for more than one machine: of a launch without an answer it is not known for two minutes whether it makes one.
    let environment = fixture.managed("ce", 4, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    // Offers are known by then, so it is the launch that fails first.
    fixture.environment_valid(&environment).await?;
    let fail = json!({"fail": {"status": 500, "message": "the datacenter burns"}});
    fixture.world.provider_faults(&fail).await?;
    fixture.apply(&namespace, &job("one", 1, "400m", "64Mi", "true")).await?;
    let said = told(fixture, &namespace, "one", "CAPACITY:PROVIDER_ERROR").await?;
    ensure!(said.contains("the datacenter burns"), "reason: {said}");

    fixture.world.provider_faults(&json!({"hang": true})).await?;
    eventually("the reason is that the provider does not answer", || async {
        let status = fixture.status(&namespace, "one").await?;
        let reason = status.and_then(|status| status.reason).map(|reason| reason.message).unwrap_or_default();
        Ok(if reason.contains("cannot be reached") { Ok(()) } else { Err(reason) })
    })
    .await?;

    fixture.world.provider_faults(&json!({})).await?;
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await
}

async fn lost_machine(fixture: &Fixture) -> Result<()> {
    // Long enough for the machine to be killed first, which the list shows beside what nobody understands in it.
    fixture.world.provider_faults(&json!({"bootDelayMs": 60_000, "oddEntries": true})).await?;
    let environment = fixture.managed("ce", 1, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "400m", "64Mi", "true")).await?;
    let launched = eventually("a machine is being launched", || async {
        let machines = fixture.machines(&environment).await?;
        let launching = machines.iter().find(|machine| machine.phase() == Phase::Launching);
        Ok(launching.map(kube::ResourceExt::name_any).ok_or_else(|| format!("{} machines", machines.len())))
    })
    .await?;
    let vanish = format!("{}/testing/vanish/{launched}", fixture.world.local()?.provider_url());
    reqwest::Client::new().post(vanish).send().await?.error_for_status()?;
    let said = told(fixture, &namespace, "one", "CAPACITY:PROVIDER_ERROR").await?;
    ensure!(said.contains("lost before its node was Ready"), "reason: {said}");

    fixture.world.provider_faults(&json!({})).await?;
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await
}

async fn held(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 1, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let suspended = job("one", 1, "400m", "64Mi", "true").replacen("spec:\n", "spec:\n  suspend: true\n", 1);
    fixture.apply(&namespace, &suspended).await?;
    let said = told(fixture, &namespace, "one", "HELD").await?;
    ensure!(said.contains("spec.suspend"), "reason: {said}");
    ensure!(fixture.machines(&environment).await?.is_empty(), "a machine was launched for a Job that is held");

    let go = r#"{"spec": {"suspend": false}}"#;
    fixture.world.kubectl(&["patch", "job", "one", "-n", &namespace, "--type=merge", "-p", go]).await?;
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await
}

async fn patch(fixture: &Fixture, environment: &str, patch: &str) -> Result<()> {
    fixture.world.kubectl(&["patch", "computeenvironment", environment, "--type=merge", "-p", patch]).await?;
    Ok(())
}
