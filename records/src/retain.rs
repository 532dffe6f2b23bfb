//! Forgets what is old, and says how much is kept.
//!
//! Invariant: a job goes with its children, attempts and history, and only after all of them have ended. Steps are small, so that submissions go on
//! in between.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::Row;

use crate::database::Dialect;
use crate::error::Error;
use crate::lead::Leading;
use crate::rows::list;
use crate::store::Store;

/// Jobs, children included, that one step removes; an array job is one step even if it is larger.
const STEP: i64 = 2000;
/// How long a definition that is INACTIVE can still be described
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DeregisterJobDefinition.html>).
const INACTIVE: SignedDuration = SignedDuration::from_hours(180 * 24);

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Jobs, children included.
    pub jobs: u64,
    /// Those that have not ended.
    pub live: u64,
    /// Bytes that the tables take on the disk; what is free inside of them included.
    pub bytes: u64,
}

impl Leading {
    /// Removes jobs that ended before, the oldest first, at most so many (children not counted), and definitions that have been INACTIVE
    /// for 180 days. Returns how many jobs went; as many as `at_most`: there may be more.
    pub async fn retain(&self, before: Timestamp, at_most: u32) -> Result<u64, Error> {
        let mut removed = 0;
        while removed < u64::from(at_most) {
            let left = u64::from(at_most) - removed;
            match self.call("retain", self.step(before, left)).await? {
                0 => break,
                count => removed += count,
            }
        }
        let long_ago = Timestamp::now() - INACTIVE;
        self.call("retain", async {
            let mut transaction = self.begin().await?;
            let query = sqlx::query("DELETE FROM definitions WHERE deregistered < $1").bind(long_ago.as_millisecond());
            query.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await?;
        Ok(removed)
    }

    async fn step(&self, before: Timestamp, left: u64) -> Result<u64, Error> {
        let mut transaction = self.begin().await?;
        let text = "SELECT job, 1 + COALESCE(size, 0) FROM jobs
            WHERE child = -1 AND state IN ('SUCCEEDED', 'FAILED') AND COALESCE(stopped, changed) < $1
                AND NOT EXISTS (SELECT 1 FROM jobs c WHERE c.job = jobs.job AND c.state NOT IN ('SUCCEEDED', 'FAILED'))
            ORDER BY COALESCE(stopped, changed) LIMIT $2";
        let limit = STEP.min(i64::try_from(left).unwrap_or(STEP));
        let query = sqlx::query(text).bind(before.as_millisecond()).bind(limit);
        let rows = query.fetch_all(&mut *transaction).await?;
        let (mut jobs, mut weight) = (Vec::new(), 0);
        for row in &rows {
            weight += row.try_get::<i64, _>(1)?;
            if weight > STEP && !jobs.is_empty() {
                break;
            }
            jobs.push(Value::from(vec![row.try_get::<String, _>(0)?]));
        }
        if jobs.is_empty() {
            return Ok(0);
        }
        let count = jobs.len() as u64;
        let text = "DELETE FROM specs WHERE job IN (SELECT CAST(value->>0 AS TEXT) FROM {each})";
        sqlx::query(self.database.dialect.sql(text)).bind(list(jobs)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(count)
    }
}

impl Store {
    /// How much is kept.
    pub async fn size(&self) -> Result<Size, Error> {
        self.call("size", async {
            let bytes = match self.database.dialect {
                Dialect::Sqlite => "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                Dialect::Postgres => {
                    "SELECT CAST(SUM(pg_total_relation_size(CAST(name AS regclass))) AS BIGINT)
                     FROM (VALUES ('specs'), ('jobs'), ('attempts'), ('history'), ('requests'), ('definitions'),
                        ('revisions'), ('leadership')) AS tables (name)"
                }
            };
            let live = "SELECT COUNT(*) FROM jobs WHERE state NOT IN ('SUCCEEDED', 'FAILED')";
            let mut numbers = [0; 3];
            for (number, text) in numbers.iter_mut().zip(["SELECT COUNT(*) FROM jobs", live, bytes]) {
                let it: i64 = sqlx::query(text).fetch_one(&self.database.reads).await?.try_get(0)?;
                *number = u64::try_from(it).unwrap_or_default();
            }
            let [jobs, live, bytes] = numbers;
            let size = Size { jobs, live, bytes };
            self.metrics.size(&size);
            Ok(size)
        })
        .await
    }
}
