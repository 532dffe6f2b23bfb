//! What the leader has not taken up yet: new jobs, and wishes to end jobs.
//!
//! Invariant: a request is there until the leader has stored what it did about it ([`Store::write`]). Of requests of one kind for one job
//! the first counts.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use model::job::{JobId, JobRecord, Spec, Stop, StopKind};
use serde_json::{Value, json};
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::jobs::with_specs;
use crate::rows::{RECORD, child, id, list, read, record, written};
use crate::store::Store;

/// A wish to end a job: `CancelJob`, `TerminateJob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The job, array job or child.
    pub id: JobId,
    /// Which kind of end, and why.
    pub stop: Stop,
}

/// What the leader has not taken up yet.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// SUBMITTED jobs of the API that are no children, oldest first.
    pub submitted: Vec<(JobRecord, Arc<Spec>)>,
    /// There may be more of them: as many are here as were asked for, or as can be read at a time.
    pub more: bool,
    /// Requests, oldest first. The job of one may have ended in the meantime: it is taken all the same.
    pub requests: Vec<Request>,
}

/// A request is for its job only while that has not ended.
const REQUEST: &str = "INSERT INTO requests (job, child, kind, stop, asked)
    SELECT j.job, j.child, CAST(v.value->>2 AS TEXT), CAST(v.value->>3 AS TEXT), CAST(v.value->>4 AS BIGINT)
    FROM {each} AS v JOIN jobs j ON j.job = CAST(v.value->>0 AS TEXT) AND j.child = CAST(v.value->>1 AS BIGINT)
    WHERE j.state NOT IN ('SUCCEEDED', 'FAILED')
    ON CONFLICT (job, child, kind) DO NOTHING";

const REQUEST_OF_QUEUE: &str = "INSERT INTO requests (job, child, kind, stop, asked)
    SELECT job, child, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM jobs
    WHERE queue = CAST($1 AS TEXT) AND child = -1 AND door = 'api' AND state NOT IN ('SUCCEEDED', 'FAILED')
    ON CONFLICT (job, child, kind) DO NOTHING";

const TAKEN: &str = "DELETE FROM requests WHERE (job, child, kind) IN (
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS TEXT) FROM {each})";

impl Store {
    /// Stores a wish to end a job. Nothing is stored for a job that is unknown or has ended.
    pub async fn request_stop(&self, request: &Request) -> Result<(), Error> {
        self.call("request_stop", self.writer.request(request.clone())).await
    }

    /// Stores a wish to end every job of a queue (AWS name) that was submitted through the API and has not ended; array jobs stand for their
    /// children.
    pub async fn request_stop_of_queue(&self, queue: &str, stop: &Stop) -> Result<(), Error> {
        let (queue, kind, stop) = (queue.to_owned(), kind(stop.kind), written(stop)?);
        self.call("request_stop_of_queue", async {
            let query = sqlx::query(REQUEST_OF_QUEUE).bind(queue).bind(kind).bind(stop);
            query.bind(Timestamp::now().as_millisecond()).execute(&self.database.writes).await?;
            Ok(())
        })
        .await
    }

    /// What the leader has not taken up yet: at most `limit` jobs, at most `limit` requests.
    pub async fn inbox(&self, limit: u32) -> Result<Inbox, Error> {
        self.call("inbox", async {
            let mut transaction = self.database.look().await?;
            let text = format!(
                "SELECT {RECORD} FROM jobs j WHERE j.state = 'SUBMITTED' AND j.child = -1 AND j.door = 'api'
                 ORDER BY j.created, j.job LIMIT $1"
            );
            let dialect = self.database.dialect;
            let rows = sqlx::query(dialect.sql(&text)).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
            let records: Vec<JobRecord> = rows.iter().map(record).collect::<Result<_, _>>()?;
            let count = fitting(&mut transaction, dialect, &records).await?;
            let more = count < records.len() || records.len() >= limit as usize;
            let records: Vec<JobRecord> = records.into_iter().take(count).collect();
            let submitted = with_specs(&mut transaction, dialect, records).await?;
            let text = "SELECT job, child, stop FROM requests ORDER BY asked, job, child LIMIT $1";
            let rows = sqlx::query(text).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
            let requests =
                rows.iter().map(|row| Ok(Request { id: id(row, 0)?, stop: stop(&row.try_get::<String, _>(2)?)? }));
            let requests = requests.collect::<Result<_, Error>>()?;
            Ok(Inbox { submitted, more, requests })
        })
        .await
    }
}

/// Bytes of what is asked for that are read at a time; as values they take many times as much. One job is always read.
const MOST_BYTES: i64 = 4 << 20;

/// How many of these jobs can be read at a time.
async fn fitting(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    jobs: &[JobRecord],
) -> Result<usize, Error> {
    let text = "SELECT s.job, CAST(LENGTH(s.body) AS BIGINT) FROM {each} AS v CROSS JOIN specs s WHERE s.job = CAST(v.value->>0 AS TEXT)";
    let ids = list(jobs.iter().map(|it| Value::from(vec![it.id.job.to_string()])));
    let rows = sqlx::query(dialect.sql(text)).bind(ids).fetch_all(&mut **transaction).await?;
    let lengths: HashMap<String, i64> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Error>>()?;
    let (mut count, mut bytes) = (0, 0);
    for job in jobs {
        bytes += lengths.get(&job.id.job.to_string()).copied().unwrap_or(0);
        if count > 0 && bytes > MOST_BYTES {
            break;
        }
        count += 1;
    }
    Ok(count)
}

pub(crate) fn stop(text: &str) -> Result<Stop, Error> {
    read(text, "a request to end a job")
}

/// Stores requests.
pub(crate) async fn store(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    requests: &[&Request],
) -> Result<(), Error> {
    if requests.is_empty() {
        return Ok(());
    }
    let asked = Timestamp::now().as_millisecond();
    let row = |it: &&Request| {
        let stop = written(&it.stop)?;
        Ok(json!([it.id.job.to_string(), child(it.id), kind(it.stop.kind), stop, asked]))
    };
    let rows = requests.iter().map(row).collect::<Result<Vec<Value>, Error>>()?;
    sqlx::query(dialect.sql(REQUEST)).bind(list(rows)).execute(&mut **transaction).await?;
    Ok(())
}

/// Removes requests that were taken up, and no others of the same jobs.
pub(crate) async fn take(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    taken: &[Request],
) -> Result<(), Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let rows = taken.iter().map(|it| json!([it.id.job.to_string(), child(it.id), kind(it.stop.kind)]));
    sqlx::query(dialect.sql(TAKEN)).bind(list(rows)).execute(&mut **transaction).await?;
    Ok(())
}

fn kind(kind: StopKind) -> &'static str {
    match kind {
        StopKind::Cancel => "cancel",
        StopKind::Terminate => "terminate",
        StopKind::Timeout => "timeout",
        StopKind::Hopeless => "hopeless",
    }
}
