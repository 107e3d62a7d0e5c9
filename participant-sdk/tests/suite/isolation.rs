//! The same promises at every isolation level that a service may have chosen, its database's default being the first.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use earnest::{Earnest, Tx};
use earnest_proto::v1::{CheckBackResult, DeliverResult};

use crate::{
    common::{Repeating, SERVICE, TOPIC, check_back, check_back_about, deliver_one, delivered},
    home::{World, placed, server::Server},
};

const IDS: [&str; 3] = [
    "01890000-0000-7000-8000-000000000001",
    "01890000-0000-7000-8000-000000000002",
    "01890000-0000-7000-8000-000000000003",
];

pub(crate) async fn p5_outcomes_are_right_at_every_isolation_level<D: Server>() {
    for level in D::LEVELS {
        let world = World::<D>::create().await;
        let service = async || {
            Earnest::<D>::service(SERVICE).pool(D::pool_with(&world.database, level).await)
        };
        let (earnest, elsewhere) = (
            world.connect(service().await).await,
            world.connect(service().await).await,
        );
        let tx = placed(&earnest).await;
        let about = check_back_about(&elsewhere, &tx.id().to_string());
        let answer = check_back(&elsewhere, about.clone()).await;
        assert_eq!(answer.result(), CheckBackResult::InProgress, "{level}");
        tx.commit().await.unwrap();
        let answer = check_back(&elsewhere, about).await;
        assert_eq!(answer.result(), CheckBackResult::Committed, "{level}");

        let repeating = service().await.clock(Repeating).chance(Repeating);
        let repeating = world.connect(repeating).await;
        let tx = repeating.begin().await.unwrap();
        let about = check_back_about(&elsewhere, &tx.id().to_string());
        tx.rollback().await.unwrap();
        let answer = check_back(&elsewhere, about).await;
        assert_eq!(answer.result(), CheckBackResult::RolledBack, "{level}");
        assert!(repeating.begin().await.is_err(), "{level}");
    }
}

pub(crate) async fn p8_an_effect_happens_once_at_every_isolation_level<D: Server>() {
    for level in D::LEVELS {
        let world = World::<D>::create().await;
        let runs = Arc::new(AtomicI64::new(0));
        let pool = D::pool_with(&world.database, level).await;
        let builder = Earnest::<D>::service(SERVICE).pool(pool);
        // Another order with each run, so that a second effect is seen.
        let builder = builder.on(TOPIC, move |mut tx: Tx<D>, _: i64| {
            let order = runs.fetch_add(1, Ordering::SeqCst);
            async move {
                D::insert_order(&mut tx, order).await?;
                Ok(())
            }
        });
        let earnest = world.connect(builder).await;
        let calls = IDS.iter().flat_map(|id| [id; 5]).map(|id| {
            let earnest = &earnest;
            async move {
                // Conflicts are no answer: the coordinator delivers again.
                while deliver_one(earnest, delivered(id, "1")).await.0 != DeliverResult::Ok {}
            }
        });
        futures_util::future::join_all(calls).await;
        assert_eq!(world.orders().await, IDS.len(), "{level}");
        assert_eq!(D::inbox_rows(&world.database).await, IDS.len(), "{level}");
    }
}
