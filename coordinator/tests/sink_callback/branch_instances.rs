//! Which instances a branch is called at: those of its database or of an unknown one, in turn, until one answers.

use earnest_proto::v1::BranchResult;
use earnest_protocol::{BranchAnswer, BranchCall};
use earnest_store::EndpointProtocol;

use crate::{
    participant::{all, participant},
    support::{World, nobody},
};

#[tokio::test]
async fn p11_the_next_instance_is_asked_when_one_is_gone_hangs_or_cannot_tell() {
    let world = World::new();
    let gone = nobody(EndpointProtocol::Grpc).await;
    let hangs = participant(|_| None).await;
    let puzzled = participant(|request| Some(Ok(all(request, BranchResult::Unspecified)))).await;
    let well = participant(|request| Some(Ok(all(request, BranchResult::Ok)))).await;
    for first in [gone, hangs.endpoint(), puzzled.endpoint()] {
        // A service of its own: what is known of one is fresh for a while.
        let service = format!("at-{}", first.url.replace([':', '/'], "-"));
        world.register(&service, &[first, well.endpoint()]).await;
        // Wherever the rotation begins.
        for _ in 0..2 {
            let mut work = world.branch_work(BranchCall::Confirm);
            work.branch.service = service.parse().unwrap();
            let outcome = world.call(&[work]).await.remove(0);
            assert_eq!(outcome.answer, BranchAnswer::Ok, "{}", outcome.error);
            assert_eq!(outcome.target, format!("grpc {}", well.url()));
        }
    }
    assert!(hangs.count() > 0 && puzzled.count() > 0, "they were asked");
}

#[tokio::test]
async fn p7_a_branch_is_called_only_where_its_database_may_be() {
    let world = World::new();
    let ok = |request: &tonic::Request<_>| Some(Ok(all(request, BranchResult::Ok)));
    let (own, other) = (participant(ok).await, participant(ok).await);
    world
        .register("account", &[other.over("db-2"), own.over("db-1")])
        .await;
    for _ in 0..4 {
        let work = world.branch_work(BranchCall::Confirm);
        assert_eq!(world.call(&[work]).await[0].answer, BranchAnswer::Ok);
    }
    assert_eq!((own.count(), other.count()), (4, 0));

    // Two shards of one service in one batch: each branch is called at its own.
    let mut batch = [BranchCall::Confirm; 2].map(|call| world.branch_work(call));
    batch[1].branch.resource_id = "db-2".into();
    let outcomes = world.call(&batch).await;
    assert!(outcomes.iter().all(|o| o.answer == BranchAnswer::Ok));
    assert_eq!((own.count(), other.count()), (5, 1));

    batch[0].branch.resource_id = "db-3".into();
    let outcome = world.call(&batch[..1]).await.remove(0);
    assert_eq!(
        (outcome.code.as_str(), outcome.down),
        ("no-endpoint", false),
        "P12: the service's other databases are not called down"
    );
    assert!(outcome.error.contains("db-3"), "{}", outcome.error);
    assert_eq!((own.count(), other.count()), (5, 1));

    // Whoever named no database is called anywhere, and whoever registered none is called for any.
    batch[0].branch.resource_id = String::new();
    let outcomes = world.call(&batch[..1]).await;
    assert_eq!(outcomes[0].answer, BranchAnswer::Ok);
    let world = World::new();
    let unknown = participant(ok).await;
    world
        .register("account", &[unknown.endpoint(), other.over("db-2")])
        .await;
    let work = world.branch_work(BranchCall::Confirm);
    assert_eq!(world.call(&[work]).await[0].answer, BranchAnswer::Ok);
    assert_eq!(unknown.count(), 1);
}

#[tokio::test]
async fn p6_a_service_that_nobody_registered_is_named() {
    let world = World::new();
    let work = world.branch_work(BranchCall::Try);
    let outcome = world.call(&[work]).await.remove(0);
    assert_eq!(outcome.answer, BranchAnswer::Unknown);
    assert_eq!((outcome.code.as_str(), outcome.down), ("no-endpoint", true));
    let advice = "earnest service add account";
    assert!(outcome.error.contains(advice), "{}", outcome.error);
}
