//! The outcome of a local transaction: lost, refused, unanswered, or barred by the fence.

mod common;

use std::time::Duration;

use earnest::{
    Chance, Clock, Error, Timeouts,
    sqlite::Tx,
    sqlx::{self, Connection},
};
use earnest_proto::v1::{CheckBackResult, Phase};

use common::{
    Database, check_back, check_back_about, coordinator::FakeCoordinator, insert_order, placed,
    sender, service,
};

/// Prepares the ground for [`insert_orphan`].
async fn refuse_at_commit(database: &Database) {
    sqlx::raw_sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .execute(&database.pool)
    .await
    .unwrap();
}

/// Found out at COMMIT only, which then fails and leaves the transaction open.
async fn insert_orphan(tx: &mut Tx) {
    sqlx::query("INSERT INTO child VALUES (42)")
        .execute(&mut **tx)
        .await
        .unwrap();
}

#[tokio::test]
async fn r4_a_commit_that_the_database_refuses_is_fenced_and_cancelled() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    refuse_at_commit(&database).await;

    let mut tx = placed(&earnest).await;
    insert_orphan(&mut tx).await;
    let id = tx.id().to_string();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");

    coordinator.called("Cancel").await;
    assert_eq!(database.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(database.orders().await, 0);
    // The connection that was left in a transaction did not go back to the pool.
    for _ in 0..8 {
        earnest.begin().await.unwrap().rollback().await.unwrap();
    }
}

#[tokio::test]
async fn r4_a_commit_that_happened_although_it_was_not_answered_is_confirmed() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;

    let mut tx = placed(&earnest).await;
    // Stands for a COMMIT whose answer was lost: the SDK's own is then answered with an error.
    sqlx::raw_sql("COMMIT").execute(&mut *tx).await.unwrap();
    let id = tx.commit().await.unwrap().to_string();

    assert_eq!(coordinator.phase(&id), Some(Phase::Confirmed));
    assert_eq!(database.orders().await, 1);
}

#[tokio::test]
async fn r4_an_outcome_that_cannot_be_learnt_is_said_to_be_unknown_and_nothing_is_told() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    refuse_at_commit(&database).await;
    // Keeps the fence from answering.
    sqlx::raw_sql(
        "CREATE TRIGGER mute BEFORE INSERT ON earnest_fence WHEN new.state = 'rolled_back' \
         BEGIN SELECT raise(ABORT, 'mute'); END",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let timeouts = Timeouts {
        fence: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let earnest = service(&database)
        .timeouts(timeouts)
        .connect(&coordinator.url)
        .await
        .unwrap();

    let mut tx = placed(&earnest).await;
    insert_orphan(&mut tx).await;
    let id = tx.id();
    let error = tx.commit().await.unwrap_err();
    assert!(
        matches!(error, Error::OutcomeUnknown(unknown) if unknown == id),
        "{error:?}"
    );
    assert!(!error.is_retryable());
    assert_eq!(coordinator.call_names(), ["Prepare"]);

    // The check-back settles it once the fence can answer.
    let about = check_back_about(&earnest, &id.to_string());
    let answer = check_back(&earnest, about.clone()).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    sqlx::raw_sql("DROP TRIGGER mute")
        .execute(&database.pool)
        .await
        .unwrap();
    let answer = check_back(&earnest, about).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);
    assert_eq!(database.orders().await, 0);
}

#[tokio::test]
async fn m1_a_local_transaction_that_was_lost_before_commit_does_not_confirm() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    // As a deadlock does it: everything so far is gone, and what follows runs in another transaction.
    sqlx::raw_sql("ROLLBACK; BEGIN IMMEDIATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    insert_order(&mut tx, 2).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::FenceLost { .. }), "{error:?}");

    coordinator.called("Cancel").await;
    assert_eq!(coordinator.call_names(), ["Prepare", "Cancel"]);
    assert_eq!(coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(database.orders().await, 0);
}

#[tokio::test]
async fn m1_a_savepoint_that_was_left_open_does_not_pass_for_a_commit() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;

    let mut tx = placed(&earnest).await;
    let savepoint = tx.begin().await.unwrap();
    std::mem::forget(savepoint);
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::FenceLost { .. }), "{error:?}");
    assert_eq!(database.orders().await, 0);
    assert_eq!(coordinator.call_names(), [""; 0]);

    // A savepoint that was ended is no obstacle.
    let mut tx = placed(&earnest).await;
    let savepoint = tx.begin().await.unwrap();
    savepoint.rollback().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(database.orders().await, 1);
}

/// The same bytes and the same time for ever: two processes that make the same ids.
struct Repeating;

impl Chance for Repeating {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Clock for Repeating {
    fn unix_micros(&self) -> i64 {
        common::coordinator::CREATED_AT_US
    }
}

#[tokio::test]
async fn m4_after_rolled_back_was_answered_the_transaction_cannot_commit_any_more() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let connect = async || {
        service(&database)
            .clock(Repeating)
            .chance(Repeating)
            .connect(&coordinator.url)
            .await
            .unwrap()
    };
    let (first, second) = (connect().await, connect().await);
    // The first instance dies before its COMMIT.
    let tx = placed(&first).await;
    let id = tx.id().to_string();
    tx.rollback().await.unwrap();

    let answer = check_back(&second, check_back_about(&second, &id)).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);

    // The same transaction once more, too late: the fence keeps it out.
    let error = first.begin().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    let again = check_back(&second, check_back_about(&second, &id)).await;
    assert_eq!(again.result(), CheckBackResult::RolledBack);
}
