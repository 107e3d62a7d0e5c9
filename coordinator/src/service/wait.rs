//! Bounded waits: until a transaction is decided, or until it owes nothing any more.

use std::time::Duration;

use earnest_protocol::{Phase, TransactionId};
use earnest_store::TransactionRow;
use tokio::time::{Instant, timeout_at};

use super::{Coordinator, ServiceError};
use crate::journal::Waiter;

/// The longest wait.
pub const LONGEST: Duration = Duration::from_mins(1);
/// The first and the longest pause between two looks at what other nodes may have written.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Its decision.
    Decision,
    /// Its final phase.
    FinalPhase,
}

impl Until {
    fn is_reached(self, phase: Phase) -> bool {
        match self {
            Self::Decision => phase.decision().is_some(),
            Self::FinalPhase => phase.is_final(),
        }
    }
}

/// A bounded wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitInput {
    /// What for.
    pub until: Until,
    /// How long; cut to [`LONGEST`].
    pub at_most: Duration,
}

impl Coordinator {
    /// The transaction, once that is reached or the time is up.
    pub async fn await_transaction(
        &self,
        id: &str,
        wait: WaitInput,
    ) -> Result<TransactionRow, ServiceError> {
        let id: TransactionId = id.parse()?;
        let waiter = self.journal.waiters().of(id);
        let row = self.store.transaction(id).await?;
        let row = row.ok_or_else(|| ServiceError::not_found("transaction", id))?;
        Ok(self.wait(waiter, row, wait).await)
    }

    /// Goes on from `row`, which was written or read after `waiter` began to listen. What can't be read is waited for further.
    pub(super) async fn wait(
        &self,
        mut waiter: Waiter,
        mut row: TransactionRow,
        wait: WaitInput,
    ) -> TransactionRow {
        let deadline = Instant::now() + wait.at_most.min(LONGEST);
        let mut pause = LOOKS.0;
        while !wait.until.is_reached(row.state.phase) && Instant::now() < deadline {
            let look = (Instant::now() + pause).min(deadline);
            match timeout_at(look, waiter.next()).await {
                Ok(Some(written)) if written.revision > row.revision => row = written,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    pause = (pause * 2).min(LOOKS.1);
                    if let Ok(Some(stored)) = self.store.transaction(row.id).await {
                        row = stored;
                    }
                }
            }
        }
        row
    }
}
