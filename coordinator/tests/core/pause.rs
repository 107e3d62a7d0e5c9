//! A subscription that an operator has paused.

use crate::support::{Does, SUBSCRIPTION, TOPIC, World, minutes, seconds, until};

#[tokio::test(start_paused = true)]
async fn p4_a_pause_stops_attempts_gives_back_what_waits_and_loses_nothing() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.concurrency = 2)
        .await;
    let node = world.node("one").await;
    world.sink.does(|_| Does::Slow(seconds(1)));
    let ids = world.ids(50);
    for id in &ids {
        node.submit(*id).await.unwrap();
    }
    until("some are under way", async || {
        world.sink.handed().len() == 2
    })
    .await;
    assert_eq!(node.board.total(), 50);
    node.coordinator
        .pause_subscription("", SUBSCRIPTION, true)
        .await
        .unwrap();
    assert_eq!(
        node.board.total(),
        2,
        "what waited in memory was given back"
    );
    let late = world.id();
    node.submit(late).await.unwrap();
    tokio::time::sleep(minutes(60)).await;
    assert_eq!(
        world.sink.handed().len(),
        2,
        "what was under way ended, and nothing else began"
    );
    assert_eq!(node.board.total(), 0);
    let sentence = node.summary(late).await;
    assert!(
        sentence.contains("message 0 to subscription ledger has been owed for"),
        "{sentence}"
    );

    world.sink.does(|_| Does::Ok);
    node.coordinator
        .pause_subscription("", SUBSCRIPTION, false)
        .await
        .unwrap();
    world.at_rest().await;
    assert!(
        ids.iter()
            .chain([&late])
            .all(|id| world.sink.times(*id) == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn p4_retries_wait_for_the_end_of_a_pause() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.sink.does(|_| Does::InProgress);
    let id = world.id();
    node.submit(id).await.unwrap();
    until("it was tried", async || world.sink.times(id) >= 3).await;
    node.coordinator
        .pause_subscription("", SUBSCRIPTION, true)
        .await
        .unwrap();
    until("nothing is under way", async || node.board.total() == 0).await;
    let times = world.sink.times(id);
    tokio::time::sleep(minutes(60)).await;
    assert_eq!(world.sink.times(id), times);
    world.sink.does(|_| Does::Ok);
    node.coordinator
        .pause_subscription("", SUBSCRIPTION, false)
        .await
        .unwrap();
    world.at_rest().await;
    assert_eq!(world.sink.times(id), times + 1);
}
