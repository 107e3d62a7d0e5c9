//! The part of a life that has branches.

use earnest_coordinator::service::PrepareInput;
use earnest_protocol::{BranchCall::Try, Phase, TransactionId};

use super::{
    Answers, Node, World, branch,
    life::{Ends, call},
    one_message, reservations, until,
};

/// Enough for some to wait for their turn when the breaker opens.
const MANY: usize = 30;

/// Branches and a message.
fn mixed(id: TransactionId, services: &[&str]) -> PrepareInput {
    PrepareInput {
        branches: reservations(id, services).branches,
        ..one_message(id)
    }
}

pub(super) async fn reserve(world: &World, nodes: &[Node<'_>]) -> Ends {
    let mut ends = decided(world, nodes).await;
    ends.extend(executed(world, nodes).await);
    ends.extend(given_back(world, nodes).await);
    ends
}

/// Confirmed and cancelled, some branches added later, one tried again, one brought back by a person.
async fn decided(world: &World, nodes: &[Node<'_>]) -> Ends {
    let [confirmed, cancelled] = world.ids(2).try_into().unwrap();
    world.participants.answer(|work| match work.attempt {
        1 if work.branch.service.as_str() == "account" => Answers::Refused,
        1 if work.branch.service.as_str() == "credit" => Answers::Failed,
        _ => Answers::Ok,
    });
    for id in [confirmed, cancelled] {
        let input = mixed(id, &["account", "coupon"]);
        call(nodes, async |node| node.prepare_as(input.clone()).await)
            .await
            .unwrap();
        let further = || vec![branch("credit", "further")];
        call(nodes, async |node| node.register(id, 2, further()).await)
            .await
            .unwrap();
    }
    call(nodes, async |node| node.confirm(confirmed).await)
        .await
        .unwrap();
    call(nodes, async |node| node.cancel(cancelled).await)
        .await
        .unwrap();
    for id in [confirmed, cancelled] {
        until("one is parked", async || {
            nodes[0].detail(id).await.transaction.state.parked_effects == 1
        })
        .await;
    }
    world.participants.answer(|_| Answers::Ok);
    for id in [confirmed, cancelled] {
        call(nodes, async |node| {
            node.coordinator.retry(&id.to_string(), "ann").await
        })
        .await
        .unwrap();
    }
    vec![(confirmed, Phase::Confirmed), (cancelled, Phase::Cancelled)]
}

/// Trys that are all answered OK in the end, and one that is refused.
async fn executed(world: &World, nodes: &[Node<'_>]) -> Ends {
    let [reserved, refused] = world.ids(2).try_into().unwrap();
    world.participants.answer(move |work| match work.call {
        Try if work.attempt == 1 => Answers::InProgress,
        Try if work.key.transaction == refused && work.key.ordinal.0 == 1 => Answers::Refused,
        _ => Answers::Ok,
    });
    for id in [reserved, refused] {
        let input = mixed(id, &["account", "coupon"]);
        call(nodes, async |node| node.execute(input.clone(), None).await)
            .await
            .unwrap();
    }
    vec![(reserved, Phase::Confirmed), (refused, Phase::Cancelled)]
}

/// Many for a participant that is gone, of which some are given back uncalled.
async fn given_back(world: &World, nodes: &[Node<'_>]) -> Ends {
    world.participants.answer(|_| Answers::LateDown);
    let ids = world.ids(MANY);
    for id in &ids {
        let input = mixed(*id, &["account"]);
        call(nodes, async |node| node.prepare_as(input.clone()).await)
            .await
            .unwrap();
        call(nodes, async |node| node.confirm(*id).await)
            .await
            .unwrap();
    }
    let held = || nodes.iter().map(|node| node.board.total()).sum::<usize>();
    until("all are leased", async || held() >= MANY).await;
    world.participants.break_off();
    world.participants.answer(|_| Answers::Ok);
    ids.into_iter().map(|id| (id, Phase::Confirmed)).collect()
}
