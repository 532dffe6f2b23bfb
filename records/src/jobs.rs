//! Reads jobs: by id, all that live, their states, their history.
//!
//! Invariant: one answer shows one moment, and takes the same number of statements for one job as for a hundred.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use model::job::{Attempt, JobId, JobRecord, OUTCOME_UNKNOWN, Outcome, Spec, Stop, StopKind};
use model::status::JobState;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::database::Dialect;
use crate::error::Error;
use crate::inbox::stop;
use crate::rows::{IDS, RECORD, RECORD_COLUMNS, child, ended, id, ids, list, number, read, record, state, time};
use crate::store::Store;

/// A job as the store shows it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where it is.
    pub record: JobRecord,
    /// What was asked for; a child has its parent's.
    pub spec: Arc<Spec>,
    /// Its attempts that have ended, in order. Lists have only the last one, and only of jobs that have ended.
    pub attempts: Vec<Attempt>,
    /// Of an array job: how many of its children are in which state. The sum is its size.
    pub children: Option<BTreeMap<JobState, u32>>,
    /// An end that was asked for and that the leader has not taken up yet.
    pub requested: Option<Stop>,
}

impl Store {
    /// Jobs by id, in this order; unknown ids are left out.
    pub async fn jobs(&self, wanted: &[JobId]) -> Result<Vec<Kept>, Error> {
        self.call("jobs", async {
            let mut transaction = self.database.look().await?;
            let dialect = self.database.dialect;
            let text = format!(
                "{IDS} SELECT {RECORD}, s.body FROM v CROSS JOIN jobs j LEFT JOIN specs s ON s.job = j.job
                 WHERE j.job = v.job AND j.child = v.child"
            );
            let rows = sqlx::query(dialect.sql(&text)).bind(ids(wanted)).fetch_all(&mut *transaction).await?;
            let mut attempts = attempts(&mut transaction, dialect, ATTEMPTS, wanted).await?;
            let mut kept = HashMap::new();
            for mut it in assemble(&mut transaction, dialect, records(&rows)?).await? {
                it.attempts = attempts.remove(&it.record.id).unwrap_or_default();
                kept.insert(it.record.id, it);
            }
            Ok(wanted.iter().filter_map(|id| kept.get(id).cloned()).collect())
        })
        .await
    }

    /// The next jobs that have not ended, at most so many, behind this one; parents and children, each parent before its children.
    pub async fn live(&self, after: Option<JobId>, limit: u32) -> Result<Vec<(JobRecord, Arc<Spec>)>, Error> {
        self.call("live", async {
            let mut transaction = self.database.look().await?;
            let dialect = self.database.dialect;
            let text = format!(
                "SELECT {RECORD} FROM jobs j WHERE j.state NOT IN ('SUCCEEDED', 'FAILED') AND (j.job, j.child) > ($1, $2)
                 ORDER BY j.job, j.child LIMIT $3"
            );
            let (job, number) = after.map_or_else(|| (String::new(), -1), |it| (it.job.to_string(), child(it)));
            let mut records: Vec<JobRecord> = Vec::new();
            {
                let query = sqlx::query(dialect.sql(&text)).bind(job).bind(number).bind(i64::from(limit));
                let mut rows = query.fetch(&mut *transaction);
                while let Some(row) = rows.try_next().await? {
                    records.push(record(&row)?);
                }
            }
            with_specs(&mut transaction, dialect, records).await
        })
        .await
    }

    /// The states of jobs, ended or not; unknown ids are left out.
    pub async fn outcomes(&self, wanted: &[JobId]) -> Result<HashMap<JobId, Outcome>, Error> {
        self.call("outcomes", async {
            let text = format!(
                "{IDS} SELECT j.job, j.child, j.state, CASE j.state WHEN 'FAILED' THEN j.reason END FROM v CROSS JOIN jobs j
                 WHERE j.job = v.job AND j.child = v.child"
            );
            let query = sqlx::query(self.database.dialect.sql(&text)).bind(ids(wanted));
            let rows = query.fetch_all(&self.database.reads).await?;
            let outcome = |row| {
                let reason: Option<String> = sqlx::Row::try_get(row, 3)?;
                let unknown = reason.is_some_and(|reason| reason.starts_with(OUTCOME_UNKNOWN));
                Ok((id(row, 0)?, Outcome { state: state(row, 2)?, unknown }))
            };
            rows.iter().map(outcome).collect()
        })
        .await
    }

