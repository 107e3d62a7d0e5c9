//! PostgreSQL.

use std::future::Future;

use earnest::sqlx::{
    self, AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use earnest_proto::v1::CheckBackResult;
use uuid::Uuid;

use super::{
    Cut, Home,
    proxy::{Fate, Proxy},
    server::{Served, Server, grants, until_waiting, user_of},
};
use crate::common;

/// A simple query.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

fn options(served: &Served<Postgres>) -> PgConnectOptions {
    let options: PgConnectOptions = served.database.url().parse().unwrap();
    options
        .host(&served.proxy.address.ip().to_string())
        .port(served.proxy.address.port())
}

async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

async fn purge_up_to(connection: &mut PgConnection, up_to_us: i64) {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "UPDATE earnest_resource SET horizon_us = {up_to_us} + 1;
         DELETE FROM earnest_fence WHERE created_us <= {up_to_us};
         DELETE FROM earnest_inbox WHERE created_us <= {up_to_us};"
    )))
    .execute(connection)
    .await
    .unwrap();
}

impl Home for Postgres {
    type Fixture = Served<Postgres>;

    const OPEN_ELSEWHERE: CheckBackResult = CheckBackResult::InProgress;

    async fn create() -> Served<Postgres> {
        let database = earnest_harness::postgres().await;
        let outside = PgPoolOptions::new()
            .max_connections(4)
            .connect(database.url())
            .await
            .unwrap();
        earnest::postgres::migrate(&outside).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL);
             CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
             INSERT INTO counter SELECT i, 0 FROM generate_series(1, 40) i;",
        )
        .execute(&outside)
        .await
        .unwrap();
        let server: PgConnectOptions = database.url().parse().unwrap();
        let proxy = Proxy::start((server.get_host(), server.get_port()), COMMIT).await;
        Served {
            database,
            proxy,
            outside,
        }
    }

    async fn pool(served: &Served<Postgres>) -> PgPool {
        Self::pool_with(served, Self::LEVELS[0]).await
    }

    async fn insert_order(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO orders (id, amount) VALUES ($1, 100)")
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn orders(served: &Served<Postgres>) -> usize {
        let orders = number(&served.outside, "SELECT count(*) FROM orders").await;
        usize::try_from(orders).unwrap()
    }

    async fn outcome(served: &Served<Postgres>, id: &str) -> Option<String> {
        sqlx::query_scalar("SELECT state FROM earnest_fence WHERE transaction_id = $1")
            .bind(id.parse::<Uuid>().unwrap())
            .fetch_optional(&served.outside)
            .await
            .unwrap()
    }

    async fn inbox_rows(served: &Served<Postgres>) -> usize {
        let rows = number(&served.outside, "SELECT count(*) FROM earnest_inbox").await;
        usize::try_from(rows).unwrap()
    }

    async fn cut(_: &Served<Postgres>, connection: &mut PgConnection, cut: Cut) {
        Self::mark(connection, cut.into()).await;
    }

    async fn lose(_: &Served<Postgres>, connection: &mut PgConnection) {
        // Nothing works any more then, and COMMIT is answered without an error.
        let failed = sqlx::raw_sql("SELECT 1 / 0").execute(connection).await;
        assert!(failed.is_err());
    }

    async fn mute(served: &Served<Postgres>) {
        served.proxy.go_away();
    }

    async fn horizon_us(served: &Served<Postgres>) -> i64 {
        number(&served.outside, "SELECT horizon_us FROM earnest_resource").await
    }

    async fn insert_old_outcomes(served: &Served<Postgres>, count: i64) {
        sqlx::query(
            "INSERT INTO earnest_fence SELECT ('00174876-0000-7000-8000-' || lpad(i::TEXT, 12, '0'))::UUID, \
             'outcome', '', 'committed', $1 + i FROM generate_series(1, $2) i",
        )
        .bind(common::TIME_OF_1973_US)
        .bind(count)
        .execute(&served.outside)
        .await
        .unwrap();
    }
}

