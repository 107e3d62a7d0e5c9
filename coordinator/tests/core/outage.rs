//! A database that fails for long, or for good for one value: P2, P4, V3.

use earnest_coordinator::{driver::BreakerState, service::Code};
use earnest_protocol::Phase;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::support::{
    Does, Fault, SUBSCRIPTION, Says, When, World, minutes, one_message, seconds, until,
};

#[tokio::test(start_paused = true)]
async fn p2_of_a_batch_that_is_refused_only_the_bad_command_fails() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let ids = world.ids(64);
    node.store
        .fail(Fault::always_for(When::Refused, "submit", ids[17]));
    let told = join_all(ids.iter().map(|id| node.submit(*id))).await;
    for (n, told) in told.iter().enumerate() {
        let code = told.as_ref().map(|_| ()).map_err(|error| error.code);
        assert_eq!(
            code,
            if n == 17 { Err(Code::Internal) } else { Ok(()) },
            "command {n}"
        );
    }
    world.at_rest().await;
    assert_eq!(node.phase(ids[17]).await, None);
    assert!(
        ids.iter()
            .all(|id| world.sink.times(*id) == usize::from(*id != ids[17]))
    );
    assert!(node.store.fired() <= 7, "halved, not tried one by one");
}

/// While the database fails as `when` says, callers hear of it soon; afterwards nothing is lost.
async fn long_outage(when: When) {
    let world = World::memory().await;
    let node = world.node("one").await;
    let [prepared, submitted, refused] = world.ids(3).try_into().unwrap();
    world.sink.does(|_| Does::Slow(seconds(1)));
    node.prepare(prepared).await.unwrap();
    node.submit(submitted).await.unwrap();
    until("the delivery is under way", async || {
        world.sink.times(submitted) == 1
    })
    .await;
    node.store.outage(when);
    let calls = async {
        for _ in 0..10 {
            let told = tokio::join!(node.confirm(prepared), node.prepare(refused));
            assert_eq!(told.0.unwrap_err().code, Code::Unavailable);
            assert_eq!(told.1.unwrap_err().code, Code::Unavailable);
        }
    };
    assert!(
        timeout(seconds(60), calls).await.is_ok(),
        "callers wait with locks of their own"
    );
    tokio::time::sleep(minutes(5)).await;
    assert_eq!(
        world.sink.times(submitted),
        1,
        "V3: its end waits to be written; it is not handed over again"
    );
    node.store.mend();
    node.confirm(prepared).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(prepared).await, Some(Phase::Confirmed));
    assert_eq!(node.phase(submitted).await, Some(Phase::Confirmed));
    until("the board is empty", async || node.board.total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn p2_a_database_that_is_away_for_long() {
    long_outage(When::Before).await;
}

#[tokio::test(start_paused = true)]
async fn p2_a_database_whose_commits_stay_unknown_for_long() {
    long_outage(When::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn p4_a_commit_of_unknown_outcome_orphans_no_lease() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let epoch = node.board.epoch();
    node.store.fail(Fault::once(When::After, "submit"));
    let id = world.id();
    node.submit(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(world.sink.times(id), 1);
    assert!(node.board.epoch() > epoch, "the node has taken a new epoch");
}

#[tokio::test(start_paused = true)]
async fn p12_an_end_that_the_database_refuses_for_good_stops_nothing_else() {
    let world = World::memory().await;
    world
        .subscribe("slow", "invoice.sent", |row| row.timeout = seconds(10))
        .await;
    let node = world.node("one").await;
    let bad = world.id();
    node.store
        .fail(Fault::always_for(When::Refused, "delivery_settled", bad));
    world.sink.does(move |work| {
        if work.key.transaction == bad {
            Does::Ok
        } else {
            Does::Slow(seconds(1))
        }
    });
    node.submit(bad).await.unwrap();
    until("its end was refused", async || node.store.fired() > 0).await;
    let ids = world.ids(20);
    for id in &ids {
        let mut input = one_message(*id);
        input.messages[0].topic = "invoice.sent".into();
        node.submit_as(input).await.unwrap();
    }
    until("the others are delivered", async || {
        world
            .ledger
            .owed(&*world.store)
            .await
            .iter()
            .all(|row| row.id == bad)
    })
    .await;
    for id in &ids {
        assert_eq!(
            world.sink.times(*id),
            1,
            "V1: nobody else's lease was given up because of it"
        );
    }
    tokio::time::sleep(minutes(10)).await;
    assert!(
        world.sink.times(bad) <= 3,
        "V3: it was handed over {} times",
        world.sink.times(bad)
    );
    assert_eq!(
        node.phase(bad).await,
        Some(Phase::Confirming),
        "P4: and it is still owed"
    );
    node.store.mend();
    world.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p12_a_check_backs_end_that_is_refused_for_good_stops_nothing_else() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::RolledBack);
    let ids = world.ids(10);
    node.store
        .fail(Fault::always_for(When::Refused, "checked_back", ids[3]));
    for id in &ids {
        let mut input = one_message(*id);
        input.options.check_after = Some(seconds(1));
        node.prepare_as(input).await.unwrap();
    }
    until("the others are decided", async || {
        world
            .ledger
            .owed(&*world.store)
            .await
            .iter()
            .all(|row| row.id == ids[3])
    })
    .await;
    tokio::time::sleep(minutes(10)).await;
    assert!(
        world.initiator.asked(ids[3]) <= 3,
        "V3: asked {} times",
        world.initiator.asked(ids[3])
    );
    assert!(
        ids.iter()
            .all(|id| *id == ids[3] || world.initiator.asked(*id) == 1)
    );
    node.store.mend();
    world.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p12_an_end_that_is_refused_for_good_keeps_no_breaker_open() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let ids = world.ids(10);
    node.store
        .fail(Fault::always_for(When::Refused, "delivery_settled", ids[0]));
    node.submit(ids[0]).await.unwrap();
    until("its end was refused", async || node.store.fired() > 0).await;
    world.sink.does(|_| Does::Down);
    for id in &ids[1..] {
        node.submit(*id).await.unwrap();
    }
    until("the breaker is open", async || {
        node.breaker(SUBSCRIPTION) == BreakerState::Open
    })
    .await;
    world.sink.does(|_| Does::Ok);
    until("the others are delivered", async || {
        world
            .ledger
            .owed(&*world.store)
            .await
            .iter()
            .all(|row| row.id == ids[0])
    })
    .await;
    node.store.mend();
    world.at_rest().await;
    assert_eq!(world.sink.times(ids[0]), 1);
}
