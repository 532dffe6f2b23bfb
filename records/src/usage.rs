//! How much is stored of jobs of the API that have not ended: for each namespace, and for all together.
//!
//! Invariant: it changes in the transaction that stores a job, or its end, and in no other; so it is right whoever dies when. Who changes it
//! changes the row of all first and holds it until it commits, so that two replicas cannot both take what is left. Knows no limit (`quota`).

use std::collections::{BTreeMap, HashMap};

use model::job::JobId;
use serde_json::json;
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::quota::{Amount, Counted};
use crate::rows::{IDS, ids, list};

const ADD: &str = "INSERT INTO usage (scope, jobs, bytes)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT) FROM {each} WHERE true
    ON CONFLICT (scope) DO UPDATE SET jobs = usage.jobs + excluded.jobs, bytes = usage.bytes + excluded.bytes
    RETURNING scope, jobs, bytes";

/// Namespaces come and go.
const SWEEP: &str =
    "DELETE FROM usage WHERE scope IN (SELECT CAST(value->>0 AS TEXT) FROM {each}) AND scope <> 'all' AND jobs <= 0";

/// What is stored as a scope.
fn scope(of: &Counted) -> String {
    match of {
        Counted::All => "all".to_owned(),
        Counted::Namespace(name) => format!("namespace/{name}"),
    }
}

/// Jobs and bytes that come, or, with negative numbers, go.
#[derive(Debug, Default)]
pub(crate) struct Sums(BTreeMap<Counted, (i64, i64)>);

impl Sums {
    /// Those of jobs that are to be stored for a namespace.
    pub(crate) fn come(&mut self, namespace: &str, amount: &Amount) {
        self.add(namespace, signed(amount.jobs), signed(amount.bytes));
    }

    /// Those of jobs that came and are not stored.
    pub(crate) fn go(&mut self, namespace: &str, amount: &Amount) {
        self.add(namespace, -signed(amount.jobs), -signed(amount.bytes));
    }

    fn add(&mut self, namespace: &str, jobs: i64, bytes: i64) {
        for of in [Counted::All, Counted::Namespace(namespace.to_owned())] {
            let sum = self.0.entry(of).or_default();
            *sum = (sum.0.saturating_add(jobs), sum.1.saturating_add(bytes));
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Counts them; how much there was before, of whatever they are for. It stays so for others until the transaction ends.
pub(crate) async fn add(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    sums: &Sums,
) -> Result<HashMap<Counted, Amount>, Error> {
    // All come first, as their key does: who holds their row has no rival for another.
    let scopes: HashMap<String, (&Counted, (i64, i64))> =
        sums.0.iter().map(|(of, sum)| (scope(of), (of, *sum))).collect();
    let each = list(sums.0.iter().map(|(of, (jobs, bytes))| json!([scope(of), jobs, bytes])));
    let rows = sqlx::query(dialect.sql(ADD)).bind(each).fetch_all(&mut **transaction).await?;
    let mut before = HashMap::new();
    for row in rows {
        let (scope, jobs, bytes): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Some((of, sum)) = scopes.get(&scope) else { continue };
        let number = |after: i64, added: i64| u64::try_from(after.saturating_sub(added)).unwrap_or_default();
        before.insert((*of).clone(), Amount { jobs: number(jobs, sum.0), bytes: number(bytes, sum.1) });
    }
    Ok(before)
}

/// Counts what goes.
pub(crate) async fn take(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    sums: &Sums,
) -> Result<(), Error> {
    if sums.0.is_empty() {
        return Ok(());
    }
    add(transaction, dialect, sums).await?;
    let each = list(sums.0.keys().map(|of| json!([scope(of)])));
    sqlx::query(dialect.sql(SWEEP)).bind(each).execute(&mut **transaction).await?;
    Ok(())
}

/// Takes away jobs and children that ended in this transaction. It is the last thing that the transaction does, as others wait from here on.
pub(crate) async fn ended(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    over: &[JobId],
) -> Result<(), Error> {
    if over.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{IDS} SELECT p.namespace, COUNT(*), CAST(SUM(CASE WHEN v.child = -1 THEN p.bytes ELSE 0 END) AS BIGINT)
         FROM v CROSS JOIN jobs p WHERE p.job = v.job AND p.child = -1 AND p.namespace IS NOT NULL GROUP BY p.namespace"
    );
    let rows = sqlx::query(dialect.sql(&text)).bind(ids(over)).fetch_all(&mut **transaction).await?;
    let mut sums = Sums::default();
    for row in rows {
        let (namespace, jobs, bytes): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        sums.add(&namespace, -jobs, -bytes);
    }
    take(transaction, dialect, &sums).await
}
