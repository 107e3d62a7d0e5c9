//! What every call passes first: a bound on calls under way, a deadline, and a check that a web page of somebody
//! else's is not behind it.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, header};
use tokio::sync::Semaphore;
use tonic::Status;

use super::{grpc, http::Problem};
use crate::service::{Code, LONGEST_WAIT, ServiceError};

/// Calls under way at the same time; one more is refused (P13).
const CALLS: usize = 8_192;
/// How long a call may take where the caller doesn't say: a wait, and what is done before it.
const LONGEST: Duration = Duration::from_secs(LONGEST_WAIT.as_secs() + 15);

/// Shared by all calls.
#[derive(Clone)]
pub(super) struct Gate {
    room: Arc<Semaphore>,
}

impl Gate {
    /// An open one.
    pub(super) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(CALLS)),
        }
    }
}

/// Lets a call through, within its bounds. What it has written stays written when it is cut off; the caller
/// has no answer then, and repeats it.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let is_grpc = is_grpc(request.headers());
    if !is_grpc && is_probe(request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(_place) = gate.room.try_acquire() else {
        let error = ServiceError::new(
            Code::Overloaded,
            "the coordinator is overloaded: too many calls are under way",
            "repeat the same call after a moment; it is idempotent",
        );
        return refuse(is_grpc, error);
    };
    if !is_grpc && is_cross_origin(&request) {
        return Problem::cross_origin().into_response();
    }
    let asked = deadline(request.headers());
    let limit = asked.unwrap_or(LONGEST).min(LONGEST);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) if is_grpc && is_out_of_range(&response) => too_large(),
        Ok(response) => response,
        Err(_) => {
            let error = ServiceError::new(
                Code::Unavailable,
                format!("not done within {} ms", limit.as_millis()),
                "repeat the same call; it is idempotent",
            );
            refuse(is_grpc, error)
        }
    }
}

/// Whether a request speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn refuse(is_grpc: bool, error: ServiceError) -> Response {
    if is_grpc {
        grpc::status(error)
            .into_http::<tonic::body::Body>()
            .map(axum::body::Body::new)
    } else {
        Problem::from(error).into_response()
    }
}

/// A browser says where the page comes from that makes it call. Whoever can reach the port may call it, but not
/// through the browser of somebody who merely looks at a page.
fn is_cross_origin(request: &Request) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return false;
    }
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let of_page = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    let own = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    of_page.is_none() || of_page != own
}

/// The caller's `grpc-timeout`: up to eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Nothing but the decoder says OUT_OF_RANGE: the request is larger than it takes.
fn is_out_of_range(response: &Response) -> bool {
    response
        .headers()
        .get(Status::GRPC_STATUS)
        .is_some_and(|code| code == "11")
}

fn too_large() -> Response {
    let error = ServiceError::new(
        Code::TooLarge,
        "the request is larger than a transaction may be",
        "send less, or a reference to where the data is kept",
    );
    refuse(true, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, http::HeaderValue::from_static(value));
        headers
    }

    #[tokio::test]
    async fn p13_a_call_too_many_is_refused_at_once_and_probes_are_not() {
        let full = Gate {
            room: Arc::new(Semaphore::new(0)),
        };
        let call = async |path: &str, headers: HeaderMap| {
            let app = axum::Router::new()
                .fallback(async || "done")
                .layer(axum::middleware::from_fn_with_state(full.clone(), pass));
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = path.parse().expect("a path");
            *request.headers_mut() = headers;
            tower::ServiceExt::oneshot(app, request)
                .await
                .expect("infallible")
        };
        let rest = call("/v1/transactions", HeaderMap::new()).await;
        assert_eq!(rest.status(), http::StatusCode::TOO_MANY_REQUESTS);
        let grpc = with("content-type", "application/grpc");
        let grpc = call("/earnest.v1.Coordinator/Prepare", grpc).await;
        assert_eq!(grpc.headers()[Status::GRPC_STATUS], "8");
        let probe = call("/healthz", HeaderMap::new()).await;
        assert_eq!(probe.status(), http::StatusCode::OK);
    }

    #[test]
    fn deadlines_are_read_and_nonsense_is_none() {
        let read = |value| deadline(&with("grpc-timeout", value));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        for nonsense in ["", "S", "1", "1x", "-1S", "123456789S"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn another_sites_page_is_noticed() {
        let from = |origin| {
            let mut request = Request::new(axum::body::Body::empty());
            *request.method_mut() = Method::POST;
            *request.headers_mut() = with("host", "127.0.0.1:7450");
            if let Some(origin) = origin {
                let origin = http::HeaderValue::from_static(origin);
                request.headers_mut().insert(header::ORIGIN, origin);
            }
            is_cross_origin(&request)
        };
        assert!(!from(None));
        assert!(!from(Some("http://127.0.0.1:7450")));
        assert!(from(Some("http://evil.example")));
        assert!(from(Some("null")));
    }
}
