//! Each refusal over gRPC: the status code, and ErrorInfo with the reason.

use std::time::Duration;

use earnest_coordinator::journal::JournalOptions;
use earnest_proto::v1;
use earnest_protocol::CheckBackAnswer;
use earnest_store::RetentionStore;
use tonic::{Code, Status};

use crate::support::{Node, Setting, refusal};

fn reason(status: &Status) -> (Code, String) {
    let (reason, metadata, code) = refusal(status);
    let retryable = matches!(reason.as_str(), "OVERLOADED" | "UNAVAILABLE");
    assert_eq!(metadata["retryable"], retryable.to_string());
    (code, reason)
}

async fn prepare(node: &Node, request: v1::PrepareRequest) -> (Code, String) {
    reason(&node.coordinator().prepare(request).await.unwrap_err())
}

async fn confirm(node: &Node, id: &str, initiator: &str) -> Status {
    let request = v1::ConfirmRequest {
        id: id.into(),
        initiator: initiator.into(),
        ..v1::ConfirmRequest::default()
    };
    node.coordinator().confirm(request).await.unwrap_err()
}

fn of_cashier() -> v1::PrepareRequest {
    v1::PrepareRequest {
        initiator: "cashier".into(),
        ..v1::PrepareRequest::default()
    }
}

fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn invalid_values() {
    let node = Node::start().await;
    let invalid = refused(Code::InvalidArgument, "INVALID");
    let with = |change: fn(&mut v1::PrepareRequest)| {
        let mut request = of_cashier();
        change(&mut request);
        request
    };
    for request in [
        with(|r| r.id = "order-1".into()),
        with(|r| r.initiator.clear()),
        with(|r| r.messages = vec![v1::Message::default()]),
        with(|r| {
            r.options = Some(v1::Options {
                outcome: 99,
                ..v1::Options::default()
            });
        }),
        with(|r| {
            r.options = Some(v1::Options {
                on_budget_spent: -1,
                ..v1::Options::default()
            });
        }),
    ] {
        assert_eq!(prepare(&node, request).await, invalid);
    }
    assert_eq!(reason(&confirm(&node, "order-1", "").await), invalid);
    let list = v1::ListTransactionsRequest {
        phases: vec![0],
        ..v1::ListTransactionsRequest::default()
    };
    let status = node.coordinator().list_transactions(list).await;
    assert_eq!(reason(&status.unwrap_err()), invalid);
    let put = v1::PutSubscriptionRequest::default();
    let status = node.admin().put_subscription(put).await;
    assert_eq!(reason(&status.unwrap_err()), invalid);
    let decide = v1::DecideTransactionRequest {
        id: node.prepared().await,
        ..v1::DecideTransactionRequest::default()
    };
    let status = node.admin().decide_transaction(decide).await;
    assert_eq!(reason(&status.unwrap_err()), invalid);
}

#[tokio::test]
async fn bounds_are_kept() {
    let node = Node::start().await;
    let too_large = refused(Code::InvalidArgument, "TOO_LARGE");
    let message = |payload: usize| v1::Message {
        topic: "t".into(),
        payload: vec![0; payload].into(),
        ..v1::Message::default()
    };
    let with = |messages| v1::PrepareRequest {
        messages,
        ..of_cashier()
    };
    let headers = v1::Message {
        headers: (0..65).map(|n| (format!("h{n}"), String::new())).collect(),
        ..message(0)
    };
    for request in [
        with(vec![message((1 << 20) + 1)]),
        with(vec![message(0); 101]),
        with(vec![message(1 << 20); 4]),
        // Larger than the decoder takes at all.
        with(vec![message(1 << 20); 6]),
        with(vec![headers]),
        v1::PrepareRequest {
            business_key: "k".repeat(2_000),
            ..of_cashier()
        },
    ] {
        assert_eq!(prepare(&node, request).await, too_large);
    }
}

