//! An older copy of a database, and putting it in the place of what came after.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

use anyhow::Context;

use crate::{Database, Kind};

/// A database as it was.
#[derive(Debug)]
pub struct Backup {
    kind: Kind,
    server_url: String,
    name: String,
}

impl Database {
    /// Copies it as it is now. Nobody may be connected to it.
    pub async fn back_up(&self) -> Backup {
        let backup = Backup {
            kind: self.kind(),
            server_url: self.server_url().to_owned(),
            name: self.name().to_owned(),
        };
        let made = backup.make().await;
        made.unwrap_or_else(|error| panic!("can't back up {}: {error:#}", self.url()));
        backup
    }
}

impl Backup {
    async fn make(&self) -> anyhow::Result<()> {
        let of = &self.name;
        if self.kind == Kind::Postgres {
            let copy = format!("CREATE DATABASE {of}_old TEMPLATE {of}");
            return postgres(&self.server_url, &[copy]).await;
        }
        let mut admin = MySqlConnection::connect(&self.server_url).await?;
        let mut steps = vec![format!("CREATE DATABASE {of}_old")];
        for table in tables(&mut admin, of).await? {
            steps.push(format!(
                "CREATE TABLE {of}_old.`{table}` LIKE {of}.`{table}`"
            ));
            steps.push(format!(
                "INSERT INTO {of}_old.`{table}` SELECT * FROM {of}.`{table}`"
            ));
        }
        mariadb(&mut admin, &steps).await
    }

    /// Puts the copy in the place of the database, whoever is connected to that.
    pub async fn restore(self) {
        let done = match self.kind {
            Kind::Postgres => self.restore_postgres().await,
            Kind::Mariadb => self.restore_mariadb().await,
        };
        done.unwrap_or_else(|error| panic!("can't restore {}: {error:#}", self.name));
    }

    async fn restore_postgres(&self) -> anyhow::Result<()> {
        let of = &self.name;
        let steps = [
            format!("ALTER DATABASE {of} WITH ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = '{of}'"
            ),
            format!("ALTER DATABASE {of} RENAME TO {of}_gone"),
            format!("ALTER DATABASE {of}_old RENAME TO {of}"),
        ];
        postgres(&self.server_url, &steps).await
    }

    /// All tables change their places in one statement, which waits for whoever uses them.
    async fn restore_mariadb(&self) -> anyhow::Result<()> {
        let of = &self.name;
        let mut admin = MySqlConnection::connect(&self.server_url).await?;
        let mut moves = Vec::new();
        for table in tables(&mut admin, of).await? {
            moves.push(format!("{of}.`{table}` TO {of}_gone.`{table}`"));
        }
        for table in tables(&mut admin, &format!("{of}_old")).await? {
            moves.push(format!("{of}_old.`{table}` TO {of}.`{table}`"));
        }
        let steps = [
            format!("CREATE DATABASE {of}_gone"),
            format!("RENAME TABLE {}", moves.join(", ")),
        ];
        mariadb(&mut admin, &steps).await
    }
}

async fn tables(admin: &mut MySqlConnection, of: &str) -> anyhow::Result<Vec<String>> {
    const TABLES: &str = "SELECT table_name FROM information_schema.tables \
         WHERE table_schema = ? AND table_type = 'BASE TABLE' ORDER BY table_name";
    Ok(sqlx::query_scalar(TABLES).bind(of).fetch_all(admin).await?)
}

async fn postgres(url: &str, statements: &[String]) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(url).await?;
    for sql in statements {
        let sent = admin.execute(AssertSqlSafe(sql.clone())).await;
        sent.with_context(|| sql.clone())?;
    }
    Ok(())
}

async fn mariadb(admin: &mut MySqlConnection, statements: &[String]) -> anyhow::Result<()> {
    for sql in statements {
        let sent = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *admin);
        sent.await.with_context(|| sql.clone())?;
    }
    Ok(())
}
