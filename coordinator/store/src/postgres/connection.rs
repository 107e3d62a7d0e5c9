//! Connections that write, one database transaction at a time.
//!
//! A connection goes back only after a COMMIT or ROLLBACK that the database has answered. Whatever else happens, an
//! error, a timeout, a caller that goes away, closes it, and with it what it had begun.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::error::{Context, commit_failed, failed, unavailable};
use crate::{StoreError, planted::planted};

/// How long a caller waits for a connection, and a connection for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one database transaction may take before it is given up. The server gives up earlier by itself, unless it
/// can't be heard.
const LONGEST: Duration = Duration::from_secs(25);

/// Settings of a connection that writes. Plans are made once, maybe over empty tables, and kept: so they may only seek in
/// indexes. A paused or lost node's locks go within a second: others' calls for the same rows wait for them, and a batch that works
/// is never idle for that long. (`SET`, not start-up options, which poolers refuse.)
const SETTINGS: &str = "SET search_path = earnest; SET enable_seqscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off; SET lock_timeout = '5s'; \
     SET statement_timeout = '20s'; SET idle_in_transaction_session_timeout = '1s'";

/// Statements kept prepared per connection: a batch's statement has a text for each combination of what it writes.
const STATEMENTS: usize = 512;

pub(super) struct Writers {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    room: Semaphore,
}

impl Writers {
    pub(super) fn new(options: PgConnectOptions, count: usize) -> Self {
        Self {
            options: options.statement_cache_capacity(STATEMENTS),
            idle: Mutex::default(),
            room: Semaphore::new(count.max(1)),
        }
    }

    /// A new connection, outside of the count.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute(SETTINGS).await?;
            Ok(connection)
        };
        timeout(PATIENCE, connecting)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Begins a database transaction at PostgreSQL's own default level, whatever this server's is.
    pub(super) async fn begin(&self, name: &'static str) -> Result<Transaction<'_>, StoreError> {
        let Ok(Ok(permit)) = timeout(PATIENCE, self.room.acquire()).await else {
            return Err(unavailable(format!("{name}: all connections are busy")));
        };
        let idle = self.lock().pop();
        if let Some(mut connection) = idle
            && let Ok(Ok(())) = timeout(PATIENCE, start(&mut connection)).await
        {
            return Ok(Transaction::new(self, permit, name, connection));
        }
        // None was idle, or the one that was has died in its sleep, and so may have the others.
        self.lock().clear();
        let mut connection = self.connect().await.context(name)?;
        start(&mut connection).await.context(name)?;
        Ok(Transaction::new(self, permit, name, connection))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn start(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection
        .execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await
        .map(drop)
}

/// An open database transaction; dropped, it is as if it had never begun.
pub(super) struct Transaction<'a> {
    home: &'a Writers,
    connection: PgConnection,
    name: &'static str,
    _permit: SemaphorePermit<'a>,
}

impl<'a> Transaction<'a> {
    fn new(
        home: &'a Writers,
        permit: SemaphorePermit<'a>,
        name: &'static str,
        connection: PgConnection,
    ) -> Self {
        Self {
            home,
            connection,
            name,
            _permit: permit,
        }
    }

    /// Commits; an error says whether it is known that nothing was written.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        match timeout(LONGEST, self.connection.execute("COMMIT")).await {
            Ok(Ok(_)) => {
                self.give_back();
                Ok(())
            }
            Ok(Err(_)) if planted!(PostgresUnknownIsTakenForCommitted) => Ok(()),
            Ok(Err(error)) => Err(commit_failed(self.name, error)),
            Err(_) => Err(StoreError::CommitUnknown {
                context: format!("{}: the database did not answer", self.name),
                source: None,
            }),
        }
    }

    /// Takes back what was written, at once and not when the connection is found to be closed.
    pub(super) async fn roll_back(mut self) {
        if let Ok(Ok(_)) = timeout(PATIENCE, self.connection.execute("ROLLBACK")).await {
            self.give_back();
        }
    }

    fn give_back(self) {
        self.home.lock().push(self.connection);
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Bounds what goes on between a BEGIN and its COMMIT.
pub(super) async fn within<T, E: From<StoreError>>(
    name: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(LONGEST, work)
        .await
        .unwrap_or_else(|_| Err(failed(name, sqlx::Error::PoolTimedOut).into()))
}
