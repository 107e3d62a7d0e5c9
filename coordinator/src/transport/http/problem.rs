//! Errors as application/problem+json (RFC 9457) that say what to do.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::view::TransactionView;
use crate::{
    service::{Code, ServiceError},
    transport::fault,
};

/// Seconds until a call that may succeed later is worth repeating.
const AGAIN: HeaderValue = HeaderValue::from_static("1");

/// An error as it is sent.
#[derive(Debug, Serialize)]
pub(in crate::transport) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    detail: String,
    code: &'static str,
    retryable: bool,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<Box<TransactionView>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!(
                "urn:earnest:{}",
                code.to_ascii_lowercase().replace('_', "-")
            ),
            title,
            status,
            detail: detail.into(),
            code,
            retryable: false,
            hint: hint.into(),
            transaction: None,
        }
    }

    /// A value is malformed or missing.
    pub(super) fn invalid(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        ServiceError::new(Code::Invalid, detail, hint).into()
    }

    /// The body is larger than is taken.
    pub(super) fn body_too_large(limit: usize) -> Self {
        ServiceError::new(
            Code::TooLarge,
            format!("the body is larger than {limit} bytes"),
            "send less, or a reference to where the data is kept",
        )
        .into()
    }

    /// The body is not declared to be JSON.
    pub(super) fn wrong_content_type(found: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "The body is of another media type",
            if found.is_empty() {
                "the body has no Content-Type".to_owned()
            } else {
                format!("the body is declared to be `{found}`")
            },
            "send JSON with the header Content-Type: application/json",
        )
    }

    /// Nothing is there.
    pub(super) fn unknown_path(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "UNKNOWN_PATH",
            "There is no such path",
            format!("there is nothing at {shown}"),
            "GET /openapi.json lists all paths",
        )
    }

    /// The path takes other methods.
    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "The path does not take this method",
            "this path does not take this method",
            "the header Allow says which it takes; GET /openapi.json lists all",
        )
    }

    /// A browser calls on behalf of another site's page.
    pub(in crate::transport) fn cross_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "CROSS_ORIGIN",
            "Pages of other sites may not call",
            "the request comes from a web page of another origin",
            "call from a program, or from a page that this coordinator serves",
        )
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        fault::note(&error);
        let (status, title) = meaning(error.code);
        Self {
            retryable: error.code.is_retryable(),
            transaction: error
                .transaction
                .map(|row| Box::new(TransactionView::of(&row))),
            ..Self::new(
                status,
                error.code.as_str(),
                title,
                error.message,
                error.hint,
            )
        }
    }
}

fn meaning(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Invalid => (StatusCode::BAD_REQUEST, "A value is malformed or missing"),
        Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "A bound was passed"),
        Code::IdReused => (
            StatusCode::CONFLICT,
            "The id belongs to a transaction with other content",
        ),
        Code::BranchReused => (
            StatusCode::CONFLICT,
            "Another branch or message has that place",
        ),
        Code::Untried => (
            StatusCode::CONFLICT,
            "Its Trys decide, and they have not all been answered",
        ),
        Code::IdTooOld => (StatusCode::GONE, "The id is older than what is kept"),
        Code::Decided => (StatusCode::CONFLICT, "The transaction is already decided"),
        Code::NotFound => (StatusCode::NOT_FOUND, "There is nothing of that name"),
        Code::NotInitiator => (StatusCode::FORBIDDEN, "Only the initiator may decide"),
        Code::NoSubscription => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "A message would go nowhere",
        ),
        Code::NotParked => (
            StatusCode::CONFLICT,
            "An operator decides only what is parked",
        ),
        Code::OutcomeUnclear => (
            StatusCode::CONFLICT,
            "The initiator's own answer is missing or stands against it",
        ),
        Code::Overloaded => (
            StatusCode::TOO_MANY_REQUESTS,
            "The coordinator is overloaded",
        ),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not possible just now"),
        Code::DatabaseLoss => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The database has forgotten what it acknowledged",
        ),
        Code::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "A fault of the coordinator's own",
        ),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retryable) = (self.status, self.retryable);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if retryable {
            headers.insert(header::RETRY_AFTER, AGAIN);
        }
        response
    }
}
