//! How a store fails. A command that is refused is no failure: see [`Rejection`](crate::Rejection).

use crate::Loss;

/// Why a batch or query did not run.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written, and the same call may succeed later.
    #[error("the database is unavailable: {context}")]
    Unavailable {
        /// What was being done.
        context: String,
        /// The database's own error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// COMMIT was sent and its outcome is not known. Commands are idempotent: run the same batch again, and
    /// acknowledge nothing before that.
    #[error("the outcome of a COMMIT is unknown: {context}")]
    CommitUnknown {
        /// What was being done.
        context: String,
        /// The database's own error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Nothing was written, and trying again won't help: one of the values is not acceptable to the database.
    #[error("the database refused the batch: {context}")]
    Rejected {
        /// What was being done.
        context: String,
        /// The database's own error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The database has forgotten what it acknowledged; nothing was written. The same call may succeed when a person has
    /// said how to go on.
    #[error("the database has forgotten what it acknowledged: {0}")]
    Forgot(Box<Loss>),
    /// What was read was written by a newer version of this program, which runs elsewhere: it is left to that one.
    #[error("the database holds what only a newer version understands: {0}")]
    Newer(String),
    /// What was read is not what this program writes.
    #[error("the database holds what this version can't read: {0}")]
    Corrupt(String),
    /// The database can't be opened as it is; says what to do.
    #[error("{0}")]
    CannotOpen(String),
}

impl StoreError {
    /// Whether the same call may succeed later, or at another node.
    pub fn is_retryable(&self) -> bool {
        self.is_passing() || matches!(self, Self::Forgot(_) | Self::Newer(_))
    }

    /// Whether it concerns the whole batch, and may be over in a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::CommitUnknown { .. })
    }
}
