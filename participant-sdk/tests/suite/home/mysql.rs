//! MySQL and MariaDB.

use std::future::Future;

use earnest::sqlx::{
    self, AssertSqlSafe, Connection, MySql, MySqlConnection, MySqlPool, QueryBuilder, Row,
    Transaction,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};
use earnest_proto::v1::CheckBackResult;
use uuid::Uuid;

use super::{
    Cut, Home,
    proxy::{Fate, Proxy},
    server::{Served, Server, grants, until_waiting, user_of},
};
use crate::common;

/// Length, sequence number, COM_QUERY, text.
const COMMIT: &[u8] = b"\x07\0\0\0\x03COMMIT";

fn options(served: &Served<MySql>) -> MySqlConnectOptions {
    let options: MySqlConnectOptions = served.database.url().parse().unwrap();
    options
        .host(&served.proxy.address.ip().to_string())
        .port(served.proxy.address.port())
}

async fn number(pool: &MySqlPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

async fn purge_up_to(connection: &mut MySqlConnection, up_to_us: i64) {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "UPDATE earnest_resource SET horizon_us = {up_to_us} + 1;
         DELETE FROM earnest_fence WHERE created_us <= {up_to_us};
         DELETE FROM earnest_inbox WHERE created_us <= {up_to_us};"
    )))
    .execute(connection)
    .await
    .unwrap();
}

impl Home for MySql {
    type Fixture = Served<MySql>;

    const OPEN_ELSEWHERE: CheckBackResult = CheckBackResult::InProgress;

    async fn create() -> Served<MySql> {
        let database = earnest_harness::mariadb().await;
        let outside = MySqlPoolOptions::new()
            .max_connections(4)
            .connect(database.url())
            .await
            .unwrap();
        earnest::mysql::migrate(&outside).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL) ENGINE = InnoDB;
             CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL) ENGINE = InnoDB;",
        )
        .execute(&outside)
        .await
        .unwrap();
        let mut counters = QueryBuilder::<MySql>::new("INSERT INTO counter (id, n) ");
        counters.push_values(1..=40_i64, |mut row, id| {
            row.push_bind(id).push("0");
        });
        counters.build().execute(&outside).await.unwrap();
        let server: MySqlConnectOptions = database.url().parse().unwrap();
        let proxy = Proxy::start((server.get_host(), server.get_port()), COMMIT).await;
        Served {
            database,
            proxy,
            outside,
        }
    }

    async fn pool(served: &Served<MySql>) -> MySqlPool {
        Self::pool_with(served, Self::LEVELS[0]).await
    }

    async fn insert_order(connection: &mut MySqlConnection, id: i64) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO orders (id, amount) VALUES (?, 100)")
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn orders(served: &Served<MySql>) -> usize {
        let orders = number(&served.outside, "SELECT count(*) FROM orders").await;
        usize::try_from(orders).unwrap()
    }

    async fn outcome(served: &Served<MySql>, id: &str) -> Option<String> {
        sqlx::query_scalar("SELECT state FROM earnest_fence WHERE transaction_id = ?")
            .bind(id.parse::<Uuid>().unwrap())
            .fetch_optional(&served.outside)
            .await
            .unwrap()
    }

    async fn inbox_rows(served: &Served<MySql>) -> usize {
        let rows = number(&served.outside, "SELECT count(*) FROM earnest_inbox").await;
        usize::try_from(rows).unwrap()
    }

    async fn cut(_: &Served<MySql>, connection: &mut MySqlConnection, cut: Cut) {
        Self::mark(connection, cut.into()).await;
    }

    async fn lose(served: &Served<MySql>, connection: &mut MySqlConnection) {
        // What follows runs in another transaction.
        Self::deadlock(served, connection).await;
    }

    async fn mute(served: &Served<MySql>) {
        served.proxy.go_away();
    }

    async fn horizon_us(served: &Served<MySql>) -> i64 {
        number(&served.outside, "SELECT horizon_us FROM earnest_resource").await
    }

    async fn insert_old_outcomes(served: &Served<MySql>, count: i64) {
        let mut insert = QueryBuilder::<MySql>::new(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) ",
        );
        insert.push_values(1..=count, |mut row, at| {
            let id: Uuid = common::id_of_1973(at).parse().unwrap();
            row.push_bind(id).push("'outcome', '', 'committed'");
            row.push_bind(common::TIME_OF_1973_US + at);
        });
        insert.build().execute(&served.outside).await.unwrap();
    }
}

