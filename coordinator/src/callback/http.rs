//! Check-backs to HTTP endpoints: a status counts only together with the result header and the echoed id, since a
//! proxy's or catch-all page's 200 must decide nothing (DESIGN §3.3).

use earnest_protocol::{CheckBackAnswer, TransactionId};
use earnest_store::{CheckBackWork, Endpoint};
use http::StatusCode;
use serde::Serialize;

use super::{
    Clients,
    reply::{Failure, Reply},
};
use crate::{driver::CallOutcome, planted::planted};

/// The body of a check-back; `docs/http.md` describes it.
#[derive(Serialize)]
struct Question<'a> {
    transaction_id: &'a str,
    namespace: &'a str,
    service: &'a str,
    resource_id: &'a str,
    created_at: String,
    created_at_us: i64,
    attempt: u32,
}

/// Asks one instance.
pub(super) async fn ask(
    clients: &Clients,
    endpoint: &Endpoint,
    work: &CheckBackWork,
    traceparent: String,
) -> CallOutcome<CheckBackAnswer> {
    let target = format!("http {}", endpoint.url);
    let Some(url) = beneath(&endpoint.url, "check-back") else {
        let problem = format!("`{}` is not a URL", endpoint.url);
        return CallOutcome::down(CheckBackAnswer::Unknown, target, "bad-endpoint", problem);
    };
    let id = work.id.to_string();
    let question = Question {
        transaction_id: &id,
        namespace: work.namespace.as_str(),
        service: work.initiator.as_str(),
        resource_id: &work.resource_id,
        created_at: work.created_at.to_string(),
        created_at_us: work.created_at.as_micros(),
        attempt: work.attempt,
    };
    let request = clients
        .http()
        .post(url)
        .header("Earnest-Transaction-Id", &id)
        .header("Earnest-Attempt", work.attempt)
        .header("traceparent", traceparent)
        .json(&question);
    match Reply::to(request).await {
        Ok(reply) => read(&reply, &id, target),
        Err(Failure {
            code, error, down, ..
        }) => CallOutcome {
            answer: CheckBackAnswer::Unknown,
            target,
            code,
            error,
            down,
        },
    }
}

/// What a complete HTTP reply to a check-back of `id` says: the rule that every such reply is read by, for those who simulate
/// whatever may stand at an address.
pub fn answer_of(reply: http::Response<String>, id: TransactionId) -> CheckBackAnswer {
    read(&Reply::of(reply), &id.to_string(), String::new()).answer
}

fn read(reply: &Reply, id: &str, target: String) -> CallOutcome<CheckBackAnswer> {
    let unknown = |code: String, error: String| CallOutcome {
        answer: CheckBackAnswer::Unknown,
        target: target.clone(),
        code,
        error,
        down: reply.is_gateway_error(),
    };
    if reply.status != StatusCode::OK {
        return unknown(reply.status_code(), reply.shown());
    }
    if planted!(AnyPageIsTaken) {
        return CallOutcome::answered(CheckBackAnswer::Committed, target, "ok", String::new());
    }
    let bad = |problem: String| unknown("bad-answer".into(), problem);
    if reply.only("Earnest-Transaction-Id") != Some(id) {
        return bad(
            "status 200 without the header Earnest-Transaction-Id: <the id asked about> counts for nothing: is this \
             the participant, or a proxy or catch-all page?"
                .into(),
        );
    }
    let (answer, code) = match reply.only("Earnest-Result") {
        Some("COMMITTED") => (CheckBackAnswer::Committed, "ok"),
        Some("ROLLED_BACK") => (CheckBackAnswer::RolledBack, "ok"),
        Some("IN_PROGRESS") => (CheckBackAnswer::InProgress, "in-progress"),
        Some("UNKNOWN") => return unknown("unknown".into(), reply.shown()),
        other => {
            let found = other.map_or("it is missing".into(), |word| format!("it says `{word}`"));
            return bad(format!(
                "the header Earnest-Result must be COMMITTED, ROLLED_BACK or IN_PROGRESS, once; {found}"
            ));
        }
    };
    let error = match answer {
        CheckBackAnswer::InProgress => reply.shown(),
        _ => String::new(),
    };
    CallOutcome::answered(answer, target, code, error)
}

/// `earnest/v1/{call}` beneath an endpoint's URL, whose query stays.
pub(crate) fn beneath(endpoint: &str, call: &str) -> Option<reqwest::Url> {
    let mut url: reqwest::Url = endpoint.parse().ok()?;
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["earnest", "v1", call]);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::beneath;

    #[test]
    fn calls_stand_beneath_the_endpoint() {
        let url = |endpoint| beneath(endpoint, "deliver").map(String::from);
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(url("http://h:1"), expected("http://h:1/earnest/v1/deliver"));
        assert_eq!(
            url("http://h:1/a/?k=v"),
            expected("http://h:1/a/earnest/v1/deliver?k=v")
        );
        assert_eq!(url("nonsense"), None);
    }
}