#[tokio::test]
async fn conflicts_carry_the_state_in_metadata() {
    let node = Node::start().await;
    let id = node.prepared().await;
    let other = v1::PrepareRequest {
        id: id.clone(),
        ..of_cashier()
    };
    assert_eq!(
        prepare(&node, other).await,
        refused(Code::AlreadyExists, "ID_REUSED")
    );
    let status = confirm(&node, &id, "thief").await;
    assert_eq!(
        reason(&status),
        refused(Code::PermissionDenied, "NOT_INITIATOR")
    );
    let status = confirm(&node, &node.id().to_string(), "").await;
    assert_eq!(reason(&status), refused(Code::NotFound, "NOT_FOUND"));

    let decide = v1::DecideTransactionRequest {
        id: id.clone(),
        decision: v1::Decision::Cancel.into(),
        ..v1::DecideTransactionRequest::default()
    };
    let status = node.admin().decide_transaction(decide.clone()).await;
    let status = status.unwrap_err();
    assert_eq!(
        reason(&status),
        refused(Code::FailedPrecondition, "NOT_PARKED")
    );
    assert_eq!(refusal(&status).1["phase"], "PREPARED");

    let parked = v1::DecideTransactionRequest {
        id: node.parked().await,
        ..decide
    };
    node.initiator.says(CheckBackAnswer::Committed);
    let status = node.admin().decide_transaction(parked).await;
    assert_eq!(
        reason(&status.unwrap_err()),
        refused(Code::FailedPrecondition, "OUTCOME_UNCLEAR")
    );

    let cancel = v1::CancelRequest {
        id: id.clone(),
        ..v1::CancelRequest::default()
    };
    node.coordinator().cancel(cancel).await.unwrap();
    let status = confirm(&node, &id, "cashier").await;
    assert_eq!(
        reason(&status),
        refused(Code::FailedPrecondition, "DECIDED")
    );
    let metadata = refusal(&status).1;
    assert_eq!(metadata["phase"], "CANCELLED");
    assert_eq!(metadata["decision"], "cancel");
    assert_eq!(metadata["decided_at_us"], "1800000000000000");
    assert_eq!(metadata["decided_by"], "initiator");
}

#[tokio::test]
async fn no_subscription_old_ids_overload_and_a_stopped_journal() {
    let node = Node::start().await;
    let request = v1::PrepareRequest {
        messages: vec![v1::Message {
            topic: "nobody.asked".into(),
            ..v1::Message::default()
        }],
        ..of_cashier()
    };
    assert_eq!(
        prepare(&node, request).await,
        refused(Code::FailedPrecondition, "NO_SUBSCRIPTION")
    );

    let old = v1::PrepareRequest {
        id: node.id().to_string(),
        ..of_cashier()
    };
    node.clock.forward(Duration::from_secs(1));
    let cancel = v1::CancelRequest {
        id: node.prepared().await,
        ..v1::CancelRequest::default()
    };
    node.coordinator().cancel(cancel).await.unwrap();
    node.clock.forward(Duration::from_hours(48));
    node.store
        .purge(Duration::from_hours(24), 10)
        .await
        .unwrap();
    assert_eq!(
        prepare(&node, old).await,
        refused(Code::FailedPrecondition, "ID_TOO_OLD")
    );

    let full = JournalOptions {
        queue_commands: 0,
        ..JournalOptions::default()
    };
    let node = Node::with(Setting {
        journal: full,
        ..Setting::default()
    });
    let overloaded = prepare(&node.await, of_cashier()).await;
    assert_eq!(overloaded, refused(Code::ResourceExhausted, "OVERLOADED"));
    let node = Node::with(Setting {
        journal_closed: true,
        ..Setting::default()
    });
    let stopped = prepare(&node.await, of_cashier()).await;
    assert_eq!(stopped, refused(Code::Unavailable, "UNAVAILABLE"));
}

#[tokio::test]
async fn unknown_methods_and_services_are_unimplemented() {
    let node = Node::start().await;
    for path in [
        "/earnest.v1.Coordinator/Nothing",
        "/earnest.v9.Nothing/Nothing",
    ] {
        let mut client = tonic::client::Grpc::new(node.channel());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<v1::GetTransactionRequest, v1::GetTransactionResponse>::default();
        let request = tonic::Request::new(v1::GetTransactionRequest::default());
        let called = client.unary(request, path.parse().unwrap(), codec).await;
        assert_eq!(called.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}
