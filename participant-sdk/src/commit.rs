//! The order of things: prepare, look at the fence once more, COMMIT, confirm.
//!
//! Nothing is told to the coordinator that was not seen in the database first. Every early return leaves a [`Fate`]
//! behind whose stage says what may still be done.

use std::time::Duration;

use earnest_proto::v1;

use crate::{
    crash::{Step, crash_point},
    error::Error,
    fate::{Fate, Stage},
    fence::{self, Call, FencingRead, Wrote},
    ids::{BranchId, TransactionId},
    planted::planted,
    settle,
    sql::{Db, InboxKey, local::LocalTransaction},
    tell::Telling,
    trace::TraceParent,
    tx::Committed,
};

/// What a transaction will send.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) messages: Vec<v1::Message>,
    pub(crate) business_key: String,
    pub(crate) traceparent: Option<TraceParent>,
    /// The coordinator has recorded it.
    pub(crate) prepared: bool,
    /// Messages and branches that the coordinator has recorded.
    pub(crate) told_messages: u32,
    pub(crate) branches: u32,
    /// Trys are under way, or were when they were given up.
    pub(crate) untried: bool,
    /// A Try was not answered OK.
    pub(crate) failed_try: bool,
}

/// The row that was written first and must be there last.
pub(crate) enum FirstRow {
    Outcome,
    Inbox {
        key: InboxKey,
        created_us: i64,
    },
    Branch {
        id: BranchId,
        call: Call,
        wrote: Wrote,
        created_us: i64,
    },
}

impl FirstRow {
    /// The same moment of an initiator's, of a consumer's and of a branch's transaction.
    fn step(&self, [initiator, consumer, branch]: [Step; 3]) -> Step {
        match self {
            Self::Outcome => initiator,
            Self::Inbox { .. } => consumer,
            Self::Branch { .. } => branch,
        }
    }

    /// The transaction, and branch, whose work this is; `own` is what this local transaction opens by itself.
    pub(crate) fn part_of(&self, own: TransactionId) -> (TransactionId, Option<u32>) {
        match self {
            Self::Outcome => (own, None),
            Self::Inbox { key, .. } => (key.message.transaction, None),
            Self::Branch { id, .. } => (id.transaction, Some(id.ordinal)),
        }
    }

    /// Whether somebody calls again and again until it is done, and finds out what became of it by that.
    fn is_called_again(&self) -> bool {
        matches!(self, Self::Inbox { .. } | Self::Branch { .. })
    }
}

/// An open local transaction.
pub(crate) struct Open<D: Db> {
    // Dropped first: its rollback is on its way before the fate is settled.
    pub(crate) sql: LocalTransaction<D>,
    pub(crate) first_row: FirstRow,
    pub(crate) draft: Draft,
    pub(crate) fate: Fate<D>,
    /// A handler's transaction has an outcome row, too.
    pub(crate) answerable: bool,
}

impl<D: Db> Open<D> {
    /// `Ok` means committed.
    pub(crate) async fn commit(self) -> Result<TransactionId, Error> {
        self.end(None).await.map(|committed| committed.id)
    }

    /// The same, and waits for the final phase where that is wanted.
    pub(crate) async fn end(mut self, wait: Option<Duration>) -> Result<Committed, Error> {
        match self.up_to_commit().await {
            Ok(true) => {}
            Ok(false) => return Err(self.lost().await),
            Err(error) => {
                self.give_up().await;
                return Err(error);
            }
        }
        let Self {
            sql,
            first_row,
            mut fate,
            ..
        } = self;
        crash_point(first_row.step([
            Step::BeforeCommit,
            Step::ConsumerBeforeCommit,
            Step::BranchBeforeCommit,
        ]));
        if planted!(ConfirmsBeforeCommit) && fate.told {
            settle::confirm(&fate.shared, fate.id, None).await;
        }
        if let Err(error) = sql.commit().await {
            after_unknown_commit(&mut fate, &first_row, error).await?;
        }
        fate.ended(Stage::Committed);
        crash_point(first_row.step([
            Step::AfterCommit,
            Step::ConsumerAfterCommit,
            Step::BranchAfterCommit,
        ]));
        // What nobody was told of owes nothing.
        let mut is_final = true;
        if fate.told {
            is_final = settle::confirm(&fate.shared, fate.id, wait).await;
        }
        fate.stage = Stage::Settled;
        Ok(Committed {
            id: fate.id,
            is_final,
        })
    }

    /// Ends the transaction without committing.
    pub(crate) async fn rollback(mut self) -> Result<(), Error> {
        self.sql.rollback().await?;
        self.fate.ended(Stage::RolledBack);
        Ok(())
    }

