//! MySQL commits by itself at DDL, and by itself again afterwards.

use earnest::{
    Error, Tx,
    sqlx::{self, MySql},
};
use earnest_proto::v1::{DeliverResult, Phase};

use crate::{
    common::{TOPIC, deliver_one, delivered},
    home::{Home, World, placed},
};

const ID: &str = "01890000-0000-7000-8000-000000000001";

/// Order 1, DDL, order 2.
async fn placed_around_ddl(tx: &mut Tx<MySql>) {
    sqlx::raw_sql("CREATE TABLE made_halfway (id BIGINT)")
        .execute(&mut **tx)
        .await
        .unwrap();
    MySql::insert_order(tx, 2).await.unwrap();
}

#[tokio::test]
async fn p5_what_ddl_committed_is_confirmed_and_said_to_be_a_part() {
    let world = World::<MySql>::create().await;
    let earnest = world.sender().await;
    let mut tx = placed(&earnest).await;
    let id = tx.id().to_string();
    placed_around_ddl(&mut tx).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::CommittedEarly { .. }), "{error:?}");
    assert!(error.to_string().contains("DDL"), "{error}");
    assert!(!error.is_retryable());

    world.coordinator.called("Confirm").await;
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));
    // The second order went with the rollback.
    assert_eq!(world.orders().await, 1);
}

#[tokio::test]
async fn p5_what_ddl_committed_without_messages_is_said_to_be_a_part() {
    let world = World::<MySql>::create().await;
    let earnest = world.sender().await;
    let mut tx = earnest.begin().await.unwrap();
    MySql::insert_order(&mut tx, 1).await.unwrap();
    placed_around_ddl(&mut tx).await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::CommittedEarly { .. }), "{error:?}");
    assert_eq!(world.orders().await, 1);
    assert_eq!(world.coordinator.call_names(), [""; 0]);
}

#[tokio::test]
async fn p8_a_handler_that_runs_ddl_has_its_effect_at_most_once() {
    let world = World::<MySql>::create().await;
    let builder = world.service().await;
    let builder = builder.on(TOPIC, |mut tx: Tx<MySql>, order: i64| async move {
        MySql::insert_order(&mut tx, order).await?;
        placed_around_ddl(&mut tx).await;
        Ok(())
    });
    let earnest = world.connect(builder).await;
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Unspecified, "{}", answer.detail);
    assert_ne!(answer.detail, "");
    // Its inbox row is there, so that it doesn't run again.
    let (result, answer) = deliver_one(&earnest, delivered(ID, "1")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    assert_eq!(world.orders().await, 1);
}
