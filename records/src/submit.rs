//! Stores submissions: the job, what was asked for, and all its children.
//!
//! Invariant: a job is there with all its children or not at all, and what is there counts in `usage`. Who calls gives the transaction.

use std::collections::HashSet;
use std::sync::Arc;

use model::job::{Door, JobRecord, Spec};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::database::Dialect;
use crate::error::Error;
use crate::quota::{Amount, Quotas};
use crate::rows::{list, written};
use crate::store::Store;
use crate::usage::{self, Sums};

/// A job to be stored.
#[derive(Clone, Debug)]
pub struct Submission {
    /// SUBMITTED and no child.
    pub record: JobRecord,
    /// What was asked for; with `array_size` that many children are stored too.
    pub spec: Arc<Spec>,
    /// For whose limits it counts: the namespace of its pods, as far as that is known.
    pub namespace: String,
}

impl Store {
    /// Stores a job and its children. Concurrent calls share transactions; each returns when its own is on the disk.
    ///
    /// A job whose id is there already is a [`Error::Conflict`].
    pub async fn submit(&self, submission: Submission) -> Result<(), Error> {
        check(&submission)?;
        self.call("submit", self.writer.submit(submission)).await
    }
}

fn check(submission: &Submission) -> Result<(), Error> {
    let (record, spec) = (&submission.record, &submission.spec);
    if record.id.child.is_some() {
        return Err(Error::Invalid(format!("job {} is a child: children come with their job", record.id)));
    }
    if let Some(text) = [&spec.name, &spec.queue, &spec.definition].into_iter().find(|it| it.contains('\0')) {
        return Err(Error::Invalid(format!("{text:?} contains a NUL character, which cannot be stored")));
    }
    Ok(())
}

/// Stores specs that are not there yet; returns whose were stored.
const SPECS: &str = "INSERT INTO specs (job, body)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS TEXT) FROM {each} WHERE true
    ON CONFLICT (job) DO NOTHING RETURNING job";

const JOBS: &str =
    "INSERT INTO jobs (job, child, created, changed, door, queue, name, definition, definition_name, size,
        namespace, bytes, state, attempt, placement, entries)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), CAST(value->>2 AS BIGINT),
        CAST(value->>3 AS TEXT), CAST(value->>4 AS TEXT), CAST(value->>5 AS TEXT), CAST(value->>6 AS TEXT),
        CAST(value->>7 AS TEXT), CAST(value->>8 AS BIGINT), CAST(value->>9 AS TEXT), CAST(value->>10 AS BIGINT),
        'SUBMITTED', 1, 0, 0 FROM {each} WHERE true
    ON CONFLICT (job, child) DO UPDATE SET door = excluded.door, queue = excluded.queue, name = excluded.name,
        definition = excluded.definition, definition_name = excluded.definition_name, size = excluded.size";

/// All children of array jobs: `[job, created, size]`.
const CHILDREN: &str = "WITH RECURSIVE v AS (
        SELECT CAST(value->>0 AS TEXT) AS job, CAST(value->>1 AS BIGINT) AS created, CAST(value->>2 AS BIGINT) AS size FROM {each}
    ), n (job, created, size, child) AS (
        SELECT job, created, size, CAST(0 AS BIGINT) FROM v WHERE size > 0
        UNION ALL SELECT job, created, size, child + 1 FROM n WHERE child + 1 < size
    )
    INSERT INTO jobs (job, child, created, changed, state, attempt, placement, entries)
    SELECT job, child, created, created, 'SUBMITTED', 1, 0, 0 FROM n";

