//! Connections that write, one database transaction at a time.
//!
//! A connection goes back only after a COMMIT or ROLLBACK that the database has answered. Whatever else happens, an
//! error, a timeout, a caller that goes away, closes it, and with it what it had begun. After an error nothing more is said in a
//! database transaction: a deadlock has ended it, and what came next would be on its own.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{Connection, Executor, MySqlConnection, mysql::MySqlConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::error::{Context, Failure, commit_failed, failed, is_lock_timeout, unavailable};
use crate::{StoreError, planted::planted};

/// How long a caller waits for a connection, and a connection for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one database transaction may take before it is given up. The server gives up earlier by itself, unless it
/// can't be heard.
const LONGEST: Duration = Duration::from_secs(25);
/// Runs of a database transaction at most while others are in its way.
const TRIES: usize = 8;

/// Settings of a connection that writes, whatever the server's own are.
///
/// READ COMMITTED, so that each statement sees what was committed before it, and so that InnoDB locks the rows that are meant and no
/// gaps beside them: under REPEATABLE READ every two nodes that insert new ids at the end of a table would wait for each
/// other, or deadlock. A paused or lost node's locks go within a second (MySQL 8, which
/// has no such setting: within ten): others' calls for the same rows wait for them. The comments are executed by MariaDB and by
/// MySQL 8, each its own.
const SETTINGS: [&str; 2] = [
    "SET autocommit = 1, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
     innodb_lock_wait_timeout = 5 /*M! , max_statement_time = 20, idle_transaction_timeout = 1 */ \
     /*!80000 , max_execution_time = 20000, wait_timeout = 10 */",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// Statements kept prepared per connection: an insert has a text for each number of rows. All connections of all nodes share the
/// server's `max_prepared_stmt_count` (16,382).
const STATEMENTS: usize = 256;

pub(super) struct Writers {
    options: MySqlConnectOptions,
    idle: Mutex<Vec<MySqlConnection>>,
    room: Semaphore,
}

impl Writers {
    pub(super) fn new(options: MySqlConnectOptions, count: usize) -> Self {
        Self {
            options: options.statement_cache_capacity(STATEMENTS),
            idle: Mutex::default(),
            room: Semaphore::new(count.max(1)),
        }
    }

    /// A new connection, outside of the count.
    pub(super) async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = MySqlConnection::connect_with(&self.options).await?;
            for settings in SETTINGS {
                connection.execute(settings).await?;
            }
            Ok(connection)
        };
        timeout(PATIENCE, connecting)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Begins a database transaction.
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<MySqlConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn start(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("START TRANSACTION").await.map(drop)
}

/// An open database transaction; dropped, it is as if it had never begun.
pub(super) struct Transaction<'a> {
    home: &'a Writers,
    connection: MySqlConnection,
    name: &'static str,
    _permit: SemaphorePermit<'a>,
}

impl<'a> Transaction<'a> {
    fn new(
        home: &'a Writers,
        permit: SemaphorePermit<'a>,
        name: &'static str,
        connection: MySqlConnection,
    ) -> Self {
        Self {
            home,
            connection,
            name,
            _permit: permit,
        }
    }

    /// Ends it: commits what `done` brought, or takes back what was written.
    pub(super) async fn end<T>(self, done: Result<T, Failure>) -> Result<T, Failure> {
        match done {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(failure) => {
                self.roll_back().await;
                Err(failure)
            }
        }
    }

    /// Commits; an error says whether it is known that nothing was written.
    async fn commit(mut self) -> Result<(), StoreError> {
        match timeout(LONGEST, self.connection.execute("COMMIT")).await {
            Ok(Ok(_)) => {
                self.give_back();
                Ok(())
            }
            Ok(Err(_)) if planted!(MysqlUnknownIsTakenForCommitted) => Ok(()),
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
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }
}

/// Bounds what goes on between a START TRANSACTION and its COMMIT.
pub(super) async fn within<T>(
    name: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(LONGEST, work)
        .await
        .unwrap_or_else(|_| Err(failed(name, sqlx::Error::PoolTimedOut).into()))
}

/// Whether to run it once more, after `tries` runs; else what came of it.
pub(super) fn again<T>(
    name: &str,
    done: Result<T, Failure>,
    tries: &mut usize,
) -> Option<Result<T, StoreError>> {
    *tries += match &done {
        // It has waited long enough for twice.
        Err(Failure::Conflict(error)) if is_lock_timeout(error) => TRIES / 2,
        _ => 1,
    };
    match done {
        Err(Failure::Conflict(error)) if *tries < TRIES => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, name, "a database transaction is run again");
            None
        }
        done => Some(done.map_err(Failure::into_error)),
    }
}

/// Runs a block over a connection in one database transaction and commits; once more while others were in its way. (A macro, since
/// no generic function can promise that its closure's future goes to another thread.)
macro_rules! transact {
    ($writers:expr, $name:expr, |$db:ident| $work:block) => {{
        let mut tries = 0;
        loop {
            let mut transaction = $writers.begin($name).await?;
            let $db = &mut *transaction;
            let done = $crate::mysql::connection::within($name, async { $work }).await;
            let done = transaction.end(done).await;
            if let Some(done) = $crate::mysql::connection::again($name, done, &mut tries) {
                break done;
            }
        }
    }};
}
pub(super) use transact;
