//! Reviews over TLS: the server on one processor, the client on another, beside a handler that does nothing.
//!
//! Invariant: both handlers are measured in turn over the same connections, so that both see the same machine.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use axum::http::StatusCode;
use tokio::runtime::Builder;

use super::super::connection::Connection;
use super::super::load::{self, Extent, Outcome, Run};
use super::super::processor::{self, Apart};
use super::process::{self, Server};
use super::reviewer::{Reviewer, Right, Route, connect};
use super::{Args, sample, text};

/// Before each run, not counted.
const WARM_UP: Duration = Duration::from_millis(500);
/// How many reviews are asked for at once, and what is to be reached with so many.
const LOADS: [(usize, Goal); 2] = [(16, Goal::P99(Duration::from_millis(5))), (500, Goal::Rate(5_000.0))];
/// Creations of which every one is to be answered in time and right.
const BURST: usize = 10_000;

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At most.
    P99(Duration),
    /// At least so many in a second.
    Rate(f64),
}

/// Measures and prints; returns what was wrong.
pub(super) fn measure(apart: Apart, args: &Args) -> Result<Vec<String>> {
    let server = process::serve(apart.server, args.log.as_deref())?;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            processor::pin(apart.client)?;
            let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
            runtime.block_on(loads(apart, &server, args))
        });
        client.join().unwrap_or_else(|_| Err(anyhow!("the client panicked")))
    })
}

async fn loads(apart: Apart, server: &Server, args: &Args) -> Result<Vec<String>> {
    let (empty, webhook) = routes(server).await?;
    println!(
        "\nover TLS, HTTP/1.1 kept alive; server on processor {}, client on processor {}",
        apart.server, apart.client
    );
    let mut problems = Vec::new();
    for (in_flight, goal) in LOADS {
        let connections: Result<Vec<_>> = (0..in_flight).map(|_| connect(server.hello())).collect();
        let mut connections = connections?;
        let (mut empties, mut webhooks) = (Vec::new(), Vec::new());
        for run in 1..=args.runs {
            for (route, runs) in [(&empty, &mut empties), (&webhook, &mut webhooks)] {
                eprintln!("{in_flight} in flight, run {run} of {}: {}", args.runs, route.path);
                ask_all(&mut connections, route, Extent::For(WARM_UP)).await;
                let before = server.processor_time()?;
                let outcome = ask_all(&mut connections, route, Extent::For(Duration::from_secs(args.seconds))).await;
                let time = server.processor_time()?.saturating_sub(before);
                problems.extend(outcome.problem(&format!("{} with {in_flight} in flight", route.path)));
                runs.push(Run::of(outcome, time)?);
            }
        }
        println!("{}", text::series(in_flight, args.seconds, &empties, &webhooks, goal));
        if in_flight == LOADS.map(|(in_flight, _)| in_flight).into_iter().max().unwrap_or_default() {
            problems.extend(burst(&mut connections, &webhook).await?);
        }
    }
    println!("{}", text::memory(server.resident()?));
    Ok(problems)
}

/// So many creations; afterwards it is known whether the answer to one was missing or wrong.
async fn burst(connections: &mut [Connection], webhook: &Route) -> Result<Option<String>> {
    eprintln!("{BURST} creations");
    let outcome = ask_all(connections, webhook, Extent::Times(BURST)).await;
    let problem = outcome.problem("creations");
    println!("{}", text::burst(connections.len(), &outcome));
    ensure!(outcome.took.len() + outcome.late + outcome.failed + outcome.wrong == BURST, "creations were lost");
    Ok(problem)
}

async fn ask_all(connections: &mut [Connection], route: &Route, extent: Extent) -> Outcome {
    let mut reviewers: Vec<_> = connections.iter_mut().map(|connection| Reviewer { connection, route }).collect();
    load::run(&mut reviewers, 0, extent).await
}

/// The empty handler and the webhook, with their right answers.
async fn routes(server: &Server) -> Result<(Route, Route)> {
    let (mut connection, review, uid) = (connect(server.hello())?, sample::review()?, sample::uid(0));
    let mut answers = Vec::new();
    for path in ["/empty?timeout=3s", "/pods?timeout=3s"] {
        let (code, answer) = connection.post(path, review.with(&uid)).await?;
        ensure!(code == StatusCode::OK, "{path}: {code}: {}", String::from_utf8_lossy(&answer));
        let right = sample::right_answer(&answer, &uid).with_context(|| format!("{path} answers wrongly"))?;
        answers.push((path, answer, right));
    }
    let [(empty, constant, _), (webhook, _, right)] = <[_; 2]>::try_from(answers).map_err(|_| anyhow!("two paths"))?;
    let empty = Route { path: empty, review: review.clone(), right: Right::Constant(constant) };
    Ok((empty, Route { path: webhook, review, right: Right::Review(right) }))
}
