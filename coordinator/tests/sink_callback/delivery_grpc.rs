//! Deliveries by gRPC push: batches, with an answer for each message.

use std::{sync::Arc, time::Duration};

use earnest_proto::v1::{DeliverResponse, DeliverResult};
use earnest_protocol::{DeliveryAnswer, Ordinal};
use earnest_store::DeliveryWork;
use tonic::Status;

use crate::support::{World, answer, consumer, to_ledger};

fn batch(world: &World, count: u32) -> Vec<DeliveryWork> {
    let work = world.delivery_work(to_ledger());
    let nth = |n| {
        let mut work = work.clone();
        work.key.ordinal = Ordinal(n);
        work
    };
    (0..count).map(nth).collect()
}

#[tokio::test]
async fn a_batch_is_one_call_with_an_answer_for_each() {
    let world = World::new();
    let peer = consumer(|request| {
        let results = [
            DeliverResult::Ok,
            DeliverResult::Refused,
            DeliverResult::InProgress,
            DeliverResult::Failed,
            DeliverResult::Unspecified,
        ];
        // In another order than they were asked.
        let answers = request.messages.iter().zip(results).rev();
        let answers = answers.map(|(m, result)| answer(m, result)).collect();
        Ok(DeliverResponse { answers })
    })
    .await;
    world.register("ledger", &[peer.endpoint()]).await;
    let outcomes = world.deliver(&batch(&world, 5)).await;
    let codes: Vec<_> = outcomes.iter().map(|o| o.code.as_str()).collect();
    assert_eq!(codes, ["ok", "refused", "in-progress", "failed", "unknown"]);
    assert_eq!(outcomes[3].answer, DeliveryAnswer::Failed("because".into()));
    assert!(outcomes.iter().all(|o| !o.down));

    let received = peer.received.lock().unwrap();
    assert_eq!(received.len(), 1);
    let message = &received[0].messages[0];
    assert_eq!(
        (message.attempt, message.subscription.as_str()),
        (2, "hook")
    );
    assert_eq!(message.initiator, "cashier");
    assert_eq!(message.created_at_us, 1_800_000_000_123_456);
    assert!(
        message
            .traceparent
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    );
    let sent = message.message.as_ref().unwrap();
    assert_eq!(
        (sent.topic.as_str(), sent.key.as_str()),
        ("order.placed", "7")
    );
    assert_eq!(sent.payload, b"{\"order\":7}".as_slice());
    assert_eq!(sent.headers["kind"], "test");
}

#[tokio::test]
async fn k1_a_missing_strange_or_contradicting_answer_is_unknown() {
    let world = World::new();
    let peer = consumer(|request| {
        let said = |n: usize, result| answer(&request.messages[n], result);
        let mut of_another = said(2, DeliverResult::Ok);
        of_another.subscription = "other".into();
        let mut of_nobody = said(3, DeliverResult::Ok);
        of_nobody.transaction_id = String::new();
        let answers = vec![
            said(0, DeliverResult::Ok),
            // None for 1.
            of_another,
            of_nobody,
            said(4, DeliverResult::Ok),
            said(4, DeliverResult::Failed),
            said(5, DeliverResult::Ok),
            said(5, DeliverResult::Ok),
        ];
        Ok(DeliverResponse { answers })
    })
    .await;
    world.register("ledger", &[peer.endpoint()]).await;
    let outcomes = world.deliver(&batch(&world, 6)).await;
    let codes: Vec<_> = outcomes.iter().map(|o| o.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "ok",
            "bad-answer",
            "bad-answer",
            "bad-answer",
            "bad-answer",
            "ok"
        ]
    );
}

#[tokio::test]
async fn an_error_of_the_call_is_unknown_for_every_message() {
    for (status, code, down) in [
        (Status::unimplemented("no"), "grpc-unimplemented", false),
        (Status::internal("no"), "grpc-internal", false),
        (
            Status::resource_exhausted("no"),
            "grpc-resource-exhausted",
            false,
        ),
        (Status::unavailable("no"), "unreachable", true),
    ] {
        let world = World::new();
        let peer = consumer(move |_| Err(status.clone())).await;
        world.register("ledger", &[peer.endpoint()]).await;
        for outcome in world.deliver(&batch(&world, 3)).await {
            assert_eq!(outcome.answer, DeliveryAnswer::Unknown);
            assert_eq!((outcome.code.as_str(), outcome.down), (code, down));
        }
    }
}

#[tokio::test]
async fn large_batches_are_cut_into_calls_that_a_server_takes() {
    let world = World::new();
    let peer = consumer(|request| {
        let answers = request
            .messages
            .iter()
            .map(|m| answer(m, DeliverResult::Ok));
        Ok(DeliverResponse {
            answers: answers.collect(),
        })
    })
    .await;
    world.register("ledger", &[peer.endpoint()]).await;
    let mut batch = batch(&world, 9);
    for work in &mut batch {
        work.message.payload = vec![b'x'; 1 << 20].into();
    }
    let outcomes = world.deliver(&batch).await;
    assert!(outcomes.iter().all(|o| o.code == "ok"), "{outcomes:?}");
    assert_eq!(peer.count(), 5, "two of them to a call");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_a_timeout() {
    let world = World::new();
    // Takes connections, and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = earnest_store::Endpoint {
        url: format!("http://{}", listener.local_addr().unwrap()),
        protocol: earnest_store::EndpointProtocol::Grpc,
        resource_id: String::new(),
    };
    world.register("ledger", &[silent]).await;
    let mut work = world.delivery_work(to_ledger());
    Arc::make_mut(&mut work.subscription).timeout = Duration::from_millis(100);
    let outcome = world.deliver(&[work]).await.remove(0);
    assert_eq!(
        (outcome.code.as_str(), outcome.down),
        ("timeout", true),
        "{}",
        outcome.error
    );
}
