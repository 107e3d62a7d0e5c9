//! Nested transactions inside of a local transaction.

use earnest::Error;

use crate::home::{World, placed, server::Server};

pub(crate) async fn p5_a_savepoint_that_was_left_open_does_not_pass_for_a_commit<D: Server>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    let mut tx = placed(&earnest).await;
    D::leave_savepoint(&mut tx).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::FenceLost { .. }), "{error:?}");
    assert_eq!(world.orders().await, 0);
    assert_eq!(world.coordinator.call_names(), [""; 0]);
    // The connection that it was left open on did not go back to the pool with it.
    for _ in 0..12 {
        earnest.begin().await.unwrap().commit().await.unwrap();
    }
}

pub(crate) async fn a_nested_transaction_goes_with_the_outer_one<D: Server>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    let mut tx = placed(&earnest).await;
    D::nest(&mut tx, 2, false).await;
    D::nest(&mut tx, 3, true).await;
    tx.commit().await.unwrap();
    assert_eq!(world.orders().await, 2);
    assert_eq!(world.coordinator.call_names(), ["Prepare", "Confirm"]);

    let mut tx = earnest.begin().await.unwrap();
    D::nest(&mut tx, 4, true).await;
    tx.rollback().await.unwrap();
    assert_eq!(world.orders().await, 2);
}
