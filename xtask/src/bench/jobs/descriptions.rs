//! Jobs are described: a hundred at a time, drawn from all that were there before.

use std::net::SocketAddr;

use anyhow::Result;

use super::super::load::Run;
use super::callers::Question;
use super::client::Client;
use super::place::Kind;
use super::{check, sample};

/// Questions of a run.
const QUESTIONS: usize = 500;

/// What came of it.
pub(super) struct Descriptions {
    pub(super) empty: Vec<Run>,
    pub(super) describe: Vec<Run>,
    /// Length of an answer.
    pub(super) bytes: usize,
}

/// Asks the server with this address and process id, one question after the other, about jobs with numbers 1 to `records`.
pub(super) async fn measure(
    kind: Kind,
    address: SocketAddr,
    server: u32,
    records: usize,
    runs: usize,
) -> Result<Descriptions> {
    let body = |number| sample::question(&sample::drawn(number, records));
    let describe = Question { path: "/v1/describejobs".to_owned(), body: &body };
    let mut client = Client::new(address, server, 1, 1);
    let bytes = client.length(&describe).await?;
    let empty = Question { path: format!("/empty/{bytes}"), body: &body };
    let mut all = Descriptions { empty: Vec::new(), describe: Vec::new(), bytes };
    for run in 1..=runs {
        eprintln!("{}: descriptions, run {run} of {runs}", kind.name());
        all.empty.push(client.measure(&empty, 1, QUESTIONS).await?);
        drop(client.answers());
        all.describe.push(client.measure(&describe, 1, QUESTIONS).await?);
        for (number, answer) in client.answers() {
            check::described(&answer, &sample::drawn(number, records))?;
        }
    }
    Ok(all)
}
