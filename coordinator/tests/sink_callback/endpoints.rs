//! Which instance is called.

use std::time::Duration;

use earnest_proto::v1::{CheckBackResponse, CheckBackResult, DeliverResponse, DeliverResult};
use earnest_protocol::{CheckBackAnswer, DeliveryAnswer};
use earnest_store::EndpointProtocol;

use crate::support::{World, answer, consumer, http_peer, initiator, nobody, reply, to_ledger};

fn committed(request: &earnest_proto::v1::CheckBackRequest) -> CheckBackResponse {
    CheckBackResponse {
        result: CheckBackResult::Committed.into(),
        transaction_id: request.transaction_id.clone(),
        detail: String::new(),
    }
}

#[tokio::test]
async fn a_service_that_nobody_registered_is_down_and_says_what_to_do() {
    let world = World::new();
    let outcome = world.check_back(&world.check_back_work()).await;
    assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
    assert_eq!((outcome.code.as_str(), outcome.down), ("no-endpoint", true));
    assert!(outcome.error.contains("earnest service add cashier"));
    let outcome = world
        .deliver(&[world.delivery_work(to_ledger())])
        .await
        .remove(0);
    assert_eq!(outcome.answer, DeliveryAnswer::Unknown);
    assert_eq!((outcome.code.as_str(), outcome.down), ("no-endpoint", true));
}

#[tokio::test]
async fn an_unreachable_instance_is_passed_over_within_the_call() {
    let world = World::new();
    let peer = initiator(|request| Ok(committed(request))).await;
    let gone = nobody(EndpointProtocol::Grpc).await;
    let gone_too = nobody(EndpointProtocol::Http).await;
    world
        .register("cashier", &[gone, gone_too, peer.endpoint()])
        .await;
    for _ in 0..4 {
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Committed);
    }
}

#[tokio::test]
async fn an_instance_that_does_not_know_is_passed_over_too() {
    let world = World::new();
    let other_database = initiator(|request| {
        Ok(CheckBackResponse {
            result: CheckBackResult::Unspecified.into(),
            ..committed(request)
        })
    })
    .await;
    let peer = initiator(|request| Ok(committed(request))).await;
    world
        .register("cashier", &[other_database.endpoint(), peer.endpoint()])
        .await;
    for _ in 0..2 {
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Committed);
    }
}

#[tokio::test]
async fn all_unreachable_is_down() {
    let world = World::new();
    for protocol in [EndpointProtocol::Grpc, EndpointProtocol::Http] {
        let gone = nobody(protocol).await;
        world.register("cashier", std::slice::from_ref(&gone)).await;
        world.register("ledger", &[gone]).await;
        // What was resolved before is known for a moment.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(
            (outcome.code.as_str(), outcome.down),
            ("unreachable", true),
            "{}",
            outcome.error
        );
        let outcome = world
            .deliver(&[world.delivery_work(to_ledger())])
            .await
            .remove(0);
        assert_eq!((outcome.code.as_str(), outcome.down), ("unreachable", true));
        assert_eq!(outcome.answer, DeliveryAnswer::Unknown);
    }
}

#[tokio::test]
async fn calls_rotate_over_the_instances() {
    let world = World::new();
    let one = http_peer(|_| Some(reply(200, &[], ""))).await;
    let two = http_peer(|_| Some(reply(200, &[], ""))).await;
    world
        .register("ledger", &[one.endpoint(), two.endpoint()])
        .await;
    for _ in 0..4 {
        let outcome = world
            .deliver(&[world.delivery_work(to_ledger())])
            .await
            .remove(0);
        assert_eq!(outcome.answer, DeliveryAnswer::Ok);
    }
    assert_eq!((one.count(), two.count()), (2, 2));
}

#[tokio::test]
async fn an_instance_that_hangs_comes_last_after_it_was_given_up() {
    let world = World::new();
    let hanging = http_peer(|_| None).await;
    let peer = http_peer(|_| Some(reply(200, &[], ""))).await;
    world
        .register("ledger", &[hanging.endpoint(), peer.endpoint()])
        .await;
    let mut given_up = false;
    for _ in 0..6 {
        let batch = [world.delivery_work(to_ledger())];
        let called = world.deliver(&batch);
        given_up |= tokio::time::timeout(Duration::from_secs(2), called)
            .await
            .is_err();
    }
    assert!(given_up);
    assert_eq!((hanging.count(), peer.count()), (1, 5));
}

#[tokio::test]
async fn a_message_that_one_instance_may_have_taken_goes_to_no_other_in_this_attempt() {
    let world = World::new();
    let failing = http_peer(|_| Some(reply(500, &[], ""))).await;
    let peer = consumer(|request| {
        let answers = request
            .messages
            .iter()
            .map(|m| answer(m, DeliverResult::Ok))
            .collect();
        Ok(DeliverResponse { answers })
    })
    .await;
    world
        .register("ledger", &[failing.endpoint(), peer.endpoint()])
        .await;
    let outcome = world
        .deliver(&[world.delivery_work(to_ledger())])
        .await
        .remove(0);
    assert_eq!(outcome.code, "http-500");
    assert_eq!(peer.count(), 0);
}
