//! A transaction on a server that sees the database as it was, and is not ended: nothing that goes away can be tidied up.

use sqlx::{Connection, Executor, MySqlConnection, PgConnection};

use crate::database::Kind;

/// One that is held open.
pub enum Snapshot {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Snapshot {
    /// Takes one; `None`: a file has no sessions that are forgotten.
    pub async fn hold(kind: Kind, url: &str) -> anyhow::Result<Option<Self>> {
        Ok(match kind {
            Kind::Sqlite => None,
            Kind::Postgres => {
                let mut db = PgConnection::connect(url).await?;
                let begin =
                    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM earnest.nodes";
                db.execute(begin).await?;
                Some(Self::Postgres(db))
            }
            Kind::Mysql => {
                let mut db = MySqlConnection::connect(url).await?;
                sqlx::raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    .execute(&mut db)
                    .await?;
                sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                    .execute(&mut db)
                    .await?;
                Some(Self::Mysql(db))
            }
        })
    }

    /// Ends it.
    pub async fn release(self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(mut db) => db.execute("ROLLBACK").await.map(drop)?,
            Self::Mysql(mut db) => sqlx::raw_sql("ROLLBACK").execute(&mut db).await.map(drop)?,
        }
        Ok(())
    }
}
