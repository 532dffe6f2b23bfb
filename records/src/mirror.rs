//! Stores jobs that live elsewhere: Kubernetes Jobs, as they are seen.
//!
//! Invariant: what was seen last is what is stored, until the end was; seen twice it makes one line of history. An id belongs to the object
//! that was stored with it first: of others that carry it nothing is written.

use std::collections::HashSet;

use jiff::Timestamp;
use model::job::{Change, JobId, JobRecord, Spec};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::lead::Leading;
use crate::rows::{ended, id, list, read};
use crate::submit::upsert;
use crate::write::{Order, apply};

/// Jobs per transaction.
const CHUNK: usize = 1000;

impl Leading {
    /// Stores jobs; what was asked for is needed of those that are not stored yet. A job that has ended gets its line of history at its end,
    /// another now. Of each id there is one object among them. Returns the ids that are other objects': jobs of the API, or Jobs with another
    /// UID.
    pub async fn mirror(&self, jobs: &[(JobRecord, Option<Spec>)]) -> Result<HashSet<JobId>, Error> {
        self.call("mirror", async {
            let (now, mut foreign) = (Timestamp::now(), HashSet::new());
            for part in jobs.chunks(CHUNK) {
                let change = |(record, _): &(JobRecord, Option<Spec>)| {
                    let at = record.stopped.filter(|_| ended(record.state)).unwrap_or(now);
                    Change { record: record.clone(), at, attempt: None }
                };
                let mut transaction = self.begin().await?;
                let others = taken(&mut transaction, self.database.dialect, part).await?;
                let part = part.iter().filter(|(record, _)| !others.contains(&record.id));
                let changes: Vec<Change> = part.clone().map(change).collect();
                let new: Vec<(JobRecord, Spec)> =
                    part.filter_map(|(record, spec)| Some((record.clone(), spec.clone()?))).collect();
                if !new.is_empty() {
                    upsert(&mut transaction, self.database.dialect, &new).await?;
                }
                apply(&mut transaction, self.database.dialect, &changes, Order::AsSeen).await?;
                transaction.commit().await?;
                foreign.extend(others);
            }
            Ok(foreign)
        })
        .await
    }
}

/// What tells whose a stored job is.
#[derive(Deserialize)]
struct Owner {
    /// Not in what earlier releases stored.
    uid: Option<String>,
}

/// Which of these jobs have ids that are stored as others'. What comes without what was asked for was stored before: only its door is asked.
async fn taken(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    jobs: &[(JobRecord, Option<Spec>)],
) -> Result<HashSet<JobId>, Error> {
    const STORED: &str =
        "WITH v AS (SELECT CAST(value->>0 AS TEXT) AS job, CAST(value->>1 AS BIGINT) AS fresh FROM {each})
        SELECT j.job, j.child, j.door, CASE WHEN v.fresh = 1 AND j.door = 'job' THEN s.body END
        FROM v CROSS JOIN jobs j CROSS JOIN specs s WHERE j.job = v.job AND j.child = -1 AND s.job = v.job";
    let each = list(jobs.iter().map(|(record, spec)| json!([record.id.job.to_string(), u8::from(spec.is_some())])));
    let mut others = HashSet::new();
    for row in sqlx::query(dialect.sql(STORED)).bind(each).fetch_all(&mut **transaction).await? {
        let (id, door, body): (JobId, String, Option<String>) = (id(&row, 0)?, row.try_get(2)?, row.try_get(3)?);
        let stored = body.map(|body| read::<Owner>(&body, &format!("what job {id} asks for"))).transpose()?;
        let is_another = |uid: String| {
            let asked = jobs.iter().filter(|(record, _)| record.id == id).filter_map(|(_, spec)| spec.as_ref());
            asked.into_iter().any(|spec| spec.uid.as_ref() != Some(&uid))
        };
        if door != "job" || stored.and_then(|owner| owner.uid).is_some_and(is_another) {
            others.insert(id);
        }
    }
    Ok(others)
}