impl Server for MySql {
    const LEVELS: &'static [&'static str] = &[
        "SELECT 1",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ];

    const FORGETFUL: &'static str = "innodb_flush_log_at_trx_commit is 2";

    type Held = Transaction<'static, MySql>;

    async fn pool_with(served: &Served<MySql>, prepare: &'static str) -> MySqlPool {
        MySqlPoolOptions::new()
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

    async fn pool_of_granted_user(served: &Served<MySql>) -> MySqlPool {
        let user = user_of(served);
        let granted = grants(earnest::mysql::SCHEMA, &user);
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE USER {user}@'%' IDENTIFIED BY 'secret'; {granted} GRANT INSERT ON orders TO {user}@'%';"
        )))
        .execute(&served.outside)
        .await
        .unwrap();
        let options = options(served).username(&user).password("secret");
        MySqlPoolOptions::new().connect_with(options).await.unwrap()
    }

    async fn bare_pools(count: usize) -> Vec<MySqlPool> {
        let database = earnest_harness::mariadb().await;
        let pool = || {
            MySqlPoolOptions::new()
                .connect_lazy(database.url())
                .unwrap()
        };
        (0..count).map(|_| pool()).collect()
    }

    async fn resources(pool: &MySqlPool) -> i64 {
        number(pool, "SELECT count(*) FROM earnest_resource").await
    }

    async fn mark(connection: &mut MySqlConnection, fate: Fate) {
        sqlx::raw_sql(fate.mark())
            .execute(connection)
            .await
            .unwrap();
    }

    async fn kill(served: &Served<MySql>, connection: &mut MySqlConnection) {
        let session: i64 = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS SIGNED)")
            .fetch_one(connection)
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("KILL CONNECTION {session}")))
            .execute(&served.outside)
            .await
            .unwrap();
        loop {
            let there: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ?",
            )
            .bind(session)
            .fetch_one(&served.outside)
            .await
            .unwrap();
            if there == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn is_waiting(served: &Served<MySql>) -> bool {
        // Not information_schema.innodb_trx: the server shows an old copy of it to those who look often.
        let sessions: Vec<i64> = sqlx::query_scalar(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE()",
        )
        .fetch_all(&served.outside)
        .await
        .unwrap();
        let status = sqlx::raw_sql("SHOW ENGINE INNODB STATUS")
            .fetch_one(&served.outside)
            .await
            .unwrap();
        let status: &str = status.get("Status");
        let (_, transactions) = status.split_once("\nTRANSACTIONS\n").unwrap();
        transactions.split("\n---TRANSACTION").any(|transaction| {
            let session = |id| transaction.contains(&format!("thread id {id},"));
            transaction.contains("\nLOCK WAIT") && sessions.iter().any(session)
        })
    }

    async fn deadlock(served: &Served<MySql>, connection: &mut MySqlConnection) {
        // Who has written least loses.
        let mut other = served.outside.begin().await.unwrap();
        sqlx::raw_sql("UPDATE counter SET n = n + 1 WHERE id >= 2")
            .execute(&mut *other)
            .await
            .unwrap();
        sqlx::raw_sql("UPDATE counter SET n = n + 1 WHERE id = 1")
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
        assert!(lost.to_string().contains("Deadlock"), "{lost}");
        other.await.unwrap();
    }

    async fn purge_halfway(served: &Served<MySql>, up_to_us: i64) -> Self::Held {
        let mut purge = served.outside.begin().await.unwrap();
        purge_up_to(&mut purge, up_to_us).await;
        purge
    }

    async fn taken_and_purged_halfway(
        served: &Served<MySql>,
        id: &str,
        up_to_us: i64,
    ) -> Self::Held {
        let mut both = served.outside.begin().await.unwrap();
        let subscription = common::SUBSCRIPTION;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "INSERT INTO earnest_inbox (transaction_id, ordinal, subscription, created_us) \
             VALUES (UNHEX(REPLACE('{id}', '-', '')), 0, '{subscription}', {up_to_us})"
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

    async fn leave_savepoint(connection: &mut MySqlConnection) {
        std::mem::forget(connection.begin().await.unwrap());
    }

    async fn nest(connection: &mut MySqlConnection, order: i64, keep: bool) {
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
        served: &Served<MySql>,
        look: impl FnOnce(MySqlPool) -> F,
    ) {
        // The server has it for all or for nobody; nobody else's test asks for it.
        let set = async |level: &'static str| {
            let statement = format!("SET GLOBAL innodb_flush_log_at_trx_commit = {level}");
            let set = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&served.outside);
            set.await.unwrap();
        };
        set("2").await;
        look(Self::pool(served).await).await;
        set("1").await;
    }
}
