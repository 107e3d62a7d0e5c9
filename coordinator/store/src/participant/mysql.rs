//! A participant's MySQL or MariaDB database.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlDatabaseError},
};

use super::{Migrated, PATIENCE};
use crate::StoreError;

const TABLES: &str =
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()";

/// Runs idempotent `scripts` in the database at `url`. Each statement commits by itself there.
///
/// A mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
pub async fn migrate_mysql(url: &str, scripts: &[&str]) -> Result<Migrated, StoreError> {
    let options = MySqlConnectOptions::from_str(url).map_err(|error| {
        StoreError::CannotOpen(format!(
            "the database's URL can't be read ({error}): give mysql://USER:PASSWORD@HOST:PORT/DATABASE, with special \
             characters as %XX"
        ))
    })?;
    let place = format!("mysql://{}:{}", options.get_host(), options.get_port());
    let Some(database) = options.get_database().filter(|name| !name.is_empty()) else {
        return Err(StoreError::CannotOpen(format!(
            "the URL names no database of {place}: give mysql://USER:PASSWORD@HOST:PORT/DATABASE"
        )));
    };
    let shown = format!("{place}/{database}");
    let run = tokio::time::timeout(PATIENCE, run(&options, scripts)).await;
    let no_answer = |_| {
        StoreError::CannotOpen(format!(
            "{shown} does not answer: is the server running, can it be reached from here, and does nobody hold locks on \
             Earnest's tables?"
        ))
    };
    run.map_err(no_answer)?
        .map_err(|error| cannot(&shown, &error))
}

async fn run(options: &MySqlConnectOptions, scripts: &[&str]) -> Result<Migrated, sqlx::Error> {
    let mut connection = MySqlConnection::connect_with(options).await?;
    let before: i64 = sqlx::query_scalar(TABLES)
        .fetch_one(&mut connection)
        .await?;
    for script in scripts {
        let script = sqlx::raw_sql(AssertSqlSafe(*script));
        script.execute(&mut connection).await?;
    }
    // The rows don't tell: sqlx has the server count those that were found, not those that were changed.
    let after: i64 = sqlx::query_scalar(TABLES)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(Migrated::of(before != after))
}

fn cannot(shown: &str, error: &sqlx::Error) -> StoreError {
    let number = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
        .map(MySqlDatabaseError::number);
    StoreError::CannotOpen(match number {
        // Access denied: to the server, to the database.
        Some(1044 | 1045 | 1698) => {
            format!(
                "{shown} refuses this user ({error}): check user, password and database in the URL"
            )
        }
        Some(1049) => {
            format!("{shown} is not there ({error}): check the database's name in the URL")
        }
        Some(1142) => format!(
            "{shown} was not changed: this user may not make tables there ({error}); GRANT CREATE, INSERT, UPDATE, or run \
             what --print prints as another user"
        ),
        Some(_) => format!(
            "{shown}: {error}; run this again when that is mended, it goes on where it stopped"
        ),
        None => format!("{shown} can't be reached ({error}): is the server running?"),
    })
}
