//! What a sender promises: prepare before COMMIT, confirm after it, and nothing told that was not seen.

mod common;

use std::{sync::Arc, time::Duration};

use earnest::{Error, Message, Reason, Timeouts, sqlite::Earnest};
use earnest_proto::v1::{CheckBackResult, Outcome, Phase};
use tokio::sync::Mutex;
use tonic::Code;

use common::{
    Database, TOPIC, check_back, check_back_about,
    coordinator::{Call, FakeCoordinator, Mishap, refusal},
    insert_order, placed, sender, service,
};

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

    coordinator.called_times("Confirm", 2).await;
    assert_eq!(coordinator.phase(&id), Some(Phase::Confirmed));
    assert_eq!(database.orders().await, 1);
}

#[tokio::test]
async fn a_second_transaction_beside_an_open_one_is_refused_and_does_not_wait_for_ever() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let timeouts = Timeouts {
        turn: Duration::from_millis(20),
        ..Timeouts::default()
    };
    let earnest = Earnest::service(common::SERVICE)
        .pool(database.another_pool(Duration::ZERO).await)
        .timeouts(timeouts)
        .connect(&coordinator.url)
        .await
        .unwrap();
    let tx = placed(&earnest).await;
    let error = earnest.begin().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert!(error.is_retryable());
    tx.commit().await.unwrap();
    earnest.begin().await.unwrap().commit().await.unwrap();
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
