//! What a consumer promises: the effect of a delivery happens once, and *OK* means committed.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use std::time::Duration;

use earnest::{
    Error, HandlerError, reject,
    sqlite::{Earnest, Tx},
    sqlx,
};
use earnest_proto::v1::{DeliverResult, Phase};
use tokio::sync::Notify;
use tonic::Code;

use common::{
    Database, TOPIC,
    coordinator::{Call, FakeCoordinator, Mishap, refusal},
    deliver, deliver_one, delivered, insert_order, service, try_insert_order,
};

const ID: &str = "01890000-0000-7000-8000-000000000001";
const OTHER_ID: &str = "01890000-0000-7000-8000-000000000002";

/// A consumer that inserts the order whose number is the payload, and counts its runs.
async fn consumer(database: &Database, coordinator: &FakeCoordinator) -> (Earnest, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let earnest = service(database)
        .on(TOPIC, move |mut tx, order: i64| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                insert_order(&mut tx, order).await;
                Ok(())
            }
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    (earnest, runs)
}

#[tokio::test]
async fn p8_a_message_that_comes_again_has_its_effect_once() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let (earnest, runs) = consumer(&database, &coordinator).await;
    for attempt in 1..4 {
        let mut message = delivered(ID, "1");
        message.attempt = attempt;
        let (result, answer) = deliver_one(&earnest, message).await;
        assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
        assert_eq!(answer.transaction_id, ID);
        assert_eq!(answer.subscription, "orders-to-cashier");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(database.orders().await, 1);
    assert_eq!(coordinator.call_names(), [""; 0]);
}

#[tokio::test]
async fn p8_another_ordinal_or_subscription_is_another_delivery() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let (earnest, _) = consumer(&database, &coordinator).await;
    let first = delivered(ID, "1");
    let mut second = delivered(ID, "2");
    second.ordinal = 1;
    let mut third = delivered(ID, "3");
    third.subscription = "another".to_owned();
    // One of them twice in the same call.
    let answers = deliver(&earnest, vec![first.clone(), second, third, first]).await;
    assert_eq!(answers.len(), 4);
    assert!(
        answers
            .iter()
            .all(|answer| answer.result() == DeliverResult::Ok)
    );
    assert_eq!(database.orders().await, 3);
    assert_eq!(database.inbox_rows().await, 3);
}

#[tokio::test]
async fn p8_the_same_message_at_the_same_time_has_its_effect_once() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let (earnest, runs) = consumer(&database, &coordinator).await;
    let calls = (0..8).map(|_| deliver_one(&earnest, delivered(ID, "1")));
    for (result, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_rolls_back_and_the_message_comes_again() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let failing = Arc::new(AtomicU32::new(1));
    let earnest = service(&database)
        .on(TOPIC, move |mut tx, order: i64| {
            let fails = failing.fetch_sub(1, Ordering::SeqCst) == 1;
            async move {
                insert_order(&mut tx, order).await;
                if fails {
                    try_insert_order(&mut tx, order).await?;
                }
                failing_is_spent(fails)
            }
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert!(answer.detail.contains("UNIQUE"), "{}", answer.detail);
    assert_eq!(
        (database.orders().await, database.inbox_rows().await),
        (0, 0)
    );

    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok);
    assert_eq!(database.orders().await, 1);
}

fn failing_is_spent(fails: bool) -> Result<(), HandlerError> {
    if fails {
        return Err(HandlerError::retry("the insert should have failed"));
    }
    Ok(())
}

#[tokio::test]
async fn a_rejected_or_unreadable_message_is_parked_and_leaves_nothing() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |mut tx, order: i64| async move {
            insert_order(&mut tx, order).await;
            reject("no such customer")
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Failed);
    assert_eq!(answer.detail, "no such customer");

    let (result, answer) = deliver_one(&earnest, delivered(ID, "{not json")).await;
    assert_eq!(result, DeliverResult::Failed);
    assert!(answer.detail.contains(TOPIC), "{}", answer.detail);

    let endless = format!("\"{}\"", "é".repeat(5_000));
    let (result, answer) = deliver_one(&earnest, delivered(ID, &endless)).await;
    assert_eq!(result, DeliverResult::Failed);
    assert!(answer.detail.len() <= 1_024, "{}", answer.detail);

    let mut zipped = delivered(ID, "1");
    zipped.message.as_mut().unwrap().content_encoding = "gzip".to_owned();
    let (result, answer) = deliver_one(&earnest, zipped).await;
    assert_eq!(result, DeliverResult::Failed);
    assert!(answer.detail.contains("gzip"), "{}", answer.detail);
    assert_eq!(
        (database.orders().await, database.inbox_rows().await),
        (0, 0)
    );
}

