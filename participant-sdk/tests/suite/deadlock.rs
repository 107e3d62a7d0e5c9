//! Local transactions that the database gave up to end a deadlock, and services that overlook it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use earnest::{Error, Tx};
use earnest_proto::v1::{DeliverResult, Phase};

use crate::{
    common::{TOPIC, deliver_one, delivered},
    home::{World, placed, server::Server},
};

const ID: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) async fn p5_what_was_lost_to_a_deadlock_does_not_confirm<D: Server>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    D::deadlock(&world.database, &mut tx).await;
    // The error was overlooked. MySQL lets this run.
    let _ = D::insert_order(&mut tx, 2).await;
    let error = tx.commit().await.unwrap_err();
    assert!(
        matches!(error, Error::FenceLost { .. } | Error::Database(_)),
        "{error:?}"
    );

    world.coordinator.called("Cancel").await;
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(world.orders().await, 0);
}

pub(crate) async fn p8_what_was_lost_to_a_deadlock_is_not_acknowledged<D: Server>() {
    let world = Arc::new(World::<D>::create().await);
    let first = Arc::new(AtomicBool::new(true));
    let loser = Arc::clone(&world);
    let builder = world.service().await;
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, order: i64| {
        let loses = first.swap(false, Ordering::SeqCst);
        let loser = Arc::clone(&loser);
        async move {
            D::insert_order(&mut tx, order).await?;
            if loses {
                D::lose(&loser.database, &mut tx).await;
                let _ = D::insert_order(&mut tx, order + 1).await;
            }
            Ok(())
        }
    });
    let earnest = world.connect(builder).await;
    let (result, _) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified);
    assert_eq!(world.orders().await, 0);

    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(world.orders().await, 1);
}