    /// Each change of state or reason with its time, oldest first; the submission is the first. Empty: the job is unknown.
    pub async fn history(&self, id: JobId) -> Result<Vec<(Timestamp, JobState, Option<String>)>, Error> {
        self.call("history", async {
            // The submission is the row of the job itself.
            let text = "SELECT -1 AS entry, created AS at, 'SUBMITTED' AS state, NULL AS reason FROM jobs WHERE job = $1 AND child = $2
                UNION ALL SELECT entry, at, state, reason FROM history WHERE job = $1 AND child = $2 ORDER BY entry";
            let query = sqlx::query(text).bind(id.job.to_string()).bind(child(id));
            let rows = query.fetch_all(&self.database.reads).await?;
            rows.iter().map(|row| Ok((time(row, 1)?, state(row, 2)?, row.try_get(3)?))).collect()
        })
        .await
    }
}

/// Records with their specs, from rows that have the spec behind the columns of [`RECORD`]: half as many rows as with a statement for the
/// specs, each of which costs a wake-up with SQLite. Children of one job bring its spec along once each, so that long lists read it by itself.
fn records(rows: &[AnyRow]) -> Result<Vec<(JobRecord, Arc<Spec>)>, Error> {
    let mut specs = Specs::default();
    let with_spec = |row| {
        let record = record(row)?;
        if !specs.0.contains_key(&record.id.job)
            && let Some(body) = row.try_get::<Option<String>, _>(RECORD_COLUMNS)?
        {
            specs.add(record.id.job, &body)?;
        }
        let spec = specs.of(record.id)?;
        Ok((record, spec))
    };
    rows.iter().map(with_spec).collect()
}

/// Records with what belongs to them, but no attempts.
pub(crate) async fn assemble(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    records: Vec<(JobRecord, Arc<Spec>)>,
) -> Result<Vec<Kept>, Error> {
    let all: Vec<JobId> = records.iter().map(|(it, _)| it.id).collect();
    let mut requested = requested(transaction, dialect, &all).await?;
    // An array job succeeds when all its children have: those of thousands need not be counted on every page.
    let open = records.iter().filter(|(it, spec)| size(it, spec).is_some() && it.state != JobState::Succeeded);
    let open: Vec<JobId> = open.map(|(it, _)| it.id).collect();
    let mut counted = children(transaction, dialect, &open).await?;
    let kept = |(record, spec): (JobRecord, Arc<Spec>)| Kept {
        attempts: Vec::new(),
        children: size(&record, &spec).map(|size| match record.state {
            JobState::Succeeded => [(JobState::Succeeded, size)].into(),
            _ => counted.remove(&record.id).unwrap_or_default(),
        }),
        requested: requested.remove(&record.id),
        record,
        spec,
    };
    Ok(records.into_iter().map(kept).collect())
}

/// How many children an array job has; `None` for what is none.
fn size(record: &JobRecord, spec: &Spec) -> Option<u32> {
    spec.array_size.filter(|_| record.id.child.is_none())
}

/// Specs by job.
#[derive(Default)]
struct Specs(HashMap<Uuid, Arc<Spec>>);

impl Specs {
    fn add(&mut self, job: Uuid, body: &str) -> Result<(), Error> {
        self.0.insert(job, Arc::new(read(body, &format!("the spec of job {job}"))?));
        Ok(())
    }

    fn of(&self, id: JobId) -> Result<Arc<Spec>, Error> {
        self.0.get(&id.job).cloned().ok_or_else(|| Error::Corrupt(format!("job {id} has no spec")))
    }
}

