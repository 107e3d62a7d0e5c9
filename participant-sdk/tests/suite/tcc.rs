//! What an initiator of branches promises: nothing is tried that is not registered, and nothing commits that was not tried.

use std::{sync::Arc, time::Duration};

use earnest::{Earnest, Error, branch};
use earnest_proto::v1::{self, Phase};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;

use crate::{
    branch::{refusing, reserving},
    common::{
        TOPIC,
        coordinator::{Call, Mishap, refusal},
    },
    home::{Home, World},
};

/// Serves the participant, and tells the coordinator where.
pub(crate) async fn serve<D: Home>(world: &World<D>, earnest: &Earnest<D>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(earnest.participant_service())
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    world
        .coordinator
        .knows("stock", &url, earnest.resource_id());
}

async fn world<D: Home>() -> Arc<World<D>> {
    Arc::new(World::<D>::create().await)
}

pub(crate) async fn t4_a_branch_is_registered_before_its_try_and_confirmed_after_commit<D: Home>() {
    let world = world::<D>().await;
    let (theirs, stock, runs) = reserving::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    let id = tx.id().to_string();
    tx.try_("stock", "reserve", &1).await.unwrap();
    let both = [
        branch("stock", "reserve", &2).unwrap(),
        branch("stock", "reserve", &3).unwrap(),
    ];
    tx.try_all(both).await.unwrap();
    assert_eq!(
        world.coordinator.call_names(),
        ["Prepare", "RegisterBranches"]
    );
    assert_eq!(runs.counts(), [3, 0, 0, 0]);
    assert_eq!(world.outcome(&id).await, None, "not committed yet");
    D::insert_order(&mut tx, 10_000).await.unwrap();
    assert_eq!(tx.commit().await.unwrap().to_string(), id);
    assert_eq!(world.outcome(&id).await.as_deref(), Some("committed"));
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Confirmed));
    let calls = world.coordinator.calls();
    let (Call::Prepare(prepare), Call::RegisterBranches(register)) = (&calls[0], &calls[1]) else {
        unreachable!("asserted above")
    };
    assert_eq!(prepare.branches.len(), 1);
    assert_eq!(prepare.branches[0].resource_id, stock.resource_id());
    let ordinals: Vec<_> = register
        .branches
        .iter()
        .map(|placed| placed.ordinal)
        .collect();
    assert_eq!(ordinals, [1, 2]);
    assert_eq!(register.initiator, prepare.initiator);
    assert_eq!((world.orders().await, theirs.orders().await), (1, 3));
}

pub(crate) async fn t5_a_refused_try_bars_commit_and_cancels<D: Home>() {
    let world = world::<D>().await;
    let (theirs, stock, _) = refusing::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    let id = tx.id().to_string();
    D::insert_order(&mut tx, 10_000).await.unwrap();
    let refused = tx.try_("stock", "reserve", &1).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { service, reason } if service == "stock" && reason == "not today"),
        "{refused:?}"
    );
    assert!(!refused.is_retryable());
    // Overlooked, it still does not commit; nor does another Try mend it.
    let again = tx.try_("stock", "reserve", &2).await.unwrap_err();
    assert!(matches!(again, Error::NotAllTried { .. }), "{again:?}");
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::NotAllTried { .. }), "{error:?}");
    world.coordinator.called("Cancel").await;
    assert_eq!((world.orders().await, theirs.orders().await), (0, 0));
    assert_ne!(world.outcome(&id).await.as_deref(), Some("committed"));
    assert_eq!(world.coordinator.phase(&id), Some(Phase::Cancelled));
}

pub(crate) async fn t5_a_try_that_is_given_up_bars_commit_and_cancels<D: Home>() {
    let world = world::<D>().await;
    let (_, stock, _) = reserving::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    // Its caller goes away in the middle.
    world.coordinator.mishap("Prepare", Mishap::ReplyLost);
    tokio::select! {
        biased;
        tried = tx.try_("stock", "reserve", &1) => panic!("{tried:?}"),
        () = world.coordinator.called("Prepare") => {}
    }
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::NotAllTried { .. }), "{error:?}");
    world.coordinator.called("Cancel").await;
    assert_eq!(world.orders().await, 0);
}

pub(crate) async fn p6_a_try_without_an_answer_is_no_refusal_and_cancels<D: Home>() {
    let world = world::<D>().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    world.coordinator.knows("stock", &url, "");
    drop(nobody);
    let builder = world.service().await.timeouts(earnest::Timeouts {
        try_: Duration::from_millis(300),
        ..earnest::Timeouts::default()
    });
    let shop = world.connect(builder).await;
    let mut tx = shop.begin().await.unwrap();
    let error = tx.try_("stock", "reserve", &1).await.unwrap_err();
    assert!(
        matches!(&error, Error::TryUnanswered { service, .. } if service == "stock"),
        "{error:?}"
    );
    assert!(error.is_retryable());
    drop(tx);
    world.coordinator.called("Cancel").await;
    let mut tx = shop.begin().await.unwrap();
    let error = tx.try_("unheard-of", "reserve", &1).await.unwrap_err();
    assert!(matches!(error, Error::Coordinator(_)), "{error:?}");
    tx.commit().await.unwrap_err();
}

