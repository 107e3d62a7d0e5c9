//! A service's own user needs no more than what the printed SQL says.

use std::time::Duration;

use earnest::{Earnest, Tx};
use earnest_proto::v1::{CheckBackResult, DeliverResult};

use crate::{
    common::{SERVICE, TOPIC, YearsLater, check_back, check_back_about, deliver_one, delivered},
    home::{World, placed, server::Server},
};

const ID: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) async fn the_grants_that_are_printed_are_enough<D: Server>() {
    let world = World::<D>::create().await;
    let granted = D::pool_of_granted_user(&world.database).await;
    let service = Earnest::<D>::service(SERVICE)
        .pool(granted)
        .clock(YearsLater);
    let service = service.on(TOPIC, |mut tx: Tx<D>, order: i64| async move {
        D::insert_order(&mut tx, order).await?;
        Ok(())
    });
    let earnest = world.connect(service).await;
    placed(&earnest).await.commit().await.unwrap();
    let (result, answer) = deliver_one(&earnest, delivered(ID, "2")).await;
    assert_eq!(result, DeliverResult::Ok, "{}", answer.detail);
    let answer = check_back(&earnest, check_back_about(&earnest, ID)).await;
    assert_eq!(
        answer.result(),
        CheckBackResult::RolledBack,
        "{}",
        answer.detail
    );
    assert_eq!(earnest.purge(Duration::from_hours(1)).await.unwrap(), 3);
}
