//! Errors as gRPC statuses with google.rpc.ErrorInfo.

use std::{collections::HashMap, time::Duration};

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    service::{Code, ServiceError},
    transport::fault::{self, Standing},
};

/// The domain of every ErrorInfo.
const DOMAIN: &str = "earnest";
/// When to repeat a call that may succeed later.
const AGAIN: Duration = Duration::from_secs(1);

/// The status that says what `error` says.
pub(in crate::transport) fn status(error: ServiceError) -> Status {
    fault::note(&error);
    let mut metadata = HashMap::from([
        ("retryable".into(), error.code.is_retryable().to_string()),
        ("hint".into(), error.hint.clone()),
    ]);
    if let Some(row) = &error.transaction {
        let standing = Standing::of(row);
        metadata.insert("transaction_id".into(), row.id.to_string());
        metadata.insert("phase".into(), standing.phase.into());
        if let Some(decision) = standing.decision {
            metadata.insert("decision".into(), decision);
        }
        if let Some((at_us, by)) = standing.decided {
            metadata.insert("decided_at_us".into(), at_us.to_string());
            metadata.insert("decided_by".into(), by);
        }
    }
    let mut details = ErrorDetails::with_error_info(error.code.as_str(), DOMAIN, metadata);
    if error.code.is_retryable() {
        details.set_retry_info(Some(AGAIN));
    }
    Status::with_error_details(code(error.code), error.message, details)
}

fn code(code: Code) -> tonic::Code {
    match code {
        Code::Invalid | Code::TooLarge => tonic::Code::InvalidArgument,
        Code::IdReused | Code::BranchReused => tonic::Code::AlreadyExists,
        Code::NotFound => tonic::Code::NotFound,
        Code::Decided
        | Code::Untried
        | Code::NotParked
        | Code::NoSubscription
        | Code::OutcomeUnclear
        | Code::IdTooOld => tonic::Code::FailedPrecondition,
        Code::NotInitiator => tonic::Code::PermissionDenied,
        Code::Overloaded => tonic::Code::ResourceExhausted,
        Code::Unavailable | Code::DatabaseLoss => tonic::Code::Unavailable,
        Code::Internal => tonic::Code::Internal,
    }
}
