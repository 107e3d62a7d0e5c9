//! SQLite's errors, as the store's: what may be tried again, what never will work, what is damage.

use rusqlite::{Error, ErrorCode};

use crate::StoreError;

/// Translates an error of anything but COMMIT: nothing was written.
pub(super) fn failed(context: &str, error: Error) -> StoreError {
    let context = context.to_owned();
    match &error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::ConstraintViolation
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch
            | ErrorCode::ParameterOutOfRange => StoreError::Rejected {
                context,
                source: Some(Box::new(error)),
            },
            // `Unknown` is a mistake in SQL, so a table or column that this version knows is missing.
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown => {
                StoreError::Corrupt(format!("{context}: {error}"))
            }
            _ => StoreError::Unavailable {
                context,
                source: Some(Box::new(error)),
            },
        },
        Error::ToSqlConversionFailure(_) => StoreError::Rejected {
            context,
            source: Some(Box::new(error)),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..)
        | Error::SqlInputError { .. } => StoreError::Corrupt(format!("{context}: {error}")),
        _ => StoreError::Unavailable {
            context,
            source: Some(Box::new(error)),
        },
    }
}

/// Translates an error of COMMIT. `rolled_back`: it was undone, as far as this process can tell.
///
/// An IO error may have come after the last frame was written. This process has undone it, but a crash right
/// now could bring it back, so its outcome is not known until the batch is run again.
pub(super) fn commit_failed(context: &str, error: Error, rolled_back: bool) -> StoreError {
    let is_clear = error
        .sqlite_error_code()
        .is_some_and(|code| code != ErrorCode::SystemIoFailure);
    if rolled_back && is_clear {
        failed(context, error)
    } else {
        StoreError::CommitUnknown {
            context: context.to_owned(),
            source: Some(Box::new(error)),
        }
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

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, context: &str) -> Result<T, StoreError> {
        self.map_err(|error| failed(context, error))
    }
}
