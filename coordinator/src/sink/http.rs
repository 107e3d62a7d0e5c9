//! One POST per message: to HTTP endpoints of services and to webhooks.

use earnest_protocol::DeliveryAnswer;
use earnest_store::{DeliveryWork, Endpoint};
use futures_util::future::join_all;
use http::StatusCode;

use super::{Caller, Handed, Outcome, header, time_for_a_call};
use crate::{
    callback::{Failure, Reply, beneath},
    driver::CallOutcome,
};

/// Hands each of `works` to one instance of a service.
pub(super) async fn to_service(
    caller: &Caller,
    endpoint: &Endpoint,
    works: &[&DeliveryWork],
) -> Vec<Handed> {
    let target = format!("http {}", endpoint.url);
    let Some(url) = beneath(&endpoint.url, "deliver") else {
        let bad = || Handed::Unsent(no_url(&target, &endpoint.url));
        return works.iter().map(|_| bad()).collect();
    };
    let posts = works
        .iter()
        .map(|work| post(caller, &target, url.clone(), work));
    join_all(posts).await
}

/// Hands `work` to a webhook.
pub(super) async fn to_webhook(caller: &Caller, url: &str, work: &DeliveryWork) -> Handed {
    let target = format!("webhook {url}");
    match url.parse() {
        Ok(parsed) => post(caller, &target, parsed, work).await,
        Err(_) => Handed::Settled(no_url(&target, url)),
    }
}

async fn post(caller: &Caller, target: &str, url: reqwest::Url, work: &DeliveryWork) -> Handed {
    let request = caller
        .clients
        .http()
        .post(url)
        .timeout(time_for_a_call(work))
        .headers(header::headers(caller, work))
        .body(work.message.payload.clone());
    match Reply::to(request).await {
        Ok(reply) => Handed::Settled(read(&reply, target)),
        Err(Failure {
            code,
            error,
            down,
            unsent,
        }) => {
            let outcome = CallOutcome {
                answer: DeliveryAnswer::Unknown,
                target: target.to_owned(),
                code,
                error,
                down,
            };
            if unsent {
                Handed::Unsent(outcome)
            } else {
                Handed::Settled(outcome)
            }
        }
    }
}

/// DESIGN §3.3: for deliveries the status is the word.
fn read(reply: &Reply, target: &str) -> Outcome {
    let answered = |answer, code: &str| CallOutcome::answered(answer, target, code, reply.shown());
    match reply.status {
        status if status.is_success() => {
            CallOutcome::answered(DeliveryAnswer::Ok, target, "ok", "")
        }
        StatusCode::CONFLICT => answered(DeliveryAnswer::Refused, "refused"),
        StatusCode::TOO_EARLY => answered(DeliveryAnswer::InProgress, "in-progress"),
        StatusCode::UNPROCESSABLE_ENTITY => {
            answered(DeliveryAnswer::Failed(reply.shown()), "failed")
        }
        _ => CallOutcome {
            down: reply.is_gateway_error(),
            ..answered(DeliveryAnswer::Unknown, &reply.status_code())
        },
    }
}

fn no_url(target: &str, url: &str) -> Outcome {
    let problem = format!("`{url}` is not a URL");
    CallOutcome::down(DeliveryAnswer::Unknown, target, "bad-endpoint", problem)
}
