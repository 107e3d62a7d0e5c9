//! A Try that opens a transaction of its own: another id, another decision, and only its local transaction in common.

use std::sync::{Arc, Mutex};

use earnest::{Context, Tcc, TryError, Tx, sqlx};
use earnest_proto::v1::{BranchCall, BranchResult, Phase};

use crate::{
    branch::{CANCEL, TRY, ask, call, refusing, reserving},
    common::{TOPIC, coordinator::Call},
    home::{Home, World},
    tcc::serve,
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Reserves at the stock in turn, and tells the books.
struct Forward(Arc<Mutex<Vec<Context>>>);

impl<D: Home> Tcc<D> for Forward {
    type Payload = i64;

    async fn try_(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), TryError> {
        let context = tx.context();
        self.0.lock().unwrap().push(context);
        D::insert_order(tx, *order).await?;
        tx.try_("stock", "reserve", order).await?;
        tx.send(TOPIC, order, order)?;
        Ok(())
    }

    async fn confirm(&self, _: &mut Tx<D>, _: &i64) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn cancel(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), sqlx::Error> {
        D::insert_order(tx, 2_000 + order).await
    }
}

fn forwarded() -> BranchCall {
    let mut call = call(TRY, 1);
    "forward".clone_into(&mut call.branch.as_mut().unwrap().action);
    TRACE.clone_into(&mut call.traceparent);
    call
}

pub(crate) async fn p5_what_a_try_opens_is_decided_by_its_own_commit<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    serve(&world, &stock).await;
    let contexts = Arc::default();
    let forward = Forward(Arc::clone(&contexts));
    let earnest = world
        .connect(world.service().await.tcc("forward", forward))
        .await;
    let outer = forwarded();
    for _ in 0..2 {
        let answer = ask(&earnest, outer.clone()).await;
        assert_eq!(answer.result(), BranchResult::Ok, "{}", answer.detail);
    }
    let names = ["Prepare", "RegisterBranches", "Confirm"];
    assert_eq!(world.coordinator.call_names(), names);
    assert_eq!((runs.counts(), theirs.orders().await), ([1, 0, 0, 0], 1));

    let Call::Prepare(inner) = &world.coordinator.calls()[0] else {
        unreachable!("asserted above")
    };
    assert_ne!(inner.id, outer.transaction_id);
    assert_eq!(inner.traceparent[..36], TRACE[..36]);
    assert_eq!(world.outcome(&inner.id).await.as_deref(), Some("committed"));
    // The code saw whose work it is.
    let contexts = contexts.lock().unwrap().clone();
    let [context] = contexts.try_into().unwrap();
    assert_eq!(
        (context.transaction.to_string(), context.branch),
        (outer.transaction_id.clone(), Some(outer.ordinal))
    );
    assert_eq!(context.traceparent.unwrap()[..36], TRACE[..36]);

    // What becomes of the outer transaction doesn't reach it.
    let mut cancel = outer;
    cancel.kind = CANCEL.into();
    assert_eq!(ask(&earnest, cancel).await.result(), BranchResult::Ok);
    assert_eq!(world.coordinator.phase(&inner.id), Some(Phase::Confirmed));
    assert_eq!((world.orders().await, theirs.orders().await), (2, 1));
}

pub(crate) async fn p5_a_nested_refusal_refuses_and_leaves_nothing<D: Home>() {
    let world = World::<D>::create().await;
    let (_, stock, _) = refusing::<D>().await;
    serve(&world, &stock).await;
    let earnest = world
        .connect(
            world
                .service()
                .await
                .tcc("forward", Forward(Arc::default())),
        )
        .await;
    let answer = ask(&earnest, forwarded()).await;
    assert_eq!(
        (answer.result(), answer.detail.as_str()),
        (BranchResult::Refused, "not today")
    );
    world.coordinator.called("Cancel").await;
    assert_eq!(world.orders().await, 0);
    let Call::Prepare(inner) = &world.coordinator.calls()[0] else {
        panic!("{:?}", world.coordinator.calls())
    };
    assert_eq!(world.coordinator.phase(&inner.id), Some(Phase::Cancelled));
    let mut cancel = forwarded();
    cancel.kind = CANCEL.into();
    assert_eq!(ask(&earnest, cancel).await.result(), BranchResult::Ok);
    assert_eq!(world.orders().await, 0, "an empty cancel");
}
