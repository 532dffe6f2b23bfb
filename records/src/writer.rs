//! The one task that stores submissions and requests: who calls at the same time shares a transaction, and so a sync of the disk.
//!
//! Invariant: an entry is answered after its transaction, and exactly once. An entry that cannot be stored fails alone. One whose caller
//! has gone before its transaction begins is not stored. The queue is bounded: who comes when it is full waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::error::Error;
use crate::inbox::{self, Request};
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::submit::{self, Submission};

/// Entries that wait.
const QUEUE: usize = 1024;
/// Entries of one transaction.
const ENTRIES: usize = 256;
/// Jobs, children included, of one transaction; a single entry may have more.
const JOBS: u64 = 20_000;

enum What {
    Submission(Box<Submission>),
    Stop(Request),
}

struct Entry {
    what: What,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// The way to the task.
#[derive(Clone)]
pub(crate) struct Writer {
    entries: mpsc::Sender<Entry>,
    changed: watch::Receiver<u64>,
    stop: Arc<watch::Sender<bool>>,
}

impl Writer {
    pub(crate) async fn submit(&self, submission: Submission) -> Result<(), Error> {
        self.hand_over(What::Submission(Box::new(submission))).await
    }

    pub(crate) async fn request(&self, request: Request) -> Result<(), Error> {
        self.hand_over(What::Stop(request)).await
    }

    async fn hand_over(&self, what: What) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let closed = || Error::unavailable("it is closed");
        self.entries.send(Entry { what, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// How many wait for the task to take them.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.entries.max_capacity() - self.entries.capacity()
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Takes no more entries; the task ends when those that it has are answered.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Starts the task. It ends when it is stopped, or when nobody is left who could call.
pub(crate) fn start(
    database: Database,
    patience: Duration,
    quotas: Quotas,
    metrics: Metrics,
) -> (Writer, JoinHandle<()>) {
    let (entries, queue) = mpsc::channel(QUEUE);
    let (count, changed) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let task = Task { database, patience, quotas, metrics, count };
    let task = tokio::spawn(task.run(queue, stopped));
    (Writer { entries, changed, stop: Arc::new(stop) }, task)
}

struct Task {
    database: Database,
    patience: Duration,
    quotas: Quotas,
    metrics: Metrics,
    count: watch::Sender<u64>,
}

impl Task {
    async fn run(self, mut queue: mpsc::Receiver<Entry>, mut stopped: watch::Receiver<bool>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    count = queue.recv_many(&mut waiting, ENTRIES) => if count == 0 { return },
                    // An error: nobody is left who could stop us, nor call; the queue says so too.
                    Ok(_) = stopped.wait_for(|it| *it), if !queue.is_closed() => { queue.close(); continue }
                }
            }
            let rest = waiting.split_off(first(&waiting));
            self.settle(std::mem::replace(&mut waiting, rest)).await;
        }
    }

    /// Stores a batch; if it cannot be stored, its halves.
    async fn settle(&self, batch: Vec<Entry>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            // Who has gone was told that it failed and comes again: storing it would make two of it.
            part.retain(|entry| !entry.answer.is_closed());
            if part.is_empty() {
                continue;
            }
            self.metrics.batch(part.len());
            let begin = Instant::now();
            let result = tokio::time::timeout(self.patience, self.commit(&part)).await;
            self.metrics.call("batch", begin.elapsed().as_secs_f64());
            match result.unwrap_or_else(|_| Err(Error::unavailable("no answer in time"))) {
                Ok(answers) => {
                    let stored = answers.iter().filter(|it| it.is_ok()).count() as u64;
                    self.count.send_modify(|count| *count = count.wrapping_add(stored));
                    for (entry, answer) in part.into_iter().zip(answers) {
                        let _ = entry.answer.send(answer);
                    }
                }
                Err(error) if part.len() > 1 && !error.is_transient() => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(error) => part.into_iter().for_each(|entry| drop(entry.answer.send(Err(error.clone())))),
            }
        }
    }

    /// Stores a batch in one transaction; the answers are in its order.
    async fn commit(&self, batch: &[Entry]) -> Result<Vec<Result<(), Error>>, Error> {
        let (mut submissions, mut requests) = (Vec::new(), Vec::new());
        for entry in batch {
            match &entry.what {
                What::Submission(it) => submissions.push(&**it),
                What::Stop(it) => requests.push(it),
            }
        }
        let mut transaction = self.database.begin().await?;
        // Requests first: what a leader has locked of them is waited for before anything is held that a leader waits for.
        inbox::store(&mut transaction, self.database.dialect, &requests).await?;
        let answers = submit::store(&mut transaction, self.database.dialect, &self.quotas, &submissions).await?;
        transaction.commit().await?;
        let mut answers = answers.into_iter();
        let answer = |entry: &Entry| match &entry.what {
            What::Submission(_) => answers.next().unwrap_or(Ok(())),
            What::Stop(_) => Ok(()),
        };
        Ok(batch.iter().map(answer).collect())
    }
}

/// How many of these go into the next transaction.
fn first(waiting: &[Entry]) -> usize {
    let mut jobs = 0;
    let fits = |entry: &&Entry| {
        jobs += match &entry.what {
            What::Submission(it) => 1 + u64::from(it.spec.array_size.unwrap_or(0)),
            What::Stop(_) => 1,
        };
        jobs <= JOBS
    };
    waiting.iter().take_while(fits).count().max(1)
}
