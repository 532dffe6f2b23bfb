//! Stores what changed about jobs: records, attempts, history, and the requests that were taken up, in one transaction.
//!
//! Invariant: changes written twice, whatever others come with them, leave what they left when written once; what has ended never changes.
//! Which lines of history they make is decided by [`plan`], from what is stored.

use std::collections::{HashMap, HashSet};

use model::job::{Attempt, Change, JobId, JobRecord};
use model::status::JobState;
use serde_json::{Value, json};
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::inbox::{self, Request};
use crate::lead::Leading;
use crate::rows::{IDS, SET, child, clean, ended, id, ids, list, number, row, state, state_name, version, written};
use crate::usage;

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

impl Leading {
    /// Stores changes and removes the requests that they answer, all or nothing. Jobs that the store does not know are left out. Of
    /// several changes of one job the last is its record. Requests for jobs that end are removed too.
    ///
    /// After [`Error::Unavailable`] it may be done or not: writing the same again, and more with it, is harmless.
    pub async fn write(&self, changes: &[Change], taken: &[Request]) -> Result<(), Error> {
        self.call("write", async {
            let mut transaction = self.begin().await?;
            inbox::take(&mut transaction, self.database.dialect, taken).await?;
            apply(&mut transaction, self.database.dialect, changes, Order::Numbered).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Which of several changes are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Those with a higher number than what is stored.
    Numbered,
    /// All: what was seen last counts, whatever its number.
    AsSeen,
}

/// Stores changes. It is the last thing that a transaction does.
pub(crate) async fn apply(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    changes: &[Change],
    order: Order,
) -> Result<(), Error> {
    let mut all_over = Vec::new();
    for part in changes.chunks(CHUNK) {
        let touched: HashSet<JobId> = part.iter().map(|it| it.record.id).collect();
        let stored = stored(transaction, dialect, &touched.into_iter().collect::<Vec<_>>()).await?;
        let plan = plan(&stored, part, order);
        let rows: Vec<Value> =
            plan.records.iter().map(|it| row(it.record, it.at, it.entries, it.version)).collect::<Result<_, _>>()?;
        run(transaction, dialect, SET, rows).await?;
        let history = plan.history.iter().map(|it| {
            let reason = it.reason.map(clean);
            json!([it.id.job.to_string(), child(it.id), it.entry, it.at, state_name(it.state), reason])
        });
        run(transaction, dialect, HISTORY, history.collect()).await?;
        // PostgreSQL refuses to write one row twice in a statement: the last one counts.
        let mut attempts = HashMap::new();
        for (id, attempt) in &plan.attempts {
            attempts.insert((*id, attempt.number), written(attempt)?);
        }
        let attempts =
            attempts.into_iter().map(|((id, number), body)| json!([id.job.to_string(), child(id), number, body]));
        run(transaction, dialect, ATTEMPTS, attempts.collect()).await?;
        let over =
            plan.records.iter().map(|it| it.record).filter(|it| ended(it.state)).map(|it| it.id).collect::<Vec<_>>();
        if !over.is_empty() {
            let text = "DELETE FROM requests WHERE (job, child) IN (
                SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT) FROM {each})";
            sqlx::query(dialect.sql(text)).bind(ids(&over)).execute(&mut **transaction).await?;
            all_over.extend(over);
        }
    }
    usage::ended(transaction, dialect, &all_over).await
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
    /// Number of the last change.
    pub(crate) version: u64,
}

pub(crate) async fn stored(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    of: &[JobId],
) -> Result<HashMap<JobId, Stored>, Error> {
    let text = format!(
        "{IDS} SELECT j.job, j.child, j.state, j.reason, j.changed, j.entries, j.version FROM v CROSS JOIN jobs j
         WHERE j.job = v.job AND j.child = v.child"
    );
    let rows = sqlx::query(dialect.sql(&text)).bind(ids(of)).fetch_all(&mut **transaction).await?;
    let stored = rows.iter().map(|row| {
        let (state, reason) = (state(row, 2)?, row.try_get(3)?);
        let (changed, entries, version) = (row.try_get(4)?, number(row, 5)?, version(row, 6)?);
        Ok((id(row, 0)?, Stored { state, reason, changed, entries, version }))
    });
    stored.collect()
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryRow<'a> {
    pub(crate) id: JobId,
    pub(crate) entry: u32,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) state: JobState,
    pub(crate) reason: Option<&'a str>,
}

/// A row of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    pub(crate) record: &'a JobRecord,
    /// When it changed, in milliseconds since 1970.
    pub(crate) at: i64,
    /// Lines of history then.
    pub(crate) entries: u32,
    pub(crate) version: u64,
}

/// What is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan<'a> {
    /// Each job once.
    pub(crate) records: Vec<Written<'a>>,
    pub(crate) history: Vec<HistoryRow<'a>>,
    pub(crate) attempts: Vec<(JobId, &'a Attempt)>,
}

/// What changes make of what is stored: a line of history for each change of state or reason, at times that never go back. Changes that
/// were written before make nothing, nor do those that come after the end of a job.
pub(crate) fn plan<'a>(stored: &HashMap<JobId, Stored>, changes: &'a [Change], order: Order) -> Plan<'a> {
    let mut plan = Plan::default();
    // Where each job that changes is in the plan, and what is known of it by then.
    let mut known: HashMap<JobId, (usize, Stored)> = HashMap::new();
    for change in changes {
        let record = &change.record;
        let Some(before) = known.get(&record.id).map(|(_, it)| it).or_else(|| stored.get(&record.id)) else { continue };
        if ended(before.state) || (order == Order::Numbered && record.version <= before.version) {
            continue;
        }
        let reason = record.reason.as_deref().map(clean);
        let is_line = (record.state, &reason) != (before.state, &before.reason);
        let at = change.at.as_millisecond().max(before.changed);
        let after = Stored {
            state: record.state,
            reason,
            changed: at,
            entries: before.entries + u32::from(is_line),
            version: if order == Order::Numbered { record.version } else { before.version + 1 },
        };
        if is_line {
            let reason = record.reason.as_deref();
            plan.history.push(HistoryRow { id: record.id, entry: before.entries, at, state: record.state, reason });
        }
        plan.attempts.extend(change.attempt.as_ref().map(|attempt| (record.id, attempt)));
        let row = Written { record, at, entries: after.entries, version: after.version };
        let place = known.get(&record.id).map_or(plan.records.len(), |(place, _)| *place);
        match plan.records.get_mut(place) {
            Some(earlier) => *earlier = row,
            None => plan.records.push(row),
        }
        known.insert(record.id, (place, after));
    }
    plan
}
