//! A purge that commits while a late call is already waiting for the row it takes away.

use std::sync::atomic::{AtomicI64, Ordering};

use earnest::{Earnest, Tx};
use earnest_proto::v1::{CheckBackResult, DeliverResult};

use crate::{
    common::{
        SERVICE, TOPIC, check_back, check_back_about, coordinator::CREATED_AT_US, deliver_one,
        delivered,
    },
    home::{
        World, placed,
        server::{Server, until_waiting},
    },
};

const ID: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) async fn p5_a_purge_in_the_way_of_a_check_back_is_not_taken_for_rolled_back<
    D: Server,
>() {
    for level in D::LEVELS {
        let world = World::<D>::create().await;
        let builder =
            Earnest::<D>::service(SERVICE).pool(D::pool_with(&world.database, level).await);
        let earnest = world.connect(builder).await;
        let id = placed(&earnest).await.commit().await.unwrap().to_string();

        let purge = D::purge_halfway(&world.database, CREATED_AT_US).await;
        let about = check_back_about(&earnest, &id);
        let asking = tokio::spawn(async move { check_back(&earnest, about).await });
        until_waiting(&world.database).await;
        D::finish(purge).await;
        let answer = asking.await.unwrap();
        assert_eq!(answer.result(), CheckBackResult::Unspecified, "{level}");
        assert!(
            answer.detail.contains("older"),
            "{level}: {}",
            answer.detail
        );
        assert_eq!(world.outcome(&id).await, None, "{level}");
    }
}

/// A consumer whose every run inserts another order, so that a second effect is seen.
async fn consumer<D: Server>(world: &World<D>, level: &'static str) -> Earnest<D> {
    let runs = AtomicI64::new(0);
    let builder = Earnest::<D>::service(SERVICE).pool(D::pool_with(&world.database, level).await);
    let builder = builder.on(TOPIC, move |mut tx: Tx<D>, _: i64| {
        let order = runs.fetch_add(1, Ordering::SeqCst);
        async move {
            D::insert_order(&mut tx, order).await?;
            Ok(())
        }
    });
    world.connect(builder).await
}

/// Delivers while `purge` is about to commit; then once more.
async fn delivered_beside<D: Server>(
    world: &World<D>,
    earnest: &Earnest<D>,
    purge: D::Held,
    level: &str,
) {
    let orders = world.orders().await;
    let late = earnest.clone();
    let delivering = tokio::spawn(async move { deliver_one(&late, delivered(ID, "1")).await });
    until_waiting(&world.database).await;
    D::finish(purge).await;
    let (result, _) = delivering.await.unwrap();
    assert_ne!(result, DeliverResult::Ok, "{level}");
    assert_eq!(world.orders().await, orders, "{level}");

    let (result, answer) = deliver_one(earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Failed, "{level}");
    assert!(
        answer.detail.contains("older"),
        "{level}: {}",
        answer.detail
    );
    assert_eq!(world.orders().await, orders, "{level}");
}

pub(crate) async fn p8_a_purge_in_the_way_of_a_late_duplicate_does_not_let_it_run_again<
    D: Server,
>() {
    for level in D::LEVELS {
        let world = World::<D>::create().await;
        let earnest = consumer(&world, level).await;
        let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
        assert_eq!(result, DeliverResult::Ok, "{level}: {}", answer.detail);
        let purge = D::purge_halfway(&world.database, CREATED_AT_US).await;
        delivered_beside(&world, &earnest, purge, level).await;
    }
}

pub(crate) async fn p8_what_was_taken_and_purged_meanwhile_does_not_run_again<D: Server>() {
    for level in D::LEVELS {
        let world = World::<D>::create().await;
        let earnest = consumer(&world, level).await;
        let purge = D::taken_and_purged_halfway(&world.database, ID, CREATED_AT_US).await;
        delivered_beside(&world, &earnest, purge, level).await;
    }
}
