//! Branches at gRPC instances: one call carries many, with an answer each.

use std::{collections::HashMap, time::Duration};

use earnest_proto::v1::{
    Branch, BranchAnswer as WireAnswer, BranchCall as WireCall, BranchCallKind, BranchResult,
    CallBranchesRequest, CallBranchesResponse, participant_client::ParticipantClient,
};
use earnest_protocol::{BranchAnswer, BranchCall};
use earnest_store::{BranchWork, Endpoint};
use futures_util::future::join_all;
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::{Outcome, said};
use crate::{
    callback::{
        Clients, child_traceparent,
        reply::{Failure, chain},
    },
    clock::Environment,
    driver::CallOutcome,
};

/// Bytes of one call, about: gRPC servers take 4 MiB unless they are told otherwise.
const CALL_BYTES: usize = 3 << 20;
/// What a branch takes beside its payload, about.
const OVERHEAD: usize = 1_024;
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

pub(super) async fn call(
    clients: &Clients,
    environment: &Environment,
    endpoint: &Endpoint,
    works: &[&BranchWork],
    limit: Duration,
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
    let calls = calls(works)
        .into_iter()
        .map(|works| one(channel.clone(), environment, &target, works, limit));
    join_all(calls).await.into_iter().flatten().collect()
}

/// Cuts a batch into calls that a server takes.
fn calls<'a, 'w>(works: &'a [&'w BranchWork]) -> Vec<&'a [&'w BranchWork]> {
    let mut calls = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (n, work) in works.iter().enumerate() {
        let weight = OVERHEAD + work.branch.payload.len();
        if n > begin && bytes + weight > CALL_BYTES {
            calls.push(&works[begin..n]);
            (begin, bytes) = (n, 0);
        }
        bytes += weight;
    }
    calls.push(&works[begin..]);
    calls
}

async fn one(
    channel: Channel,
    environment: &Environment,
    target: &str,
    works: &[&BranchWork],
    limit: Duration,
) -> Vec<Outcome> {
    let calls = works.iter().map(|work| wire(work, environment)).collect();
    let mut request = Request::new(CallBranchesRequest { calls });
    request.set_timeout(limit);
    if let [work] = works {
        let traceparent = request.get_ref().calls[0].traceparent.clone();
        context(&mut request, work, traceparent);
    }
    let mut client = ParticipantClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    match client.call_branches(request).await {
        Ok(response) => read(response.into_inner(), target, works),
        Err(status) => {
            let Failure {
                code, error, down, ..
            } = Failure::grpc(&status);
            let outcome = CallOutcome {
                answer: BranchAnswer::Unknown,
                target: target.to_owned(),
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

/// For proxies, traces and logs on the way: what a call of one branch is about.
fn context(request: &mut Request<CallBranchesRequest>, work: &BranchWork, traceparent: String) {
    let context = [
        ("traceparent", traceparent),
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
