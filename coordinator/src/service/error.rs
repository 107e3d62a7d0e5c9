//! Errors of the use cases: a stable code, whether to retry, what to do, and the state where there is one.

use std::{error::Error, fmt};

use earnest_protocol::{IdError, LimitError, NameError, OptionsError};
use earnest_store::{Rejection, StoreError, TransactionRow};

use crate::journal::JournalError;

/// Stable across versions; the same word in gRPC (`ErrorInfo.reason`) and REST (`code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A value is malformed or missing.
    Invalid,
    /// A bound was passed.
    TooLarge,
    /// Same id, other content.
    IdReused,
    /// The id is older than what is kept.
    IdTooOld,
    /// The opposite was decided.
    Decided,
    /// No such transaction, service or subscription.
    NotFound,
    /// Only the initiator may decide.
    NotInitiator,
    /// A message would go nowhere.
    NoSubscription,
    /// Another branch or message has that place.
    BranchReused,
    /// The Trys of an executed transaction decide, and they have not all been answered.
    Untried,
    /// An operator may decide only what is parked.
    NotParked,
    /// The initiator's answer stands against the operator's decision, or there was none.
    OutcomeUnclear,
    /// The queue is full: again in a moment.
    Overloaded,
    /// The database does not answer, or the node is leaving: again in a moment.
    Unavailable,
    /// The database has forgotten what it acknowledged: again when an operator has said how to go on.
    DatabaseLoss,
    /// A fault of the coordinator's own.
    Internal,
}

impl Code {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::TooLarge => "TOO_LARGE",
            Self::IdReused => "ID_REUSED",
            Self::IdTooOld => "ID_TOO_OLD",
            Self::Decided => "DECIDED",
            Self::NotFound => "NOT_FOUND",
            Self::NotInitiator => "NOT_INITIATOR",
            Self::NoSubscription => "NO_SUBSCRIPTION",
            Self::BranchReused => "BRANCH_REUSED",
            Self::Untried => "UNTRIED",
            Self::NotParked => "NOT_PARKED",
            Self::OutcomeUnclear => "OUTCOME_UNCLEAR",
            Self::Overloaded => "OVERLOADED",
            Self::Unavailable => "UNAVAILABLE",
            Self::DatabaseLoss => "DATABASE_LOSS",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::Unavailable | Self::DatabaseLoss
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call was not done. Nothing that it asked for was acknowledged.
#[derive(Debug)]
pub struct ServiceError {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what to do.
    pub hint: String,
    /// The transaction as it stands, where that explains the refusal.
    pub transaction: Option<Box<TransactionRow>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ServiceError {
    /// An error with what is wrong and what to do.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            transaction: None,
            source: None,
        }
    }

    /// A value of a field is not acceptable.
    pub fn invalid(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(
            Code::Invalid,
            format!("{field}: {problem}"),
            "correct the field and call again",
        )
    }

    /// Nothing of that name.
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(
            Code::NotFound,
            format!("{what} {name} is not known"),
            format!("list what is known of each {what}, and check the namespace"),
        )
    }

    fn about(mut self, row: Box<TransactionRow>) -> Self {
        self.transaction = Some(row);
        self
    }

    fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}

