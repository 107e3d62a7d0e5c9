//! A Try at an instance that speaks HTTP: a POST, as docs/http.md describes it and the coordinator makes the other calls.
//!
//! A status counts only together with the result header and the echoed id: a proxy's or catch-all page's 200 must decide nothing
//! (DESIGN §3.3). Redirects are not followed.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use earnest_proto::v1::{Branch, BranchCall};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost_types::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Tried;
use crate::{context, deliver::shortened};

/// The longest answer that is read; it says no more than a reason.
const LONGEST_ANSWER: usize = 64 << 10;

pub(super) type Client = legacy::Client<HttpConnector, Full<Bytes>>;

pub(super) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(1)));
    connector.set_nodelay(true);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

/// The body of a call.
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
    payload: &'a RawValue,
}

/// The error says why it is unknown.
pub(super) async fn call(
    client: &Client,
    url: &str,
    call: &BranchCall,
    timeout: Duration,
) -> Result<Tried, String> {
    let request = request(url, call)?;
    let answer = async {
        let reply = client.request(request).await.map_err(|e| with_source(&e))?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| format!("its answer can't be read: {error}"))?;
        let said = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        read(head.status, &head.headers, said, &call.transaction_id)
    };
    let answered = tokio::time::timeout(timeout, answer).await;
    answered.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
}

fn request(url: &str, call: &BranchCall) -> Result<Request<Full<Bytes>>, String> {
    let nothing = Branch::default();
    let branch = call.branch.as_ref().unwrap_or(&nothing);
    let body = Body {
        transaction_id: &call.transaction_id,
        ordinal: call.ordinal,
        namespace: &call.namespace,
        service: &branch.service,
        action: &branch.action,
        resource_id: &branch.resource_id,
        initiator: &call.initiator,
        created_at: rfc3339(call.created_at_us),
        created_at_us: call.created_at_us,
        attempt: call.attempt,
        content_type: &branch.content_type,
        payload: serde_json::from_slice(&branch.payload)
            .map_err(|error| format!("the payload is not JSON: {error}"))?,
    };
    let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    Request::post(format!("{}/earnest/v1/try", url.trim_end_matches('/')))
        .header(header::CONTENT_TYPE, "application/json")
        .header(context::TRANSACTION_ID, &call.transaction_id)
        .header(context::BRANCH, call.ordinal)
        .header("earnest-attempt", call.attempt)
        .header(context::TRACEPARENT, &call.traceparent)
        .body(Full::from(body))
        .map_err(|error| format!("it can't be called: {error}"))
}

/// To the millisecond, as the coordinator shows times.
fn rfc3339(micros: i64) -> String {
    let time = Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) / 1_000 * 1_000_000).unwrap_or(0),
    };
    time.to_string()
}

fn read(status: StatusCode, headers: &HeaderMap, said: String, id: &str) -> Result<Tried, String> {
    let (echoed, word) = (
        only(headers, context::TRANSACTION_ID),
        only(headers, "earnest-result"),
    );
    let (true, Some(word)) = (echoed == Some(id), word) else {
        return Err(format!(
            "status {status} counts for nothing without the headers Earnest-Transaction-Id (the id asked about) and Earnest-Result, \
             once each: is this the participant, or a proxy or catch-all page?"
        ));
    };
    match word {
        "OK" if status.is_success() => Ok(Tried::Ok),
        "REFUSED" | "FAILED" => Ok(Tried::Refused(shortened(reason(said)))),
        "OK" => Err(format!(
            "Earnest-Result: OK needs a status of success, and it is {status}"
        )),
        _ => Err(shortened(format!("{word}: {}", reason(said)))),
    }
}

/// Of a header that comes once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The body's `reason`, or its text.
fn reason(said: String) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        reason: String,
    }
    serde_json::from_str(&said).map_or(said, |Said { reason }| reason)
}

fn with_source(error: &legacy::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn reads(
        status: u16,
        headers: &[(&'static str, &'static str)],
        said: &str,
    ) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        match read(status, &map, said.to_owned(), ID)? {
            Tried::Ok => Ok(()),
            Tried::Refused(reason) => Err(format!("refused: {reason}")),
            Tried::Unanswered(why) => Err(why),
        }
    }

    #[test]
    fn an_answer_counts_only_with_its_headers() {
        let echoed = ("earnest-transaction-id", ID);
        let word = |word| [echoed, ("earnest-result", word)];
        assert_eq!(reads(200, &word("OK"), ""), Ok(()));
        let refused = reads(409, &word("REFUSED"), r#"{"reason": "sold out"}"#);
        assert_eq!(refused, Err("refused: sold out".to_owned()));
        assert_eq!(
            reads(200, &word("FAILED"), "no such account"),
            Err("refused: no such account".to_owned())
        );
        for (status, headers) in [
            (200, vec![]),
            (200, vec![("earnest-result", "OK")]),
            (200, vec![echoed]),
            (
                200,
                vec![
                    ("earnest-transaction-id", "another"),
                    ("earnest-result", "OK"),
                ],
            ),
            (
                200,
                vec![echoed, ("earnest-result", "OK"), ("earnest-result", "OK")],
            ),
            (500, word("OK").to_vec()),
            (200, word("IN_PROGRESS").to_vec()),
            (200, word("ok").to_vec()),
            (409, vec![("earnest-result", "REFUSED")]),
        ] {
            let unknown = reads(status, &headers, "").unwrap_err();
            assert!(
                !unknown.starts_with("refused"),
                "{status} {headers:?}: {unknown}"
            );
        }
    }

    #[test]
    fn times_are_shown_as_the_coordinator_shows_them() {
        assert_eq!(rfc3339(1_800_000_000_123_456), "2027-01-15T08:00:00.123Z");
    }
}
