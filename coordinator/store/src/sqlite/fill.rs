//! Fills an empty file with finished history, for benchmarks: by the database itself, since millions of rows would take hours
//! to come in by calls. Never part of a program that serves.

use earnest_protocol::Timestamp;
use rusqlite::{Connection, params};

use super::{SqliteStore, error::Context};
use crate::{History, StoreError};

/// Transactions of one database transaction.
const STEP: u64 = 50_000;

/// Ids begin with their time, in milliseconds, like all others.
const TRANSACTIONS: &str = "WITH RECURSIVE n (n) AS (SELECT ?4 UNION ALL SELECT n + 1 FROM n WHERE n < ?5), \
     t (at) AS (SELECT CAST(?1 + n * (1.0 * ?2 / ?3) AS INTEGER) FROM n) \
     INSERT INTO transactions SELECT unhex(printf('%012x7', at / 1000) || substr(hex(randomblob(2)), 2) || '8' \
     || substr(hex(randomblob(8)), 2)), 1, 'default', 'bench-sender', '', '', unhex('01' || hex(randomblob(32))), 1, '', at, \
     10000000, 1, 1, 20, 0, 3, NULL, 0, 0, 0, 0, at + 1000, 'initiator', at + 2000, NULL, 0, NULL, 0, 2, 0, 0 FROM t";
const MESSAGES: &str = "INSERT INTO messages SELECT id, 0, 'bench.message', '', '', '', '', '', zeroblob(?2) \
     FROM transactions WHERE rowid > ?1 ORDER BY rowid";
const DELIVERIES: &str = "INSERT INTO deliveries SELECT id, 0, 'bench-consumer', 1, 'default', 2, 1, NULL, created_at + 1000, \
     created_at + 2000, NULL, NULL, NULL, NULL, 1 FROM transactions WHERE rowid > ?1 ORDER BY rowid";

impl SqliteStore {
    /// Fills it; `told` hears how many there are so far.
    pub async fn fill(
        &self,
        history: History,
        mut told: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        let mut done = 0;
        while done < history.transactions {
            let next = (done + STEP).min(history.transactions);
            let step = move |db: &Connection, now| insert(db, now, history, done, next);
            self.writer.run("fill the history", step).await?;
            done = next;
            told(done);
        }
        Ok(())
    }
}

fn insert(
    db: &Connection,
    now: Timestamp,
    history: History,
    done: u64,
    next: u64,
) -> Result<(), StoreError> {
    let context = "fill the history";
    let int = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let since = now.before(history.over).as_micros();
    let over = i64::try_from(history.over.as_micros()).unwrap_or(i64::MAX);
    let all = int(history.transactions);
    let last: i64 = db
        .query_row(
            "SELECT coalesce(max(rowid), 0) FROM transactions",
            [],
            |row| row.get(0),
        )
        .context(context)?;
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut statement = db.prepare_cached(sql).context(context)?;
        statement.execute(values).context(context).map(drop)
    };
    run(
        TRANSACTIONS,
        params![since, over, all, int(done), int(next - 1)],
    )?;
    run(MESSAGES, params![last, history.payload])?;
    run(DELIVERIES, params![last])
}
