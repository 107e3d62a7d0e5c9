//! SQLite.

use std::time::Duration;

use earnest::sqlx::{self, Sqlite, SqliteConnection, SqlitePool};
use earnest_proto::v1::CheckBackResult;

use super::{Cut, Home};
use crate::common::{self, Database};

impl Home for Sqlite {
    type Fixture = Database;

    // Busy may mean anything.
    const OPEN_ELSEWHERE: CheckBackResult = CheckBackResult::Unspecified;

    async fn create() -> Database {
        let database = Database::create().await;
        sqlx::raw_sql(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .execute(&database.pool)
        .await
        .unwrap();
        database
    }

    async fn pool(database: &Database) -> SqlitePool {
        database.another_pool(Duration::from_millis(200)).await
    }

    async fn insert_order(connection: &mut SqliteConnection, id: i64) -> Result<(), sqlx::Error> {
        common::try_insert_order(connection, id).await
    }

    async fn orders(database: &Database) -> usize {
        usize::try_from(database.orders().await).unwrap()
    }

    async fn outcome(database: &Database, id: &str) -> Option<String> {
        database.outcome(id).await
    }

    async fn inbox_rows(database: &Database) -> usize {
        usize::try_from(database.inbox_rows().await).unwrap()
    }

    async fn cut(_: &Database, connection: &mut SqliteConnection, cut: Cut) {
        match cut {
            // An orphan is found out at COMMIT only, which then fails and leaves the transaction open.
            Cut::Before => sqlx::raw_sql("INSERT INTO child VALUES (42)"),
            // The SDK's own COMMIT is then answered with an error.
            Cut::After => sqlx::raw_sql("COMMIT"),
        }
        .execute(connection)
        .await
        .unwrap();
    }

    async fn lose(_: &Database, connection: &mut SqliteConnection) {
        sqlx::raw_sql("ROLLBACK; BEGIN IMMEDIATE")
            .execute(connection)
            .await
            .unwrap();
    }

    async fn mute(database: &Database) {
        sqlx::raw_sql("DROP TABLE earnest_fence")
            .execute(&database.pool)
            .await
            .unwrap();
    }

    async fn horizon_us(database: &Database) -> i64 {
        sqlx::query_scalar("SELECT horizon_us FROM earnest_resource")
            .fetch_one(&database.pool)
            .await
            .unwrap()
    }

    async fn insert_old_outcomes(database: &Database, count: i64) {
        let mut transaction = database.pool.begin().await.unwrap();
        for at in 1..=count {
            sqlx::query("INSERT INTO earnest_fence VALUES (?1, 'outcome', '', 'committed', ?2)")
                .bind(common::id_of_1973(at))
                .bind(common::TIME_OF_1973_US + at)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }
}
