//! Branches over gRPC.

use std::time::Duration;

use earnest_proto::v1;
use tonic::Code;

use crate::support::{Node, refusal};

fn branch(service: &str) -> v1::Branch {
    v1::Branch {
        service: service.into(),
        action: "debit".into(),
        resource_id: "db-1".into(),
        payload: b"seven".to_vec().into(),
        content_type: "text/plain".into(),
    }
}

fn placed(ordinal: u32, service: &str) -> v1::PlacedBranch {
    v1::PlacedBranch {
        ordinal,
        branch: Some(branch(service)),
    }
}

fn wait(until: v1::WaitFor, at_most_ms: u64) -> v1::Wait {
    v1::Wait {
        until: until.into(),
        at_most_ms,
    }
}

async fn reserved(node: &Node) -> String {
    let request = v1::PrepareRequest {
        initiator: "cashier".into(),
        branches: vec![branch("account")],
        ..v1::PrepareRequest::default()
    };
    let response = node.coordinator().prepare(request).await.unwrap();
    response.into_inner().transaction.unwrap().id
}

async fn detail(node: &Node, id: &str) -> v1::TransactionDetail {
    let request = v1::GetTransactionRequest { id: id.into() };
    let response = node.coordinator().get_transaction(request).await.unwrap();
    response.into_inner().detail.unwrap()
}

#[tokio::test]
async fn branches_are_prepared_registered_decided_and_shown() {
    let node = Node::start().await;
    let mut client = node.coordinator();
    let id = reserved(&node).await;
    let register = v1::RegisterBranchesRequest {
        id: id.clone(),
        initiator: "cashier".into(),
        branches: vec![placed(1, "coupon")],
        ..v1::RegisterBranchesRequest::default()
    };
    let response = client
        .register_branches(register)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(response.transaction.unwrap().branch_count, 2);
    assert!(response.mark.is_some());
    let confirm = v1::ConfirmRequest {
        id: id.clone(),
        wait: Some(wait(v1::WaitFor::FinalPhase, 20)),
        ..v1::ConfirmRequest::default()
    };
    let response = client.confirm(confirm).await.unwrap().into_inner();
    let transaction = response.transaction.unwrap();
    assert_eq!(transaction.phase(), v1::Phase::Confirming);
    let detail = detail(&node, &id).await;
    let view = &detail.branches[1];
    assert_eq!(
        (view.ordinal, view.service.as_str(), view.action.as_str()),
        (1, "coupon", "debit")
    );
    assert_eq!((view.resource_id.as_str(), view.payload_bytes), ("db-1", 5));
    assert_eq!(view.content_type, "text/plain");
    assert!(
        detail
            .branches
            .iter()
            .all(|b| b.state() == v1::BranchState::Pending)
    );
}

#[tokio::test]
async fn execute_and_await_answer_within_their_time() {
    let node = Node::start().await;
    let mut client = node.coordinator();
    let execute = v1::ExecuteRequest {
        initiator: "cashier".into(),
        branches: vec![branch("account")],
        wait: Some(wait(v1::WaitFor::Decision, 20)),
        ..v1::ExecuteRequest::default()
    };
    let response = client.execute(execute).await.unwrap().into_inner();
    assert!(response.created && response.mark.is_some());
    let transaction = response.transaction.unwrap();
    assert_eq!(transaction.phase(), v1::Phase::Prepared);
    let options = transaction.options.unwrap();
    assert_eq!(options.outcome(), v1::Outcome::Executed);
    let awaiting = v1::AwaitTransactionRequest {
        id: transaction.id.clone(),
        wait: Some(wait(v1::WaitFor::Decision, 60_000)),
    };
    let mut waiter = node.coordinator();
    let waiting = tokio::spawn(async move { waiter.await_transaction(awaiting).await });
    let cancel = v1::CancelRequest {
        id: transaction.id,
        ..v1::CancelRequest::default()
    };
    client.cancel(cancel).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let told = told.expect("it is told").unwrap().unwrap().into_inner();
    assert_eq!(told.transaction.unwrap().phase(), v1::Phase::Cancelling);
}

#[tokio::test]
async fn refusals_have_codes() {
    let node = Node::start().await;
    let mut client = node.coordinator();
    let mut refused = Vec::new();
    let id = reserved(&node).await;
    let request = |branches| v1::RegisterBranchesRequest {
        id: id.clone(),
        branches,
        ..v1::RegisterBranchesRequest::default()
    };
    let unsaid = v1::PlacedBranch {
        ordinal: 1,
        branch: None,
    };
    for branches in [vec![], vec![unsaid], vec![placed(0, "coupon")]] {
        refused.push(
            client
                .register_branches(request(branches))
                .await
                .unwrap_err(),
        );
    }
    let mut prepare = v1::PrepareRequest {
        initiator: "cashier".into(),
        branches: vec![branch("account")],
        ..v1::PrepareRequest::default()
    };
    prepare.options = Some(v1::Options {
        outcome: v1::Outcome::Executed.into(),
        ..v1::Options::default()
    });
    refused.push(client.prepare(prepare).await.unwrap_err());
    let execute = v1::ExecuteRequest {
        initiator: "cashier".into(),
        branches: vec![branch("account")],
        wait: Some(wait(v1::WaitFor::Decision, 0)),
        ..v1::ExecuteRequest::default()
    };
    let executed = client.execute(execute.clone()).await.unwrap().into_inner();
    let confirm = v1::ConfirmRequest {
        id: executed.transaction.unwrap().id,
        ..v1::ConfirmRequest::default()
    };
    refused.push(client.confirm(confirm).await.unwrap_err());
    let nothing = v1::ExecuteRequest {
        branches: vec![],
        ..execute
    };
    refused.push(client.execute(nothing).await.unwrap_err());
    let missing = v1::AwaitTransactionRequest {
        id: node.id().to_string(),
        wait: Some(wait(v1::WaitFor::Decision, 60_000)),
    };
    refused.push(client.await_transaction(missing).await.unwrap_err());
    let codes: Vec<_> = refused
        .iter()
        .map(|status| {
            let (reason, _, code) = refusal(status);
            (code, reason)
        })
        .collect();
    let expected = [
        (Code::InvalidArgument, "INVALID"),
        (Code::InvalidArgument, "INVALID"),
        (Code::AlreadyExists, "BRANCH_REUSED"),
        (Code::InvalidArgument, "INVALID"),
        (Code::FailedPrecondition, "UNTRIED"),
        (Code::InvalidArgument, "INVALID"),
        (Code::NotFound, "NOT_FOUND"),
    ];
    assert_eq!(
        codes,
        expected.map(|(code, reason)| (code, reason.to_owned()))
    );
}
