//! The leader is killed at every named point of a machine's life, one after another, and whoever takes over goes on.

use anyhow::{Result, ensure};
use cluster::fault::Point;
use tests::{Fixture, MachineLog, job};

use crate::Scenario;
use crate::beside::{ANYWHERE, Host};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a leader killed at any point of a machine's life is succeeded by one that goes on, and nothing leaks",
        short: "fault",
        local_only: true,
        run: |fixture| Box::pin(every_point(fixture)),
    }]
}

/// One machine, one Job, and a crash at each point: every successor finds what its predecessor left, and dies one step later.
async fn every_point(fixture: &Fixture) -> Result<()> {
    let host = Host::new(fixture).await?;
    fixture.without_controller().await?;
    let mut faults = Point::MACHINE.into_iter().map(Point::name);
    let mut leader = host.start(faults.next(), ANYWHERE, None)?;
    host.leads(&mut leader).await?;

    // Room for two machines, so that a second one would be seen.
    let environment = fixture.managed("ce", 2, "instanceTypes: [local.medium]").await?;
    let machines = MachineLog::of(&fixture.world, &environment);
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    fixture.apply(&namespace, &job("one", 1, "900m", "64Mi", "true")).await?;
    while leader.fault.is_some() {
        let mut successor = host.start(faults.next(), ANYWHERE, None)?;
        leader.dies().await?;
        host.leads(&mut successor).await?;
        leader = successor;
    }
    fixture.completed(&namespace, "one").await?;
    fixture.no_machines(&environment).await?;
    leader.lives()?;
    let launched = machines.offers();
    ensure!(launched.len() == 1, "one machine was needed, launched were {launched:?}");
    Ok(())
}
