//! The outcome of a local transaction: refused, unanswered, lost, or given up.

use earnest::Error;
use earnest_proto::v1::Phase;

use crate::{
    common::coordinator::Mishap,
    home::{Cut, Home, World, placed},
};

pub(crate) async fn p5_a_commit_that_fails_is_fenced_and_cancelled<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    D::cut(&world.database, &mut tx, Cut::Before).await;
    let id = tx.id().to_string();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");

    world.coordinator.called("Cancel").await;
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(world.orders().await, 0);
    // A connection that was left in a transaction did not go back to the pool.
    for _ in 0..8 {
        earnest.begin().await.unwrap().rollback().await.unwrap();
    }
}

pub(crate) async fn p5_a_commit_that_happened_although_it_was_not_answered_is_confirmed<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    D::cut(&world.database, &mut tx, Cut::After).await;
    let id = tx.commit().await.unwrap().to_string();

    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));
    assert_eq!(world.orders().await, 1);
}

pub(crate) async fn p5_a_local_transaction_that_was_lost_does_not_confirm<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    D::lose(&world.database, &mut tx).await;
    // What the service does next runs in another transaction, if it runs at all.
    let _ = D::insert_order(&mut tx, 2).await;
    let error = tx.commit().await.unwrap_err();
    assert!(
        matches!(error, Error::FenceLost { .. } | Error::Database(_)),
        "{error:?}"
    );

    world.coordinator.called("Cancel").await;
    assert_eq!(world.coordinator.call_names(), ["Prepare", "Cancel"]);
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(world.orders().await, 0);
}

pub(crate) async fn p5_a_drop_after_prepare_cancels_only_after_fencing<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    for _ in 0..3 {
        world.coordinator.mishap("Prepare", Mishap::ReplyLost);
    }

    let tx = placed(&earnest).await;
    let id = tx.id().to_string();
    let committing = tokio::spawn(tx.commit());
    world.coordinator.called("Prepare").await;
    committing.abort();
    world.coordinator.called("Cancel").await;

    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(world.orders().await, 0);
}

pub(crate) async fn a_transaction_that_is_dropped_leaves_nothing_behind<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    // More of them than the pool has connections.
    for _ in 0..12 {
        drop(placed(&earnest).await);
    }
    placed(&earnest).await.commit().await.unwrap();
    assert_eq!(world.orders().await, 1);
    assert_eq!(world.coordinator.call_names(), ["Prepare", "Confirm"]);
}
