//! One connection to a database in memory with a transaction open on it: what it wrote, which rows it has locked, how it ends.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    Database, Fault, Operation, error,
    state::{Key, Row, SessionId, Writes},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Rolled back after an error; only ROLLBACK is left.
    Aborted,
    /// No connection any more, or nothing left to end.
    Over,
}

/// Rolls back when dropped.
pub(super) struct Session {
    database: Database,
    id: SessionId,
    life: u64,
    stage: Stage,
    writes: Writes,
}

impl Session {
    pub(super) async fn begin(database: &Database) -> Result<Self, sqlx::Error> {
        let fault = database.fault(Operation::Begin);
        if let Some(Fault::Slow(delay)) = fault {
            sleep(delay).await;
        }
        if !database.in_reach() {
            return Err(error::unavailable());
        }
        match fault {
            Some(Fault::Refused) => return Err(error::refused()),
            Some(Fault::Lost | Fault::Unanswered | Fault::UnansweredFor(_)) => {
                return Err(error::connection_lost());
            }
            Some(Fault::TransactionLost | Fault::Slow(_)) | None => {}
        }
        let mut state = database.state();
        Ok(Self {
            id: state.next_session(),
            life: state.life,
            database: database.clone(),
            stage: Stage::Open,
            writes: BTreeMap::new(),
        })
    }

    /// To be called before each statement.
    pub(super) async fn statement(&mut self) -> Result<(), sqlx::Error> {
        self.still_there()?;
        match self.database.fault(Operation::Statement) {
            None => {}
            Some(Fault::Slow(delay)) => {
                sleep(delay).await;
                self.still_there()?;
            }
            Some(Fault::Refused) => {
                self.abort();
                return Err(error::refused());
            }
            Some(Fault::Lost | Fault::Unanswered) => {
                self.end(Stage::Over);
                return Err(error::connection_lost());
            }
            Some(Fault::UnansweredFor(delay)) => {
                self.leave(delay, BTreeMap::new());
                return Err(error::connection_lost());
            }
            Some(Fault::TransactionLost) => self.abort_and_go_on(),
        }
        if self.stage == Stage::Aborted {
            return Err(error::aborted());
        }
        Ok(())
    }

    /// Takes the lock of a row, or waits for it. When that takes too long, the transaction is rolled back.
    pub(super) async fn lock(&mut self, key: &Key) -> Result<(), sqlx::Error> {
        let limit = self.database.state().lock_timeout;
        let taken = timeout(limit, self.wait_for(key)).await;
        taken.unwrap_or_else(|_| {
            self.abort();
            Err(error::lock_timeout())
        })
    }

    /// The row as this transaction sees it.
    pub(super) fn read(&self, key: &Key) -> Option<Row> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.database.state().rows.get(key).cloned(),
        }
    }

    /// The row as this transaction itself wrote it.
    pub(super) fn own(&self, key: &Key) -> Option<Row> {
        self.writes.get(key).cloned().flatten()
    }

    /// Writes a row whose lock was taken before.
    pub(super) fn write(&mut self, key: Key, row: Option<Row>) {
        self.writes.insert(key, row);
    }

    pub(super) fn horizon_us(&self) -> i64 {
        self.database.state().horizon_us
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.still_there()?;
        match self.database.fault(Operation::Commit) {
            None => {}
            Some(Fault::Slow(delay)) => {
                sleep(delay).await;
                self.still_there()?;
            }
            Some(Fault::Refused | Fault::TransactionLost) => return Err(error::refused()),
            Some(Fault::Lost) => return Err(error::connection_lost()),
            Some(Fault::Unanswered) => {
                self.apply();
                return Err(error::connection_lost());
            }
            Some(Fault::UnansweredFor(delay)) => {
                let writes = std::mem::take(&mut self.writes);
                self.leave(delay, writes);
                return Err(error::connection_lost());
            }
        }
        // As PostgreSQL does: COMMIT of an aborted transaction is answered without an error.
        self.apply();
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.still_there()?;
        match self.database.fault(Operation::Rollback) {
            None | Some(Fault::TransactionLost) => {}
            Some(Fault::Slow(delay)) => {
                sleep(delay).await;
                self.still_there()?;
            }
            Some(Fault::Refused) => return Err(error::refused()),
            Some(Fault::Lost | Fault::Unanswered) => return Err(error::connection_lost()),
            Some(Fault::UnansweredFor(delay)) => {
                self.leave(delay, BTreeMap::new());
                return Err(error::connection_lost());
            }
        }
        self.end(Stage::Over);
        Ok(())
    }

    async fn wait_for(&mut self, key: &Key) -> Result<(), sqlx::Error> {
        let database = self.database.clone();
        loop {
            let freed = database.inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            self.still_there()?;
            let landing = match self.try_lock(key) {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(landing) => landing,
            };
            match landing {
                Some(at) => tokio::select! {
                    biased;
                    () = freed => {}
                    () = sleep_until(at) => {}
                },
                None => freed.await,
            }
        }
    }

    /// Breaks when the lock is ours; else says when to look again at the latest.
    fn try_lock(&self, key: &Key) -> ControlFlow<(), Option<Instant>> {
        let mut state = self.database.state();
        match state.locks.get(key) {
            Some(holder) if *holder != self.id => ControlFlow::Continue(state.next_landing()),
            Some(_) => ControlFlow::Break(()),
            None => {
                state.locks.insert(key.clone(), self.id);
                ControlFlow::Break(())
            }
        }
    }

    fn still_there(&mut self) -> Result<(), sqlx::Error> {
        let same_life = self.database.state().life == self.life;
        if !same_life || !self.database.in_reach() {
            self.end(Stage::Over);
        }
        if self.stage == Stage::Over {
            return Err(error::connection_lost());
        }
        Ok(())
    }

    fn abort(&mut self) {
        self.end(Stage::Aborted);
    }

    fn abort_and_go_on(&mut self) {
        if self.stage == Stage::Open {
            self.end(Stage::Open);
        }
    }

    fn apply(&mut self) {
        let writes = std::mem::take(&mut self.writes);
        self.database.state().apply(writes);
        self.end(Stage::Over);
    }

    /// The client goes; the server ends the session later.
    fn leave(&mut self, delay: Duration, writes: Writes) {
        self.writes.clear();
        self.stage = Stage::Over;
        let at = Instant::now() + delay;
        self.database.state().land_later(at, self.id, writes);
    }

    /// Forgets what was written and gives up the locks.
    fn end(&mut self, stage: Stage) {
        self.writes.clear();
        self.stage = stage;
        self.database.state().release(self.id);
        self.database.inner.freed.notify_waiters();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.stage != Stage::Over {
            self.end(Stage::Over);
        }
    }
}
