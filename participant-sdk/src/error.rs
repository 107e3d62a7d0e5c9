//! What can go wrong, as types that say what to do.
//!
//! Of everything that [`Tx::commit`](crate::Tx::commit) can return, only [`Error::OutcomeUnknown`] leaves open whether the
//! local transaction committed, and [`Error::CommittedEarly`] says that a part of it did; every other error means that it did not.

use crate::{
    coordinator_error::CoordinatorError, ids::TransactionId, message::MessageProblem, sql,
};

/// Why a call of the SDK failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The SDK was put together wrongly; found while connecting.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The service's own database failed. Nothing was committed.
    #[error("the service's database failed, and nothing was committed")]
    Database(#[from] sqlx::Error),
    /// The coordinator refused to prepare, or could not be reached in time. Nothing was committed.
    #[error("{0}; nothing was committed")]
    Coordinator(CoordinatorError),
    /// The transaction was decided before this commit got to it. Nothing was committed.
    #[error(
        "transaction {id} was already decided ({phase}) when it was about to commit, so nothing was committed; \
         begin a new one"
    )]
    AlreadyDecided {
        /// The transaction.
        id: TransactionId,
        /// Where the coordinator says it stands.
        phase: &'static str,
    },
    /// The database lost the local transaction before COMMIT, without saying so. Nothing of it was committed;
    /// statements run after the loss may have been.
    #[error(
        "local transaction {id} was lost before COMMIT (its fence row is gone), so it was rolled back; don't run BEGIN, \
         COMMIT or ROLLBACK yourself on a Tx, and look in the database's log for a deadlock or a failed statement \
         whose error was ignored"
    )]
    FenceLost {
        /// The transaction.
        id: TransactionId,
    },
    /// The database committed a part of the local transaction by itself, before [`Tx::commit`](crate::Tx::commit): MySQL does so at
    /// DDL. That part stands, and its messages leave; what came after it was rolled back.
    #[error(
        "local transaction {id} was committed before its end, by DDL or by a COMMIT of your own: what came before that stands, and its \
         messages leave; what came after it was rolled back; don't run DDL inside of a Tx"
    )]
    CommittedEarly {
        /// The transaction.
        id: TransactionId,
    },
    /// COMMIT was sent and its outcome can't be learnt now. It is not lost: a check-back settles it.
    #[error(
        "the outcome of transaction {0} is not known yet: COMMIT was sent, and the database did not say what became \
         of it; don't repeat the business operation blindly, ask `earnest tx show {0}` or your own tables"
    )]
    OutcomeUnknown(TransactionId),
    /// A participant refused its Try: a business no. Nothing was committed, and what others had reserved is cancelled.
    #[error("{service} refused: {reason}")]
    Refused {
        /// Who said no.
        service: String,
        /// Why, as the participant put it.
        reason: String,
    },
    /// A participant did not answer its Try in time. Nothing was committed, and whatever was reserved is cancelled.
    #[error(
        "{service} did not answer its Try ({detail}); nothing was committed, and what was reserved is cancelled"
    )]
    TryUnanswered {
        /// Who did not answer.
        service: String,
        /// What was met last.
        detail: String,
    },
    /// No instance of a participant is known that speaks gRPC. Nothing was registered.
    #[error(
        "no instance of {service} is registered that speaks gRPC, so its Try can't be called; start it once, or look at \
         `earnest service list`"
    )]
    NoInstance {
        /// The participant.
        service: String,
    },
    /// A Try was refused or not answered before, so this transaction can only roll back.
    #[error(
        "transaction {id} can't commit, since a Try of it was refused or not answered; it was rolled back"
    )]
    NotAllTried {
        /// The transaction.
        id: TransactionId,
    },
    /// The coordinator cancelled a transaction that it ran.
    #[error("transaction {id} was cancelled (by: {by})")]
    Cancelled {
        /// The transaction.
        id: TransactionId,
        /// Who decided: `deadline`, `operator:…`.
        by: String,
    },
    /// A message that no coordinator would take. Nothing was collected.
    #[error("message not collected: {0}")]
    Message(#[from] MessageProblem),
    /// A handler tried to end the transaction that it was lent.
    #[error(
        "a handler does not commit or roll back: return Ok(()) to commit, or an error to roll back"
    )]
    LentTransaction,
}

impl From<CoordinatorError> for Error {
    fn from(error: CoordinatorError) -> Self {
        Self::Coordinator(error)
    }
}

