//! Stores what changed about jobs: records, attempts, history, and the requests that were taken up, in one transaction.
//!
//! Invariant: the same changes written twice leave what they left when written once. Which lines of history they make is decided by
//! [`plan`], from what is stored.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use model::job::{Change, JobId, JobRecord};
use model::status::JobState;
use serde_json::{Value, json};
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::inbox::{self, Request};
use crate::rows::{IDS, SET, child, clean, ended, id, ids, list, number, row, state, state_name, written};
use crate::store::Store;

/// Changes per statement: bounds the memory that one takes.
const CHUNK: usize = 2000;

const HISTORY: &str = "INSERT INTO history (job, child, entry, at, state, reason)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT),
        CAST(value->>4 AS TEXT), CAST(value->>5 AS TEXT) FROM {each} WHERE true
    ON CONFLICT (job, child, entry) DO NOTHING";

const ATTEMPTS: &str = "INSERT INTO attempts (job, child, number, body)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), CAST(value->>3 AS TEXT)
    FROM {each} WHERE true
    ON CONFLICT (job, child, number) DO UPDATE SET body = excluded.body";

impl Store {
    /// Stores changes and removes the requests that they answer, all or nothing. Jobs that the store does not know are left out. Of
    /// several changes of one job the last is its record. Requests for jobs that end are removed too.
    ///
    /// After [`Error::Unavailable`] it may be done or not: writing the same again is harmless.
    pub async fn write(&self, changes: &[Change], taken: &[Request]) -> Result<(), Error> {
        self.call("write", async {
            let mut transaction = self.database.begin().await?;
            apply(&mut transaction, self.database.dialect, changes).await?;
            inbox::take(&mut transaction, self.database.dialect, taken).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Stores changes.
pub(crate) async fn apply(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    changes: &[Change],
) -> Result<(), Error> {
    for part in changes.chunks(CHUNK) {
        let touched: HashSet<JobId> = part.iter().map(|it| it.record.id).collect();
        let stored = stored(transaction, dialect, &touched.into_iter().collect::<Vec<_>>()).await?;
        let plan = plan(&stored, part);
        let rows: Vec<Value> =
            plan.records.iter().map(|(it, at, entries)| row(it, *at, *entries)).collect::<Result<_, _>>()?;
        sqlx::query(dialect.sql(SET)).bind(list(rows)).execute(&mut **transaction).await?;
        let history = plan.history.iter().map(|it| {
            let at = it.at.as_millisecond();
            let reason = it.reason.map(clean);
            json!([it.id.job.to_string(), child(it.id), it.entry, at, state_name(it.state), reason])
        });
        run(transaction, dialect, HISTORY, history.collect()).await?;
        // PostgreSQL refuses to write one row twice in a statement: the last one counts.
        let mut attempts = HashMap::new();
        for change in part.iter().filter(|it| stored.contains_key(&it.record.id)) {
            if let Some(attempt) = &change.attempt {
                attempts.insert((change.record.id, attempt.number), written(attempt)?);
            }
        }
        let attempts =
            attempts.into_iter().map(|((id, number), body)| json!([id.job.to_string(), child(id), number, body]));
        run(transaction, dialect, ATTEMPTS, attempts.collect()).await?;
        let over = plan.records.iter().filter(|(it, ..)| ended(it.state)).map(|(it, ..)| it.id).collect::<Vec<_>>();
        if !over.is_empty() {
            let text = "DELETE FROM requests WHERE (job, child) IN (
                SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT) FROM {each})";
            sqlx::query(dialect.sql(text)).bind(ids(&over)).execute(&mut **transaction).await?;
        }
    }
    Ok(())
}

async fn run(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    text: &str,
    rows: Vec<Value>,
) -> Result<(), Error> {
    if !rows.is_empty() {
        sqlx::query(dialect.sql(text)).bind(list(rows)).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// What is stored about a job that decides about its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) state: JobState,
    pub(crate) reason: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) changed: i64,
    /// Lines of history.
    pub(crate) entries: u32,
}

pub(crate) async fn stored(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    of: &[JobId],
) -> Result<HashMap<JobId, Stored>, Error> {
    let text = format!(
        "{IDS} SELECT j.job, j.child, j.state, j.reason, j.changed, j.entries FROM v CROSS JOIN jobs j
         WHERE j.job = v.job AND j.child = v.child"
    );
    let rows = sqlx::query(dialect.sql(&text)).bind(ids(of)).fetch_all(&mut **transaction).await?;
    let stored = rows.iter().map(|row| {
        let (state, reason) = (state(row, 2)?, row.try_get(3)?);
        Ok((id(row, 0)?, Stored { state, reason, changed: row.try_get(4)?, entries: number(row, 5)? }))
    });
    stored.collect()
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) id: JobId,
    pub(crate) entry: u32,
    pub(crate) at: Timestamp,
    pub(crate) state: JobState,
    pub(crate) reason: Option<&'a str>,
}

/// What is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan<'a> {
    /// Each job once, with when it changed and its lines of history then.
    pub(crate) records: Vec<(&'a JobRecord, Timestamp, u32)>,
    pub(crate) history: Vec<Line<'a>>,
}

/// What changes make of what is stored: a line of history for each change of state or reason, none for changes that were written before.
pub(crate) fn plan<'a>(stored: &HashMap<JobId, Stored>, changes: &'a [Change]) -> Plan<'a> {
    let mut jobs: HashMap<JobId, Vec<&Change>> = HashMap::new();
    let mut order = Vec::new();
    for change in changes.iter().filter(|it| stored.contains_key(&it.record.id)) {
        let of = jobs.entry(change.record.id).or_default();
        if of.is_empty() {
            order.push(change.record.id);
        }
        of.push(change);
    }
    let mut plan = Plan::default();
    for id in order {
        let (Some(stored), Some(changes)) = (stored.get(&id), jobs.get(&id)) else { continue };
        let Some(last) = changes.last() else { continue };
        let mut entries = stored.entries;
        let (mut state, mut reason) = (stored.state, stored.reason.clone());
        let same = |it: &JobRecord, state, reason: &Option<String>| {
            it.state == state && it.reason.as_deref().map(clean) == *reason
        };
        let written = same(&last.record, state, &reason) && last.at.as_millisecond() == stored.changed;
        for change in changes.iter().filter(|_| !written) {
            if same(&change.record, state, &reason) {
                continue;
            }
            (state, reason) = (change.record.state, change.record.reason.as_deref().map(clean));
            plan.history.push(Line {
                id,
                entry: entries,
                at: change.at,
                state,
                reason: change.record.reason.as_deref(),
            });
            entries += 1;
        }
        plan.records.push((&last.record, last.at, entries));
    }
    plan
}
