//! The leader is killed or stopped at every named point of a machine's life, and of a Job made with kubectl, one after another, and whoever
//! takes over goes on.

use anyhow::{Result, ensure};
use cluster::fault::Point;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use model::status::JobState;
use testbed::Postgresql;
use tests::{Fixture, MachineLog, job};

use crate::beside::{ANYWHERE, Fate, Host};
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a leader killed at any point of a machine's life is succeeded by one that goes on, and nothing leaks",
            short: "fault",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(every_point(fixture, Fate::Dies)),
        },
        Scenario {
            name: "a leader that stands still at any point of a machine's life and goes on too late does nothing any more",
            short: "still",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(every_point(fixture, Fate::Stops)),
        },
        Scenario {
            name: "a leader killed at any point of a Job made with kubectl is succeeded by one that goes on, and the Job runs once",
            short: "kcrash",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(of_kubectl(fixture, Fate::Dies)),
        },
        Scenario {
            name: "a leader that stands still at any point of a Job made with kubectl and goes on too late changes nothing",
            short: "kstill",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(of_kubectl(fixture, Fate::Stops)),
        },
    ]
}

/// One machine, one Job, and a crash at each point: every successor finds what its predecessor left, and dies one step later. Those that
/// only stood still go on when all is over.
async fn every_point(fixture: &Fixture, fate: Fate) -> Result<()> {
    let host = Host::new(fixture).await?;
    fixture.without_controller().await?;
    let mut faults = Point::MACHINE.into_iter().map(|point| (point, fate));
    let mut leader = host.start(faults.next(), ANYWHERE, None)?;
    host.leads(&mut leader).await?;

    // Room for two machines, so that a second one would be seen.
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.medium]").await?;
    let machines = MachineLog::of(&fixture.world, &environment);
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "900m", "64Mi", "true")).await?;
    let mut late = Vec::new();
    while leader.fault.is_some() {
        let mut successor = host.start(faults.next(), ANYWHERE, None)?;
        leader.meets_its_fate().await?;
        host.leads(&mut successor).await?;
        late.push(std::mem::replace(&mut leader, successor));
    }
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await?;
    if fate == Fate::Stops {
        for controller in &mut late {
            controller.goes_on_too_late().await?;
        }
        fixture.no_machines(&environment).await?;
    }
    leader.lives()?;
    let launched = machines.offers();
    ensure!(launched.len() == 1, "one machine was needed, launched were {launched:?}");
    Ok(())
}

/// One Job, and a crash at each point of it. Records are kept, in PostgreSQL, which all controllers share.
async fn of_kubectl(fixture: &Fixture, fate: Fate) -> Result<()> {
    let server = tokio::task::spawn_blocking(Postgresql::start).await??;
    let (host, database) = (Host::new(fixture).await?, server.url("postgres"));
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.without_controller().await?;
    let mut faults = Point::KUBECTL_JOB.into_iter().map(|point| (point, fate));
    let mut leader = host.start(faults.next(), ANYWHERE, Some(&database))?;
    host.leads(&mut leader).await?;
    fixture.apply(&namespace, &job("one", 1, "500m", "64Mi", "true")).await?;
    let mut late = Vec::new();
    while leader.fault.is_some() {
        let mut successor = host.start(faults.next(), ANYWHERE, Some(&database))?;
        leader.meets_its_fate().await?;
        host.leads(&mut successor).await?;
        late.push(std::mem::replace(&mut leader, successor));
    }
    fixture.completed(&namespace, "one").await?;
    tests::eventually("the Job says that it is done", || async {
        let status = fixture.status(&namespace, "one").await?;
        let done = status.as_ref().is_some_and(|status| status.state == JobState::Succeeded);
        Ok(if done { Ok(()) } else { Err(format!("{status:?}")) })
    })
    .await?;
    let before = written(fixture, &namespace).await?;
    ensure!(before.len() == 2, "one pod was needed: {before:?}");
    if fate == Fate::Stops {
        for controller in &mut late {
            controller.goes_on_too_late().await?;
        }
        let after = written(fixture, &namespace).await?;
        ensure!(after == before, "it was {before:?}, and is {after:?}");
    }
    leader.lives()
}

/// What there is of the Job, of which each write makes another version, and of its pod, of which the kubelet writes the status.
async fn written(fixture: &Fixture, namespace: &str) -> Result<Vec<String>> {
    let job = fixture.jobs(namespace).get("one").await?;
    let pod = |pod: &Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        format!("{:?} {node:?} {:?} {:?}", pod.uid(), pod.labels(), pod.annotations())
    };
    let pods = fixture.pods_of(namespace, "one").await?;
    Ok([format!("{:?}", job.resource_version())].into_iter().chain(pods.iter().map(pod)).collect())
}
