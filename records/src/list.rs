//! Lists jobs, a page at a time.
//!
//! Invariant: a page begins after the last job of the one before, by its key and not by its place; so jobs that come in between neither
//! repeat nor hide others. Newest first; the children of an array job, which are of one age, by index.

use jiff::Timestamp;
use model::job::JobId;
use model::status::JobState;
use sqlx::Arguments as _;
use sqlx::any::AnyArguments;
use uuid::Uuid;

use crate::error::Error;
use crate::jobs::{Kept, add_last_attempts, assemble, with_specs};
use crate::rows::{RECORD, record, state_name};
use crate::store::Store;
use crate::submit::definition_name;

/// Which jobs are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Where.
    pub scope: Scope,
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those like this.
    pub by: Option<By>,
}

/// Where jobs are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the queue of this AWS name; children are left out.
    Queue(String),
    /// Children of this array job.
    Children(Uuid),
}

/// What a listed job is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Its name, small and capital letters being the same.
    Name(Pattern),
    /// The name of its definition; what begins with `arn:` is compared with the ARN.
    Definition(Pattern),
    /// Submitted before.
    CreatedBefore(Timestamp),
    /// Submitted after.
    CreatedAfter(Timestamp),
}

/// A text that another is, or begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next begins; `None`: this was the last. Means nothing to anybody but the store.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of the items, of which one more was asked for.
    pub(crate) fn new(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

/// A cursor that did not come from the store.
pub(crate) fn invalid(cursor: &str) -> Error {
    Error::Invalid(format!("{cursor:?} is no token of a page; use the one that came with the page before, unchanged"))
}

/// A parameter.
pub(crate) enum Bind {
    Text(String),
    Number(i64),
}

/// Conditions with their parameters.
#[derive(Default)]
pub(crate) struct Conditions {
    pub(crate) text: String,
    arguments: AnyArguments,
}

impl Conditions {
    /// Conditions that use `{each}`, whose parameter is the first.
    pub(crate) fn each(list: String) -> Result<Self, Error> {
        let mut all = Self::default();
        all.bind(Bind::Text(list))?;
        Ok(all)
    }

    /// `text` has a `?` for each value. Nothing but text of ours may be in it.
    pub(crate) fn add(&mut self, text: &str, values: impl IntoIterator<Item = Bind>) -> Result<(), Error> {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        let mut pieces = text.split('?');
        self.text.push_str(pieces.next().unwrap_or_default());
        for (piece, value) in pieces.zip(values) {
            let at = self.bind(value)?;
            self.text.push_str(&at);
            self.text.push_str(piece);
        }
        Ok(())
    }

    /// Adds a parameter; returns how a statement names it.
    pub(crate) fn bind(&mut self, value: Bind) -> Result<String, Error> {
        match value {
            Bind::Text(it) => self.arguments.add(it),
            Bind::Number(it) => self.arguments.add(it),
        }
        .map_err(sqlx::Error::Encode)?;
        Ok(format!("${}", self.arguments.len()))
    }

    /// The parameters.
    pub(crate) fn into_arguments(self) -> AnyArguments {
        self.arguments
    }

    /// A column is, or begins with, this.
    fn matches(&mut self, column: &str, pattern: &Pattern) -> Result<(), Error> {
        let text = |it: &str| Bind::Text(it.to_owned());
        match pattern {
            Pattern::Exact(it) => self.add(&format!("{column} = ?"), [text(it)]),
            // The last character of all: what begins with the text is less than the text and that.
            Pattern::Prefix(it) => {
                let range = format!("{column} >= ? AND {column} < ?");
                self.add(&range, [text(it), Bind::Text(format!("{it}\u{10ffff}"))])
            }
        }
    }
}

impl Store {
    /// A page of at most `limit` jobs, newest first; `after` is the [`Page::next`] of the page before. Of attempts only
    /// the last one of a job that has ended is there.
    pub async fn list(&self, filter: &Filter, after: Option<&str>, limit: u32) -> Result<Page<Kept>, Error> {
        let (mut conditions, order) = conditions(filter, after)?;
        self.call("list", async {
            let at = conditions.bind(Bind::Number(i64::from(limit) + 1))?;
            let text = format!("SELECT {RECORD} FROM jobs j{} ORDER BY {order} LIMIT {at}", conditions.text);
            let dialect = self.database.dialect;
            let mut transaction = self.database.look().await?;
            let query = sqlx::query_with(dialect.sql(&text), conditions.into_arguments());
            let rows = query.fetch_all(&mut *transaction).await?;
            let records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
            let page = Page::new(records, limit, |it| cursor(&filter.scope, it.id, it.created));
            let records = with_specs(&mut transaction, dialect, page.items).await?;
            let mut items = assemble(&mut transaction, dialect, records).await?;
            add_last_attempts(&mut transaction, dialect, &mut items).await?;
            Ok(Page { items, next: page.next })
        })
        .await
    }
}

/// What is to hold, and the order.
fn conditions(filter: &Filter, after: Option<&str>) -> Result<(Conditions, &'static str), Error> {
    let mut all = Conditions::default();
    let order = match &filter.scope {
        Scope::Queue(queue) => {
            all.add("j.child = -1 AND j.queue = ?", [Bind::Text(queue.clone())])?;
            if let Some((created, job)) = after.map(after_job).transpose()? {
                all.add("(j.created, j.job) < (?, ?)", [Bind::Number(created), Bind::Text(job)])?;
            }
            "j.created DESC, j.job DESC"
        }
        Scope::Children(job) => {
            all.add("j.child >= 0 AND j.job = ?", [Bind::Text(job.to_string())])?;
            if let Some(index) = after.map(after_child).transpose()? {
                all.add("j.child > ?", [Bind::Number(index)])?;
            }
            "j.child"
        }
    };
    if let Some(state) = filter.state {
        all.add("j.state = ?", [Bind::Text(state_name(state).to_owned())])?;
    }
    match &filter.by {
        None => {}
        Some(By::CreatedBefore(time)) => all.add("j.created < ?", [Bind::Number(time.as_millisecond())])?,
        Some(By::CreatedAfter(time)) => all.add("j.created > ?", [Bind::Number(time.as_millisecond())])?,
        Some(By::Name(pattern)) => text(&mut all, &filter.scope, "name", &lower(pattern))?,
        Some(By::Definition(pattern)) => {
            let (Pattern::Exact(it) | Pattern::Prefix(it)) = pattern;
            let is_arn = it.starts_with("arn:");
            if is_arn && matches!(pattern, Pattern::Exact(_)) {
                // The name has an index.
                text(&mut all, &filter.scope, "definition_name", &Pattern::Exact(definition_name(it).to_owned()))?;
            }
            text(&mut all, &filter.scope, if is_arn { "definition" } else { "definition_name" }, pattern)?;
        }
    }
    Ok((all, order))
}

/// A text of the job; children have their parent's.
fn text(all: &mut Conditions, scope: &Scope, column: &str, pattern: &Pattern) -> Result<(), Error> {
    let Scope::Children(job) = scope else { return all.matches(&format!("j.{column}"), pattern) };
    all.add("EXISTS (SELECT 1 FROM jobs p WHERE p.child = -1 AND p.job = ?", [Bind::Text(job.to_string())])?;
    all.matches(&format!("p.{column}"), pattern)?;
    all.text.push(')');
    Ok(())
}

fn lower(pattern: &Pattern) -> Pattern {
    match pattern {
        Pattern::Exact(text) => Pattern::Exact(text.to_lowercase()),
        Pattern::Prefix(text) => Pattern::Prefix(text.to_lowercase()),
    }
}

fn cursor(scope: &Scope, id: JobId, created: Timestamp) -> String {
    match scope {
        Scope::Queue(_) => format!("{}.{}", created.as_millisecond(), id.job),
        Scope::Children(_) => id.child.unwrap_or_default().to_string(),
    }
}

fn after_job(cursor: &str) -> Result<(i64, String), Error> {
    let parts = cursor
        .split_once('.')
        .and_then(|(created, job)| Some((created.parse().ok()?, Uuid::parse_str(job).ok()?.to_string())));
    parts.ok_or_else(|| invalid(cursor))
}

fn after_child(cursor: &str) -> Result<i64, Error> {
    cursor.parse::<u32>().map(i64::from).map_err(|_| invalid(cursor))
}
