//! What a provider says about machines ends no node that is Ready, and no job.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::ComputeEnvironment;
use api::crd::{Phase, Validity};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tests::{Fixture, eventually, job, ready, steadily};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Company, Scenario};

/// Lists that agree for a minute are believed, of a machine whose node is not Ready.
const LONG: Duration = Duration::from_secs(75);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a provider that has lost its books ends no node and no job, and the environment says that its machines seem lost",
            short: "books",
            company: Company::Afterwards,
            local_only: true,
            run: |fixture| Box::pin(empty_books(fixture)),
        },
        Scenario {
            name: "a launch that its provider carries out late, or forgets while it boots, leaks no machine",
            short: "leak",
            company: Company::Afterwards,
            local_only: true,
            run: |fixture| Box::pin(no_leak(fixture)),
        },
        Scenario {
            name: "an environment whose provider moves takes its machines with it",
            short: "moves",
            company: Company::Afterwards,
            local_only: true,
            run: |fixture| Box::pin(moves(fixture)),
        },
    ]
}

async fn empty_books(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("runs", 4, "400m", "64Mi", "until test -e /tmp/end; do sleep 0.5; done")).await?;
    eventually("four units run on a node each", || async {
        let ready = fixture.jobs(&namespace).get("runs").await?.status.and_then(|status| status.ready);
        Ok(if ready == Some(4) { Ok(()) } else { Err(format!("{ready:?} ready")) })
    })
    .await?;

    fixture.world.provider_faults(&json!({"emptyBooks": true})).await?;
    let environments: Api<ComputeEnvironment> = Api::all(fixture.world.client.clone());
    eventually("the environment says that its machines seem lost", || async {
        let status = environments.get(&environment).await?.status.unwrap_or_default();
        let reason = status.status_reason.unwrap_or_default();
        let says =
            reason.starts_with("4 of its 4 machines seem lost at once") && status.status == Some(Validity::Valid);
        Ok(if says { Ok(()) } else { Err(format!("{:?} {reason}", status.status)) })
    })
    .await?;
    steadily(LONG, "all machines serve and all units run", || serve(fixture, &environment, &namespace)).await?;
    let told = fixture.events("default", &environment).await?;
    ensure!(told.iter().any(|text| text.starts_with("MachinesLost: 4 of its 4 machines")), "Events: {told:?}");

    // Somebody ends one of them: it retires, and is not taken for gone because its provider does not know it.
    let pods = fixture.pods_of(&namespace, "runs").await?;
    for pod in &pods {
        fixture.end_with(&namespace, &pod.name_any(), "touch /tmp/end").await?;
    }
    fixture.completed(&namespace, "runs").await?;
    let first = fixture.machines(&environment).await?.first().map(kube::ResourceExt::name_any).unwrap_or_default();
    fixture.world.kubectl(&["delete", "batchnode", &first, "--wait=false"]).await?;
    eventually("idle machines retire", || async {
        let phases: Vec<Phase> = fixture.machines(&environment).await?.iter().map(api::BatchNode::phase).collect();
        let all = phases.len() == 4 && phases.iter().all(|phase| *phase == Phase::Retiring);
        Ok(if all { Ok(()) } else { Err(format!("{phases:?}")) })
    })
    .await?;

    // The environment is deleted: nobody is asked any more whether they may go, and none is forgotten.
    fixture.world.kubectl(&["delete", "computeenvironment", &environment, "--wait=false"]).await?;
    eventually("all are being taken down, and say why that does not end", || async {
        let machines = fixture.machines(&environment).await?;
        let said = machines.iter().map(|one| (one.phase(), message(one))).collect::<Vec<_>>();
        let doubted =
            |(phase, said): &(Phase, String)| *phase == Phase::Terminating && said.contains("its node is Ready");
        Ok(if said.len() == 4 && said.iter().all(doubted) { Ok(()) } else { Err(format!("{said:?}")) })
    })
    .await?;

    // The books are found again.
    fixture.world.provider_faults(&json!({})).await?;
    eventually("no machine is left", || async {
        let machines = fixture.machines(&environment).await?.len();
        let instances = fixture.world.instances().await?;
        let instances = instances.iter().filter(|one| one.compute_environment == environment).count();
        Ok(if machines + instances == 0 { Ok(()) } else { Err(format!("{machines} objects, {instances} instances")) })
    })
    .await
}

fn message(machine: &api::BatchNode) -> String {
    machine.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default()
}

/// Waits for a machine that is being taken down and says this.
async fn doubted(fixture: &Fixture, environment: &str, why: &str) -> Result<String> {
    eventually(&format!("a machine is being taken down and says: {why}"), || async {
        let machines = fixture.machines(environment).await?;
        let found = machines.iter().find(|one| one.phase() == Phase::Terminating && message(one).contains(why));
        Ok(found
            .map(kube::ResourceExt::name_any)
            .ok_or_else(|| format!("{:?}", machines.iter().map(|one| (one.phase(), message(one))).collect::<Vec<_>>())))
    })
    .await
}

