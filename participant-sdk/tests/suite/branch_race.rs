//! Calls of one branch that meet: each other, and the purge that takes its row away.

use std::{sync::Arc, time::Duration};

use earnest::Earnest;
use earnest_proto::v1::{BranchCallKind, BranchResult};
use futures_util::future::join_all;

use crate::{
    branch::{CANCEL, CONFIRM, Reserve, TRY, ask, call, reserving_as_service, result},
    common::{SERVICE, coordinator::CREATED_AT_US},
    home::{
        Home, World,
        server::{Server, until_waiting},
    },
};

/// Calls until the database could tell, as the coordinator does.
async fn settled<D: Home>(earnest: &Earnest<D>, kind: BranchCallKind, number: i64) -> BranchResult {
    let asking = async {
        loop {
            match result(earnest, kind, number).await {
                BranchResult::Unspecified | BranchResult::InProgress => {}
                answer => return answer,
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), asking).await;
    answer.expect("the call is answered in the end")
}

pub(crate) async fn p7_confirm_and_cancel_at_the_same_time_never_both_run<D: Home>() {
    let (world, earnest) = reserving_as_service::<D>().await;
    for number in 1..=10 {
        assert_eq!(result(&earnest, TRY, number).await, BranchResult::Ok);
        let (confirmed, cancelled) = tokio::join!(
            settled(&earnest, CONFIRM, number),
            settled(&earnest, CANCEL, number)
        );
        let mut answers = [confirmed, cancelled];
        answers.sort_unstable();
        assert_eq!(answers, [BranchResult::Ok, BranchResult::Failed]);
        // And for good.
        assert_eq!(settled(&earnest, CONFIRM, number).await, confirmed);
        assert_eq!(settled(&earnest, CANCEL, number).await, cancelled);
    }
    // Of each: the Try, and one of both.
    assert_eq!(world.orders().await, 20);
}

pub(crate) async fn p7_calls_of_a_branch_are_right_at_every_isolation_level<D: Server>() {
    for level in D::LEVELS {
        let world = Arc::new(World::<D>::create().await);
        let pool = D::pool_with(&world.database, level).await;
        let builder = Earnest::<D>::service(SERVICE).pool(pool);
        let earnest = world
            .connect(builder.tcc("reserve", Reserve::at(&world)))
            .await;
        // All at once: each number's calls thrice, in an order of its own.
        let orders = [
            [TRY, CONFIRM, CANCEL],
            [CANCEL, TRY, CONFIRM],
            [TRY, CANCEL, TRY],
        ];
        let calls = (1..).zip(orders).flat_map(|(number, kinds)| {
            let twice = [kinds, kinds].concat();
            twice.into_iter().map(move |kind| (number, kind))
        });
        join_all(calls.map(|(number, kind)| settled(&earnest, kind, number))).await;
        for number in 1..=3 {
            let tried = settled(&earnest, TRY, number).await;
            let confirmed = settled(&earnest, CONFIRM, number).await;
            let cancelled = settled(&earnest, CANCEL, number).await;
            let confirmed = (
                tried == BranchResult::Ok,
                confirmed == BranchResult::Ok,
                cancelled == BranchResult::Failed,
            );
            assert!(
                matches!(confirmed, (true, true, true) | (false, false, false)),
                "{level}: {confirmed:?}"
            );
        }
        // A Try that ran was ended by the one or the other; each inserts an order, and a second run of any would be an error.
        assert_eq!(world.orders().await % 2, 0, "{level}");
    }
}

pub(crate) async fn t6_a_purge_in_the_way_of_a_late_try_does_not_let_it_run<D: Server>() {
    for level in D::LEVELS {
        let world = Arc::new(World::<D>::create().await);
        let pool = D::pool_with(&world.database, level).await;
        let builder = Earnest::<D>::service(SERVICE).pool(pool);
        let earnest = world
            .connect(builder.tcc("reserve", Reserve::at(&world)))
            .await;
        assert_eq!(result(&earnest, CANCEL, 1).await, BranchResult::Ok);
        let purge = D::purge_halfway(&world.database, CREATED_AT_US).await;
        let late = earnest.clone();
        let trying = tokio::spawn(async move { result(&late, TRY, 1).await });
        until_waiting(&world.database).await;
        D::finish(purge).await;
        assert_ne!(trying.await.unwrap(), BranchResult::Ok, "{level}");
        assert_eq!(world.orders().await, 0, "{level}");

        let again = ask(&earnest, call(TRY, 1)).await;
        assert_eq!(again.result(), BranchResult::Failed, "{level}");
        assert!(again.detail.contains("purged"), "{level}: {}", again.detail);
    }
}