/// Stores submissions; returns of each whether it was, or why not: it was there already, or there would be too much.
pub(crate) async fn store(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    quotas: &Quotas,
    submissions: &[&Submission],
) -> Result<Vec<Result<(), Error>>, Error> {
    if submissions.is_empty() {
        return Ok(Vec::new());
    }
    let bodies = submissions.iter().map(|it| written(&*it.spec)).collect::<Result<Vec<_>, _>>()?;
    let amounts: Vec<Amount> = submissions.iter().zip(&bodies).map(|(it, body)| amount(&it.spec, body)).collect();
    // Counted before it is judged, in one statement: nearly all fit.
    let (mut come, mut go) = (Sums::default(), Sums::default());
    for (submission, amount) in submissions.iter().zip(&amounts) {
        come.come(&submission.namespace, amount);
    }
    let mut used = usage::add(transaction, dialect, &come).await?;
    let (mut specs, mut answers) = (Vec::new(), Vec::new());
    for ((submission, body), amount) in submissions.iter().zip(bodies).zip(&amounts) {
        let admitted = quotas.admit(&mut used, &submission.namespace, amount);
        if admitted.is_ok() {
            specs.push((submission.record.id.job.to_string(), body));
        }
        answers.push(admitted.map_err(Error::Exceeded));
    }
    let stored = sqlx::query(dialect.sql(SPECS)).bind(list(specs)).fetch_all(&mut **transaction).await?;
    let mut stored: HashSet<String> = stored.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut new: Vec<(&Submission, Amount)> = Vec::new();
    for ((submission, amount), answer) in submissions.iter().zip(amounts).zip(&mut answers) {
        if answer.is_ok() && stored.remove(&submission.record.id.job.to_string()) {
            new.push((submission, amount));
            continue;
        }
        go.go(&submission.namespace, &amount);
        if answer.is_ok() {
            *answer = Err(Error::Conflict(format!("job {}", submission.record.id)));
        }
    }
    usage::take(transaction, dialect, &go).await?;
    if new.is_empty() {
        return Ok(answers);
    }
    let rows = new.iter().map(|(it, amount)| searchable(&it.record, &it.spec, Some((&it.namespace, amount.bytes))));
    sqlx::query(dialect.sql(JOBS)).bind(list(rows)).execute(&mut **transaction).await?;
    let array = |it: &Submission| {
        Some(json!([it.record.id.job.to_string(), it.record.created.as_millisecond(), it.spec.array_size?]))
    };
    let arrays: Vec<Value> = new.iter().filter_map(|(it, _)| array(it)).collect();
    if !arrays.is_empty() {
        sqlx::query(dialect.sql(CHILDREN)).bind(list(arrays)).execute(&mut **transaction).await?;
    }
    Ok(answers)
}

/// What a job counts for.
fn amount(spec: &Spec, body: &str) -> Amount {
    Amount { jobs: 1 + u64::from(spec.array_size.unwrap_or(0)), bytes: body.len() as u64 }
}

/// Stores jobs with their specs, or brings what they are searched by up to date. Their state is not touched.
pub(crate) async fn upsert(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    jobs: &[(JobRecord, Spec)],
) -> Result<(), Error> {
    const SPECS: &str = "INSERT INTO specs (job, body)
        SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS TEXT) FROM {each} WHERE true
        ON CONFLICT (job) DO UPDATE SET body = excluded.body";
    // PostgreSQL refuses to write one row twice in a statement.
    let (mut specs, mut of) = (Vec::new(), HashSet::<Uuid>::new());
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    for (record, spec) in jobs.iter().rev() {
        if of.insert(record.id.job) {
            specs.push((record.id.job.to_string(), written(spec)?));
        }
        if seen.insert(record.id) {
            rows.push(searchable(record, spec, None));
        }
    }
    sqlx::query(dialect.sql(SPECS)).bind(list(specs)).execute(&mut **transaction).await?;
    sqlx::query(dialect.sql(JOBS)).bind(list(rows)).execute(&mut **transaction).await?;
    Ok(())
}

/// A row of [`JOBS`], in the order of its values.
#[derive(Serialize)]
struct Searchable<'a>(
    String,
    i64,
    i64,
    Option<&'static str>,
    Option<&'a str>,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<u32>,
    Option<&'a str>,
    Option<u64>,
);

/// Of a child only what it does not have from its parent. `counts`: for which namespace, and with how many bytes.
fn searchable<'a>(record: &JobRecord, spec: &'a Spec, counts: Option<(&'a str, u64)>) -> Searchable<'a> {
    let (job, child) = (record.id.job.to_string(), crate::rows::child(record.id));
    let created = record.created.as_millisecond();
    if record.id.child.is_some() {
        return Searchable(job, child, created, None, None, None, None, None, None, None, None);
    }
    let door = match spec.door {
        Door::Api => "api",
        Door::Job => "job",
    };
    let (name, definition) = (spec.name.to_lowercase(), spec.definition.as_str());
    let (namespace, bytes) = counts.unzip();
    Searchable(
        job,
        child,
        created,
        Some(door),
        Some(&spec.queue),
        Some(name),
        Some(definition),
        Some(definition_name(definition)),
        spec.array_size,
        namespace,
        bytes,
    )
}

/// `name` of `arn:…:job-definition/name:revision`, or of `name:revision`.
pub(crate) fn definition_name(definition: &str) -> &str {
    let name = definition.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((name, revision)) if revision.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_searched_by_its_name() {
        let check = |arn: &str, expect: &str| assert_eq!(definition_name(arn), expect, "{arn}");
        check("arn:aws:batch:us-east-1:000000000000:job-definition/hello:17", "hello");
        check("hello:17", "hello");
        check("hello", "hello");
        check("", "");
    }
}
