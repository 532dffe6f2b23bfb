//! Jobs are submitted: many at once, and whole arrays one after the other.
//!
//! Invariant: the workloads of a run come in turn, so that all see the same machine. No answer is read while something is measured.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use model::job::JobId;

use super::super::load::Run;
use super::callers::Question;
use super::client::Client;
use super::place::Kind;
use super::{bare, check, sample};

/// Submissions under way.
pub(super) const IN_FLIGHT: usize = 64;
/// Submissions a second that are offered, whatever is answered: the goal.
pub(super) const OFFERED: u32 = 2_000;
/// Rows of the baseline; each waits for the disk.
const ROWS: usize = 1_000;
/// Single jobs beside an array.
const SINGLES: usize = 20;
const SUBMIT: &str = "/v1/submitjob";

/// What is measured.
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) url: String,
    pub(super) address: SocketAddr,
    /// Process id of the server.
    pub(super) server: u32,
    /// As the store keeps a job, for the baseline.
    pub(super) text: String,
    pub(super) runs: usize,
    /// Submissions of a run.
    pub(super) requests: usize,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Submissions {
    pub(super) empty: Vec<Run>,
    pub(super) bare: Vec<Run>,
    pub(super) submit: Vec<Run>,
    pub(super) offered: Vec<Run>,
    pub(super) single: Vec<Run>,
    pub(super) array: Vec<Run>,
    /// Names of all jobs, arrays among them, with the ids that were answered.
    pub(super) answered: Vec<(String, JobId)>,
    /// Ids of the array jobs.
    pub(super) arrays: Vec<JobId>,
}

impl Submissions {
    /// Reads what was answered since this was called last.
    fn read(&mut self, client: &Client, arrays: bool) -> Result<()> {
        for (number, answer) in client.answers() {
            let name = sample::name(number);
            let id = check::submitted(&answer, &name)?;
            self.answered.push((name, id));
            if arrays {
                self.arrays.push(id);
            }
        }
        Ok(())
    }
}

/// Submits and measures.
pub(super) async fn measure(plan: Plan) -> Result<Submissions> {
    let Plan { kind, url, address, server, text, runs, requests } = plan;
    let single = |number| sample::submission(&sample::name(number), None);
    let children = |number| sample::submission(&sample::name(number), Some(sample::CHILDREN));
    let submit = Question { path: SUBMIT.to_owned(), body: &single };
    let array = Question { path: SUBMIT.to_owned(), body: &children };

    let (mut client, mut all) = (Client::new(address, server, IN_FLIGHT, 1), Submissions::default());
    let empty = Question { path: format!("/empty/{}", client.length(&submit).await?), body: &single };
    let mut inserters = bare::connect(kind, &url, &text).await?;
    all.read(&client, false)?;
    for run in 0..runs {
        eprintln!("{}: submissions, run {} of {runs}", kind.name(), run + 1);
        all.empty.push(client.measure(&empty, IN_FLIGHT, requests).await?);
        drop(client.answers());
        let rows = bare::insert(&mut inserters, run * ROWS, ROWS).await?;
        all.bare.push(Run::of(rows, Duration::ZERO)?);
        all.submit.push(client.measure(&submit, IN_FLIGHT, requests).await?);
        all.read(&client, false)?;
        all.offered.push(client.offer(&submit, IN_FLIGHT, requests, OFFERED).await?);
        all.read(&client, false)?;
    }
    for run in 0..runs {
        eprintln!("{}: an array, run {} of {runs}", kind.name(), run + 1);
        all.single.push(client.measure(&submit, 1, SINGLES).await?);
        all.read(&client, false)?;
        all.array.push(client.measure(&array, 1, 1).await?);
        all.read(&client, true)?;
    }
    Ok(all)
}
