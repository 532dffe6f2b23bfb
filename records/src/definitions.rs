//! Job definitions: registered, found, deregistered.
//!
//! Invariant: a revision never changes but for its tags and for being deregistered, and its number is never given out again.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::{AnyArguments, AnyRow};

use crate::error::Error;
use crate::list::{Bind, Conditions, Page, invalid};
use crate::looks;
use crate::rows::{list, number, read, time};
use crate::store::Store;

const COLUMNS: &str = "d.name, d.revision, d.body, d.created, d.deregistered,
    (SELECT r.namespace FROM revisions r WHERE r.name = d.name)";

/// A revision of a job definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its revision, from 1.
    pub revision: u32,
    /// ACTIVE: it was not deregistered.
    pub active: bool,
    /// What was registered.
    pub body: Value,
    /// When.
    pub created: Timestamp,
    /// To which namespace all of its name belong; `None`: to nobody's.
    pub namespace: Option<String>,
}

/// Submissions look up the same few definitions again and again.
pub(crate) type Looks = looks::Looks<(String, Option<u32>), Result<Option<Arc<Definition>>, Error>>;

impl Store {
    /// Stores a new revision: one more than the highest that was ever given out under this name. All of a name belong to one namespace, so
    /// where there are some of another it is a [`Error::Conflict`].
    pub async fn register(
        &self,
        name: &str,
        body: &Value,
        at: Timestamp,
        namespace: Option<&str>,
    ) -> Result<u32, Error> {
        if name.contains('\0') {
            return Err(Error::Invalid(format!("{name:?} contains a NUL character, which cannot be stored")));
        }
        self.call("register", async {
            let mut transaction = self.database.begin().await?;
            // Who comes at the same time waits here for the row, or for the whole file.
            let text = "INSERT INTO revisions (name, last, namespace) VALUES ($1, 1, $2)
                ON CONFLICT (name) DO UPDATE SET last = revisions.last + 1 RETURNING last, namespace";
            let query = sqlx::query(text).bind(name.to_owned()).bind(namespace.map(str::to_owned));
            let row = query.fetch_one(&mut *transaction).await?;
            let revision = number(&row, 0)?;
            if row.try_get::<Option<String>, _>(1)?.as_deref() != namespace {
                return Err(Error::Conflict(format!("job definition {name} of another namespace")));
            }
            let text = "INSERT INTO definitions (name, revision, body, created) VALUES ($1, $2, $3, $4)";
            let query = sqlx::query(text).bind(name.to_owned()).bind(i64::from(revision)).bind(body.to_string());
            query.bind(at.as_millisecond()).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(revision)
        })
        .await
    }

