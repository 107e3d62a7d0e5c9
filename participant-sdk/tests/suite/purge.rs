//! What was purged is not guessed.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use std::time::Duration;

use earnest::Tx;
use earnest_proto::v1::{CheckBackResult, DeliverResult};

use crate::{
    common::{
        TIME_OF_1973_US, TOPIC, YearsLater, check_back, check_back_about, deliver_one, delivered,
    },
    home::{Home, World},
};

const ID: &str = "01890000-0000-7000-8000-000000000001";
const OTHER_ID: &str = "01890000-0000-7000-8000-000000000002";

pub(crate) async fn p5_what_was_purged_is_not_taken_for_rolled_back<D: Home>() {
    let world = World::<D>::create().await;
    let builder = world.service().await.clock(YearsLater);
    let earnest = world.connect(builder).await;
    let mut tx = earnest.begin().await.unwrap();
    tx.send(TOPIC, "", &1).unwrap();
    let id = tx.commit().await.unwrap().to_string();

    // Younger than asked for: it stays.
    let age = Duration::from_secs(u64::from(u32::MAX));
    assert_eq!(earnest.purge(age).await.unwrap(), 0);
    assert_eq!(earnest.purge(Duration::from_hours(1)).await.unwrap(), 1);
    assert_eq!(world.outcome(&id).await, None);

    let answer = check_back(&earnest, check_back_about(&earnest, &id)).await;
    assert_eq!(answer.result(), CheckBackResult::Unspecified);
    assert!(answer.detail.contains("older"), "{}", answer.detail);
    assert_eq!(world.outcome(&id).await, None);

    // What is younger than anything purged is still answered, whatever the clock says.
    let mut younger = check_back_about(&earnest, ID);
    younger.created_at_us += 1;
    let answer = check_back(&earnest, younger).await;
    assert_eq!(answer.result(), CheckBackResult::RolledBack);
}

pub(crate) async fn p8_what_was_purged_is_not_run_again<D: Home>() {
    let world = World::<D>::create().await;
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let builder = world.service().await.clock(YearsLater);
    let builder = builder.on(TOPIC, move |_tx: Tx<D>, _order: i64| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Ok(()) }
    });
    let earnest = world.connect(builder).await;
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
    assert_eq!(D::inbox_rows(&world.database).await, 0);

    let mut younger = delivered(OTHER_ID, "2");
    younger.created_at_us += 1;
    let (result, _) = deliver_one(&earnest, younger).await;
    assert_eq!(result, DeliverResult::Ok);
}

pub(crate) async fn old_rows_go_in_batches_and_young_ones_stay<D: Home>() {
    let world = World::<D>::create().await;
    let earnest = world.sender().await;
    D::insert_old_outcomes(&world.database, 1_000).await;
    let young = earnest.begin().await.unwrap().commit().await.unwrap();

    let day = Duration::from_hours(24);
    assert_eq!(earnest.purge(day).await.unwrap(), 1_000);
    assert_eq!(earnest.purge(day).await.unwrap(), 0);
    let young = world.outcome(&young.to_string()).await;
    assert_eq!(young.as_deref(), Some("committed"));
    let horizon_us = D::horizon_us(&world.database).await;
    assert_eq!(horizon_us, TIME_OF_1973_US + 1_001);
}
