//! How much is stored of jobs of the API that have not ended: for each namespace, and for all together.
//!
//! Invariant: it changes in the transaction that stores a job, or its end, and in no other; so it is right whoever dies when. Who changes it
//! holds the row of all until it commits, so that two replicas cannot both take what is left. Knows no limit (`quota`).

use std::collections::{BTreeSet, HashMap};

use model::job::JobId;
use serde_json::json;
use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::quota::{Amount, Counted};
use crate::rows::{IDS, ids, list};

const USED: &str =
    "SELECT u.scope, u.jobs, u.bytes FROM {each} AS v CROSS JOIN usage u WHERE u.scope = CAST(v.value->>0 AS TEXT)";

const ADD: &str = "INSERT INTO usage (scope, jobs, bytes)
    SELECT CAST(value->>0 AS TEXT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT) FROM {each} WHERE true
    ON CONFLICT (scope) DO UPDATE SET jobs = usage.jobs + excluded.jobs, bytes = usage.bytes + excluded.bytes";

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

/// Waits until nobody else changes it.
async fn hold(transaction: &mut Transaction<'static, Any>, dialect: Dialect) -> Result<(), Error> {
    match dialect {
        // Whoever writes has the file to itself.
        Dialect::Sqlite => {}
        Dialect::Postgres => {
            let text = "SELECT 1 FROM usage WHERE scope = 'all' FOR UPDATE";
            sqlx::query(text).execute(&mut **transaction).await?;
        }
    }
    Ok(())
}

/// How much there is of all, and of these namespaces; it stays so until the transaction ends.
pub(crate) async fn used(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    namespaces: &BTreeSet<String>,
) -> Result<HashMap<Counted, Amount>, Error> {
    hold(transaction, dialect).await?;
    let wanted = namespaces.iter().cloned().map(Counted::Namespace).chain([Counted::All]);
    let wanted: HashMap<String, Counted> = wanted.map(|it| (scope(&it), it)).collect();
    let each = list(wanted.keys().map(|it| json!([it])));
    let rows = sqlx::query(dialect.sql(USED)).bind(each).fetch_all(&mut **transaction).await?;
    let mut used = HashMap::new();
    for row in rows {
        let (scope, jobs, bytes): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let number = |it: i64| u64::try_from(it).unwrap_or_default();
        if let Some(of) = wanted.get(&scope) {
            used.insert(of.clone(), Amount { jobs: number(jobs), bytes: number(bytes) });
        }
    }
    Ok(used)
}

/// Jobs and bytes that come, or, with negative numbers, go.
#[derive(Debug, Default)]
pub(crate) struct Sums(HashMap<String, (i64, i64)>);

impl Sums {
    /// Those of jobs that were stored for a namespace.
    pub(crate) fn come(&mut self, namespace: &str, amount: &Amount) {
        let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        self.add(namespace, signed(amount.jobs), signed(amount.bytes));
    }

    fn add(&mut self, namespace: &str, jobs: i64, bytes: i64) {
        for of in [Counted::All, Counted::Namespace(namespace.to_owned())] {
            let sum = self.0.entry(scope(&of)).or_default();
            *sum = (sum.0.saturating_add(jobs), sum.1.saturating_add(bytes));
        }
    }
}

/// Counts them. Who calls holds it.
pub(crate) async fn add(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    sums: &Sums,
) -> Result<(), Error> {
    let each = list(sums.0.iter().map(|(scope, (jobs, bytes))| json!([scope, jobs, bytes])));
    sqlx::query(dialect.sql(ADD)).bind(each).execute(&mut **transaction).await?;
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
    if sums.0.is_empty() {
        return Ok(());
    }
    hold(transaction, dialect).await?;
    add(transaction, dialect, &sums).await?;
    let each = list(sums.0.keys().map(|scope| json!([scope])));
    sqlx::query(dialect.sql(SWEEP)).bind(each).execute(&mut **transaction).await?;
    Ok(())
}
