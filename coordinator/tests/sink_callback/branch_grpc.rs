//! Branches over gRPC: many to a call, each with an answer of its own.

use std::collections::HashSet;

use earnest_proto::v1::{BranchCallKind, BranchResult, CallBranchesResponse};
use earnest_protocol::{BranchAnswer, BranchCall};
use tonic::Status;

use crate::{
    participant::{all, participant},
    support::World,
};

#[tokio::test]
async fn a_typed_word_for_this_call_counts() {
    let because = || "because".to_owned();
    for (result, answer, code) in [
        (BranchResult::Ok, BranchAnswer::Ok, "ok"),
        (
            BranchResult::Refused,
            BranchAnswer::Refused(because()),
            "refused",
        ),
        (
            BranchResult::InProgress,
            BranchAnswer::InProgress,
            "in-progress",
        ),
        (
            BranchResult::Failed,
            BranchAnswer::Failed(because()),
            "failed",
        ),
        (BranchResult::Unspecified, BranchAnswer::Unknown, "unknown"),
    ] {
        let world = World::new();
        let peer = participant(move |request| {
            let call = &request.get_ref().calls[0];
            let said = |name| request.metadata().get(name).unwrap().to_str().unwrap();
            assert_eq!(said("earnest-transaction-id"), call.transaction_id);
            assert_eq!(said("earnest-branch"), "3");
            assert_eq!(said("traceparent"), call.traceparent);
            Some(Ok(all(request, result)))
        })
        .await;
        world.register("account", &[peer.endpoint()]).await;
        let work = world.branch_work(BranchCall::Confirm);
        let outcome = world.call(&[work]).await.remove(0);
        assert_eq!((&outcome.answer, outcome.code.as_str()), (&answer, code));
        assert!(!outcome.down);
        assert_eq!(outcome.target, format!("grpc {}", peer.url()));
        let call = peer.received.lock().unwrap()[0].calls[0].clone();
        assert_eq!(call.kind(), BranchCallKind::Confirm);
        assert_eq!((call.ordinal, call.attempt), (3, 2));
        assert_eq!(call.initiator, "cashier");
        assert_eq!(call.namespace, "default");
        assert_eq!(call.created_at_us, 1_800_000_000_123_456);
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-";
        assert!(call.traceparent.starts_with(trace));
        let branch = call.branch.unwrap();
        assert_eq!(branch.service, "account");
        assert_eq!(branch.action, "debit");
        assert_eq!(branch.resource_id, "db-1");
        assert_eq!(branch.payload, &b"{\"cents\":7}"[..]);
        assert_eq!(branch.content_type, "application/json");
    }
}

#[tokio::test]
async fn t3_an_answer_to_another_call_or_one_that_is_contradicted_counts_for_nothing() {
    type Spoil = fn(&mut CallBranchesResponse);
    let cases: [Spoil; 7] = [
        |r| r.answers.clear(),
        |r| r.answers[0].transaction_id.clear(),
        |r| r.answers[0].transaction_id = "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        |r| r.answers[0].ordinal += 1,
        // The answer to a Try is not one to its Confirm.
        |r| r.answers[0].kind = BranchCallKind::Try.into(),
        |r| {
            let mut second = r.answers[0].clone();
            second.result = BranchResult::Failed.into();
            r.answers.push(second);
        },
        |r| r.answers[0].result = 99,
    ];
    for (n, spoil) in cases.into_iter().enumerate() {
        let world = World::new();
        let peer = participant(move |request| {
            let mut response = all(request, BranchResult::Ok);
            spoil(&mut response);
            Some(Ok(response))
        })
        .await;
        world.register("account", &[peer.endpoint()]).await;
        let work = world.branch_work(BranchCall::Confirm);
        let outcome = world.call(&[work]).await.remove(0);
        assert_eq!(outcome.answer, BranchAnswer::Unknown, "case {n}");
        assert!(!outcome.down, "it answered: case {n}");
    }
}

#[tokio::test]
async fn p6_an_error_of_the_call_is_unknown_for_every_branch_of_it() {
    let world = World::new();
    let peer = participant(|_| Some(Err(Status::unavailable("going away")))).await;
    world.register("account", &[peer.endpoint()]).await;
    let batch = [BranchCall::Try, BranchCall::Cancel].map(|call| world.branch_work(call));
    for outcome in world.call(&batch).await {
        assert_eq!(outcome.answer, BranchAnswer::Unknown);
        assert_eq!((outcome.code.as_str(), outcome.down), ("unreachable", true));
    }
    assert_eq!(peer.count(), 1, "one call carries them all");
}

#[tokio::test]
async fn p12_a_batch_is_cut_into_calls_that_a_server_takes() {
    let world = World::new();
    let peer = participant(|request| Some(Ok(all(request, BranchResult::Ok)))).await;
    world.register("account", &[peer.endpoint()]).await;
    let large = |_| {
        let mut work = world.branch_work(BranchCall::Confirm);
        work.branch.payload = vec![b'x'; 1 << 20].into();
        work
    };
    let batch: Vec<_> = (0..10).map(large).collect();
    for outcome in world.call(&batch).await {
        assert_eq!(outcome.answer, BranchAnswer::Ok, "{}", outcome.error);
    }
    let received = peer.received.lock().unwrap().clone();
    let calls = received.into_iter().flat_map(|request| request.calls);
    let called: HashSet<_> = calls.map(|call| call.transaction_id).collect();
    assert_eq!(called.len(), batch.len());
}
