//! What a sender promises: prepare before COMMIT, confirm after it, and nothing told that was not seen.

mod common;

use std::{sync::Arc, time::Duration};

use earnest::{
    Chance, Clock, Error, Message, Reason, Timeouts,
    sqlite::{Earnest, Tx},
    sqlx::{self, Connection},
};
use earnest_proto::v1::{CheckBackResult, Outcome, Phase};
use tokio::sync::Mutex;
use tonic::Code;

use common::{
    Database, TOPIC, check_back, check_back_about,
    coordinator::{Call, FakeCoordinator, Mishap, refusal},
    insert_order, sender, service,
};

/// Begins, inserts order 1, and collects one message.
async fn placed(earnest: &Earnest) -> Tx {
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    tx.send(TOPIC, 1, &"order 1").unwrap();
    tx
}

#[tokio::test]
async fn p3_prepare_comes_before_commit_and_confirm_after_it() {
    let database = Database::create().await;
    let outside = database.another_pool(Duration::from_secs(5)).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let coordinator = FakeCoordinator::start_watched(Some(Box::new(move |call| {
        let (name, outside, note) = (call.name(), outside.clone(), Arc::clone(&note));
        Box::pin(async move {
            let visible = common::orders(&outside).await;
            note.lock().await.push((name, visible));
        })
    })))
    .await;
    let earnest = service(&database)
        .namespace("shop")
        .check_after(Duration::from_secs(3))
        .connect(&coordinator.url)
        .await
        .unwrap();

    let mut tx = placed(&earnest).await;
    tx.business_key("order-1").unwrap();
    tx.traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .unwrap();
    tx.send_message(
        Message::bytes("raw", "bytes")
            .key(7)
            .header("tenant", "blue"),
    )
    .unwrap();
    let id = tx.commit().await.unwrap().to_string();

    assert_eq!(*seen.lock().await, [("Prepare", 0), ("Confirm", 1)]);
    assert_eq!(database.outcome(&id).await.as_deref(), Some("committed"));
    let calls = coordinator.calls();
    let Call::Prepare(prepare) = &calls[0] else {
        panic!("{calls:?}")
    };
    assert_eq!(prepare.id, id);
    assert_eq!(prepare.namespace, "shop");
    assert_eq!(prepare.initiator, common::SERVICE);
    assert_eq!(prepare.resource_id, earnest.resource_id());
    assert_eq!(prepare.business_key, "order-1");
    assert_eq!(
        prepare.traceparent,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    );
    let options = prepare.options.unwrap();
    assert_eq!(options.check_after_ms, 3_000);
    assert_eq!(options.outcome(), Outcome::Local);
    assert_eq!(prepare.messages.len(), 2);
    assert_eq!(prepare.messages[0].payload, "\"order 1\"");
    assert_eq!(prepare.messages[0].content_type, "application/json");
    assert_eq!(prepare.messages[0].key, "1");
    assert_eq!(prepare.messages[1].headers["tenant"], "blue");
    let Call::Confirm(confirm) = &calls[1] else {
        panic!("{calls:?}")
    };
    assert_eq!(
        (&confirm.id, confirm.initiator.as_str()),
        (&id, common::SERVICE)
    );
}

#[tokio::test]
async fn a_transaction_without_messages_calls_nobody() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;

    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 2).await;
    tx.commit().await.unwrap();
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 3).await;
    tx.rollback().await.unwrap();
    drop(placed(&earnest).await);
    drop(earnest);

    assert_eq!(database.orders().await, 1);
    assert_eq!(coordinator.call_names(), [""; 0]);
}

#[tokio::test]
async fn a_refused_prepare_commits_nothing_and_cancels_nothing() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    for reason in ["NO_SUBSCRIPTION", "TOO_LARGE", "INVALID", "ID_REUSED"] {
        let no = refusal(Code::FailedPrecondition, reason, false);
        coordinator.mishap("Prepare", Mishap::Refused(no));
        let error = placed(&earnest).await.commit().await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert!(error.to_string().contains("do otherwise"), "{error}");
        let Error::Coordinator(refused) = error else {
            panic!("{error:?}")
        };
        assert_ne!(refused.reason(), None);
    }
    assert_eq!(database.orders().await, 0);
    assert_eq!(coordinator.call_names(), ["Prepare"; 4]);
}

#[tokio::test]
async fn an_overloaded_coordinator_is_asked_again_within_the_deadline() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let no = refusal(Code::ResourceExhausted, "OVERLOADED", true);
    coordinator.mishap("Prepare", Mishap::Refused(no));

    placed(&earnest).await.commit().await.unwrap();
    assert_eq!(coordinator.call_names(), ["Prepare", "Prepare", "Confirm"]);
}

#[tokio::test]
async fn lost_replies_are_asked_for_again_with_the_same_content() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    coordinator.mishap("Prepare", Mishap::ReplyBroken);
    coordinator.mishap("Prepare", Mishap::ReplyLost);
    coordinator.mishap("Confirm", Mishap::RequestLost);
    coordinator.mishap("Confirm", Mishap::ReplyBroken);

    let id = placed(&earnest).await.commit().await.unwrap().to_string();
    assert_eq!(coordinator.phase(&id), Some(Phase::Confirmed));
    let calls = coordinator.calls();
    assert!(calls[..3].iter().all(|call| *call == calls[0]), "{calls:?}");
    assert_eq!(
        coordinator.call_names()[..4],
        ["Prepare", "Prepare", "Prepare", "Confirm"]
    );
}

