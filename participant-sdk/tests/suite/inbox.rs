//! What a consumer promises: the effect of a delivery happens once, and *OK* means committed.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use earnest::{Earnest, HandlerError, Tx};
use earnest_proto::v1::{DeliverResult, Phase};
use tonic::Code;

use crate::{
    common::coordinator::Mishap,
    common::{
        TOPIC,
        coordinator::{Call, refusal},
        deliver_one, delivered,
    },
    home::{Cut, Home, World},
};

const ID: &str = "01890000-0000-7000-8000-000000000001";

/// A consumer that inserts the order whose number is the payload, and counts its runs.
async fn consumer<D: Home>(world: &World<D>) -> (Earnest<D>, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let builder = world.service().await;
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, order: i64| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            D::insert_order(&mut tx, order).await?;
            Ok(())
        }
    });
    (world.connect(builder).await, runs)
}

async fn left<D: Home>(world: &World<D>) -> (usize, usize) {
    (world.orders().await, D::inbox_rows(&world.database).await)
}

pub(crate) async fn p8_a_message_that_comes_again_has_its_effect_once<D: Home>() {
    let world = World::<D>::create().await;
    let (earnest, runs) = consumer(&world).await;
    let (elsewhere, runs_elsewhere) = consumer(&world).await;
    for asked in [&earnest, &elsewhere, &earnest] {
        let (result, answer) = deliver_one(asked, delivered(ID, "1")).await;
        assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    }
    let mut another = delivered(ID, "2");
    another.ordinal = 1;
    let (result, answer) = deliver_one(&earnest, another).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(runs_elsewhere.load(Ordering::SeqCst), 0);
    assert_eq!(left(&world).await, (2, 2));
}

pub(crate) async fn p8_the_same_message_at_the_same_time_has_its_effect_once<D: Home>() {
    let world = World::<D>::create().await;
    let (earnest, runs) = consumer(&world).await;
    let calls = (0..8).map(|_| deliver_one(&earnest, delivered(ID, "1")));
    for (result, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(left(&world).await, (1, 1));
}

pub(crate) async fn p8_a_failing_handler_leaves_nothing_and_the_message_comes_again<D: Home>() {
    let world = World::<D>::create().await;
    let failing = Arc::new(AtomicU32::new(0));
    let builder = world.service().await;
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, order: i64| {
        let first = failing.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            D::insert_order(&mut tx, order).await?;
            if first {
                D::insert_order(&mut tx, order).await?;
                return Err(HandlerError::retry("the insert should have failed"));
            }
            Ok(())
        }
    });
    let earnest = world.connect(builder).await;
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert!(!answer.detail.contains("should have"), "{}", answer.detail);
    assert_eq!(left(&world).await, (0, 0));

    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(left(&world).await, (1, 1));
}

pub(crate) async fn p8_a_handler_that_loses_its_local_transaction_is_not_acknowledged<D: Home>() {
    let world = Arc::new(World::<D>::create().await);
    let loser = Arc::clone(&world);
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let builder = world.service().await;
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, order: i64| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let loser = Arc::clone(&loser);
        async move {
            if first {
                D::lose(&loser.database, &mut tx).await;
            }
            // On its own after the loss, and may be refused then.
            let _ = D::insert_order(&mut tx, order).await;
            Ok(())
        }
    });
    let earnest = world.connect(builder).await;
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert_ne!(answer.detail, "");
    assert_eq!(left(&world).await, (0, 0));

    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(left(&world).await, (1, 1));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

pub(crate) async fn p8_an_unanswered_commit_is_found_taken_when_the_message_comes_again<D: Home>() {
    let world = Arc::new(World::<D>::create().await);
    let cutter = Arc::clone(&world);
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let builder = world.service().await;
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, order: i64| {
        count.fetch_add(1, Ordering::SeqCst);
        let cutter = Arc::clone(&cutter);
        async move {
            D::insert_order(&mut tx, order).await?;
            D::cut(&cutter.database, &mut tx, Cut::After).await;
            Ok(())
        }
    });
    let earnest = world.connect(builder).await;
    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(left(&world).await, (1, 1));
    assert_eq!(world.coordinator.call_names(), [""; 0]);
}

pub(crate) async fn p8_a_handlers_own_messages_leave_with_its_commit<D: Home>() {
    let world = World::<D>::create().await;
    let builder = world.service().await;
    let builder = builder.on(TOPIC, |mut tx: Tx<D>, order: i64| async move {
        D::insert_order(&mut tx, order).await?;
        tx.send("order.booked", order, &order)?;
        Ok(())
    });
    let earnest = world.connect(builder).await;
    // Refused: nothing happened, and the message comes again.
    let no = refusal(Code::FailedPrecondition, "NO_SUBSCRIPTION", false);
    world.coordinator.mishap("Prepare", Mishap::Refused(no));
    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert_eq!(left(&world).await, (0, 0));

    for _ in 0..2 {
        let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
        assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    }
    assert_eq!(
        world.coordinator.call_names(),
        ["Prepare", "Prepare", "Confirm"]
    );
    let Call::Prepare(prepare) = &world.coordinator.calls()[1] else {
        unreachable!("asserted above")
    };
    assert_ne!(prepare.id, ID);
    assert_eq!(
        world.outcome(&prepare.id).await.as_deref(),
        Some("committed")
    );
    assert_eq!(world.coordinator.phase(&prepare.id), Some(Phase::Confirmed));
}