impl From<Rejection> for ServiceError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::IdReused { .. } => Self::new(
                Code::IdReused,
                message,
                "use a new id for other content; repeat a call only with exactly what it said before",
            ),
            Rejection::AlreadyDecided(row) => {
                let decided = row.state.phase.decision().map(|d| d.to_string()).unwrap_or_default();
                let (at, by) =
                    row.decided.as_ref().map(|(at, by)| (at.to_string(), by.to_string())).unwrap_or_default();
                let message = format!("{message}: {decided} at {at} by {by}");
                let hint = "the first decision stands; look at the transaction and go on from there";
                Self::new(Code::Decided, message, hint).about(row)
            }
            Rejection::NotFound { .. } => Self::new(
                Code::NotFound,
                message,
                "prepare it first; if it was prepared, check the id and the coordinator's address",
            ),
            Rejection::NotInitiator { .. } => {
                Self::new(Code::NotInitiator, message, "decide from the service that opened it")
            }
            Rejection::NoSubscription { topic } => Self::new(
                Code::NoSubscription,
                message,
                format!(
                    "add one: earnest subscription add NAME --topic {topic} --service SERVICE; or allow it with \
                     options.allow_no_subscription"
                ),
            ),
            Rejection::BranchReused { .. } | Rejection::MessageMisplaced { .. } => Self::new(
                Code::BranchReused,
                message,
                "number branches and messages on from those registered; repeat a call only with exactly what it said before",
            ),
            Rejection::TooManyBranches { .. } | Rejection::TooManyMessages { .. } => Self::new(
                Code::TooLarge,
                message,
                "spread the work over several transactions",
            ),
            Rejection::OlderNode { .. } => Self::new(
                Code::Unavailable,
                message,
                "bring all coordinators of this database to this version; then the same call goes through",
            ),
            Rejection::Untried(row) => Self::new(
                Code::Untried,
                message,
                "wait for its decision, or cancel it",
            )
            .about(row),
            Rejection::TooOld { .. } => {
                Self::new(Code::IdTooOld, message, "use a new id, made at the time of the call")
            }
            Rejection::NotParked(row) => Self::new(
                Code::NotParked,
                message,
                "an operator decides only what is parked: park it first, or let its check-back decide",
            )
            .about(row),
            Rejection::NothingToPark(row) => {
                Self::new(Code::Invalid, message, "only what is still pending can be parked").about(row)
            }
        }
    }
}

impl From<JournalError> for ServiceError {
    fn from(error: JournalError) -> Self {
        let hint = "repeat the same call after a moment; it is idempotent";
        if let JournalError::Store(store) = &error
            && let Some(error) = Self::of_state(store)
        {
            return error;
        }
        match error {
            JournalError::Full => Self::new(Code::Overloaded, error.to_string(), hint),
            JournalError::Closed => Self::new(Code::Unavailable, error.to_string(), hint),
            JournalError::Store(store) if store.is_retryable() => {
                Self::new(Code::Unavailable, "the database does not answer", hint).because(store)
            }
            JournalError::Store(store) => Self::internal(store),
        }
    }
}

impl ServiceError {
    /// What only a person or another node can mend.
    fn of_state(error: &StoreError) -> Option<Self> {
        let (code, hint) = match error {
            StoreError::Forgot(_) => (
                Code::DatabaseLoss,
                "an operator looks with `earnest database show` and decides; repeat the same call after that",
            ),
            StoreError::Newer(_) => (
                Code::Unavailable,
                "repeat the same call at another coordinator, and upgrade this one",
            ),
            _ => return None,
        };
        Some(Self::new(code, error.to_string(), hint))
    }

    fn internal(error: impl Error + Send + Sync + 'static) -> Self {
        let hint = "the coordinator's log says more; please report it";
        Self::new(Code::Internal, "the coordinator could not do this", hint).because(error)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        if let Some(error) = Self::of_state(&error) {
            return error;
        }
        if error.is_retryable() {
            let hint = "repeat the same call after a moment";
            return Self::new(Code::Unavailable, "the database does not answer", hint)
                .because(error);
        }
        Self::internal(error)
    }
}

impl From<LimitError> for ServiceError {
    fn from(error: LimitError) -> Self {
        Self::new(
            Code::TooLarge,
            error.to_string(),
            "send less, or a reference to where the data is kept",
        )
    }
}

impl From<IdError> for ServiceError {
    fn from(error: IdError) -> Self {
        Self::invalid("id", error)
    }
}

impl From<OptionsError> for ServiceError {
    fn from(error: OptionsError) -> Self {
        Self::invalid("options", error)
    }
}

impl ServiceError {
    /// A name or topic that is not one.
    pub fn bad_name(field: &str, error: &NameError) -> Self {
        Self::invalid(field, error)
    }
}