    /// To which namespace the definitions of a name belong, those that are gone included: `Some(None)` is nobody's, `None` that there never was
    /// one.
    pub async fn namespace_of_definition(&self, name: &str) -> Result<Option<Option<String>>, Error> {
        self.call("namespace_of_definition", async {
            let query = sqlx::query("SELECT namespace FROM revisions WHERE name = $1").bind(name.to_owned());
            let row = query.fetch_optional(&self.database.reads).await?;
            Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?)
        })
        .await
    }

    /// One revision, ACTIVE or not; without a number the latest that is ACTIVE.
    pub async fn definition(&self, name: &str, revision: Option<u32>) -> Result<Option<Arc<Definition>>, Error> {
        let look = async || self.look(name, revision).await.map(|found| found.map(Arc::new));
        self.call("definition", self.looks.ask((name.to_owned(), revision), look)).await
    }

    async fn look(&self, name: &str, revision: Option<u32>) -> Result<Option<Definition>, Error> {
        let mut conditions = Conditions::default();
        conditions.add("d.name = ?", [Bind::Text(name.to_owned())])?;
        match revision {
            Some(revision) => conditions.add("d.revision = ?", [Bind::Number(i64::from(revision))])?,
            None => conditions.add("d.deregistered IS NULL", [])?,
        }
        let clause = &conditions.text;
        let text = format!("SELECT {COLUMNS} FROM definitions d{clause} ORDER BY d.revision DESC LIMIT 1");
        let query = sqlx::query_with(self.database.dialect.sql(&text), conditions.into_arguments());
        query.fetch_optional(&self.database.reads).await?.as_ref().map(definition).transpose()
    }

    /// A page of at most `limit` revisions by name, of one name the newest first. `ids`: only these, without a number all revisions of the
    /// name; `name`: only of this name; `active`: only those that are, or are not, ACTIVE; `after`: the [`Page::next`] of the page before.
    pub async fn definitions(
        &self,
        ids: Option<&[(String, Option<u32>)]>,
        name: Option<&str>,
        active: Option<bool>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Definition>, Error> {
        let after = after.map(after_definition).transpose()?;
        let (text, arguments) = page(ids, name, active, after, limit)?;
        self.call("definitions", async {
            let query = sqlx::query_with(self.database.dialect.sql(&text), arguments);
            let rows = query.fetch_all(&self.database.reads).await?;
            let items = rows.iter().map(definition).collect::<Result<_, _>>()?;
            Ok(Page::new(items, limit, |it: &Definition| format!("{}.{}", it.revision, it.name)))
        })
        .await
    }

    /// Puts what `change` makes of a definition in its place; `None`: it stays as it is. Who changes it at the same time comes before or after.
    /// False: there is none of this revision.
    pub async fn change_definition(
        &self,
        name: &str,
        revision: u32,
        change: impl FnOnce(&Value) -> Option<Value>,
    ) -> Result<bool, Error> {
        self.call("change_definition", async {
            let mut transaction = self.database.begin().await?;
            // Who comes at the same time waits here for the row, or for the whole file.
            let text = "UPDATE definitions SET name = name WHERE name = $1 AND revision = $2 RETURNING body";
            let query = sqlx::query(text).bind(name.to_owned()).bind(i64::from(revision));
            let Some(row) = query.fetch_optional(&mut *transaction).await? else { return Ok(false) };
            let body: Value = read(&row.try_get::<String, _>(0)?, &format!("job definition {name}:{revision}"))?;
            if let Some(body) = change(&body) {
                let text = "UPDATE definitions SET body = $1 WHERE name = $2 AND revision = $3";
                let query = sqlx::query(text).bind(body.to_string()).bind(name.to_owned()).bind(i64::from(revision));
                query.execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
            Ok(true)
        })
        .await
    }

    /// Takes a revision out of use. One that is unknown, or is out of use already, stays as it is.
    pub async fn deregister(&self, name: &str, revision: u32, at: Timestamp) -> Result<(), Error> {
        self.call("deregister", async {
            let text =
                "UPDATE definitions SET deregistered = $1 WHERE name = $2 AND revision = $3 AND deregistered IS NULL";
            let query = sqlx::query(text).bind(at.as_millisecond()).bind(name.to_owned()).bind(i64::from(revision));
            query.execute(&self.database.writes).await?;
            Ok(())
        })
        .await
    }
}

/// The statement of a page, which has one row more if there is another, and its parameters.
pub(crate) fn page(
    ids: Option<&[(String, Option<u32>)]>,
    name: Option<&str>,
    active: Option<bool>,
    after: Option<(u32, String)>,
    limit: u32,
) -> Result<(String, AnyArguments), Error> {
    let (mut conditions, mut from) = (Conditions::default(), "definitions d");
    if let Some(ids) = ids {
        // Each id is looked up in the index; the other way round every definition would be compared with the ids.
        from = "{each} AS v CROSS JOIN definitions d";
        conditions = Conditions::each(list(distinct(ids).into_iter().map(|(name, revision)| json!([name, revision]))))?;
        let revision = "CAST(v.value->>1 AS BIGINT)";
        let given = format!(
            "d.name = CAST(v.value->>0 AS TEXT)
             AND d.revision BETWEEN COALESCE({revision}, 0) AND COALESCE({revision}, {})",
            u32::MAX
        );
        conditions.add(&given, [])?;
    }
    if let Some(name) = name {
        conditions.add("d.name = ?", [Bind::Text(name.to_owned())])?;
    }
    match active {
        Some(true) => conditions.add("d.deregistered IS NULL", [])?,
        Some(false) => conditions.add("d.deregistered IS NOT NULL", [])?,
        None => {}
    }
    if let Some((revision, name)) = after {
        let revision = Bind::Number(i64::from(revision));
        conditions.add("d.name >= ?", [Bind::Text(name.clone())])?;
        conditions.add("(d.name > ? OR d.revision < ?)", [Bind::Text(name), revision])?;
    }
    let at = conditions.bind(Bind::Number(i64::from(limit) + 1))?;
    let clause = &conditions.text;
    let text = format!("SELECT {COLUMNS} FROM {from}{clause} ORDER BY d.name, d.revision DESC LIMIT {at}");
    Ok((text, conditions.into_arguments()))
}

/// Ids of which no two are of one revision, so that none is found twice.
fn distinct(ids: &[(String, Option<u32>)]) -> BTreeSet<(&str, Option<u32>)> {
    let all: BTreeSet<(&str, Option<u32>)> = ids.iter().map(|(name, revision)| (name.as_str(), *revision)).collect();
    all.iter().copied().filter(|(name, revision)| revision.is_none() || !all.contains(&(*name, None))).collect()
}

fn definition(row: &AnyRow) -> Result<Definition, Error> {
    let (name, revision): (String, u32) = (row.try_get(0)?, number(row, 1)?);
    let body = read(&row.try_get::<String, _>(2)?, &format!("job definition {name}:{revision}"))?;
    let deregistered: Option<i64> = row.try_get(4)?;
    let (created, namespace) = (time(row, 3)?, row.try_get(5)?);
    Ok(Definition { name, revision, active: deregistered.is_none(), body, created, namespace })
}

fn after_definition(cursor: &str) -> Result<(u32, String), Error> {
    let parts = cursor.split_once('.').and_then(|(revision, name)| Some((revision.parse().ok()?, name.to_owned())));
    parts.ok_or_else(|| invalid(cursor))
}
