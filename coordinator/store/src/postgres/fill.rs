//! Fills an empty database with finished history, for benchmarks and tests: as it would have come to be, but made by the
//! server itself, since millions of rows would take hours to come in by calls. Never part of a program that serves.

use earnest_protocol::Timestamp;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{PostgresStore, error::Context, range};
use crate::{History, StoreError};

/// Transactions of one statement.
const STEP: u64 = 50_000;

const FILL: &str = "WITH new AS MATERIALIZED (SELECT n, at, (lpad(to_hex(at / 1000), 12, '0') || '7' || left(md5(n::text), 3) || '8' \
     || substr(md5(n::text), 4, 15))::uuid AS id FROM (SELECT n, $1::bigint + (n::numeric * $2::bigint / $3::bigint)::bigint AS at \
     FROM generate_series($4::bigint, $5::bigint) n) t), \
     t AS (INSERT INTO transactions SELECT id, 1, 'default', 'bench-sender', '', '', decode('01', 'hex') || sha256(id::text::bytea), 1, '', \
     at, 10000000, 1, 1, 20, false, 3, NULL, 0, 0, 0, 0, at + 1000, 'initiator', at + 2000, NULL, 0, -1, 0, 2 FROM new), \
     m AS (INSERT INTO messages SELECT id, 0, 'bench.message', '', '', '', '', '', convert_to(repeat('x', $6::int), 'UTF8') FROM new), \
     d AS (INSERT INTO deliveries SELECT id, 0, 'bench-consumer', 1, 'default', 2, 1, NULL, at + 1000, at + 2000, NULL, NULL, NULL, \
     -1, 1 FROM new) SELECT count(*) FROM new";

impl PostgresStore {
    /// Fills it; `told` hears how many there are so far.
    pub async fn fill(&self, history: History, told: impl FnMut(u64)) -> Result<(), StoreError> {
        let context = "fill the history";
        let mut db = self.writers.connect().await.context(context)?;
        db.execute("SET statement_timeout = 0; SET synchronous_commit = off")
            .await
            .context(context)?;
        let now: i64 = sqlx::query_scalar(concat!("SELECT ", super::time::now!()))
            .bind(self.time.bind())
            .fetch_one(&mut db)
            .await
            .context(context)?;
        let since = Timestamp::from_micros(now).before(history.over).as_micros();
        make_ranges(&mut db, since, now, range::length(history.over)).await?;
        insert(&mut db, since, history, told).await?;
        // As the server would have tidied up long ago.
        db.execute("VACUUM (ANALYZE)").await.context(context)?;
        db.execute("CHECKPOINT").await.context(context)?;
        db.close().await.context(context)
    }
}

/// Inserts them, the first one at `since`, in microseconds.
pub(super) async fn insert(
    db: &mut PgConnection,
    since: i64,
    history: History,
    mut told: impl FnMut(u64),
) -> Result<(), StoreError> {
    let int = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut done = 0;
    while done < history.transactions {
        let next = (done + STEP).min(history.transactions);
        sqlx::query(FILL)
            .bind(since)
            .bind(i64::try_from(history.over.as_micros()).unwrap_or(i64::MAX))
            .bind(int(history.transactions))
            .bind(int(done))
            .bind(int(next - 1))
            .bind(i64::from(history.payload))
            .execute(&mut *db)
            .await
            .context("fill the history")?;
        done = next;
        told(done);
    }
    Ok(())
}

/// Ranges for the past, as if they had been made in time. The tables must be empty.
async fn make_ranges(
    db: &mut PgConnection,
    since: i64,
    now: i64,
    length: i64,
) -> Result<(), StoreError> {
    let context = "make ranges for the past";
    let oldest = range::Range {
        since: 0,
        until: since / 1_000,
    };
    let end = oldest.end();
    let bounds = range::TABLES.map(|(table, _, _)| {
        format!(
            "ALTER TABLE {table} DETACH PARTITION {table}_0; ALTER TABLE {table} DETACH PARTITION {table}_late; \
             ALTER TABLE {table} ATTACH PARTITION {table}_0 FOR VALUES FROM (MINVALUE) TO ('{end}'); \
             ALTER TABLE {table} ATTACH PARTITION {table}_late FOR VALUES FROM ('{end}') TO (MAXVALUE); "
        )
    });
    let sql = format!(
        "{}UPDATE id_ranges SET until = {}",
        bounds.concat(),
        oldest.until
    );
    db.execute(AssertSqlSafe(sql)).await.context(context)?;
    let mut until = oldest.until;
    while until < now / 1_000 {
        let mut transaction = db.begin().await.context(context)?;
        range::make(
            &mut transaction,
            Timestamp::from_micros(until * 1_000),
            length,
        )
        .await?;
        transaction.commit().await.context(context)?;
        until += length;
    }
    Ok(())
}
