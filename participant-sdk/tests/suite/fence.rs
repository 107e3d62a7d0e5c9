//! What a check-back is answered: proof, *in progress*, or *unknown*.

use std::time::Duration;

use earnest::Timeouts;
use earnest_proto::v1::CheckBackResult;

use crate::{
    common::{Repeating, TOPIC, check_back, check_back_about},
    home::{Home, World, placed},
};

const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) async fn p5_committed_is_answered_for_what_committed<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    let mut tx = earnest.begin().await.unwrap();
    tx.send(TOPIC, "", &1).unwrap();
    let id = tx.commit().await.unwrap().to_string();
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));

    let elsewhere = world.sender().await;
    for asked in [&earnest, &elsewhere, &earnest] {
        let answer = check_back(asked, check_back_about(asked, &id)).await;
        assert_eq!(answer.result(), CheckBackResult::Committed);
        assert_eq!(answer.transaction_id, id);
    }
}

pub(crate) async fn p5_rolled_back_is_answered_once_the_fence_is_in_the_way<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    let rolled_back = earnest.begin().await.unwrap();
    let id = rolled_back.id().to_string();
    rolled_back.rollback().await.unwrap();
    assert_eq!(world.outcome(&id).await, None);

    for id in [id.as_str(), UNKNOWN_ID] {
        for _ in 0..2 {
            let answer = check_back(&earnest, check_back_about(&earnest, id)).await;
            assert_eq!(answer.result(), CheckBackResult::RolledBack);
            assert_eq!(answer.transaction_id, id);
            assert_eq!(world.outcome(id).await.as_deref(), Some("rolled_back"));
        }
    }
}

pub(crate) async fn p5_rolled_back_bars_the_late_transaction<D: Home>() {
    let world = World::<D>::create().await;
    let connect = async || {
        let builder = world.service().await.clock(Repeating).chance(Repeating);
        world.connect(builder).await
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
    assert!(!error.is_retryable(), "{error:?}");
    let again = check_back(&second, check_back_about(&second, &id)).await;
    assert_eq!(again.result(), CheckBackResult::RolledBack);
    assert_eq!(world.orders().await, 0);
}

pub(crate) async fn m4_an_open_transaction_is_never_answered_rolled_back<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    let elsewhere = world.sender().await;

    let tx = placed(&earnest).await;
    let id = tx.id().to_string();
    let here = check_back(&earnest, check_back_about(&earnest, &id)).await;
    assert_eq!(here.result(), CheckBackResult::InProgress);
    for _ in 0..2 {
        let there = check_back(&elsewhere, check_back_about(&elsewhere, &id)).await;
        assert_eq!(there.result(), D::OPEN_ELSEWHERE, "{}", there.detail);
        assert_eq!(there.transaction_id, id);
    }

    // No question has hurt it.
    tx.commit().await.unwrap();
    assert_eq!(world.orders().await, 1);
    let there = check_back(&elsewhere, check_back_about(&elsewhere, &id)).await;
    assert_eq!(there.result(), CheckBackResult::Committed);
}

pub(crate) async fn p6_a_database_that_is_away_is_unknown<D: Home>() {
    let world = World::<D>::create().await;
    let timeouts = Timeouts {
        fence: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let builder = world.service().await.timeouts(timeouts);
    let earnest = world.connect(builder).await;
    D::mute(&world.database).await;
    let answer = check_back(&earnest, check_back_about(&earnest, UNKNOWN_ID)).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    assert_ne!(answer.detail, "");
}
