//! Branches at gRPC instances: one call carries many, with an answer each.

use std::collections::HashMap;

use earnest_proto::v1::{
    Branch, BranchAnswer as WireAnswer, BranchCall as WireCall, BranchCallKind, BranchResult,
    CallBranchesRequest, CallBranchesResponse, participant_client::ParticipantClient,
};
use earnest_protocol::{BranchAnswer, BranchCall};
use earnest_store::{BranchWork, Endpoint};
use tonic::{Request, metadata::MetadataValue};

use super::{Outcome, said};
use crate::{
    callback::{
        Clients, child_traceparent,
        reply::{Failure, chain},
    },
    clock::Environment,
    driver::CallOutcome,
};

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

pub(super) async fn call(
    clients: &Clients,
    environment: &Environment,
    endpoint: &Endpoint,
    works: &[&BranchWork],
) -> Vec<Outcome> {
    let target = format!("grpc {}", endpoint.url);
    let channel = match clients.channel(&endpoint.url) {
        Ok(channel) => channel,
        Err(error) => {
            let problem = chain(&error);
            let bad =
                || CallOutcome::down(BranchAnswer::Unknown, &target, "bad-endpoint", &problem);
            return works.iter().map(|_| bad()).collect();
        }
    };
    let calls = works.iter().map(|work| wire(work, environment)).collect();
    let mut request = Request::new(CallBranchesRequest { calls });
    if let [work] = works {
        context(&mut request, work);
    }
    let mut client = ParticipantClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    match client.call_branches(request).await {
        Ok(response) => read(response.into_inner(), &target, works),
        Err(status) => {
            let Failure {
                code, error, down, ..
            } = Failure::grpc(&status);
            let outcome = CallOutcome {
                answer: BranchAnswer::Unknown,
                target,
                code,
                error,
                down,
            };
            works.iter().map(|_| outcome.clone()).collect()
        }
    }
}

fn wire(work: &BranchWork, environment: &Environment) -> WireCall {
    WireCall {
        kind: kind(work.call).into(),
        transaction_id: work.key.transaction.to_string(),
        ordinal: work.key.ordinal.0,
        namespace: work.namespace.to_string(),
        branch: Some(Branch {
            service: work.branch.service.to_string(),
            action: work.branch.action.to_string(),
            resource_id: work.branch.resource_id.clone(),
            payload: work.branch.payload.clone(),
            content_type: work.branch.content_type.clone(),
        }),
        created_at_us: work.created_at.as_micros(),
        attempt: work.attempt,
        traceparent: child_traceparent(&work.traceparent, environment),
        initiator: work.initiator.to_string(),
    }
}

fn kind(call: BranchCall) -> BranchCallKind {
    match call {
        BranchCall::Try => BranchCallKind::Try,
        BranchCall::Confirm => BranchCallKind::Confirm,
        BranchCall::Cancel => BranchCallKind::Cancel,
    }
}

/// For proxies and logs on the way: what a call of one branch is about.
fn context(request: &mut Request<CallBranchesRequest>, work: &BranchWork) {
    let context = [
        ("earnest-transaction-id", work.key.transaction.to_string()),
        ("earnest-branch", work.key.ordinal.to_string()),
    ];
    for (name, value) in context {
        if let Ok(value) = MetadataValue::try_from(value) {
            request.metadata_mut().insert(name, value);
        }
    }
}

/// Matches answers to calls. A call without an answer, or with two that differ, is unknown.
fn read(response: CallBranchesResponse, target: &str, works: &[&BranchWork]) -> Vec<Outcome> {
    let mut answers: HashMap<(String, u32, i32), Option<WireAnswer>> = HashMap::new();
    for answer in response.answers {
        let key = (answer.transaction_id.clone(), answer.ordinal, answer.kind);
        answers
            .entry(key)
            .and_modify(|before| {
                if before.as_ref().is_some_and(|b| b.result != answer.result) {
                    *before = None;
                }
            })
            .or_insert(Some(answer));
    }
    let bad = |problem| CallOutcome::answered(BranchAnswer::Unknown, target, "bad-answer", problem);
    let outcome = |work: &&BranchWork| {
        let key = (
            work.key.transaction.to_string(),
            work.key.ordinal.0,
            kind(work.call).into(),
        );
        match answers.get(&key) {
            Some(Some(answer)) => word(answer, target),
            Some(None) => bad("two answers to this call contradict each other"),
            None => bad("the reply has no answer for this transaction_id, ordinal and kind"),
        }
    };
    works.iter().map(outcome).collect()
}

fn word(answer: &WireAnswer, target: &str) -> Outcome {
    let detail = &answer.detail;
    let word = match answer.result() {
        BranchResult::Ok => BranchAnswer::Ok,
        BranchResult::Refused => BranchAnswer::Refused(detail.clone()),
        BranchResult::InProgress => BranchAnswer::InProgress,
        BranchResult::Failed => BranchAnswer::Failed(detail.clone()),
        BranchResult::Unspecified => BranchAnswer::Unknown,
    };
    said(word, target, detail)
}
