//! The client: asks the server, and keeps the answers.
//!
//! Invariant: it is one thread on a processor of its own. A call that is not answered with 200 ends the measurement.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::body::Bytes;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::super::connection::Connection;
use super::super::load::{self, Extent, Outcome, Run};
use super::super::{machine, processor};
use super::callers::{Asker, Question};

/// What the client calls itself.
const AGENT: &str = "aws-cli/2";

/// Does this on a thread of its own that stays on a processor.
pub(super) async fn on<T, F>(core: usize, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let (sender, receiver) = oneshot::channel();
    let pinned = move || {
        processor::pin(core)?;
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
        runtime.block_on(work())
    };
    std::thread::spawn(move || drop(sender.send(pinned())));
    receiver.await.context("the client panicked")?
}

/// Connections to one server.
pub(super) struct Client {
    connections: Vec<Connection>,
    server: u32,
    /// The number of the next call.
    next: usize,
    answers: RefCell<Vec<(usize, Bytes)>>,
}

impl Client {
    /// So many, to the server with this process id. Calls are numbered from `first`.
    pub(super) fn new(address: SocketAddr, server: u32, connections: usize, first: usize) -> Self {
        let connections = (0..connections).map(|_| Connection::plain(address, AGENT)).collect();
        Self { connections, server, next: first, answers: RefCell::default() }
    }

    /// Asks so often, with so many in flight. Before that it asks a tenth as often, which is not counted.
    pub(super) async fn measure(&mut self, question: &Question<'_>, in_flight: usize, count: usize) -> Result<Run> {
        self.measured(question, in_flight, Extent::Times(count / 10), Extent::Times(count)).await
    }

    /// Asks so often, so many times a second, with at most so many in flight; after a tenth that is not counted.
    pub(super) async fn offer(
        &mut self,
        question: &Question<'_>,
        in_flight: usize,
        count: usize,
        rate: u32,
    ) -> Result<Run> {
        let every = |count| Extent::Every(Duration::from_secs(1) / rate, count);
        self.measured(question, in_flight, every(count / 10), every(count)).await
    }

    async fn measured(
        &mut self,
        question: &Question<'_>,
        in_flight: usize,
        before: Extent,
        extent: Extent,
    ) -> Result<Run> {
        self.ask(question, in_flight, before).await?;
        let before = machine::processor_time(self.server)?;
        let outcome = self.ask(question, in_flight, extent).await?;
        Run::of(outcome, machine::processor_time(self.server)?.saturating_sub(before))
    }

    /// Asks once; how long the answer is.
    pub(super) async fn length(&mut self, question: &Question<'_>) -> Result<usize> {
        self.ask(question, 1, Extent::Times(1)).await?;
        let answers = self.answers.borrow();
        answers.last().map(|(_, answer)| answer.len()).context("there is no answer")
    }

    async fn ask(&mut self, question: &Question<'_>, in_flight: usize, extent: Extent) -> Result<Outcome> {
        let (Extent::Times(count) | Extent::Every(_, count)) = extent else { bail!("a client asks a number of times") };
        let Self { connections, next, answers, .. } = self;
        let answers = &*answers;
        let asker = |connection| Asker { connection, question, answers };
        let mut askers: Vec<_> = connections.iter_mut().take(in_flight).map(asker).collect();
        let outcome = load::run(&mut askers, *next, extent).await;
        *next += count;
        if let Some(problem) = outcome.problem(&question.path) {
            bail!(problem);
        }
        ensure!(
            outcome.took.len() == count,
            "{}: {} of {count} calls were answered",
            question.path,
            outcome.took.len()
        );
        Ok(outcome)
    }

    /// Answers since this was asked last, each with the number of its call.
    pub(super) fn answers(&self) -> Vec<(usize, Bytes)> {
        self.answers.take()
    }
}
