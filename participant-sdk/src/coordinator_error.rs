//! What a coordinator answered when it did not answer well, read from `google.rpc.ErrorInfo`.
//!
//! Unknown reasons are kept as they are: a newer coordinator may say more than this crate knows.

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The domain of the coordinator's own errors.
const DOMAIN: &str = "earnest";

/// The coordinator's stable code for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The id belongs to a transaction with other content.
    IdReused,
    /// The transaction was decided otherwise.
    Decided,
    /// The coordinator doesn't know the id.
    NotFound,
    /// A topic has no subscription.
    NoSubscription,
    /// Refused early; nothing was recorded.
    Overloaded,
    /// A message, a header or the whole call is too large.
    TooLarge,
    /// Something in the call is malformed.
    Invalid,
    /// The id was made longer ago than the coordinator remembers.
    IdTooOld,
    /// Another service opened the transaction.
    NotInitiator,
    /// The coordinator's database does not answer, or the node is leaving.
    Unavailable,
    /// The coordinator's database has forgotten what it acknowledged, and waits for an operator.
    DatabaseLoss,
    /// A fault of the coordinator's own.
    Internal,
    /// A reason that this version doesn't know.
    Other(String),
}

impl Reason {
    fn from_code(code: &str) -> Self {
        match code {
            "ID_REUSED" => Self::IdReused,
            "DECIDED" => Self::Decided,
            "NOT_FOUND" => Self::NotFound,
            "NO_SUBSCRIPTION" => Self::NoSubscription,
            "OVERLOADED" => Self::Overloaded,
            "TOO_LARGE" => Self::TooLarge,
            "INVALID" => Self::Invalid,
            "ID_TOO_OLD" => Self::IdTooOld,
            "NOT_INITIATOR" => Self::NotInitiator,
            "UNAVAILABLE" => Self::Unavailable,
            "DATABASE_LOSS" => Self::DatabaseLoss,
            "INTERNAL" => Self::Internal,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A call to the coordinator that failed: refused by it, or never answered.
#[derive(Clone, Debug)]
pub struct CoordinatorError {
    call: &'static str,
    code: Code,
    reason: Option<Reason>,
    message: String,
    hint: Option<String>,
    retryable: bool,
    phase: Option<String>,
}

impl CoordinatorError {
    pub(crate) fn from_status(call: &'static str, status: &Status) -> Self {
        let info = status
            .get_details_error_info()
            .filter(|info| info.domain == DOMAIN);
        let metadata = |key: &str| {
            info.as_ref()
                .and_then(|info| info.metadata.get(key).cloned())
                .filter(|value| !value.is_empty())
        };
        let retryable = match metadata("retryable") {
            Some(said) => said == "true",
            None => is_passing(status.code()),
        };
        Self {
            call,
            code: status.code(),
            message: status.message().to_owned(),
            hint: metadata("hint"),
            retryable,
            phase: metadata("phase"),
            reason: info.map(|info| Reason::from_code(&info.reason)),
        }
    }

    pub(crate) fn no_answer(call: &'static str) -> Self {
        Self {
            call,
            code: Code::DeadlineExceeded,
            reason: None,
            message: "no answer in time".to_owned(),
            hint: None,
            retryable: true,
            phase: None,
        }
    }

    /// The coordinator's stable code; `None` when it did not answer itself (it is down, out of reach, or too slow).
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The gRPC status code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the coordinator says to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where the transaction stands, when the coordinator said so.
    pub fn phase(&self) -> Option<&str> {
        self.phase.as_deref()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether no node took the call: it is down, out of reach or too slow, leaving, or without its database.
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self.reason, None | Some(Reason::Unavailable))
    }

    /// Whether the coordinator may have acted on the call although it failed.
    pub(crate) fn may_have_acted(&self) -> bool {
        !matches!(
            self.reason,
            Some(
                Reason::Invalid
                    | Reason::TooLarge
                    | Reason::NoSubscription
                    | Reason::Overloaded
                    | Reason::IdReused
                    | Reason::IdTooOld
                    | Reason::NotInitiator
                    | Reason::Decided
            )
        )
    }
}

fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
    )
}

impl std::fmt::Display for CoordinatorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.reason {
            Some(_) => write!(f, "the coordinator refused {}: {}", self.call, self.message)?,
            None => write!(
                f,
                "the coordinator did not answer {} ({}: {}); check that it runs (`earnest serve`) and that its address \
                 is right",
                self.call, self.code, self.message
            )?,
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CoordinatorError {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn refusal(domain: &str, reason: &str, metadata: &[(&str, &str)]) -> Status {
        let metadata: HashMap<String, String> = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let details = ErrorDetails::with_error_info(reason, domain, metadata);
        Status::with_error_details(Code::FailedPrecondition, "no", details)
    }

    #[test]
    fn a_refusal_is_read_with_its_metadata() {
        let status = refusal(
            "earnest",
            "NO_SUBSCRIPTION",
            &[("retryable", "false"), ("hint", "add one")],
        );
        let error = CoordinatorError::from_status("Prepare", &status);
        assert_eq!(error.reason(), Some(&Reason::NoSubscription));
        assert_eq!(error.hint(), Some("add one"));
        assert!(!error.is_retryable());
        assert!(!error.may_have_acted());
        assert_eq!(
            error.to_string(),
            "the coordinator refused Prepare: no; add one"
        );
    }

    #[test]
    fn a_newer_reason_is_kept_and_taken_for_possibly_done() {
        let status = refusal("earnest", "FROM_THE_FUTURE", &[("retryable", "true")]);
        let error = CoordinatorError::from_status("Prepare", &status);
        assert_eq!(
            error.reason(),
            Some(&Reason::Other("FROM_THE_FUTURE".to_owned()))
        );
        assert!(error.is_retryable());
        assert!(error.may_have_acted());
    }

    #[test]
    fn a_proxys_error_is_not_taken_for_the_coordinators() {
        let status = refusal("proxy.example", "INVALID", &[("retryable", "false")]);
        let error = CoordinatorError::from_status("Prepare", &status);
        assert_eq!(error.reason(), None);
        assert!(error.may_have_acted());

        let down = CoordinatorError::from_status("Prepare", &Status::unavailable("refused"));
        assert!(down.is_retryable() && down.may_have_acted());
    }
}
