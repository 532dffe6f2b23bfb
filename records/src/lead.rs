//! Who may change what is there: the leader, and of two that believe to lead the later one.
//!
//! Invariant: whoever begins to lead raises the epoch, and every transaction of a leader checks and holds it until it ends. So a late
//! leader's transaction comes either wholly before its successor's first look or not at all; one that stops half way loses its lock after
//! a few seconds, and with it its transaction. Does not know how a leader is elected.

use std::ops::Deref;

use sqlx::{Any, Row, Transaction};

use crate::database::Dialect;
use crate::error::Error;
use crate::store::Store;

/// By what right somebody leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is held, by an id that no other will ever have.
    pub lease: String,
    /// How often that has changed hands.
    pub turn: i64,
}

/// The store in the hands of the leader. Cheap to clone.
#[derive(Clone)]
pub struct Leading {
    store: Store,
    epoch: i64,
}

/// A lease that was made anew counts from 0; one that is held still may be told again.
const RAISE: &str =
    "UPDATE leadership SET epoch = epoch + 1, lease = $1, turn = $2 WHERE lease <> $1 OR turn <= $2 RETURNING epoch";

impl Store {
    /// Begins to lead: from now on no leader before can write. [`Error::Late`]: another has begun to lead after this one was elected.
    pub async fn lead(&self, term: &Term) -> Result<Leading, Error> {
        let raised = self.call("lead", async {
            let mut transaction = self.database.begin().await?;
            let query = sqlx::query(RAISE).bind(term.lease.clone()).bind(term.turn);
            let row = query.fetch_optional(&mut *transaction).await?.ok_or(Error::Late)?;
            transaction.commit().await?;
            Ok(row.try_get(0)?)
        });
        Ok(Leading { epoch: raised.await?, store: self.clone() })
    }
}

impl Leading {
    /// A transaction of the leader.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        let mut transaction = self.database.begin().await?;
        let text = match self.database.dialect {
            // Whoever writes has the file to itself.
            Dialect::Sqlite => "SELECT epoch FROM leadership WHERE epoch = $1",
            Dialect::Postgres => "SELECT epoch FROM leadership WHERE epoch = $1 FOR SHARE",
        };
        sqlx::query(text).bind(self.epoch).fetch_optional(&mut *transaction).await?.ok_or(Error::Late)?;
        Ok(transaction)
    }
}

impl Deref for Leading {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
