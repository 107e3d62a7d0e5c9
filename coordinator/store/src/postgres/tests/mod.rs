//! What only PostgreSQL can get wrong: ranges of history, plans, migrations. Behaviour is the conformance suite's.

mod migrate;
mod plan;
mod ranges;

use std::{sync::Arc, time::Duration};

use earnest_harness::Database;
use earnest_protocol::{Timestamp, TransactionId};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{PostgresOptions, PostgresStore, range::Range};
use crate::{
    Clock, Store,
    conformance::{Subject, TestClock},
};

const HOUR: Duration = Duration::from_hours(1);
/// Makes ranges of an hour.
const RETENTION: Duration = Duration::from_hours(8);

async fn open(database: &Database, clock: &TestClock) -> Arc<PostgresStore> {
    let options = PostgresOptions::new(database.url());
    let store = PostgresStore::open_at(options, Arc::new(clock.clone())).await;
    Arc::new(store.expect("the store opens"))
}

/// A look from outside.
async fn session(database: &Database) -> PgConnection {
    let mut db = PgConnection::connect(database.url())
        .await
        .expect("it connects");
    sqlx::query("SET search_path = earnest")
        .execute(&mut db)
        .await
        .expect("the schema is there");
    db
}

/// A database at the end of the time for which it had no ranges.
struct Ranged {
    database: Database,
    store: Arc<PostgresStore>,
    s: Subject,
    db: PgConnection,
}

impl Ranged {
    async fn new() -> Self {
        let database = earnest_harness::postgres().await;
        let clock = TestClock::default();
        let store = open(&database, &clock).await;
        let mut db = session(&database).await;
        let begin: i64 = sqlx::query_scalar("SELECT until FROM id_ranges")
            .fetch_one(&mut db)
            .await
            .expect("there is one");
        let from_start = begin * 1_000 - TestClock::START.as_micros();
        clock.advance(Duration::from_micros(from_start.unsigned_abs()));
        let s = Subject::new(Arc::clone(&store) as Arc<dyn Store>, clock, ());
        let ranged = Self {
            database,
            store,
            s,
            db,
        };
        ranged.purge().await;
        ranged
    }

    fn now(&self) -> Timestamp {
        self.s.clock.now()
    }

    /// How many transactions went.
    async fn purge(&self) -> usize {
        let report = self.s.store.purge(RETENTION, 100).await;
        report.expect("the purge runs").removed
    }

    async fn ranges(&mut self) -> Vec<Range> {
        let ranges = super::range::ranges(&mut self.db).await;
        ranges.expect("they are listed")
    }

    /// Whether the tables of `range` are there: all of them, or none.
    async fn is_there(&mut self, range: Range) -> bool {
        let tables = super::range::TABLES.map(|(table, _, _)| table);
        let mut there = Vec::new();
        for table in tables {
            let sql = "SELECT count(*) FROM pg_class WHERE relname = $1 AND relkind = 'r'";
            let count: i64 = sqlx::query_scalar(sql)
                .bind(format!("{table}_{}", range.since))
                .fetch_one(&mut self.db)
                .await
                .expect("the catalogue is read");
            there.push(count == 1);
        }
        assert!(
            there.iter().all(|one| *one == there[0]),
            "{range:?}: {there:?}"
        );
        there[0]
    }

    /// The table that a transaction's row is in.
    async fn table_of(&mut self, id: TransactionId) -> String {
        let sql = format!("SELECT tableoid::regclass::text FROM transactions WHERE id = '{id}'");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.db)
            .await
            .expect("it is there")
    }
}