#[tokio::test]
async fn p6_what_nobody_here_understands_is_unknown() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let (earnest, runs) = consumer(&database, &coordinator).await;
    let mut other_topic = delivered(ID, "1");
    other_topic.message.as_mut().unwrap().topic = "order.shipped".to_owned();
    let mut other_namespace = delivered(ID, "1");
    other_namespace.namespace = "test".to_owned();
    let mut empty = delivered(ID, "1");
    empty.message = None;
    let malformed = delivered("17", "1");
    let answers = deliver(
        &earnest,
        vec![other_topic, other_namespace, empty, malformed],
    )
    .await;
    assert_eq!(answers.len(), 4);
    for answer in answers {
        assert_eq!(answer.result(), DeliverResult::Unspecified);
        assert_ne!(answer.detail, "");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_or_an_error_takes_only_its_own_message() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |mut tx, order: i64| async move {
            assert_ne!(order, 1, "the handler's own mistake");
            insert_order(&mut tx, order).await;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let answers = deliver(&earnest, vec![delivered(ID, "1"), delivered(OTHER_ID, "2")]).await;
    let result = |id: &str| {
        let answer = answers.iter().find(|answer| answer.transaction_id == id);
        answer.unwrap().result()
    };
    assert_eq!(result(ID), DeliverResult::Unspecified);
    assert_eq!(result(OTHER_ID), DeliverResult::Ok);
    assert_eq!(database.orders().await, 1);
}

#[tokio::test]
async fn a_handler_can_neither_commit_nor_roll_back() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |mut tx: Tx, order: i64| async move {
            insert_order(&mut tx, order).await;
            let refused = if order == 1 {
                tx.commit().await.map(|_| ())
            } else {
                tx.rollback().await
            };
            assert!(matches!(refused, Err(Error::LentTransaction)));
            refused?;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    for order in ["1", "2"] {
        let (result, answer) = deliver_one(&earnest, delivered(ID, order)).await;
        assert_eq!(result, DeliverResult::Unspecified);
        assert!(answer.detail.contains("return Ok(())"), "{}", answer.detail);
    }
    assert_eq!(
        (database.orders().await, database.inbox_rows().await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_transaction_that_does_not_come_back_is_never_committed() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let earnest = service(&database)
        .on(TOPIC, move |mut tx: Tx, order: i64| {
            let released = Arc::clone(&released);
            async move {
                insert_order(&mut tx, order).await;
                tokio::spawn(async move {
                    released.notified().await;
                    drop(tx);
                });
                Ok(())
            }
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert!(answer.detail.contains("still in use"), "{}", answer.detail);
    release.notify_one();
    // Waits for the lock that the runaway held.
    earnest.begin().await.unwrap().rollback().await.unwrap();
    assert_eq!(
        (database.orders().await, database.inbox_rows().await),
        (0, 0)
    );
}

#[tokio::test]
async fn m1_a_handler_that_loses_its_local_transaction_is_not_acknowledged() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |mut tx: Tx, order: i64| async move {
            sqlx::raw_sql("ROLLBACK; BEGIN IMMEDIATE")
                .execute(&mut *tx)
                .await?;
            insert_order(&mut tx, order).await;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert!(answer.detail.contains("was lost"), "{}", answer.detail);
    assert_eq!(database.orders().await, 0);
}

#[tokio::test]
async fn a_commit_that_fails_is_unknown_and_cancels_nothing() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    sqlx::raw_sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let earnest = service(&database)
        .on(TOPIC, |mut tx: Tx, parent: i64| async move {
            sqlx::query("INSERT INTO child VALUES (?1)")
                .bind(parent)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert_eq!(database.inbox_rows().await, 0);
    assert_eq!(coordinator.call_names(), [""; 0]);
}

#[tokio::test]
async fn p8_a_handlers_own_messages_leave_with_its_commit() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |mut tx: Tx, order: i64| async move {
            insert_order(&mut tx, order).await;
            tx.send("order.booked", order, &order)?;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    // Refused: nothing happened, and the message comes again.
    let no = refusal(Code::FailedPrecondition, "NO_SUBSCRIPTION", false);
    coordinator.mishap("Prepare", Mishap::Refused(no));
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert!(answer.detail.contains("do otherwise"), "{}", answer.detail);
    assert_eq!(
        (database.orders().await, database.inbox_rows().await),
        (0, 0)
    );

    for _ in 0..2 {
        let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
        assert_eq!(result, DeliverResult::Ok);
    }
    assert_eq!(coordinator.call_names(), ["Prepare", "Prepare", "Confirm"]);
    let Call::Prepare(prepare) = &coordinator.calls()[1] else {
        unreachable!("asserted above")
    };
    assert_ne!(prepare.id, ID);
    assert_eq!(
        database.outcome(&prepare.id).await.as_deref(),
        Some("committed")
    );
    assert_eq!(coordinator.phase(&prepare.id), Some(Phase::Confirmed));
    // The trace of the message goes on.
    assert!(
        prepare
            .traceparent
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    );
    assert!(!prepare.traceparent.contains("00f067aa0ba902b7"));
}

#[tokio::test]
async fn k2_what_was_purged_is_not_run_again() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let earnest = service(&database)
        .clock(common::YearsLater)
        .on(TOPIC, move |_tx: Tx, _order: i64| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { Ok(()) }
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok);
    assert_eq!(earnest.purge(Duration::from_hours(1)).await.unwrap(), 1);

    // The same one, and an older one that never came: nobody can tell them apart any more.
    let mut older = delivered(OTHER_ID, "2");
    older.created_at_us -= 1;
    for message in [delivered(ID, "1"), older] {
        let (result, answer) = deliver_one(&earnest, message).await;
        assert_eq!(result, DeliverResult::Failed);
        assert!(answer.detail.contains("older"), "{}", answer.detail);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(database.inbox_rows().await, 0);

    let mut younger = delivered(OTHER_ID, "2");
    younger.created_at_us += 1;
    let (result, _) = deliver_one(&earnest, younger).await;
    assert_eq!(result, DeliverResult::Ok);
}