#[tokio::test]
async fn an_unreachable_coordinator_commits_nothing_and_cancels_later_what_may_have_arrived() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let timeouts = Timeouts {
        prepare: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let earnest = service(&database)
        .timeouts(timeouts)
        .connect(&coordinator.url)
        .await
        .unwrap();
    for _ in 0..20 {
        coordinator.mishap("Prepare", Mishap::ReplyLost);
    }

    let tx = placed(&earnest).await;
    let id = tx.id().to_string();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Coordinator(_)), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(database.orders().await, 0);

    coordinator.called("Cancel").await;
    assert_eq!(coordinator.phase(&id), Some(Phase::Cancelled));
    // The rollback was seen: no fence row was needed.
    assert_eq!(database.outcome(&id).await, None);
}

#[tokio::test]
async fn p1_a_transaction_that_was_cancelled_meanwhile_does_not_commit() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    for phase in [
        Phase::Cancelled,
        Phase::Cancelling,
        Phase::Confirmed,
        Phase::Unspecified,
    ] {
        coordinator.mishap("Prepare", Mishap::Stands(phase));
        let error = placed(&earnest).await.commit().await.unwrap_err();
        assert!(matches!(error, Error::AlreadyDecided { .. }), "{error:?}");
    }
    assert_eq!(database.orders().await, 0);
    assert!(!coordinator.call_names().contains(&"Confirm"));
}

#[tokio::test]
async fn a_confirm_that_does_not_get_through_is_left_to_the_check_back() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let timeouts = Timeouts {
        decide: Duration::from_millis(200),
        ..Timeouts::default()
    };
    let earnest = service(&database)
        .timeouts(timeouts)
        .connect(&coordinator.url)
        .await
        .unwrap();
    for _ in 0..20 {
        coordinator.mishap("Confirm", Mishap::RequestLost);
    }

    let id = placed(&earnest).await.commit().await.unwrap().to_string();
    assert_eq!(database.orders().await, 1);
    assert_eq!(coordinator.phase(&id), Some(Phase::Prepared));
    let answer = check_back(&earnest, check_back_about(&earnest, &id)).await;
    assert_eq!(answer.result(), CheckBackResult::Committed);
}

#[tokio::test]
async fn a_confirm_that_is_refused_does_not_undo_the_commit() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let no = refusal(Code::FailedPrecondition, "DECIDED", false);
    coordinator.mishap("Confirm", Mishap::Refused(no));

    placed(&earnest).await.commit().await.unwrap();
    assert_eq!(database.orders().await, 1);
    assert_eq!(coordinator.call_names(), ["Prepare", "Confirm"]);
}

#[tokio::test]
async fn p5_a_drop_after_prepare_cancels_only_after_fencing() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    coordinator.mishap("Prepare", Mishap::ReplyLost);
    coordinator.mishap("Prepare", Mishap::ReplyLost);
    coordinator.mishap("Prepare", Mishap::ReplyLost);

    let tx = placed(&earnest).await;
    let id = tx.id().to_string();
    let committing = tokio::spawn(tx.commit());
    coordinator.called("Prepare").await;
    committing.abort();
    coordinator.called("Cancel").await;

    assert_eq!(coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(database.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(database.orders().await, 0);
}

#[tokio::test]
async fn p4_a_drop_after_commit_still_confirms() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    coordinator.mishap("Confirm", Mishap::RequestLost);

    let tx = placed(&earnest).await;
    let id = tx.id().to_string();
    let committing = tokio::spawn(tx.commit());
    coordinator.called("Confirm").await;
    committing.abort();
    assert!(committing.await.unwrap_err().is_cancelled());

    let mut polls = 0;
    while coordinator.phase(&id) != Some(Phase::Confirmed) {
        polls += 1;
        assert!(polls < 2_000, "never confirmed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(database.orders().await, 1);
}

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

#[tokio::test]
async fn a_message_that_nobody_would_take_is_refused_before_anything_is_called() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let mut tx = earnest.begin().await.unwrap();
    assert!(matches!(tx.send("", 1, &1), Err(Error::Message(_))));
    assert!(matches!(tx.send("a topic", 1, &1), Err(Error::Message(_))));
    assert!(tx.business_key("k".repeat(256)).is_err());
    assert!(tx.traceparent("nonsense").is_err());
    tx.commit().await.unwrap();
    assert_eq!(coordinator.call_names(), [""; 0]);
}

#[tokio::test]
async fn a_closure_commits_on_ok_and_rolls_back_on_an_error_without_cancelling() {
    #[derive(Debug)]
    enum PlaceError {
        TooExpensive,
        Earnest(Error),
    }
    impl From<Error> for PlaceError {
        fn from(error: Error) -> Self {
            Self::Earnest(error)
        }
    }
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    let place = async |id: i64, too_expensive: bool| -> Result<i64, PlaceError> {
        earnest
            .transaction(async |tx| {
                insert_order(tx, id).await;
                tx.send(TOPIC, id, &id)?;
                if too_expensive {
                    return Err(PlaceError::TooExpensive);
                }
                Ok(id)
            })
            .await
    };
    assert_eq!(place(1, false).await.unwrap(), 1);
    let error = place(2, true).await.unwrap_err();
    assert!(matches!(error, PlaceError::TooExpensive), "{error:?}");
    let no = refusal(Code::FailedPrecondition, "NO_SUBSCRIPTION", false);
    coordinator.mishap("Prepare", Mishap::Refused(no));
    let PlaceError::Earnest(Error::Coordinator(refused)) = place(3, false).await.unwrap_err()
    else {
        panic!("the refusal should come through")
    };
    assert_eq!(refused.reason(), Some(&Reason::NoSubscription));
    assert_eq!(database.orders().await, 1);
    assert_eq!(coordinator.call_names(), ["Prepare", "Confirm", "Prepare"]);
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
