//! PostgreSQL's errors, as the store's: what may be tried again, what never will work, what is damage.

use sqlx::{Error, error::DatabaseError};

use crate::StoreError;

/// Why one run of a database transaction failed; nothing of it was written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another database transaction was in the way: the same again, in a new snapshot, will see what it wrote.
    Conflict(StoreError),
    /// It is over.
    Final(StoreError),
}

impl Failure {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Conflict(error) | Self::Final(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable {
                source: Some(source),
                ..
            } if source.downcast_ref().is_some_and(is_conflict) => Self::Conflict(error),
            _ => Self::Final(error),
        }
    }
}

fn code(error: &Error) -> String {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .unwrap_or_default()
        .into_owned()
}

/// Serialization failure, deadlock; or the range of an id was dropped just now, and the purge horizon will say so.
fn is_conflict(error: &Error) -> bool {
    matches!(code(error).as_str(), "40001" | "40P01" | NO_RANGE)
}

/// A row belongs into no partition. (No table has a CHECK of its own, which would say the same.)
const NO_RANGE: &str = "23514";

/// A lock was not to be had in the time that was given for it, or only at the price of a deadlock.
pub(super) fn is_busy(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else {
        return false;
    };
    let error = source.as_ref().and_then(|source| source.downcast_ref());
    error.is_some_and(|error| matches!(code(error).as_str(), "55P03" | "40P01"))
}

/// Translates an error of anything but COMMIT: nothing was written.
pub(super) fn failed(context: &str, error: Error) -> StoreError {
    let code = code(&error);
    let (class, context) = (code.get(..2).unwrap_or_default(), context.to_owned());
    match (&error, class) {
        (Error::Database(_), _) if code == NO_RANGE => StoreError::Unavailable {
            context,
            source: Some(Box::new(error)),
        },
        // A value that its column can't hold (a zero byte, for one), a constraint, a limit of the database's.
        (Error::Database(_), "22" | "23" | "54") | (Error::Encode(_), _) => StoreError::Rejected {
            context,
            source: Some(Box::new(error)),
        },
        // A table or column that this version knows is missing, or damage that the database has found itself.
        (Error::Database(_), "42" | "3F") | (Error::ColumnDecode { .. } | Error::Decode(_), _) => {
            StoreError::Corrupt(format!("{context}: {error}"))
        }
        (Error::Database(_), _) if matches!(code.as_str(), "XX001" | "XX002") => {
            StoreError::Corrupt(format!("{context}: {error}"))
        }
        _ => StoreError::Unavailable {
            context,
            source: Some(Box::new(error)),
        },
    }
}

/// Translates an error of COMMIT. Only where the database itself says that it has rolled back is that known: an
/// operator's shutdown (57P01) may come after the commit was written.
pub(super) fn commit_failed(context: &str, error: Error) -> StoreError {
    let code = code(&error);
    match code.get(..2) {
        Some("40") if code != "40003" => failed(context, error),
        Some("23") => failed(context, error),
        _ => StoreError::CommitUnknown {
            context: context.to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// Nothing was written, and no database error says why.
pub(super) fn unavailable(context: impl Into<String>) -> StoreError {
    StoreError::Unavailable {
        context: context.into(),
        source: None,
    }
}

/// Adds what was being done to a database error.
pub(super) trait Context<T> {
    fn context(self, context: &str) -> Result<T, StoreError>;
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, context: &str) -> Result<T, StoreError> {
        self.map_err(|error| failed(context, error))
    }
}
