//! MySQL's errors, as the store's: what may be tried again, what never will work, what is damage. By number: the SQLSTATE
//! is too coarse here.

use sqlx::{Error, mysql::MySqlDatabaseError};

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

/// The server's number; `None`: the error isn't the server's.
pub(super) fn number(error: &Error) -> Option<u16> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// A row that another has inserted meanwhile, waiting for a lock in vain, deadlock, a changed row under snapshot isolation, a
/// write conflict of TiDB's.
fn is_conflict(error: &Error) -> bool {
    matches!(number(error), Some(1020 | 1062 | 1205 | 1213 | 9007))
}

/// Whether a lock was waited for in vain.
pub(super) fn is_lock_timeout(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else {
        return false;
    };
    let source = source.as_ref().and_then(|source| source.downcast_ref());
    source.and_then(number) == Some(1205)
}

/// Translates an error of anything but COMMIT: nothing was written.
pub(super) fn failed(context: &str, error: Error) -> StoreError {
    let context = context.to_owned();
    match (&error, number(&error)) {
        // Too long, out of range, not of its type, NULL, a broken check, too large for a row or a packet.
        (
            _,
            Some(1048 | 1118 | 1153 | 1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 3819 | 3988 | 4025),
        )
        | (Error::Encode(_), _) => StoreError::Rejected {
            context,
            source: Some(Box::new(error)),
        },
        // A table or column that this version knows is missing, or damage that the database has found itself.
        (_, Some(1034 | 1054 | 1064 | 1146 | 1194 | 1712 | 1877))
        | (Error::ColumnDecode { .. } | Error::Decode(_), _) => {
            StoreError::Corrupt(format!("{context}: {error}"))
        }
        _ => StoreError::Unavailable {
            context,
            source: Some(Box::new(error)),
        },
    }
}

/// Translates an error of COMMIT. Only a deadlock (which is how a cluster's node says that another was first) and TiDB's write
/// conflict are known to have rolled back: whatever else came may have come after the commit was written.
pub(super) fn commit_failed(context: &str, error: Error) -> StoreError {
    match number(&error) {
        Some(1213 | 9007) => failed(context, error),
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
