//! A database in which nothing can be written for a while, as when somebody else holds its locks.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

use crate::{Database, Kind};

/// Holds the lock of one table. Dropped, it lets go.
#[derive(Debug)]
pub struct Frozen(Holder);

#[derive(Debug)]
enum Holder {
    Postgres(PgConnection),
    Mariadb(MySqlConnection),
}

impl Database {
    /// Waits until nobody uses `table`, and lets nobody use it until it thaws.
    pub async fn freeze(&self, table: &str) -> Frozen {
        let held = self.try_freeze(table).await;
        held.unwrap_or_else(|error| panic!("can't freeze {table}: {error:#}"))
    }

    async fn try_freeze(&self, table: &str) -> anyhow::Result<Frozen> {
        let holder = match self.kind() {
            Kind::Postgres => {
                let mut holder = PgConnection::connect(self.url()).await?;
                let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
                holder.execute("BEGIN").await?;
                holder.execute(lock).await.context("take the lock")?;
                Holder::Postgres(holder)
            }
            Kind::Mariadb => {
                let mut holder = MySqlConnection::connect(self.url()).await?;
                // Not as a prepared statement, which can't hold locks.
                let lock = sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLES {table} WRITE")));
                lock.execute(&mut holder).await.context("take the lock")?;
                Holder::Mariadb(holder)
            }
        };
        Ok(Frozen(holder))
    }
}

impl Frozen {
    /// Lets everybody go on.
    pub async fn thaw(self) {
        let thawed = match self.0 {
            Holder::Postgres(mut holder) => holder.execute("ROLLBACK").await.map(drop),
            Holder::Mariadb(mut holder) => sqlx::raw_sql("UNLOCK TABLES")
                .execute(&mut holder)
                .await
                .map(drop),
        };
        thawed.unwrap_or_else(|error| panic!("can't thaw: {error:#}"));
    }
}