    /// Whether COMMIT may be sent.
    async fn up_to_commit(&mut self) -> Result<bool, Error> {
        let id = self.fate.id;
        if self.sql.has_savepoint() {
            return Err(Error::FenceLost { id });
        }
        if !fence::all_tried(self.draft.untried, self.draft.failed_try) {
            return Err(Error::NotAllTried { id });
        }
        let sends = self.draft.prepared || !self.draft.messages.is_empty();
        if !self.draft.messages.is_empty() {
            self.tell(vec![]).await?;
        }
        Ok(self.first_rows_hold(sends).await?)
    }

    /// Has the coordinator record the messages collected since it was told last, and these branches in their places.
    pub(crate) async fn tell(&mut self, branches: Vec<(u32, v1::Branch)>) -> Result<(), Error> {
        self.answerable().await?;
        self.telling().tell(branches).await
    }

    /// Before anybody is told of it, there is an outcome row to answer from: a handler's transaction begins with another one.
    pub(crate) async fn answerable(&mut self) -> Result<(), Error> {
        if !self.answerable && !self.draft.prepared && self.first_row.is_called_again() {
            let (id, created_us) = (self.fate.id, self.fate.created_us);
            D::insert_outcome(self.sql.connection_mut(), id, created_us).await?;
            self.answerable = true;
        }
        Ok(())
    }

    pub(crate) fn telling(&mut self) -> Telling<'_, D> {
        Telling {
            draft: &mut self.draft,
            fate: &mut self.fate,
        }
    }

    /// The last statement before COMMIT.
    async fn first_rows_hold(&mut self, sends: bool) -> Result<bool, sqlx::Error> {
        let (id, created_us) = (self.fate.id, self.fate.created_us);
        let connection = self.sql.connection_mut();
        match &self.first_row {
            FirstRow::Outcome => D::outcome_holds(connection, id, created_us).await,
            FirstRow::Inbox {
                key,
                created_us: message_us,
            } => {
                let outcome_holds =
                    !sends || D::outcome_holds(&mut *connection, id, created_us).await?;
                Ok(outcome_holds && D::inbox_holds(connection, key, *message_us).await?)
            }
            FirstRow::Branch {
                id: branch,
                call,
                wrote,
                created_us: branch_us,
            } => {
                let outcome_holds =
                    !sends || D::outcome_holds(&mut *connection, id, created_us).await?;
                let (stands, horizon_us) = D::branch_stands(connection, *branch).await?;
                Ok(outcome_holds && fence::may_end(*wrote, stands, *call, *branch_us, horizon_us))
            }
        }
    }

    /// The first row is not where it should be. Most often the database rolled back by itself; but a rollback proves nothing then,
    /// since it may also have committed by itself. So the fence is asked.
    async fn lost(self) -> Error {
        let Self {
            sql,
            first_row,
            mut fate,
            ..
        } = self;
        let id = fate.id;
        if let Err(error) = sql.rollback().await {
            tracing::warn!(%id, %error, "the rollback was not answered");
        }
        if first_row.is_called_again() && !fate.told {
            // There is no outcome row. The inbox, or the branch's row, tells when it is called again.
            fate.ended(Stage::Settled);
            return Error::FenceLost { id };
        }
        match fate.find_out().await {
            Some(FencingRead::Committed) => {
                fate.ended(Stage::Committed);
                Error::CommittedEarly { id }
            }
            Some(FencingRead::RolledBack) => {
                fate.ended(Stage::RolledBack);
                Error::FenceLost { id }
            }
            Some(FencingRead::InProgress | FencingRead::Forgotten | FencingRead::Unclear)
            | None => {
                fate.ended(Stage::Settled);
                Error::OutcomeUnknown(id)
            }
        }
    }

    /// Rolls back, and lets the fate do the rest.
    async fn give_up(mut self) {
        match self.sql.rollback().await {
            Ok(()) => self.fate.ended(Stage::RolledBack),
            // If the coordinator may know of it, only the fence can tell.
            Err(error) => {
                tracing::warn!(id = %self.fate.id, %error, "the rollback was not answered");
            }
        }
    }
}

/// COMMIT was sent and not answered well: `Ok` when it turns out to have committed.
async fn after_unknown_commit<D: Db>(
    fate: &mut Fate<D>,
    first_row: &FirstRow,
    error: sqlx::Error,
) -> Result<(), Error> {
    let id = fate.id;
    tracing::warn!(%id, %error, "COMMIT was not answered; asking the fence");
    if first_row.is_called_again() && !fate.told {
        // There is no outcome row. The inbox, or the branch's row, tells when it is called again.
        return Err(Error::OutcomeUnknown(id));
    }
    match fate.find_out().await {
        Some(FencingRead::Committed) => Ok(()),
        Some(FencingRead::RolledBack) => {
            fate.ended(Stage::RolledBack);
            Err(error.into())
        }
        Some(FencingRead::InProgress | FencingRead::Forgotten | FencingRead::Unclear) | None => {
            fate.ended(Stage::Settled);
            Err(Error::OutcomeUnknown(id))
        }
    }
}
