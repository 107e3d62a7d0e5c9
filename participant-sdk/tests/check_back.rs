//! What a check-back is answered: proof, or *unknown*.

mod common;

use std::time::Duration;

use earnest::{Timeouts, sqlite::Earnest, sqlx};
use earnest_proto::v1::CheckBackResult;

use common::{
    Database, TOPIC, check_back, check_back_about, coordinator::FakeCoordinator, insert_order,
    sender, service,
};

const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000001";

#[tokio::test]
async fn p5_committed_is_answered_for_what_committed() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let mut tx = earnest.begin().await.unwrap();
    tx.send(TOPIC, "", &1).unwrap();
    let id = tx.commit().await.unwrap().to_string();

    for _ in 0..2 {
        let answer = check_back(&earnest, check_back_about(&earnest, &id)).await;
        assert_eq!(answer.result(), CheckBackResult::Committed);
        assert_eq!(answer.transaction_id, id);
        assert_eq!(answer.detail, "");
    }
}

#[tokio::test]
async fn p5_rolled_back_is_answered_once_the_fence_is_in_the_way() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let rolled_back = earnest.begin().await.unwrap();
    let id = rolled_back.id().to_string();
    rolled_back.rollback().await.unwrap();
    assert_eq!(database.outcome(&id).await, None);

    for id in [id.as_str(), UNKNOWN_ID] {
        for _ in 0..2 {
            let answer = check_back(&earnest, check_back_about(&earnest, id)).await;
            assert_eq!(answer.result(), CheckBackResult::RolledBack);
            assert_eq!(answer.transaction_id, id);
            assert_eq!(database.outcome(id).await.as_deref(), Some("rolled_back"));
        }
    }
}

#[tokio::test]
async fn m4_an_open_transaction_is_in_progress_here_and_unknown_elsewhere() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let elsewhere = Earnest::service(common::SERVICE)
        .pool(database.another_pool(Duration::from_millis(1)).await)
        .connect(&coordinator.url)
        .await
        .unwrap();

    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    let id = tx.id().to_string();
    let here = check_back(&earnest, check_back_about(&earnest, &id)).await;
    assert_eq!(here.result(), CheckBackResult::InProgress);
    let there = check_back(&elsewhere, check_back_about(&elsewhere, &id)).await;
    assert_eq!(there.result(), CheckBackResult::Unspecified);
    assert!(there.detail.contains("did not answer"), "{}", there.detail);
    assert_eq!(there.transaction_id, id);

    // Neither question has hurt it.
    tx.commit().await.unwrap();
    assert_eq!(database.orders().await, 1);
    let there = check_back(&elsewhere, check_back_about(&elsewhere, &id)).await;
    assert_eq!(there.result(), CheckBackResult::Committed);
}

#[tokio::test]
async fn p6_a_database_that_is_too_slow_is_unknown() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let timeouts = Timeouts {
        fence: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let earnest = service(&database)
        .timeouts(timeouts)
        .connect(&coordinator.url)
        .await
        .unwrap();
    let blocker = database.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let answer = check_back(&earnest, check_back_about(&earnest, UNKNOWN_ID)).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    assert!(answer.detail.contains("in time"), "{}", answer.detail);
    blocker.rollback().await.unwrap();
}

#[tokio::test]
async fn p6_a_database_error_is_unknown() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    sqlx::query("DROP TABLE earnest_fence")
        .execute(&database.pool)
        .await
        .unwrap();
    let answer = check_back(&earnest, check_back_about(&earnest, UNKNOWN_ID)).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
}

#[tokio::test]
async fn m2_another_database_service_or_namespace_answers_unknown_and_fences_nothing() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let other = Database::create().await;
    let other = sender(&other, &coordinator).await;
    assert_ne!(earnest.resource_id(), other.resource_id());

    let right = check_back_about(&earnest, UNKNOWN_ID);
    let mut other_database = right.clone();
    other_database.resource_id = other.resource_id().to_owned();
    let mut unnamed_database = right.clone();
    unnamed_database.resource_id = String::new();
    let mut other_service = right.clone();
    other_service.service = "ledger".to_owned();
    let mut other_namespace = right.clone();
    other_namespace.namespace = "test".to_owned();
    for wrong in [
        other_database,
        unnamed_database,
        other_service,
        other_namespace,
    ] {
        let answer = check_back(&earnest, wrong).await;
        assert_eq!(answer.result(), CheckBackResult::Unspecified);
        assert_ne!(answer.detail, "");
        assert_eq!(answer.transaction_id, UNKNOWN_ID);
    }
    assert_eq!(database.outcome(UNKNOWN_ID).await, None);

    let answer = check_back(&earnest, right).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);
}

#[tokio::test]
async fn a_malformed_id_is_unknown() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let answer = check_back(&earnest, check_back_about(&earnest, "17")).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    assert_eq!(answer.transaction_id, "17");
}

#[tokio::test]
async fn m2_what_was_purged_is_not_taken_for_rolled_back() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .clock(common::YearsLater)
        .connect(&coordinator.url)
        .await
        .unwrap();
    let mut tx = earnest.begin().await.unwrap();
    tx.send(TOPIC, "", &1).unwrap();
    let id = tx.commit().await.unwrap().to_string();

    // Younger than asked for: it stays.
    assert_eq!(
        earnest
            .purge(Duration::from_secs(u64::from(u32::MAX)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(earnest.purge(Duration::from_hours(1)).await.unwrap(), 1);
    assert_eq!(database.outcome(&id).await, None);

    let answer = check_back(&earnest, check_back_about(&earnest, &id)).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    assert!(answer.detail.contains("older"), "{}", answer.detail);
    assert_eq!(database.outcome(&id).await, None);

    // What is younger than anything purged is still answered, whatever the clock says.
    let mut younger = check_back_about(&earnest, UNKNOWN_ID);
    younger.created_at_us += 1;
    let answer = check_back(&earnest, younger).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);
}
