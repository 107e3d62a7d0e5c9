//! Errors of the use cases on their way out: what every wire says of them, and what the log says.

use std::error::Error;

use earnest_store::TransactionRow;

use crate::{
    callback::chain,
    service::{Code, ServiceError},
};

/// Notes what a caller can't be told: the causes of a fault of the coordinator's own or of its database.
pub(super) fn note(error: &ServiceError) {
    let causes = error.source().map(chain).unwrap_or_default();
    match error.code {
        Code::Internal => tracing::error!(error = %error.message, causes, "call failed"),
        Code::Unavailable => tracing::warn!(error = %error.message, causes, "call not done"),
        code => tracing::debug!(%code, error = %error.message, "call refused"),
    }
}

/// What is said of the transaction that explains a refusal.
pub(super) struct Standing {
    pub(super) phase: &'static str,
    pub(super) decision: Option<String>,
    /// Microseconds since 1970, and who.
    pub(super) decided: Option<(i64, String)>,
}

impl Standing {
    pub(super) fn of(row: &TransactionRow) -> Self {
        let phase = row.state.phase;
        Self {
            phase: phase.as_str(),
            decision: phase.decision().map(|decision| decision.to_string()),
            decided: row
                .decided
                .as_ref()
                .map(|(at, by)| (at.as_micros(), by.to_string())),
        }
    }
}
