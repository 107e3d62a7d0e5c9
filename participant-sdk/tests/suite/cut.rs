//! Sessions that end at the wrong moment, and a COMMIT that lands when nobody waits for it any more.

use std::time::Duration;

use earnest::{Error, Timeouts};
use earnest_proto::v1::{CheckBackResult, Phase};

use crate::{
    common::{check_back, check_back_about},
    home::{
        World, placed,
        proxy::Fate,
        server::{Server, until_waiting},
    },
};

pub(crate) async fn p5_a_session_that_was_killed_is_fenced_and_cancelled<D: Server>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    D::kill(&world.database, &mut tx).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert!(error.is_retryable(), "{error:?}");

    world.coordinator.called("Cancel").await;
    assert_eq!(world.coordinator.call_names(), ["Prepare", "Cancel"]);
    assert_eq!(world.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(world.orders().await, 0);
    placed(&earnest).await.commit().await.unwrap();
}

pub(crate) async fn p5_a_commit_that_lands_late_is_waited_for<D: Server>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    D::mark(&mut tx, Fate::Late).await;
    let committing = tokio::spawn(tx.commit());
    // The fence has been asked, and waits for the transaction that is still open.
    until_waiting(&world.database).await;
    world.database.proxy.let_land();
    committing.await.unwrap().unwrap();

    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));
    assert_eq!(world.orders().await, 1);
}

pub(crate) async fn p5_nothing_is_told_while_a_commit_may_still_land<D: Server>() {
    let world = World::<D>::create().await;
    let timeouts = Timeouts {
        fence: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let earnest = world
        .connect(world.service().await.timeouts(timeouts))
        .await;
    let elsewhere = world.sender().await;

    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    D::mark(&mut tx, Fate::Late).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert!(!error.is_retryable());
    let about = check_back_about(&elsewhere, &id);
    let answer = check_back(&elsewhere, about.clone()).await;
    assert_eq!(answer.result(), CheckBackResult::InProgress);
    assert_eq!(world.coordinator.call_names(), ["Prepare"]);

    world.database.proxy.let_land();
    let settled = async {
        loop {
            let answer = check_back(&elsewhere, about.clone()).await;
            if answer.result() != CheckBackResult::InProgress {
                return answer.result();
            }
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(20), settled).await;
    assert_eq!(settled.unwrap(), CheckBackResult::Committed);
    assert_eq!(world.orders().await, 1);
}
