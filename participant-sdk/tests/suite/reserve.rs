//! Reservations that come before the local transaction: what they lock, and what bars it.

use std::sync::{Arc, Mutex};

use earnest::{Earnest, Error, Tcc, TryError, Tx, branch, sqlx};
use earnest_proto::v1::{CheckBackResult, Phase};

use crate::{
    branch::{refusing, reserving},
    common::{check_back, check_back_about, coordinator::Call},
    home::{Home, World},
    tcc::serve,
};

pub(crate) async fn p3_reservations_come_first_and_are_confirmed_by_the_commit<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let mut tx = shop
        .reserve()
        .branch(branch("stock", "reserve", &1).unwrap())
        .branches([branch("stock", "reserve", &2).unwrap()])
        .business_key("order-7")
        .unwrap()
        .begin()
        .await
        .unwrap();
    let id = tx.id().to_string();
    assert_eq!(world.coordinator.call_names(), ["Prepare"]);
    assert_eq!(runs.counts(), [2, 0, 0, 0]);
    assert_eq!(world.outcome(&id).await, None, "not committed yet");
    // As after any other beginning.
    tx.try_("stock", "reserve", &3).await.unwrap();
    D::insert_order(&mut tx, 10_000).await.unwrap();
    assert_eq!(tx.commit().await.unwrap().to_string(), id);
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
    let Call::Prepare(prepare) = &world.coordinator.calls()[0] else {
        unreachable!("asserted above")
    };
    assert_eq!(prepare.branches.len(), 2);
    assert_eq!(prepare.business_key, "order-7");
    assert_eq!((world.orders().await, theirs.orders().await), (1, 3));
}

pub(crate) async fn t5_a_refused_reservation_opens_nothing_and_cancels<D: Home>() {
    let world = World::<D>::create().await;
    let (theirs, stock, _) = refusing::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let reserving = shop
        .reserve()
        .branch(branch("stock", "reserve", &1).unwrap());
    let refused = reserving.begin().await.unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { reason, .. } if reason == "not today"),
        "{refused:?}"
    );
    world.coordinator.called("Cancel").await;
    let Call::Prepare(prepare) = &world.coordinator.calls()[0] else {
        panic!("{:?}", world.coordinator.call_names());
    };
    let id = prepare.id.clone();
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!((world.orders().await, theirs.orders().await), (0, 0));
    assert_ne!(world.outcome(&id).await.as_deref(), Some("committed"));
}

/// What the initiator's instances say while it reserves.
type Told = Arc<Mutex<Vec<CheckBackResult>>>;

/// A Try during which the initiator's service is asked about the transaction, and writes to its database.
struct Meanwhile<D: Home> {
    instances: Vec<Earnest<D>>,
    told: Told,
}

impl<D: Home> Tcc<D> for Meanwhile<D> {
    type Payload = i64;

    async fn try_(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), TryError> {
        let id = tx.context().transaction.to_string();
        for (n, asked) in (0..).zip(&self.instances) {
            let mut other = asked.begin().await?;
            D::insert_order(&mut other, order * 10 + n).await?;
            other.commit().await?;
            let answer = check_back(asked, check_back_about(asked, &id)).await;
            self.told.lock().unwrap().push(answer.result());
        }
        Ok(())
    }

    async fn confirm(&self, _: &mut Tx<D>, _: &i64) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn cancel(&self, _: &mut Tx<D>, _: &i64) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// The participant whose Try does that.
async fn meanwhile<D: Home>(world: &World<D>, instances: Vec<Earnest<D>>) -> Told {
    let theirs = World::<D>::create().await;
    let told = Told::default();
    let trying = Meanwhile {
        instances,
        told: Arc::clone(&told),
    };
    let builder = Earnest::service("stock").pool(D::pool(&theirs.database).await);
    let stock = theirs.connect(builder.tcc("reserve", trying)).await;
    serve(world, &stock).await;
    told
}

/// On SQLite a local transaction that was open would keep the other one from writing.
pub(crate) async fn p5_nothing_is_locked_while_others_try<D: Home>() {
    let world = World::<D>::create().await;
    let shop = world.sender().await;
    let told = meanwhile(&world, vec![shop.clone()]).await;
    let reserving = shop
        .reserve()
        .branch(branch("stock", "reserve", &1).unwrap());
    let mut tx = reserving.begin().await.unwrap();
    D::insert_order(&mut tx, 10_000).await.unwrap();
    let id = tx.commit().await.unwrap().to_string();
    assert_eq!(world.orders().await, 2);
    // Where it runs nobody says that it never was.
    assert_eq!(*told.lock().unwrap(), [CheckBackResult::InProgress]);
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
}

pub(crate) async fn m4_rolled_back_that_was_said_meanwhile_bars_the_local_transaction<D: Home>() {
    let world = World::<D>::create().await;
    let (shop, elsewhere) = (world.sender().await, world.sender().await);
    let told = meanwhile(&world, vec![elsewhere]).await;
    let reserving = shop
        .reserve()
        .branch(branch("stock", "reserve", &1).unwrap());
    let error = reserving.begin().await.unwrap_err();
    assert_eq!(*told.lock().unwrap(), [CheckBackResult::RolledBack]);
    let Error::AlreadyDecided { id, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(error.is_retryable());
    let id = id.to_string();
    world.coordinator.called("Cancel").await;
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
    assert_eq!(world.outcome(&id).await.as_deref(), Some("rolled_back"));
    assert_eq!(world.orders().await, 1, "of the other transaction only");
}
