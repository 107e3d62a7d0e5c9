//! Errors of a database in memory, in sqlx's words and with PostgreSQL's codes.

use std::{borrow::Cow, error::Error, fmt, io};

use sqlx::error::{DatabaseError, ErrorKind};

/// A statement waited too long for a row.
const LOCK_NOT_AVAILABLE: &str = "55P03";

#[derive(Debug)]
struct MemoryError {
    code: &'static str,
    message: &'static str,
}

/// The connection is gone, and what was not committed on it.
pub(super) fn connection_lost() -> sqlx::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the connection to the database in memory is gone",
    )
    .into()
}

pub(super) fn unavailable() -> sqlx::Error {
    io::Error::new(
        io::ErrorKind::ConnectionRefused,
        "the database in memory is not available",
    )
    .into()
}

pub(super) fn refused() -> sqlx::Error {
    database("40001", "refused for now, and the transaction rolled back")
}

pub(super) fn lock_timeout() -> sqlx::Error {
    database(
        LOCK_NOT_AVAILABLE,
        "another transaction has the row, and it took too long",
    )
}

pub(super) fn aborted() -> sqlx::Error {
    database("25P02", "the transaction was rolled back after an error")
}

pub(super) fn duplicate() -> sqlx::Error {
    database("23505", "the row is there already")
}

pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}

/// Whether the error is of the kind that passes; `None` when another database said it.
pub(in crate::sql) fn is_passing(error: &dyn DatabaseError) -> Option<bool> {
    let error = error.try_downcast_ref::<MemoryError>()?;
    Some(matches!(error.code, "40001" | LOCK_NOT_AVAILABLE))
}

fn database(code: &'static str, message: &'static str) -> sqlx::Error {
    sqlx::Error::Database(Box::new(MemoryError { code, message }))
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for MemoryError {}

impl DatabaseError for MemoryError {
    fn message(&self) -> &str {
        self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        if self.code == "23505" {
            ErrorKind::UniqueViolation
        } else {
            ErrorKind::Other
        }
    }
}
