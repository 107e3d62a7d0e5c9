//! What came back from a call: an HTTP reply with a bounded body, or how it failed.

use std::{error::Error, fmt::Write};

use http::{HeaderMap, StatusCode};
use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// The most that is read of a reply's body.
const LONGEST_BODY: usize = 64 << 10;
/// The most of it that is shown to people, in characters.
const SHOWN: usize = 500;

/// A complete HTTP reply.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Its first 64 KiB, as text.
    body: String,
}

/// A call that brought no reply, or an error instead of one.
pub(crate) struct Failure {
    /// Short and stable.
    pub(crate) code: String,
    /// For people.
    pub(crate) error: String,
    /// The peer did not answer.
    pub(crate) down: bool,
    /// The peer can't have seen the request: another one may be called instead.
    pub(crate) unsent: bool,
}

impl Reply {
    /// One that was read already.
    pub(super) fn of(reply: http::Response<String>) -> Self {
        let (parts, body) = reply.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Sends `request` and reads the reply.
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Result<Self, Failure> {
        let mut response = request.send().await.map_err(|e| Failure::http(&e))?;
        let mut body = Vec::new();
        while body.len() < LONGEST_BODY {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(Failure::http(&error)),
            }
        }
        body.truncate(LONGEST_BODY);
        Ok(Self {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// A header that is there exactly once; two may contradict each other.
    pub(crate) fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?.trim();
        values.next().is_none().then_some(value)
    }

    /// The beginning of the body, for people.
    pub(crate) fn shown(&self) -> String {
        let text = self.body.trim();
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }

    /// The code for a status that says nothing else.
    pub(crate) fn status_code(&self) -> String {
        format!("http-{}", self.status.as_u16())
    }

    /// Whether a gateway says that whom it stands for is gone.
    pub(crate) fn is_gateway_error(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    }
}

impl Failure {
    fn http(error: &reqwest::Error) -> Self {
        let code = match error {
            _ if error.is_connect() => "unreachable",
            _ if error.is_timeout() => "timeout",
            _ if error.is_builder() => "bad-endpoint",
            _ => "unreachable",
        };
        Self {
            code: code.into(),
            error: chain(error),
            down: true,
            unsent: error.is_connect() || error.is_builder(),
        }
    }

    /// Of a gRPC call.
    pub(crate) fn grpc(status: &Status) -> Self {
        // A status made on this side has a source; one that the peer sent has none.
        let local = status.source().is_some();
        let unsent = caused_by::<ConnectError>(status);
        let code = match status.code() {
            _ if caused_by::<TimeoutExpired>(status) => "timeout".to_owned(),
            Code::DeadlineExceeded => "timeout".to_owned(),
            Code::Unavailable => "unreachable".to_owned(),
            _ if local => "unreachable".to_owned(),
            code => format!("grpc-{}", word(code)),
        };
        Self {
            down: local || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
            unsent,
            error: match status.source() {
                Some(source) => format!("{}: {}", status.message(), chain(source)),
                None => status.message().to_owned(),
            },
            code,
        }
    }
}

/// Whether an error or one of its causes is a `T`.
fn caused_by<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<T>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Many errors repeat their cause in their own text.
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid-argument",
        Code::DeadlineExceeded => "deadline-exceeded",
        Code::NotFound => "not-found",
        Code::AlreadyExists => "already-exists",
        Code::PermissionDenied => "permission-denied",
        Code::ResourceExhausted => "resource-exhausted",
        Code::FailedPrecondition => "failed-precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out-of-range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data-loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
