//! A participant's PostgreSQL database.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, error::DatabaseError, postgres::PgConnectOptions,
};

use super::{Migrated, PATIENCE};
use crate::StoreError;

const RELATIONS: &str =
    "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = current_schema()::REGNAMESPACE";

/// Runs idempotent `scripts` in the database at `url` as one database transaction.
///
/// A mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
pub async fn migrate_postgres(url: &str, scripts: &[&str]) -> Result<Migrated, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        StoreError::CannotOpen(format!(
            "the database's URL can't be read ({error}): give postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special \
             characters as %XX"
        ))
    })?;
    let shown = format!(
        "postgres://{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username()),
    );
    let run = run(options.application_name("earnest"), scripts);
    let run = tokio::time::timeout(PATIENCE, run).await;
    let no_answer = |_| {
        StoreError::CannotOpen(format!(
            "{shown} does not answer: is the server running, can it be reached from here, and does nobody hold locks on \
             Earnest's tables?"
        ))
    };
    run.map_err(no_answer)?
        .map_err(|error| cannot(&shown, &error))
}

async fn run(options: PgConnectOptions, scripts: &[&str]) -> Result<Migrated, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options).await?;
    let mut transaction = connection.begin().await?;
    let before: i64 = sqlx::query_scalar(RELATIONS)
        .fetch_one(&mut *transaction)
        .await?;
    let mut rows = 0;
    for script in scripts {
        let script = sqlx::raw_sql(AssertSqlSafe(*script));
        rows += script.execute(&mut *transaction).await?.rows_affected();
    }
    let after: i64 = sqlx::query_scalar(RELATIONS)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(Migrated::of(rows > 0 || before != after))
}

fn cannot(shown: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    StoreError::CannotOpen(match code.as_deref() {
        Some("28P01" | "28000") => format!(
            "{shown} refuses this user ({error}): check user and password in the URL, and the server's pg_hba.conf"
        ),
        Some("3D000") => {
            format!("{shown} is not there ({error}): check the database's name in the URL")
        }
        Some("42501") => format!(
            "{shown} was not changed: this user may not make tables there ({error}); GRANT CREATE ON SCHEMA, or run what \
             --print prints as another user"
        ),
        // Somebody else made the same tables at the same time.
        Some("23505" | "42P07" | "40001" | "40P01") => {
            format!(
                "{shown} was not changed: another program made these tables just now ({error}); run this again"
            )
        }
        Some(_) => format!("{shown} was not changed: {error}"),
        None => format!("{shown} can't be reached ({error}): is the server running?"),
    })
}
