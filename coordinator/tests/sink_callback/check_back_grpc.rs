//! Check-backs over gRPC.

use earnest_proto::v1::{CheckBackRequest, CheckBackResponse, CheckBackResult};
use earnest_protocol::CheckBackAnswer;
use tonic::Status;

use crate::support::{World, initiator};

fn says(request: &CheckBackRequest, result: CheckBackResult) -> CheckBackResponse {
    CheckBackResponse {
        result: result.into(),
        transaction_id: request.transaction_id.clone(),
        detail: "because".into(),
    }
}

#[tokio::test]
async fn a_typed_word_with_the_echoed_id_counts() {
    for (result, answer, code) in [
        (CheckBackResult::Committed, CheckBackAnswer::Committed, "ok"),
        (
            CheckBackResult::RolledBack,
            CheckBackAnswer::RolledBack,
            "ok",
        ),
        (
            CheckBackResult::InProgress,
            CheckBackAnswer::InProgress,
            "in-progress",
        ),
        (
            CheckBackResult::Unspecified,
            CheckBackAnswer::Unknown,
            "unknown",
        ),
    ] {
        let world = World::new();
        let peer = initiator(move |request| {
            assert_eq!((request.service.as_str(), request.attempt), ("cashier", 2));
            assert_eq!(request.resource_id, "db-1");
            assert_eq!(request.created_at_us, 1_800_000_000_123_456);
            assert!(
                request
                    .traceparent
                    .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
            );
            Ok(says(request, result))
        })
        .await;
        world.register("cashier", &[peer.endpoint()]).await;
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!((outcome.answer, outcome.code.as_str()), (answer, code));
        assert!(!outcome.down);
        assert_eq!(outcome.target, format!("grpc {}", peer.url()));
    }
}

#[tokio::test]
async fn m1_an_answer_without_the_id_or_of_an_unknown_kind_decides_nothing() {
    let world = World::new();
    let without_id = initiator(|request| {
        Ok(CheckBackResponse {
            transaction_id: String::new(),
            ..says(request, CheckBackResult::Committed)
        })
    })
    .await;
    world.register("cashier", &[without_id.endpoint()]).await;
    let outcome = world.check_back(&world.check_back_work()).await;
    assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
    assert_eq!(outcome.code, "bad-answer");

    let world = World::new();
    let of_the_future = initiator(|request| {
        Ok(CheckBackResponse {
            result: 99,
            ..says(request, CheckBackResult::Committed)
        })
    })
    .await;
    world.register("cashier", &[of_the_future.endpoint()]).await;
    let outcome = world.check_back(&world.check_back_work()).await;
    assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
}

#[tokio::test]
async fn p6_errors_are_unknown() {
    for (status, code, down) in [
        (Status::internal("trouble"), "grpc-internal", false),
        (
            Status::unimplemented("trouble"),
            "grpc-unimplemented",
            false,
        ),
        (Status::unavailable("trouble"), "unreachable", true),
    ] {
        let world = World::new();
        let peer = initiator(move |_| Err(status.clone())).await;
        world.register("cashier", &[peer.endpoint()]).await;
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
        assert_eq!((outcome.code.as_str(), outcome.down), (code, down));
        assert_eq!(outcome.error, "trouble");
    }
}
