//! R5: a database that comes back without what it acknowledged is not trusted: nothing is decided, recorded or taken up
//! until a person has said how to go on.

use std::sync::Arc;

use earnest_coordinator::service::Code;
use earnest_protocol::Phase;
use earnest_store::{MemoryStore, QueryStore};

use crate::support::{Does, Node, World, minutes, until};

/// A copy in which a delivery is owed, and a database that has gone on since.
async fn copied(world: &World, database: &MemoryStore, node: &Node<'_>) -> Arc<MemoryStore> {
    world.sink.does(|_| Does::Down);
    let owed = world.id();
    node.submit(owed).await.unwrap();
    until("it was attempted", async || world.sink.times(owed) > 0).await;
    let copy = Arc::new(database.fork(world.environment.clock()));
    node.prepare(world.id()).await.unwrap();
    copy
}

#[tokio::test(start_paused = true)]
async fn r5_nothing_is_written_or_taken_up_until_the_loss_is_accepted() {
    let (world, database) = World::restorable().await;
    let node = world.node("one").await;
    let copy = copied(&world, &database, &node).await;
    database.restore(&copy);

    let refused = world.id();
    for _ in 0..3 {
        let error = node.prepare(refused).await.unwrap_err();
        assert_eq!(error.code, Code::DatabaseLoss, "{error}");
        assert!(error.code.is_retryable() && error.hint.contains("earnest database show"));
    }
    assert!(database.transaction(refused).await.unwrap().is_none());
    world.sink.does(|_| Does::Ok);
    let claimed = node.store.claimed();
    tokio::time::sleep(minutes(30)).await;
    assert_eq!(node.store.claimed(), claimed, "no work is taken up");
    let written = node.store.batches().len();
    let known = node.coordinator.database().await.unwrap();
    assert_eq!((known.incarnation, known.losses.len()), (1, 1));

    let (now, accepted) = node
        .coordinator
        .accept_losses("ops", "restored")
        .await
        .unwrap();
    assert_eq!((now.incarnation, now.losses.len()), (2, 0));
    assert_eq!(accepted, known.losses);
    node.prepare(refused).await.unwrap();
    assert!(node.store.batches().len() > written);
    until("what is owed is delivered", async || {
        let open = database.unfinished().await.unwrap();
        open.iter()
            .all(|(phase, count)| *phase == Some(Phase::Prepared) || *count == 0)
    })
    .await;
    assert_eq!(
        database.audit(1).await.unwrap()[0].action,
        "accept-database-loss"
    );
}

#[tokio::test(start_paused = true)]
async fn r5_every_node_hears_of_it_without_being_called() {
    let (world, database) = World::restorable().await;
    let (writer, idle) = (world.node("one").await, world.node("two").await);
    let copy = copied(&world, &database, &writer).await;
    database.restore(&copy);
    for node in [&writer, &idle] {
        until("it has heard", async || {
            node.coordinator.vigil().missing() == 1
        })
        .await;
        let error = node.submit(world.id()).await.unwrap_err();
        assert_eq!(error.code, Code::DatabaseLoss, "{error}");
    }
    idle.coordinator
        .accept_losses("ops", "restored")
        .await
        .unwrap();
    until("the other goes on", async || {
        writer.coordinator.vigil().missing() == 0
    })
    .await;
    writer.submit(world.id()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r5_clients_remember_what_no_node_does() {
    let (world, database) = World::restorable().await;
    let before = world.node("one").await;
    let copy = copied(&world, &database, &before).await;
    let told = before.coordinator.mark().expect("it has written");
    before.store.kill();
    database.restore(&copy);

    let after = world.node("two").await;
    after.prepare(world.id()).await.unwrap();
    let own = after.coordinator.mark().expect("it has written");
    after.coordinator.check_marks(&[own]).await.unwrap();
    let error = after
        .coordinator
        .check_marks(&[own, told])
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::DatabaseLoss, "{error}");
    assert_eq!(
        after.prepare(world.id()).await.unwrap_err().code,
        Code::DatabaseLoss
    );

    after
        .coordinator
        .accept_losses("ops", "restored")
        .await
        .unwrap();
    after.coordinator.check_marks(&[own, told]).await.unwrap();
    after.prepare(world.id()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r5_marks_of_a_database_that_has_all_are_never_an_alarm() {
    let (world, _database) = World::restorable().await;
    let (one, two) = (world.node("one").await, world.node("two").await);
    for _ in 0..50 {
        one.prepare(world.id()).await.unwrap();
        let told = one.coordinator.mark().expect("it has written");
        two.coordinator.check_marks(&[told]).await.unwrap();
    }
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(
        (
            one.coordinator.vigil().missing(),
            two.coordinator.vigil().missing()
        ),
        (0, 0)
    );
    let too_many = vec![one.coordinator.mark().expect("it has written"); 65];
    let error = one.coordinator.check_marks(&too_many).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
}
