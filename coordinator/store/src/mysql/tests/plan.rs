//! Every statement on the way of a message seeks in its index, whatever the history. The server counts the rows that are read
//! of each table, however they were found (MariaDB's `userstat`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use earnest_protocol::Phase;
use sqlx::{Connection, MySqlConnection};

use crate::{
    Clock, Endpoint, EndpointProtocol, History, MySqlOptions, MySqlStore, ServiceRow, Store,
    TransactionFilter,
    conformance::{Subject, TestClock, name},
    round::{self, round},
};

const WEEK: Duration = Duration::from_hours(24 * 7);
const HISTORY: u64 = 20_000;
/// The tables that grow.
const TABLES: [&str; 5] = [
    "transactions",
    "messages",
    "deliveries",
    "branches",
    "branch_contents",
];

type Counters = BTreeMap<String, i64>;

/// Rows read of each table so far.
async fn counters(db: &mut MySqlConnection) -> Counters {
    let sql = "SELECT CAST(table_name AS CHAR), CAST(rows_read AS SIGNED) FROM information_schema.table_statistics \
         WHERE table_schema = DATABASE()";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .fetch_all(db)
        .await
        .expect("it is counted");
    rows.into_iter().collect()
}

/// A few thousand rows of no table were read, where a scan would read each of the history.
fn check(case: &str, before: &Counters, after: &Counters) {
    for table in TABLES {
        let of = |counters: &Counters| counters.get(table).copied().unwrap_or(0);
        let read = of(after) - of(before);
        assert!(read <= 2_000, "{case}: {read} rows of {table} were read");
    }
}

/// What is done now and then, and what people look at.
async fn aside(s: &Subject) {
    let is_fine = "it runs";
    for called in ["account", "cashier"] {
        let service = ServiceRow {
            namespace: name("default"),
            name: name(called),
            endpoints: vec![Endpoint {
                url: "http://127.0.0.1:7001".into(),
                protocol: EndpointProtocol::Http,
                resource_id: String::new(),
            }],
            updated_at: s.clock.now(),
        };
        s.store.put_service(service, false).await.expect(is_fine);
    }
    let filters = [
        TransactionFilter {
            phases: vec![Phase::Prepared],
            ..TransactionFilter::default()
        },
        TransactionFilter {
            business_key: Some("order-1".into()),
            ..TransactionFilter::default()
        },
        TransactionFilter {
            parked: true,
            ..TransactionFilter::default()
        },
        TransactionFilter::default(),
    ];
    for filter in filters {
        let page = s.store.transactions(&filter, None, 20).await;
        let id = page.expect(is_fine).rows.first().map(|row| row.id);
        if let Some(id) = id {
            s.store.detail(id).await.expect(is_fine);
        }
    }
    s.store.backlog().await.expect(is_fine);
    s.store.branch_backlog().await.expect(is_fine);
    s.store.unfinished().await.expect(is_fine);
    s.store.purge(WEEK * 2, 100).await.expect(is_fine);
    let node = s.node().await;
    s.store.resign(node).await.expect(is_fine);
    let namespace = name("default");
    let ordered = name("ordered");
    s.store
        .pause_subscription(&namespace, &ordered, true)
        .await
        .expect(is_fine);
    s.store
        .delete_subscription(&namespace, &ordered)
        .await
        .expect(is_fine);
}

#[tokio::test]
async fn work_is_found_by_seeking_whatever_the_history() {
    let database = earnest_harness::mariadb().await;
    let clock = TestClock::default();
    let options = MySqlOptions::new(database.url());
    let store = MySqlStore::open_at(options, Arc::new(clock.clone())).await;
    let store = Arc::new(store.expect("the store opens"));
    let s = Subject::new(Arc::clone(&store) as Arc<dyn Store>, clock.clone(), ());
    round::subscribe(&s).await;
    let mut db = MySqlConnection::connect(database.url())
        .await
        .expect("it connects");
    sqlx::raw_sql("SET GLOBAL userstat = 1")
        .execute(&mut db)
        .await
        .expect("it counts");

    let empty = counters(&mut db).await;
    round(&s, 0).await;
    let alone = counters(&mut db).await;
    for table in TABLES {
        let read = alone[table] - empty.get(table).copied().unwrap_or(0);
        assert!(read >= 20, "{read} rows of {table}: they are not counted");
    }
    let history = History {
        transactions: HISTORY,
        payload: 10,
        over: WEEK,
    };
    store.fill(history, |_| ()).await.expect("it is filled");
    let before = counters(&mut db).await;
    round(&s, 1).await;
    round(&s, 2).await;
    let worked = counters(&mut db).await;
    check("work", &before, &worked);
    aside(&s).await;
    check("aside", &worked, &counters(&mut db).await);
}
