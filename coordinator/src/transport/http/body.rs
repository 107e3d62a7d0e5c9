//! JSON bodies, bounded, with errors that name the field.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::transport::AppState;

/// What a request takes beside its payloads.
const ENVELOPE: usize = 1 << 20;

/// A JSON body that must be there.
pub(super) struct Body<T>(pub(super) T);

/// A JSON body that may be left out.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (headers, bytes) = read(request, state).await?;
        if bytes.is_empty() {
            let hint = "send a JSON object; GET /openapi.json describes it";
            return Err(Problem::invalid("the body is empty", hint));
        }
        parse(&headers, &bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<AppState> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (headers, bytes) = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&headers, &bytes).map(Self)
    }
}

async fn read(request: Request, state: &AppState) -> Result<(HeaderMap, Bytes), Problem> {
    // Base64 makes four bytes of three.
    let limit = state.coordinator.limits().transaction_bytes / 3 * 4 + ENVELOPE;
    let (parts, body) = request.into_parts();
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Problem::body_too_large(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok((parts.headers, collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(limit)),
        Err(_) => Err(Problem::invalid(
            "the body did not arrive whole",
            "send it again",
        )),
    }
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Problem> {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = declared.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::wrong_content_type(declared));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_data() {
            "the JSON is not what is expected here"
        } else {
            "the body is not JSON"
        };
        Problem::invalid(
            format!("{what}: {error}"),
            "correct it and call again; GET /openapi.json describes it",
        )
    })
}
