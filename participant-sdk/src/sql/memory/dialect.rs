//! The fence and the inbox in a database in memory.

use super::{
    Connection, Database, error,
    session::Session,
    state::{Key, Row, State},
};
use crate::{
    fence::{self, Call, FencingRead, Held, Inbox, Outcome, Wrote},
    ids::{BranchId, TransactionId},
    sql::{Db, Dialect, InboxKey, Local, Resource, SCHEMA_VERSION, Tables},
};

/// Stands for the kind of database, as `sqlx::Sqlite` does for SQLite.
#[derive(Debug)]
pub enum Memory {}

/// An open local transaction in memory.
pub struct LocalTransaction {
    connection: Connection,
}

impl Local for LocalTransaction {
    type Connection = Connection;

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn has_savepoint(&self) -> bool {
        false
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        self.connection.session.commit().await
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        self.connection.session.rollback().await
    }
}

impl Db for Memory {}

impl Dialect for Memory {
    type Pool = Database;
    type Connection = Connection;
    type Local = LocalTransaction;

    const ONE_WRITER: bool = false;
    const HANDLERS_AT_ONCE: usize = 4;

    async fn begin(pool: &Database) -> Result<LocalTransaction, sqlx::Error> {
        let session = Session::begin(pool).await?;
        Ok(LocalTransaction {
            connection: Connection { session },
        })
    }

    async fn insert_outcome(
        connection: &mut Connection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<(), sqlx::Error> {
        let (session, key) = (&mut connection.session, Key::Outcome(id));
        session.statement().await?;
        session.lock(&key).await?;
        if session.read(&key).is_some() {
            return Err(error::duplicate());
        }
        let state = Outcome::Committed;
        session.write(key, Some(Row::Outcome { state, created_us }));
        Ok(())
    }

    async fn outcome_holds(
        connection: &mut Connection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let (session, key) = (&mut connection.session, Key::Outcome(id));
        session.statement().await?;
        session.lock(&key).await?;
        let Some(Row::Outcome { state, .. }) = session.own(&key) else {
            return Ok(fence::may_commit(&[]));
        };
        session.write(key, Some(Row::Outcome { state, created_us }));
        Ok(fence::may_commit(&[state]))
    }

    async fn fencing_read(
        pool: &Database,
        id: TransactionId,
        created_us: i64,
    ) -> Result<FencingRead, sqlx::Error> {
        let key = Key::Outcome(id);
        let mut session = Session::begin(pool).await?;
        session.statement().await?;
        match session.lock(&key).await {
            Err(blocked) if error::is_lock_timeout(&blocked) => return Ok(FencingRead::InProgress),
            locked => locked?,
        }
        if session.read(&key).is_none() {
            let state = Outcome::RolledBack;
            session.write(key.clone(), Some(Row::Outcome { state, created_us }));
        }
        if fence::remembers(created_us, session.horizon_us()) {
            session.commit().await?;
        } else {
            session.rollback().await?;
        }
        let mut session = Session::begin(pool).await?;
        session.statement().await?;
        let row = match session.read(&key) {
            Some(Row::Outcome { state, .. }) => Some(state),
            _ => None,
        };
        let horizon_us = session.horizon_us();
        Ok(fence::fencing_read(row, created_us, horizon_us))
    }

    async fn insert_inbox(
        connection: &mut Connection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<Inbox, sqlx::Error> {
        let (session, key) = (&mut connection.session, Key::Inbox(key.clone()));
        session.statement().await?;
        session.lock(&key).await?;
        if session.read(&key).is_some() {
            return Ok(fence::inbox(0, true));
        }
        if !fence::remembers(created_us, session.horizon_us()) {
            return Ok(fence::inbox(0, false));
        }
        session.write(key, Some(Row::Inbox { created_us }));
        Ok(fence::inbox(1, true))
    }

    async fn inbox_holds(
        connection: &mut Connection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let session = &mut connection.session;
        session.statement().await?;
        let rows = session.own(&Key::Inbox(key.clone())).map_or(0, |_| 1);
        Ok(fence::may_acknowledge(
            rows,
            created_us,
            session.horizon_us(),
        ))
    }

    async fn write_branch(
        connection: &mut Connection,
        id: BranchId,
        call: Call,
        created_us: i64,
    ) -> Result<(Wrote, i64), sqlx::Error> {
        let (session, key) = (&mut connection.session, Key::Branch(id));
        session.statement().await?;
        session.lock(&key).await?;
        let horizon_us = session.horizon_us();
        let stands = match session.read(&key) {
            Some(Row::Branch { state, .. }) => Some(state),
            _ => None,
        };
        let wrote = match (call, stands) {
            (Call::Try | Call::Cancel, None) if fence::remembers(created_us, horizon_us) => {
                Wrote::Inserted
            }
            (Call::Confirm | Call::Cancel, Some(Held::Tried)) => Wrote::Moved,
            _ => Wrote::Nothing(stands),
        };
        if let Some(state) = wrote.stands(call) {
            session.write(key, Some(Row::Branch { state, created_us }));
        }
        Ok((wrote, horizon_us))
    }

    async fn branch_stands(
        connection: &mut Connection,
        id: BranchId,
    ) -> Result<(Option<Held>, i64), sqlx::Error> {
        let session = &mut connection.session;
        session.statement().await?;
        let stands = match session.own(&Key::Branch(id)) {
            Some(Row::Branch { state, .. }) => Some(state),
            _ => None,
        };
        Ok((stands, session.horizon_us()))
    }

    async fn tables(pool: &Database) -> Result<Tables, sqlx::Error> {
        Session::begin(pool).await?;
        Ok(Tables::Present(Resource {
            id: pool.state().resource_id.clone(),
            schema_version: SCHEMA_VERSION,
        }))
    }

    async fn migrate(pool: &Database) -> Result<(), sqlx::Error> {
        Session::begin(pool).await?;
        Ok(())
    }

    async fn durability_gaps(_: &Database) -> Result<Vec<String>, sqlx::Error> {
        Ok(Vec::new())
    }

    async fn purge_batch(pool: &Database, cutoff_us: i64, limit: u32) -> Result<u64, sqlx::Error> {
        Session::begin(pool).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut state = pool.state();
        let outcomes = purge_table(&mut state, cutoff_us, limit, |key| {
            matches!(key, Key::Outcome(_) | Key::Branch(_))
        });
        let inbox = purge_table(&mut state, cutoff_us, limit, |key| {
            matches!(key, Key::Inbox(_))
        });
        Ok(outcomes + inbox)
    }
}

/// Deletes rows of one table that nobody is writing, and moves the horizon past them.
fn purge_table(state: &mut State, cutoff_us: i64, limit: usize, of: fn(&Key) -> bool) -> u64 {
    let old = state.rows.iter().filter_map(|(key, row)| {
        let created_us = row.created_us().filter(|created| *created < cutoff_us)?;
        let free = of(key) && !state.locks.contains_key(key);
        free.then(|| (key.clone(), created_us))
    });
    let old: Vec<(Key, i64)> = old.take(limit).collect();
    for (key, created_us) in &old {
        state.rows.remove(key);
        state.horizon_us = state.horizon_us.max(created_us + 1);
    }
    old.len() as u64
}
