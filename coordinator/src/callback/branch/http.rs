//! Branches at HTTP instances: a POST each. A status counts only together with the result header and the echoed id, since a
//! proxy's or catch-all page's 200 must decide nothing (DESIGN §3.3).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use earnest_protocol::{BranchAnswer, TransactionId};
use earnest_store::{BranchWork, Endpoint};
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Outcome, said};
use crate::{
    callback::{
        Clients, beneath, child_traceparent,
        reply::{Failure, Reply},
    },
    clock::Environment,
    driver::CallOutcome,
    planted::planted,
};

/// The body of a call; `docs/http.md` describes it.
#[derive(Serialize)]
struct Body<'a> {
    transaction_id: &'a str,
    ordinal: u32,
    namespace: &'a str,
    service: &'a str,
    action: &'a str,
    resource_id: &'a str,
    initiator: &'a str,
    created_at: String,
    created_at_us: i64,
    attempt: u32,
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

pub(super) async fn call(
    clients: &Clients,
    environment: &Environment,
    endpoint: &Endpoint,
    works: &[&BranchWork],
    limit: Duration,
) -> Vec<Outcome> {
    let calls = works
        .iter()
        .map(|work| one(clients, environment, endpoint, work, limit));
    join_all(calls).await
}

async fn one(
    clients: &Clients,
    environment: &Environment,
    endpoint: &Endpoint,
    work: &BranchWork,
    limit: Duration,
) -> Outcome {
    let target = format!("http {}", endpoint.url);
    let Some(url) = beneath(&endpoint.url, work.call.as_str()) else {
        let problem = format!("`{}` is not a URL", endpoint.url);
        return CallOutcome::down(BranchAnswer::Unknown, target, "bad-endpoint", problem);
    };
    let id = work.key.transaction.to_string();
    // JSON goes as it is, anything else as text that JSON can carry.
    let payload: Option<&RawValue> = serde_json::from_slice(&work.branch.payload).ok();
    let payload_base64 = payload
        .is_none()
        .then(|| BASE64_STANDARD.encode(&work.branch.payload));
    let body = Body {
        transaction_id: &id,
        ordinal: work.key.ordinal.0,
        namespace: work.namespace.as_str(),
        service: work.branch.service.as_str(),
        action: work.branch.action.as_str(),
        resource_id: &work.branch.resource_id,
        initiator: work.initiator.as_str(),
        created_at: work.created_at.to_string(),
        created_at_us: work.created_at.as_micros(),
        attempt: work.attempt,
        content_type: &work.branch.content_type,
        payload,
        payload_base64,
    };
    let request = clients
        .http()
        .post(url)
        .timeout(limit)
        .header("Earnest-Transaction-Id", &id)
        .header("Earnest-Branch", work.key.ordinal.0)
        .header("Earnest-Attempt", work.attempt)
        .header(
            "traceparent",
            child_traceparent(&work.traceparent, environment),
        )
        .json(&body);
    match Reply::to(request).await {
        Ok(reply) => read(&reply, &id, &target),
        Err(Failure {
            code, error, down, ..
        }) => CallOutcome {
            answer: BranchAnswer::Unknown,
            target,
            code,
            error,
            down,
        },
    }
}

/// What a complete HTTP reply to a call of a branch of `id` says: the rule that every such reply is read by, for those who simulate
/// whatever may stand at an address.
pub fn branch_answer_of(reply: http::Response<String>, id: TransactionId) -> BranchAnswer {
    read(&Reply::of(reply), &id.to_string(), "").answer
}

fn read(reply: &Reply, id: &str, target: &str) -> Outcome {
    let unknown = |code: String, error: String| CallOutcome {
        answer: BranchAnswer::Unknown,
        target: target.to_owned(),
        code,
        error,
        down: reply.is_gateway_error(),
    };
    if planted!(AnyPageIsTaken) && reply.status == StatusCode::OK {
        return said(BranchAnswer::Ok, target, "");
    }
    let echoed = reply.only("Earnest-Transaction-Id") == Some(id);
    let word = reply.only("Earnest-Result");
    if !echoed || word.is_none() {
        // Whoever answers without saying what to whom is not the participant.
        if reply.status != StatusCode::OK {
            return unknown(reply.status_code(), reply.shown());
        }
        return unknown(
            "bad-answer".into(),
            "status 200 counts for nothing without the headers Earnest-Transaction-Id (the id asked about) and \
             Earnest-Result, once each: is this the participant, or a proxy or catch-all page?"
                .into(),
        );
    }
    let reason = reason(reply);
    let answer = match word {
        Some("OK") if reply.status.is_success() => BranchAnswer::Ok,
        Some("REFUSED") => BranchAnswer::Refused(reason.clone()),
        Some("IN_PROGRESS") => BranchAnswer::InProgress,
        Some("FAILED") => BranchAnswer::Failed(reason.clone()),
        Some("UNKNOWN") => BranchAnswer::Unknown,
        Some("OK") => {
            return unknown(
                reply.status_code(),
                "Earnest-Result: OK needs a status of success".into(),
            );
        }
        other => {
            let found = other.unwrap_or_default();
            return unknown(
                "bad-answer".into(),
                format!(
                    "the header Earnest-Result must be OK, REFUSED, IN_PROGRESS or FAILED; it says `{found}`"
                ),
            );
        }
    };
    said(answer, target, &reason)
}

/// The body's `reason`, or its text.
fn reason(reply: &Reply) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        reason: String,
    }
    let shown = reply.shown();
    serde_json::from_str(&shown).map_or(shown, |Said { reason }| reason)
}
