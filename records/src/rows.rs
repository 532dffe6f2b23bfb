//! Job records as rows and back, and lists of anything as one parameter.
//!
//! Invariant: what is written here is read here. A row that cannot be read is damage, never left out silently.

use jiff::Timestamp;
use model::job::{JobId, JobRecord};
use model::status::JobState;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::Error;

/// Columns of [`record`], of the table `jobs` as `j`.
pub(crate) const RECORD: &str = "j.job, j.child, j.state, j.reason, j.created, j.started, j.stopped, j.attempt, j.placement, \
     j.not_before, j.placed, j.stop, j.version, j.reason_since";

/// So many.
pub(crate) const RECORD_COLUMNS: usize = 14;

/// The ids of [`ids`] as the table `v`.
pub(crate) const IDS: &str =
    "WITH v AS (SELECT CAST(value->>0 AS TEXT) AS job, CAST(value->>1 AS BIGINT) AS child FROM {each})";

const STATES: [(JobState, &str); 7] = [
    (JobState::Submitted, "SUBMITTED"),
    (JobState::Pending, "PENDING"),
    (JobState::Runnable, "RUNNABLE"),
    (JobState::Starting, "STARTING"),
    (JobState::Running, "RUNNING"),
    (JobState::Succeeded, "SUCCEEDED"),
    (JobState::Failed, "FAILED"),
];

/// No more changes come.
pub(crate) fn ended(state: JobState) -> bool {
    matches!(state, JobState::Succeeded | JobState::Failed)
}

pub(crate) fn state_name(state: JobState) -> &'static str {
    STATES.iter().find(|(it, _)| *it == state).map_or("", |(_, name)| name)
}

/// The state in this column.
pub(crate) fn state(row: &AnyRow, column: usize) -> Result<JobState, Error> {
    let name: String = row.try_get(column)?;
    let found = STATES.iter().find(|(_, it)| *it == name).map(|(state, _)| *state);
    found.ok_or_else(|| Error::Corrupt(format!("a job is in state {name:?}")))
}

/// The child column of an id.
pub(crate) fn child(id: JobId) -> i64 {
    id.child.map_or(-1, i64::from)
}

/// The id in these two columns.
pub(crate) fn id(row: &AnyRow, first: usize) -> Result<JobId, Error> {
    let (job, child): (String, i64) = (row.try_get(first)?, row.try_get(first + 1)?);
    let wrong = || Error::Corrupt(format!("a job has the id {job:?}, {child}"));
    let uuid = job.parse().map_err(|_| wrong())?;
    Ok(match child {
        -1 => JobId::new(uuid),
        index => JobId::new(uuid).with_child(u32::try_from(index).map_err(|_| wrong())?),
    })
}

/// The time in this column.
pub(crate) fn time(row: &AnyRow, column: usize) -> Result<Timestamp, Error> {
    millisecond(row.try_get(column)?)
}

fn millisecond(it: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(it).map_err(|_| Error::Corrupt(format!("a time is {it}")))
}

/// The number in this column.
pub(crate) fn number(row: &AnyRow, column: usize) -> Result<u32, Error> {
    let it: i64 = row.try_get(column)?;
    u32::try_from(it).map_err(|_| Error::Corrupt(format!("a number is {it}")))
}

/// The number of a change in this column.
pub(crate) fn version(row: &AnyRow, column: usize) -> Result<u64, Error> {
    let it: i64 = row.try_get(column)?;
    u64::try_from(it).map_err(|_| Error::Corrupt(format!("the number of a change is {it}")))
}

/// What a column has as JSON.
pub(crate) fn read<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(format!("{what} cannot be read: {error}")))
}

/// Something as JSON for a column.
pub(crate) fn written<T: serde::Serialize>(it: &T) -> Result<String, Error> {
    serde_json::to_string(it).map_err(|error| Error::Invalid(format!("this cannot be stored: {error}")))
}

/// A row of columns [`RECORD`].
pub(crate) fn record(row: &AnyRow) -> Result<JobRecord, Error> {
    let id = id(row, 0)?;
    let moment =
        |column: usize| -> Result<_, Error> { row.try_get::<Option<i64>, _>(column)?.map(millisecond).transpose() };
    let placed: Option<String> = row.try_get(10)?;
    let stop: Option<String> = row.try_get(11)?;
    Ok(JobRecord {
        id,
        state: state(row, 2)?,
        reason: row.try_get(3)?,
        reason_since: moment(13)?,
        created: time(row, 4)?,
        started: moment(5)?,
        stopped: moment(6)?,
        attempt: number(row, 7)?,
        placement: number(row, 8)?,
        not_before: moment(9)?,
        placed: placed.map(|text| read(&text, &format!("where job {id} is"))).transpose()?,
        stop: stop.map(|text| read(&text, &format!("the stop of job {id}"))).transpose()?,
        version: version(row, 12)?,
    })
}

/// What changes of a record, in the order of [`SET`].
pub(crate) fn row(record: &JobRecord, changed: i64, entries: u32, version: u64) -> Result<Value, Error> {
    let millisecond = |it: Option<Timestamp>| it.map(Timestamp::as_millisecond);
    Ok(json!([
        record.id.job.to_string(),
        child(record.id),
        state_name(record.state),
        record.reason.as_deref().map(clean),
        record.created.as_millisecond(),
        millisecond(record.started),
        millisecond(record.stopped),
        record.attempt,
        record.placement,
        millisecond(record.not_before),
        record.placed.as_ref().map(written).transpose()?,
        record.stop.as_ref().map(written).transpose()?,
        changed,
        entries,
        version,
        millisecond(record.reason_since),
    ]))
}

/// Writes rows of [`row`] over what is there; jobs that are not there stay unknown, and what has ended stays as it is.
pub(crate) const SET: &str = "WITH v AS (SELECT
        CAST(value->>0 AS TEXT) AS job, CAST(value->>1 AS BIGINT) AS child, CAST(value->>2 AS TEXT) AS state,
        CAST(value->>3 AS TEXT) AS reason, CAST(value->>4 AS BIGINT) AS created, CAST(value->>5 AS BIGINT) AS started,
        CAST(value->>6 AS BIGINT) AS stopped, CAST(value->>7 AS BIGINT) AS attempt, CAST(value->>8 AS BIGINT) AS placement,
        CAST(value->>9 AS BIGINT) AS not_before, CAST(value->>10 AS TEXT) AS placed, CAST(value->>11 AS TEXT) AS stop,
        CAST(value->>12 AS BIGINT) AS changed, CAST(value->>13 AS BIGINT) AS entries, CAST(value->>14 AS BIGINT) AS version,
        CAST(value->>15 AS BIGINT) AS reason_since
    FROM {each})
    UPDATE jobs SET state = v.state, reason = v.reason, created = v.created, started = v.started, stopped = v.stopped,
        attempt = v.attempt, placement = v.placement, not_before = v.not_before, placed = v.placed, stop = v.stop,
        changed = v.changed, entries = v.entries, version = v.version, reason_since = v.reason_since
    FROM v WHERE jobs.job = v.job AND jobs.child = v.child AND jobs.version < v.version
        AND jobs.state NOT IN ('SUCCEEDED', 'FAILED')";

/// Ids as one parameter.
pub(crate) fn ids(ids: &[JobId]) -> String {
    list(ids.iter().map(|id| json!([id.job.to_string(), child(*id)])))
}

/// Values as one parameter.
pub(crate) fn list<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<T> = values.into_iter().collect();
    serde_json::to_string(&values).expect("texts, numbers and lists of them are JSON")
}

/// PostgreSQL stores no NUL character.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
