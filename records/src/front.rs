//! The first jobs of a queue that are RUNNABLE, for those who do not know in which order they are served.
//!
//! Invariant: first in, first out; the children of an array job by index, where their array job is. Reads a few rows of an index: of jobs no
//! more than are asked for, of children those that live.

use jiff::Timestamp;
use model::job::JobId;

use crate::error::Error;
use crate::rows::{id, time};
use crate::store::Store;

/// Array jobs of which children live are PENDING. That the children have not ended is said so that they are found in the index of those.
const FRONT: &str = "SELECT job, child, created FROM (
        SELECT j.job, j.child, j.created FROM jobs j WHERE j.child = -1 AND j.queue = $1 AND j.state = 'RUNNABLE'
        ORDER BY j.created, j.job LIMIT $2) AS whole
    UNION ALL SELECT job, child, created FROM (
        SELECT c.job, c.child, p.created FROM jobs p CROSS JOIN jobs c
        WHERE p.child = -1 AND p.queue = $1 AND p.state = 'PENDING' AND p.size IS NOT NULL
            AND c.job = p.job AND c.child >= 0 AND c.state NOT IN ('SUCCEEDED', 'FAILED') AND c.state = 'RUNNABLE'
        ORDER BY p.created, p.job, c.child LIMIT $2) AS children
    ORDER BY created, job, child LIMIT $2";

impl Store {
    /// The first jobs of a queue (AWS name) that are RUNNABLE, at most so many, with the time at which each was submitted; children, not
    /// their array jobs.
    pub async fn front(&self, queue: &str, limit: u32) -> Result<Vec<(JobId, Timestamp)>, Error> {
        self.call("front", async {
            let query = sqlx::query(FRONT).bind(queue.to_owned()).bind(i64::from(limit));
            let rows = query.fetch_all(&self.database.reads).await?;
            rows.iter().map(|row| Ok((id(row, 0)?, time(row, 2)?))).collect()
        })
        .await
    }
}