pub(crate) async fn messages_before_and_after_a_try_share_its_transaction<D: Home>() {
    let world = world::<D>().await;
    let (_, stock, _) = reserving::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let mut tx = shop.begin().await.unwrap();
    tx.send(TOPIC, 1, &"before").unwrap();
    tx.try_("stock", "reserve", &1).await.unwrap();
    tx.send(TOPIC, 1, &"between").unwrap();
    tx.try_("stock", "reserve", &2).await.unwrap();
    tx.send(TOPIC, 1, &"after").unwrap();
    let ended = tx.commit_and_wait(Duration::from_secs(1)).await.unwrap();
    assert!(ended.is_final);
    assert_eq!(
        world.coordinator.call_names(),
        ["Prepare", "RegisterBranches", "RegisterBranches", "Confirm"]
    );
    let messages: Vec<(u32, String)> = world
        .coordinator
        .calls()
        .iter()
        .flat_map(|call| match call {
            Call::Prepare(prepare) => (0..).zip(prepare.messages.clone()).collect(),
            Call::RegisterBranches(register) => register
                .messages
                .iter()
                .map(|placed| (placed.ordinal, placed.message.clone().unwrap()))
                .collect(),
            _ => Vec::new(),
        })
        .map(|(ordinal, message)| {
            (
                ordinal,
                String::from_utf8(message.payload.to_vec()).unwrap(),
            )
        })
        .collect();
    let expected = [(0, "\"before\""), (1, "\"between\""), (2, "\"after\"")];
    assert_eq!(messages, expected.map(|(n, text)| (n, text.to_owned())));
    let Call::Confirm(confirm) = &world.coordinator.calls()[3] else {
        unreachable!("asserted above")
    };
    assert_eq!(confirm.wait.map(|wait| wait.at_most_ms), Some(1_000));
}

pub(crate) async fn p6_what_a_coordinator_does_not_record_is_not_tried<D: Home>() {
    let world = world::<D>().await;
    let (_, stock, runs) = reserving::<D>().await;
    serve(&world, &stock).await;
    let shop = world.sender().await;
    let no = || refusal(Code::FailedPrecondition, "DECIDED", false);
    world
        .coordinator
        .mishap("Prepare", Mishap::Stands(Phase::Cancelled));
    let mut tx = shop.begin().await.unwrap();
    let error = tx.try_("stock", "reserve", &1).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyDecided { .. }), "{error:?}");
    tx.commit().await.unwrap_err();

    let mut tx = shop.begin().await.unwrap();
    tx.try_("stock", "reserve", &1).await.unwrap();
    world
        .coordinator
        .mishap("RegisterBranches", Mishap::Refused(no()));
    let error = tx.try_("stock", "reserve", &2).await.unwrap_err();
    assert!(matches!(error, Error::Coordinator(_)), "{error:?}");
    tx.commit().await.unwrap_err();
    assert_eq!(runs.counts(), [1, 0, 0, 0]);
}

pub(crate) async fn execute_says_what_it_came_to<D: Home>() {
    let world = world::<D>().await;
    let shop = world.sender().await;
    let phase = |phase: Phase| v1::Transaction {
        phase: phase.into(),
        ..v1::Transaction::default()
    };
    let refused = v1::Transaction {
        refusal: Some(v1::Refusal {
            service: "stock".into(),
            reason: "sold out".into(),
        }),
        ..phase(Phase::Cancelling)
    };
    let outcomes = [
        phase(Phase::Confirming),
        refused,
        phase(Phase::Cancelled),
        phase(Phase::Prepared),
    ];
    for outcome in outcomes {
        world.coordinator.executes(outcome);
    }
    let run = async || {
        let execution = shop
            .execute()
            .branch(branch("stock", "reserve", &1).unwrap());
        let execution = execution
            .send(TOPIC, 1, &"sold")
            .unwrap()
            .business_key(7)
            .unwrap();
        execution.deadline(Duration::from_secs(3)).run().await
    };
    run().await.unwrap();
    assert!(matches!(run().await, Err(Error::Refused { reason, .. }) if reason == "sold out"));
    assert!(matches!(run().await, Err(Error::Cancelled { .. })));
    assert!(matches!(run().await, Err(Error::OutcomeUnknown(_))));
    let Call::Execute(execute) = &world.coordinator.calls()[0] else {
        panic!("{:?}", world.coordinator.calls())
    };
    assert_eq!(
        (
            execute.branches.len(),
            execute.messages.len(),
            execute.deadline_ms
        ),
        (1, 1, 3_000)
    );
}
