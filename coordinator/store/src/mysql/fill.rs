//! Fills an empty database with finished history, for benchmarks and tests: as it would have come to be, but made by the
//! server itself, since millions of rows would take hours to come in by calls. Never part of a program that serves.

use earnest_protocol::Timestamp;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::{MySqlStore, error::Context, time::now};
use crate::{History, StoreError};

/// Transactions of one statement: four digits.
const STEP: u64 = 10_000;

/// The first of a step, and how many it has; then the time of the first of all, the time of all, and how many they are. Ids
/// begin with their time, in milliseconds, like all others.
const NEW: &str = "WITH digit AS (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
     UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9), \
     number AS (SELECT ? + a.n + b.n * 10 + c.n * 100 + d.n * 1000 AS n FROM digit a, digit b, digit c, digit d \
     WHERE a.n + b.n * 10 + c.n * 100 + d.n * 1000 < ?), \
     timed AS (SELECT n, ? + CAST(CAST(n AS DECIMAL(38)) * ? / ? AS SIGNED) AS at FROM number), \
     new AS (SELECT UNHEX(CONCAT(LPAD(HEX(at DIV 1000), 12, '0'), '7', LEFT(MD5(n), 3), '8', SUBSTR(MD5(n), 4, 15))) AS id, at FROM timed) ";
const TRANSACTIONS: [&str; 2] = [
    "INSERT INTO transactions ",
    "SELECT id, 1, 'default', 'bench-sender', '', '', CONCAT(UNHEX('01'), UNHEX(SHA2(id, 256))), 1, '', at, 10000000, 1, 1, 20, 0, \
     3, NULL, 0, 0, 0, 0, at + 1000, 'initiator', at + 2000, NULL, 0, -1, 0, 2, 0, 0 FROM new ORDER BY id",
];
const MESSAGES: [&str; 2] = [
    "INSERT INTO messages ",
    "SELECT id, 0, 'bench.message', '', '', '', '', '', REPEAT('x', ?) FROM new ORDER BY id",
];
const DELIVERIES: [&str; 2] = [
    "INSERT INTO deliveries ",
    "SELECT id, 0, 'bench-consumer', 1, 'default', 2, 1, NULL, at + 1000, at + 2000, NULL, NULL, NULL, NULL, -1, 1 FROM new ORDER BY id",
];

impl MySqlStore {
    /// Fills it; `told` hears how many there are so far.
    pub async fn fill(
        &self,
        history: History,
        mut told: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        let context = "fill the history";
        let mut db = self.writers.connect().await.context(context)?;
        let now: i64 = sqlx::query_scalar(concat!("SELECT ", now!()))
            .bind(self.time.bind())
            .fetch_one(&mut db)
            .await
            .context(context)?;
        let since = Timestamp::from_micros(now).before(history.over);
        let mut done = 0;
        while done < history.transactions {
            let next = (done + STEP).min(history.transactions);
            insert(&mut db, since, history, done, next).await?;
            done = next;
            told(done);
        }
        // As the server would have found out long ago.
        sqlx::raw_sql("ANALYZE TABLE transactions, messages, deliveries")
            .execute(&mut db)
            .await
            .context(context)?;
        db.close().await.context(context)
    }
}

async fn insert(
    db: &mut MySqlConnection,
    since: Timestamp,
    history: History,
    done: u64,
    next: u64,
) -> Result<(), StoreError> {
    let context = "fill the history";
    let int = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let over = i64::try_from(history.over.as_micros()).unwrap_or(i64::MAX);
    let mut transaction = db.begin().await.context(context)?;
    for [into, select] in [TRANSACTIONS, MESSAGES, DELIVERIES] {
        let sql = AssertSqlSafe([into, NEW, select].concat());
        let mut query = sqlx::query(sql)
            .bind(int(done))
            .bind(int(next - done))
            .bind(since.as_micros())
            .bind(over)
            .bind(int(history.transactions));
        if select.contains('?') {
            query = query.bind(i64::from(history.payload));
        }
        query.execute(&mut *transaction).await.context(context)?;
    }
    transaction.commit().await.context(context)
}
