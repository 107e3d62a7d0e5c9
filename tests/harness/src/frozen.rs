//! A database in which nothing can be written for a while, as when somebody else holds its locks.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::Database;

/// Holds the lock of one table. Dropped, it lets go.
#[derive(Debug)]
pub struct Frozen {
    holder: PgConnection,
}

impl Database {
    /// Waits until nobody uses `table` of this PostgreSQL database, and lets nobody use it until it thaws.
    pub async fn freeze(&self, table: &str) -> Frozen {
        let held = async {
            let mut holder = PgConnection::connect(self.url()).await?;
            let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
            holder.execute("BEGIN").await?;
            holder.execute(lock).await.context("take the lock")?;
            anyhow::Ok(Frozen { holder })
        };
        held.await
            .unwrap_or_else(|error| panic!("can't freeze {table}: {error:#}"))
    }
}

impl Frozen {
    /// Lets everybody go on.
    pub async fn thaw(mut self) {
        let thawed = self.holder.execute("ROLLBACK").await;
        thawed.unwrap_or_else(|error| panic!("can't thaw: {error:#}"));
    }
}
