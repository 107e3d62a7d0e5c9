//! The purge: steps, what is left behind in other tables, and the horizon.

use std::{sync::Arc, time::Duration};

use earnest_protocol::Timestamp;

use super::{apply, directory, open_with, prepared, subscribe};
use crate::{
    RetentionStore,
    conformance::{Subject, TestClock, cancel, whole_life},
    sqlite::{SqliteStore, meta},
};

const DAY: Duration = Duration::from_hours(24);

async fn rows(store: &SqliteStore, table: &'static str) -> i64 {
    let count = store.writer.look("test", move |db| {
        Ok(db
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap())
    });
    count.await.unwrap()
}

async fn horizon(store: &SqliteStore) -> Option<Timestamp> {
    store
        .writer
        .look("test", meta::purge_horizon)
        .await
        .unwrap()
}

#[tokio::test]
async fn steps_pass_over_what_is_unfinished() {
    let dir = directory();
    let clock = TestClock::default();
    let store = open_with(&dir.path().join("earnest.db"), &clock).unwrap();
    subscribe(&store).await;
    apply(&store, (1..=9).map(prepared).collect())
        .await
        .unwrap();
    // 3, 6 and 9 stay undecided.
    let cancelled = (1..=9).filter(|n| n % 3 != 0).map(cancel).collect();
    apply(&store, cancelled).await.unwrap();
    assert_eq!(store.purge(DAY, 4).await.unwrap().removed, 0);
    assert_eq!(
        horizon(&store).await,
        None,
        "nothing was purged, so nothing need be refused"
    );
    clock.advance(DAY * 2);
    let first = store.purge(DAY, 4).await.unwrap();
    assert_eq!((first.removed, first.more), (4, true));
    let second = store.purge(DAY, 4).await.unwrap();
    assert_eq!((second.removed, second.more), (2, false));
    assert_eq!(store.purge(DAY, 4).await.unwrap().removed, 0);
    assert_eq!(
        (
            rows(&store, "transactions").await,
            rows(&store, "messages").await
        ),
        (3, 3)
    );
    let at = horizon(&store).await;
    assert_eq!(at, Some(TestClock::START.after(DAY)));
    // What was passed over is not forgotten; and a longer retention doesn't bring the horizon back.
    apply(&store, vec![cancel(3)]).await.unwrap();
    clock.advance(DAY * 2);
    assert_eq!(
        store
            .purge(Duration::from_hours(47), 4)
            .await
            .unwrap()
            .removed,
        1
    );
    let later = horizon(&store).await;
    assert!(later > at);
    apply(&store, vec![cancel(6)]).await.unwrap();
    clock.advance(DAY * 9);
    assert_eq!(
        store
            .purge(Duration::from_hours(9 * 24 - 1), 4)
            .await
            .unwrap()
            .removed,
        1
    );
    assert_eq!(
        horizon(&store).await.max(later),
        horizon(&store).await,
        "never back"
    );
}

#[tokio::test]
async fn no_row_is_left_in_any_table() {
    let dir = directory();
    let clock = TestClock::default();
    let store = Arc::new(open_with(&dir.path().join("earnest.db"), &clock).unwrap());
    let subject = Subject::new(Arc::clone(&store) as _, clock, ());
    whole_life::lived(&subject).await;
    for table in whole_life::TABLES {
        assert!(
            rows(&store, table).await > 0,
            "{table} has nothing to be purged"
        );
    }
    whole_life::purged(&subject).await;
    for table in whole_life::TABLES {
        assert_eq!(rows(&store, table).await, 0, "{table}");
    }
}