async fn no_leak(fixture: &Fixture) -> Result<()> {
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.small]").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.environment_valid(&environment).await?;

    // Longer than a provider is given: nobody waits any more when the machine is made.
    fixture.world.provider_faults(&json!({"launchDelayMs": 9_000})).await?;
    fixture.apply(&namespace, &job("late", 1, "400m", "64Mi", "true")).await?;
    let late = doubted(fixture, &environment, "may still be asked to make it").await?;
    fixture.world.provider_faults(&json!({})).await?;
    eventually("the machine is made all the same", || async {
        let tokens: Vec<String> = fixture.world.instances().await?.into_iter().map(|one| one.token).collect();
        Ok(if tokens.contains(&late) { Ok(()) } else { Err(format!("{tokens:?} and not {late}")) })
    })
    .await?;
    fixture.completed(&namespace, "late").await?;
    fixture.no_machines(&environment).await?;

    // It boots for longer than its lists may be without it.
    fixture.world.provider_faults(&json!({"bootDelayMs": 300_000, "emptyBooks": true})).await?;
    fixture.apply(&namespace, &job("forgotten", 1, "400m", "64Mi", "true")).await?;
    let forgotten = doubted(fixture, &environment, "said that it makes it").await?;
    steadily(Duration::from_secs(10), "it is not forgotten", || async {
        let there = fixture.machines(&environment).await?.iter().any(|one| one.name_any() == forgotten);
        Ok(if there { Ok(()) } else { Err(format!("there is no BatchNode {forgotten}")) })
    })
    .await?;
    fixture.world.provider_faults(&json!({})).await?;
    fixture.completed(&namespace, "forgotten").await?;
    fixture.no_machines(&environment).await
}

/// Another address of the provider, until it is dropped.
struct Door(JoinHandle<()>);

impl Door {
    /// Opens one beside the provider; also its URL.
    async fn open(fixture: &Fixture) -> Result<(Self, String)> {
        let url = reqwest::Url::parse(&fixture.world.local()?.provider_url())?;
        let host = url.host_str().context("the provider's URL has no host")?.to_owned();
        let provider = format!("{host}:{}", url.port().unwrap_or(80));
        let listener = TcpListener::bind((host.as_str(), 0)).await?;
        let own = format!("http://{}", listener.local_addr()?);
        let serve = async move {
            // What was accepted ends with the task.
            let mut all = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let provider = provider.clone();
                all.spawn(async move {
                    let mut there = TcpStream::connect(provider).await?;
                    copy_bidirectional(&mut here, &mut there).await
                });
            }
        };
        Ok((Self(tokio::spawn(serve)), own))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn moves(fixture: &Fixture) -> Result<()> {
    let (door, old) = Door::open(fixture).await?;
    let environment = fixture.managed("ce", 1, "instanceTypes: [local.small], scaleDownDelay: 1h").await?;
    let at = async |url: &str| {
        let patch = json!({"spec": {"provider": {"external": {"url": url}}}}).to_string();
        fixture.world.kubectl(&["patch", "computeenvironment", &environment, "--type=merge", "-p", &patch]).await
    };
    at(&old).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "400m", "64Mi", "true")).await?;
    fixture.completed(&namespace, "one").await?;
    let machines = fixture.machines(&environment).await?;
    let launched = machines.first().context("there is no machine")?;
    let asked = launched.spec.provider.external.as_ref().map(|external| external.url.clone());
    ensure!(asked.as_deref() == Some(old.as_str()), "launched at {asked:?}, not at {old}");

    at(&fixture.world.local()?.provider_url()).await?;
    drop(door);
    fixture.world.kubectl(&["delete", "batchnode", &launched.name_any(), "--wait=false"]).await?;
    fixture.no_machines(&environment).await
}

async fn serve(fixture: &Fixture, environment: &str, namespace: &str) -> Result<Result<(), String>> {
    let machines = fixture.machines(environment).await?;
    let mut nodes = 0;
    for machine in &machines {
        nodes += usize::from(fixture.nodes().get_opt(&machine.name_any()).await?.as_ref().is_some_and(ready));
    }
    let phases: Vec<Phase> = machines.iter().map(api::BatchNode::phase).collect();
    let running = fixture.jobs(namespace).get("runs").await?.status.unwrap_or_default();
    let good = nodes == 4 && phases == [Phase::Ready; 4] && running.ready == Some(4) && running.failed.is_none();
    Ok(if good { Ok(()) } else { Err(format!("{nodes} nodes are Ready, phases {phases:?}, Job {running:?}")) })
}