impl Server for Postgres {
    const LEVELS: &'static [&'static str] = &[
        "SELECT 1",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ];

    const FORGETFUL: &'static str = "synchronous_commit is off";

    type Held = Transaction<'static, Postgres>;

    async fn pool_with(served: &Served<Postgres>, prepare: &'static str) -> PgPool {
        PgPoolOptions::new()
            .max_connections(8)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(prepare).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_with(options(served))
            .await
            .unwrap()
    }

    async fn pool_of_granted_user(served: &Served<Postgres>) -> PgPool {
        let user = user_of(served);
        let granted = grants(earnest::postgres::SCHEMA, &user);
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE ROLE {user} LOGIN PASSWORD 'secret'; {granted} GRANT INSERT ON orders TO {user};"
        )))
        .execute(&served.outside)
        .await
        .unwrap();
        let options = options(served).username(&user).password("secret");
        PgPoolOptions::new().connect_with(options).await.unwrap()
    }

    async fn bare_pools(count: usize) -> Vec<PgPool> {
        let database = earnest_harness::postgres().await;
        let pool = || PgPoolOptions::new().connect_lazy(database.url()).unwrap();
        (0..count).map(|_| pool()).collect()
    }

    async fn resources(pool: &PgPool) -> i64 {
        number(pool, "SELECT count(*) FROM earnest_resource").await
    }

    async fn mark(connection: &mut PgConnection, fate: Fate) {
        sqlx::raw_sql(fate.mark())
            .execute(connection)
            .await
            .unwrap();
    }

    async fn kill(served: &Served<Postgres>, connection: &mut PgConnection) {
        let session: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(connection)
            .await
            .unwrap();
        // The second argument: until it is gone.
        let gone: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 20000)")
            .bind(session)
            .fetch_one(&served.outside)
            .await
            .unwrap();
        assert!(gone);
    }

    async fn is_waiting(served: &Served<Postgres>) -> bool {
        let waiting = number(
            &served.outside,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        waiting.await > 0
    }

    async fn deadlock(served: &Served<Postgres>, connection: &mut PgConnection) {
        // Who looks for deadlocks first finds itself in one.
        let mut other = served.outside.begin().await.unwrap();
        sqlx::raw_sql(
            "SET LOCAL deadlock_timeout = '1min'; UPDATE counter SET n = n + 1 WHERE id = 2",
        )
        .execute(&mut *other)
        .await
        .unwrap();
        sqlx::raw_sql(
            "SET LOCAL deadlock_timeout = '1ms'; UPDATE counter SET n = n + 1 WHERE id = 1",
        )
        .execute(&mut *connection)
        .await
        .unwrap();
        let other = tokio::spawn(async move {
            let update = sqlx::raw_sql("UPDATE counter SET n = n + 1 WHERE id = 1");
            update.execute(&mut *other).await.unwrap();
            other.rollback().await.unwrap();
        });
        until_waiting(served).await;
        let lost = sqlx::raw_sql("UPDATE counter SET n = n + 1 WHERE id = 2")
            .execute(connection)
            .await
            .unwrap_err();
        let code = lost
            .as_database_error()
            .and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("40P01"), "{lost}");
        other.await.unwrap();
    }

    async fn purge_halfway(served: &Served<Postgres>, up_to_us: i64) -> Self::Held {
        let mut purge = served.outside.begin().await.unwrap();
        purge_up_to(&mut purge, up_to_us).await;
        purge
    }

    async fn taken_and_purged_halfway(
        served: &Served<Postgres>,
        id: &str,
        up_to_us: i64,
    ) -> Self::Held {
        let mut both = served.outside.begin().await.unwrap();
        let subscription = common::SUBSCRIPTION;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "INSERT INTO earnest_inbox (transaction_id, ordinal, subscription, created_us) \
             VALUES ('{id}'::UUID, 0, '{subscription}', {up_to_us})"
        )))
        .execute(&mut *both)
        .await
        .unwrap();
        purge_up_to(&mut both, up_to_us).await;
        both
    }

    async fn finish(held: Self::Held) {
        held.commit().await.unwrap();
    }

    async fn leave_savepoint(connection: &mut PgConnection) {
        std::mem::forget(connection.begin().await.unwrap());
    }

    async fn nest(connection: &mut PgConnection, order: i64, keep: bool) {
        let mut nested = connection.begin().await.unwrap();
        Self::insert_order(&mut nested, order).await.unwrap();
        let ended = if keep {
            nested.commit().await
        } else {
            nested.rollback().await
        };
        ended.unwrap();
    }

    async fn while_forgetful<F: Future<Output = ()>>(
        served: &Served<Postgres>,
        look: impl FnOnce(PgPool) -> F,
    ) {
        look(Self::pool_with(served, "SET synchronous_commit = off").await).await;
    }
}
