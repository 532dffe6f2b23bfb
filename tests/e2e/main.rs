//! End-to-end tests on a real cluster: real API server, real kubelets, Bulkhead installed as users install it.
//!
//! `cargo xtask test` brings two clusters up and runs this on each; arguments filter by name. Tests that mind their own objects run two
//! at a time, because they mostly wait; those that change or kill what others need, or look at everything there is, run alone, most of
//! them on the other cluster. On a single cluster the second kind waits for the first.

mod additions;
mod arrays;
mod bad_requests;
mod beside;
mod boto;
mod certificates;
mod clusters;
mod contract;
mod crashes;
mod dumps;
mod ecs;
mod endings;
mod explains;
mod extender;
mod faults;
mod forgeries;
mod fronts;
mod granted;
mod hook_faults;
mod hooks;
mod host_network;
mod hostile;
mod isolation;
mod jobset;
mod keys;
mod kinds;
mod large_objects;
mod late;
mod lines;
mod logs;
mod losses;
mod outage;
mod owners;
mod policies;
mod quota;
mod reasons;
mod refusals;
mod rights;
mod rogue;
mod rotation;
mod scaling;
mod stop;
mod vanished_jobs;
mod volumes;
mod walkthrough;
mod withheld;

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tests::{Fixture, World};
use tokio::runtime::Runtime;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Which tests this program has: `others`, those that run beside others, and afterwards some that run alone; `nobody`, the rest; unset, all.
const COMPANY: &str = "BULKHEAD_E2E_COMPANY";
/// A file to which each test adds its name, a tab and the milliseconds that it took.
const TIMES: &str = "BULKHEAD_E2E_TIMES";
/// Tests at a time. More would take the processors from the kubelets that they wait for.
const TOGETHER: usize = 2;

/// One test: its name, beside whom it runs, whether it needs nodes that it can add and kill, and what it does.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// A few letters for the names of what it makes.
    short: &'static str,
    company: Company,
    local_only: bool,
    run: for<'a> fn(&'a Fixture) -> BoxFuture<'a, Result<()>>,
}

/// Beside whom a test runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Company {
    /// Others of the same kind: it minds what it has made itself, and changes nothing else.
    Others,
    /// Nobody, as below; on the cluster of those that run beside others, when they are done, because the other one takes longer.
    Afterwards,
    /// It stops or changes what others need, or makes the provider fail, or looks at everything there is.
    Nobody,
}

impl Company {
    /// Whether this program has tests of this kind.
    fn is_wanted(self) -> bool {
        match std::env::var(COMPANY).as_deref() {
            Ok("others") => self != Self::Nobody,
            Ok("nobody") => self == Self::Nobody,
            _ => true,
        }
    }
}

/// The right to use the cluster, while it is kept.
#[expect(dead_code, reason = "it is only kept")]
enum Turn<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Whole(RwLockWriteGuard<'a, ()>),
}

fn main() -> std::process::ExitCode {
    cluster::client::install_crypto();
    let mut arguments = Arguments::from_args();
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
    // Two tests that wait for each other's node would wait for ever.
    arguments.test_threads = Some(if world.has_nodes_for(TOGETHER) { TOGETHER } else { 1 });
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        scenarios().into_iter().partition(|scenario| world.is_local() || !scenario.local_only);
    for scenario in elsewhere {
        println!("left out, needs the local cluster: {}", scenario.name);
    }
    let cluster = Arc::new(RwLock::new(()));
    let trials = here
        .into_iter()
        .map(|scenario| trial(scenario, cluster.clone(), world.clone(), stop.clone(), Arc::clone(&runtime)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// All tests, in the order in which they are begun.
fn scenarios() -> Vec<Scenario> {
    let mut all = [
        // What waits longest comes first, and what brings up a cluster of its own early.
        volumes::scenarios(),
        lines::scenarios(),
        clusters::scenarios(),
        contract::scenarios(),
        dumps::scenarios(),
        ecs::scenarios(),
        keys::scenarios(),
        logs::scenarios(),
        explains::scenarios(),
        kinds::scenarios(),
        additions::scenarios(),
        owners::scenarios(),
        policies::scenarios(),
        forgeries::scenarios(),
        granted::scenarios(),
        walkthrough::scenarios(),
        rights::scenarios(),
        boto::scenarios(),
        fronts::scenarios(),
        arrays::scenarios(),
        endings::scenarios(),
        jobset::scenarios(),
        late::scenarios(),
        refusals::scenarios(),
        hostile::scenarios(),
        isolation::scenarios(),
        host_network::scenarios(),
        reasons::scenarios(),
        scaling::scenarios(),
        losses::scenarios(),
        extender::scenarios(),
        withheld::scenarios(),
        vanished_jobs::scenarios(),
        bad_requests::scenarios(),
        quota::scenarios(),
        // What kills others' servers comes last.
        outage::scenarios(),
        hook_faults::scenarios(),
        faults::scenarios(),
        crashes::scenarios(),
        certificates::scenarios(),
        rotation::scenarios(),
        // And after that what takes so much of the processors that hooks of the other cluster, where tests run beside it, would be late.
        large_objects::scenarios(),
    ]
    .concat();
    // On a single cluster those that run alone wait for the others.
    all.sort_by_key(|scenario| scenario.company);
    all.retain(|scenario| scenario.company.is_wanted());
    all
}

/// Tells `cargo xtask test` how long a test took; what cannot be told is only missing from its list.
fn note_time(name: &str, took: std::time::Duration) {
    let Some(path) = std::env::var_os(TIMES) else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(path) {
        let _missing = file.write_all(format!("{name}\t{}\n", took.as_millis()).as_bytes());
    }
}

fn trial(scenario: Scenario, cluster: Arc<RwLock<()>>, world: World, stop: stop::Stop, runtime: Arc<Runtime>) -> Trial {
    Trial::test(scenario.name, move || {
        runtime.block_on(async {
            let _turn = match scenario.company {
                Company::Others => Turn::Shared(cluster.read().await),
                Company::Afterwards | Company::Nobody => Turn::Whole(cluster.write().await),
            };
            let fixture = Fixture::new(&world, scenario.short, scenario.company != Company::Others);
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
            note_time(scenario.name, begun.elapsed());
            match failed {
                None => cleaned.map_err(|error| Failed::from(format!("cleaning up: {error:#}"))),
                Some(failed) => Err(Failed::from(failed)),
            }
        })
    })
}
