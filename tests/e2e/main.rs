//! End-to-end tests on a real cluster: real API server, real kubelets, Bulkhead installed as users install it.
//!
//! `cargo xtask test` brings a cluster up and runs this; arguments filter by name. Tests run one after another: several of them kill
//! what the others need.

mod arrays;
mod bad_requests;
mod beside;
mod boto;
mod certificates;
mod clusters;
mod contract;
mod crashes;
mod endings;
mod extender;
mod faults;
mod hook_faults;
mod hooks;
mod isolation;
mod jobset;
mod kinds;
mod lines;
mod outage;
mod policies;
mod reasons;
mod refusals;
mod rogue;
mod rotation;
mod scaling;
mod stop;
mod volumes;
mod walkthrough;

use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tests::{Fixture, World};
use tokio::runtime::Runtime;

/// One test: its name, whether it needs nodes that it can add and kill, and what it does.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// A few letters for the names of what it makes.
    short: &'static str,
    local_only: bool,
    run: for<'a> fn(&'a Fixture) -> BoxFuture<'a, Result<()>>,
}

fn main() -> std::process::ExitCode {
    cluster::client::install_crypto();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let runtime = match Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("no runtime: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let reached = runtime.block_on(async {
        let world = World::from_env().await?;
        let stop = stop::Stop::listen(&world)?;
        anyhow::Ok((world, stop))
    });
    let (world, stop) = match reached {
        Ok(reached) => reached,
        Err(error) => {
            eprintln!("{error:#}");
            return std::process::ExitCode::FAILURE;
        }
    };
    // What disturbs others comes last.
    let scenarios = [
        lines::scenarios(),
        contract::scenarios(),
        isolation::scenarios(),
        kinds::scenarios(),
        jobset::scenarios(),
        policies::scenarios(),
        reasons::scenarios(),
        scaling::scenarios(),
        extender::scenarios(),
        refusals::scenarios(),
        walkthrough::scenarios(),
        boto::scenarios(),
        bad_requests::scenarios(),
        arrays::scenarios(),
        endings::scenarios(),
        volumes::scenarios(),
        outage::scenarios(),
        hook_faults::scenarios(),
        faults::scenarios(),
        crashes::scenarios(),
        certificates::scenarios(),
        rotation::scenarios(),
        clusters::scenarios(),
    ]
    .concat();
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| world.is_local() || !scenario.local_only);
    for scenario in elsewhere {
        println!("left out, needs the local cluster: {}", scenario.name);
    }
    let trials = here.into_iter().map(|scenario| trial(scenario, world.clone(), stop.clone(), Arc::clone(&runtime)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn trial(scenario: Scenario, world: World, stop: stop::Stop, runtime: Arc<Runtime>) -> Trial {
    Trial::test(scenario.name, move || {
        runtime.block_on(async {
            let fixture = Fixture::new(&world, scenario.short);
            let begun = std::time::Instant::now();
            let result = std::panic::AssertUnwindSafe(stop.unless_told((scenario.run)(&fixture))).catch_unwind().await;
            // Said at once: the summary comes only after all other tests, and whoever reads a cut log never sees it.
            let failed = match &result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_) => Some("the test panicked".to_owned()),
            };
            if let Some(failed) = &failed {
                eprintln!("{} has failed: {failed}", scenario.name);
            }
            let cleaned = fixture.clean().await;
            eprintln!("{}: {:.0} s", scenario.name, begun.elapsed().as_secs_f64());
            match failed {
                None => cleaned.map_err(|error| Failed::from(format!("cleaning up: {error:#}"))),
                Some(failed) => Err(Failed::from(failed)),
            }
        })
    })
}
