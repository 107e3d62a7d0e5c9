//! Bounded waits: until a transaction is decided, or until it owes nothing any more.

use std::{pin::pin, sync::Arc, time::Duration};

use earnest_protocol::{Phase, TransactionId};
use earnest_store::TransactionRow;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

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

    /// Goes on from `row`, which was written or read after `waiter` began to listen; without one, there is no waiting.
    pub(super) async fn wait(
        &self,
        waiter: Option<Waiter>,
        mut row: TransactionRow,
        wait: WaitInput,
    ) -> TransactionRow {
        let Some(mut waiter) = waiter else { return row };
        let deadline = Instant::now() + wait.at_most.min(LONGEST);
        let mut look = pin!(self.look(row.id, waiter.turn()));
        while !wait.until.is_reached(row.state.phase) {
            tokio::select! {
                written = waiter.next() => match written {
                    Some(written) if written.revision > row.revision => row = written,
                    Some(_) => {}
                    None => break,
                },
                () = sleep_until(deadline) => break,
                () = &mut look => {}
            }
        }
        row
    }

    /// Looks, for all who wait, again and again at what other nodes may have written. What can't be read is looked for further.
    async fn look(&self, id: TransactionId, turn: Arc<Mutex<()>>) {
        let _turn = turn.lock().await;
        let mut pause = LOOKS.0;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LOOKS.1);
            if let Ok(Some(stored)) = self.store.transaction(id).await {
                self.journal.waiters().tell(&stored);
            }
        }
    }
}