impl Error {
    /// Whether the same business operation may succeed if it is simply run again, from `begin()`.
    /// Never so for [`Error::OutcomeUnknown`] and [`Error::CommittedEarly`], since it may already have happened.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::OutcomeUnknown(_)
            | Self::CommittedEarly { .. }
            | Self::Message(_)
            | Self::Refused { .. }
            | Self::LentTransaction => false,
            Self::TryUnanswered { .. }
            | Self::NoInstance { .. }
            | Self::NotAllTried { .. }
            | Self::Cancelled { .. }
            | Self::AlreadyDecided { .. }
            | Self::FenceLost { .. } => true,
            Self::Database(error) => is_passing(error),
            Self::Coordinator(error) => error.is_retryable(),
        }
    }
}

/// Whether a database error is of the kind that passes: locks, deadlocks, lost connections.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => sql::is_passing(&**error),
        _ => false,
    }
}

/// Why `connect` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A name of a service, namespace or topic.
    #[error("{what} `{name}` is not a name: use 1 to 255 letters, digits, '.', '_', '-' or '/'")]
    InvalidName {
        /// What it should name.
        what: &'static str,
        /// The text given.
        name: String,
    },
    /// An address of the coordinator or of this service.
    #[error("{what} `{url}` can't be used: {problem}; write it as http://host:port")]
    InvalidUrl {
        /// What it should be the address of.
        what: &'static str,
        /// The text given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two handlers for one topic.
    #[error("topic `{0}` has two handlers; a service handles a topic in one place")]
    DuplicateHandler(String),
    /// Two reservations under one name.
    #[error("action `{0}` is given twice; a service offers an action in one place")]
    DuplicateAction(String),
    /// A duration or number out of range.
    #[error("{what} must be {expected}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
    /// The database lacks Earnest's tables.
    #[error(
        "Earnest's tables are missing in this database ({missing}); run `earnest sdk migrate <database url>`, or add \
         .migrate() before .connect()"
    )]
    TablesMissing {
        /// Their names.
        missing: String,
    },
    /// The database was migrated by a newer version.
    #[error(
        "Earnest's tables in this database are of version {found}, and this program knows versions up to {known}; \
         update the `earnest` crate"
    )]
    NewerTables {
        /// What the database says.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database could not be asked.
    #[error("the service's database could not be read while connecting")]
    Database(#[source] sqlx::Error),
}

#[cfg(feature = "axum")]
mod respond {
    //! Errors and ids as HTTP answers, so that a request handler can return `Result<TransactionId, Error>`.
    //! What the database or the coordinator said stays in the log: it is not for the service's clients.

    use axum::{
        Json,
        http::{StatusCode, header},
        response::{IntoResponse, Response},
    };
    use serde_json::json;

    use super::Error;
    use crate::ids::TransactionId;

    impl IntoResponse for Error {
        fn into_response(self) -> Response {
            let (status, title) = match &self {
                Error::OutcomeUnknown(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the outcome is not known yet",
                ),
                Error::CommittedEarly { .. } => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "only a part was done")
                }
                Error::Refused { .. } => (StatusCode::CONFLICT, "refused, and nothing was done"),
                Error::Message(_) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "a message could not be made",
                ),
                error if error.is_retryable() => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "nothing was done; try again",
                ),
                _ => (StatusCode::INTERNAL_SERVER_ERROR, "nothing was done"),
            };
            let transaction_id = match &self {
                Error::OutcomeUnknown(id)
                | Error::AlreadyDecided { id, .. }
                | Error::FenceLost { id }
                | Error::NotAllTried { id }
                | Error::Cancelled { id, .. }
                | Error::CommittedEarly { id } => Some(id.to_string()),
                _ => None,
            };
            let refusal = match &self {
                Error::Refused { service, reason } => {
                    Some(json!({ "service": service, "reason": reason }))
                }
                _ => None,
            };
            let retryable = self.is_retryable();
            tracing::warn!(
                error = &self as &dyn std::error::Error,
                "answering a request with an error"
            );
            let problem = json!({
                "type": "about:blank",
                "title": title,
                "status": status.as_u16(),
                "retryable": retryable,
                "transaction_id": transaction_id,
                "refusal": refusal,
            });
            let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
            (status, content_type, Json(problem)).into_response()
        }
    }

    impl IntoResponse for TransactionId {
        fn into_response(self) -> Response {
            self.to_string().into_response()
        }
    }
}
