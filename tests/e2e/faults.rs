//! The leader is killed or stopped at every named point of a machine's life, one after another, and whoever takes over goes on.

use anyhow::{Result, ensure};
use cluster::fault::Point;
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
