//! The leader is killed or stopped at every named point of a job's life, one after another: the job runs once, nothing of it is lost or
//! left, and who goes on too late changes nothing.
//!
//! The controllers share one record store, as they would after a restart of the pod with the volume.

use std::net::TcpListener;

use anyhow::{Context as _, Result, bail, ensure};
use cluster::fault::Point;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use testbed::Postgresql;
use tests::{Aws, Fixture, PodLog, attempts, brief, eventually, exit_codes};

use crate::beside::{ANYWHERE, Controller, Fate, Host};
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a leader killed at any point of a job's life is succeeded by one that goes on, and the job runs once",
            short: "crash",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(on_sqlite(fixture)),
        },
        Scenario {
            name: "on PostgreSQL, too, a leader killed at any point of a job's life is succeeded, and the job runs once",
            short: "crpg",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(on_postgresql(fixture, Fate::Dies)),
        },
        Scenario {
            name: "on PostgreSQL a leader that stands still at any point of a job's life and goes on too late changes nothing",
            short: "stpg",
            company: Company::Nobody,
            local_only: true,
            run: |fixture| Box::pin(on_postgresql(fixture, Fate::Stops)),
        },
    ]
}

async fn on_sqlite(fixture: &Fixture) -> Result<()> {
    let host = Host::new(fixture).await?;
    let database = format!("sqlite://{}", host.directory().join("records.db").display());
    every_point(fixture, &Place { host, database }, Fate::Dies).await
}

async fn on_postgresql(fixture: &Fixture, fate: Fate) -> Result<()> {
    let server = tokio::task::spawn_blocking(Postgresql::start).await??;
    let (host, database) = (Host::new(fixture).await?, server.url("postgres"));
    every_point(fixture, &Place { host, database }, fate).await
}

/// Where the controllers run, and where their record store is.
struct Place<'a> {
    host: Host<'a>,
    database: String,
}

/// A controller and its API.
struct Leader {
    controller: Controller,
    aws: Aws,
}

async fn every_point(fixture: &Fixture, place: &Place<'_>, fate: Fate) -> Result<()> {
    let namespace = fixture.api_namespace("ns").await?;
    let environment = fixture.unmanaged_in("ce", &namespace).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    fixture.without_controller().await?;

    let mut points = Point::JOB.into_iter().map(|point| (point, fate));
    let mut leader = start(place, points.next()).await?;
    answers(&leader.aws).await?;
    let pods = PodLog::of(&fixture.world, &namespace);
    let definition = format!("{queue}-once");
    let script = "echo runs; until test -e /tmp/end; do sleep 0.2; done";
    leader.aws.define(&definition, "0.25", script, &json!({"retryStrategy": {"attempts": 2}})).await?;
    let successor = start_next(place, points.next()).await?;
    // Once, without trying again; the answer may not come any more.
    let nothing_more = json!({});
    tokio::select! {
        _answer = leader.aws.submit(&queue, &definition, &nothing_more) => {}
        stopped = leader.controller.meets_its_fate(), if fate == Fate::Stops => stopped?,
    }
    let mut late = vec![succeed(place, &mut leader, successor).await?];
    while let Some((point, _)) = leader.controller.fault {
        let successor = start_next(place, points.next()).await?;
        if point == Point::OutcomeStored {
            end(fixture, &namespace).await?;
        }
        late.push(succeed(place, &mut leader, successor).await?);
    }
    let id = ran_once(fixture, &leader.aws, &queue, &namespace, &pods).await?;
    if fate == Fate::Stops {
        let before = leader.aws.job(&id).await?;
        for predecessor in &mut late {
            predecessor.controller.goes_on_too_late().await?;
        }
        ran_once(fixture, &leader.aws, &queue, &namespace, &pods).await?;
        let after = leader.aws.job(&id).await?;
        ensure!(after == before, "it was {}, and is {}", brief(&before), brief(&after));
    }
    leader.controller.lives()
}

/// Waits until a leader has died or stopped at its point and the next one leads. Returns the one that led.
async fn succeed(place: &Place<'_>, leader: &mut Leader, mut successor: Leader) -> Result<Leader> {
    leader.controller.meets_its_fate().await?;
    place.host.leads(&mut successor.controller).await?;
    Ok(std::mem::replace(leader, successor))
}

/// Starts the first controller and waits until it leads.
async fn start(place: &Place<'_>, point: Option<(Point, Fate)>) -> Result<Leader> {
    let mut leader = start_next(place, point).await?;
    place.host.leads(&mut leader.controller).await?;
    Ok(leader)
}

/// Starts a controller that waits for the Lease.
async fn start_next(place: &Place<'_>, point: Option<(Point, Fate)>) -> Result<Leader> {
    // Free a moment ago; nothing else on this machine asks for one just now.
    let listen = TcpListener::bind(ANYWHERE)?.local_addr()?;
    let controller = place.host.start(point, listen, Some(&place.database))?;
    Ok(Leader { controller, aws: Aws::at(&format!("http://{listen}")).await? })
}

/// Waits until the API has its record store.
async fn answers(aws: &Aws) -> Result<()> {
    eventually("the API answers", || async {
        let answer = aws.send("POST", "/v1/describejobs", json!({"jobs": []}).to_string()).await?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) })
    })
    .await
}

/// Lets the one pod of the job end.
async fn end(fixture: &Fixture, namespace: &str) -> Result<()> {
    eventually("the pod of the job is told to end", || async {
        let pods = fixture.pods(namespace).list(&ListParams::default()).await?.items;
        let names: Vec<String> = pods.iter().map(kube::ResourceExt::name_any).collect();
        let [name] = names.as_slice() else { return Ok(Err(format!("pods {names:?}"))) };
        fixture.end_with(namespace, name, "touch /tmp/end").await?;
        Ok(Ok(()))
    })
    .await
}

/// One job, one attempt, one pod that ran, and of that nothing to wait for. Returns its id.
async fn ran_once(fixture: &Fixture, aws: &Aws, queue: &str, namespace: &str, pods: &PodLog) -> Result<String> {
    answers(aws).await?;
    let ids = eventually("one job has SUCCEEDED", || async {
        let mut all = Vec::new();
        for state in tests::STATES {
            all.extend(aws.ids_in(queue, state).await?.into_iter().map(|id| (id, state)));
        }
        match all.as_slice() {
            [(id, "SUCCEEDED")] => Ok(Ok(id.clone())),
            // Between two of the questions a job may move on, and be seen twice or not at all.
            all => Ok(Err(format!("jobs {all:?}, pods {:?}", pods.pods()))),
        }
    });
    let id = ids.await?;
    let job = aws.job(&id).await?;
    let [attempt] = attempts(&job) else { bail!("one attempt was due: {}", brief(&job)) };
    ensure!(exit_codes(&job) == [Some(0)], "it is {}", brief(&job));
    let seen = pods.pods();
    let ran: Vec<&str> = seen.values().filter(|pod| pod.ran).map(|pod| pod.name.as_str()).collect();
    ensure!(seen.len() == 1 && ran == [attempt["podName"].as_str().context("no podName")?], "pods seen: {seen:?}");
    eventually("the finished pod alone is left, free to go", || async {
        let left = fixture.pods(namespace).list(&ListParams::default()).await?.items;
        let held: Vec<String> =
            left.iter().filter(|pod| !pod.finalizers().is_empty()).map(kube::ResourceExt::name_any).collect();
        Ok(if left.len() <= 1 && held.is_empty() { Ok(()) } else { Err(format!("{} left, held {held:?}", left.len())) })
    })
    .await?;
    Ok(id)
}