/// Records with their specs, of which each is read once however many children have it.
pub(crate) async fn with_specs(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    records: Vec<JobRecord>,
) -> Result<Vec<(JobRecord, Arc<Spec>)>, Error> {
    let jobs: Vec<Uuid> = records.iter().map(|it| it.id.job).collect::<HashSet<_>>().into_iter().collect();
    let mut specs = Specs::default();
    let text = "SELECT s.job, s.body FROM {each} AS v CROSS JOIN specs s WHERE s.job = CAST(v.value->>0 AS TEXT)";
    for part in jobs.chunks(1000) {
        let part = list(part.iter().map(|it| Value::from(vec![it.to_string()])));
        let rows = sqlx::query(dialect.sql(text)).bind(part).fetch_all(&mut **transaction).await?;
        for row in rows {
            let (job, body): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let uuid = job.parse().map_err(|_| Error::Corrupt(format!("a job has the id {job:?}")))?;
            specs.add(uuid, &body)?;
        }
    }
    records.into_iter().map(|it| specs.of(it.id).map(|spec| (it, spec))).collect()
}

const ATTEMPTS: &str = "SELECT a.job, a.child, a.number, a.body FROM v CROSS JOIN attempts a
    WHERE a.job = v.job AND a.child = v.child ORDER BY a.number";

const LAST_ATTEMPTS: &str = "SELECT a.job, a.child, a.number, a.body FROM v CROSS JOIN attempts a
    WHERE a.job = v.job AND a.child = v.child
        AND a.number = (SELECT MAX(l.number) FROM attempts l WHERE l.job = v.job AND l.child = v.child)";

/// Gives those of these jobs that have ended their last attempt.
pub(crate) async fn add_last_attempts(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    jobs: &mut [Kept],
) -> Result<(), Error> {
    let of: Vec<JobId> = jobs.iter().map(|it| &it.record).filter(|it| ended(it.state)).map(|it| it.id).collect();
    if !of.is_empty() {
        let mut last = attempts(transaction, dialect, LAST_ATTEMPTS, &of).await?;
        for it in jobs {
            it.attempts = last.remove(&it.record.id).unwrap_or_default();
        }
    }
    Ok(())
}

/// Those that `text` selects of these jobs.
async fn attempts(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    text: &str,
    of: &[JobId],
) -> Result<HashMap<JobId, Vec<Attempt>>, Error> {
    let text = format!("{IDS} {text}");
    let rows = sqlx::query(dialect.sql(&text)).bind(ids(of)).fetch_all(&mut **transaction).await?;
    let mut found = HashMap::<_, Vec<_>>::new();
    for row in rows {
        let id = id(&row, 0)?;
        let attempt: Attempt = read(&row.try_get::<String, _>(3)?, &format!("an attempt of job {id}"))?;
        found.entry(id).or_default().push(attempt);
    }
    Ok(found)
}

async fn requested(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    of: &[JobId],
) -> Result<HashMap<JobId, Stop>, Error> {
    let text = format!(
        "{IDS} SELECT r.job, r.child, r.stop FROM v CROSS JOIN requests r WHERE r.job = v.job AND r.child = v.child"
    );
    let rows = sqlx::query(dialect.sql(&text)).bind(ids(of)).fetch_all(&mut **transaction).await?;
    let mut found = HashMap::<_, Stop>::new();
    for row in rows {
        let stop = stop(&row.try_get::<String, _>(2)?)?;
        let known = found.entry(id(&row, 0)?).or_insert_with(|| stop.clone());
        // A termination does more than a cancellation.
        if stop.kind == StopKind::Terminate {
            *known = stop;
        }
    }
    Ok(found)
}

async fn children(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    of: &[JobId],
) -> Result<HashMap<JobId, BTreeMap<JobState, u32>>, Error> {
    let mut found = HashMap::<_, BTreeMap<_, _>>::new();
    if of.is_empty() {
        return Ok(found);
    }
    let text = format!(
        "{IDS} SELECT j.job, CAST(-1 AS BIGINT), j.state, COUNT(*) FROM v CROSS JOIN jobs j
         WHERE j.job = v.job AND j.child >= 0 GROUP BY j.job, j.state"
    );
    for row in sqlx::query(dialect.sql(&text)).bind(ids(of)).fetch_all(&mut **transaction).await? {
        found.entry(id(&row, 0)?).or_default().insert(state(&row, 2)?, number(&row, 3)?);
    }
    Ok(found)
}
