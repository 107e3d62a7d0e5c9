//! Reservations first, and the local transaction after them: nothing of the service's own database is locked while others try.
//!
//! Until the local transaction has its outcome row, whoever is asked about this one answers *in progress* where it runs, and fences it
//! off elsewhere; then the row can't be written, and all is cancelled.

use std::{fmt, sync::Arc};

use crate::{
    commit::Draft,
    crash::{Step, crash_point},
    earnest::Earnest,
    error::Error,
    fate::{Fate, Stage},
    ids::TransactionId,
    message::{self, MessageProblem},
    shared::Shared,
    sql::{Db, local::LocalTransaction},
    tell::Telling,
    trace::TraceParent,
    trys::Branch,
    tx::Tx,
};

/// A transaction that is to begin with reservations; see [`Earnest::reserve`].
#[must_use = "nothing happens before .begin()"]
pub struct Reserving<D: Db> {
    shared: Arc<Shared<D>>,
    id: TransactionId,
    branches: Vec<Branch>,
    draft: Draft,
}

impl<D: Db> Earnest<D> {
    /// Begins to describe a transaction whose reservations come first: [`Reserving::begin`] registers them, runs their Trys in parallel,
    /// and opens the local transaction when all were OK. So no row of yours is locked meanwhile (on SQLite: nobody else waits to write).
    ///
    /// What a Try needs to know must be known before; look it up with the pool, and look again in the transaction where it may have changed.
    pub fn reserve(&self) -> Reserving<D> {
        let shared = Arc::clone(&self.shared);
        Reserving {
            id: TransactionId::make(&*shared.clock, &*shared.chance),
            shared,
            branches: Vec::new(),
            draft: Draft::default(),
        }
    }
}

impl<D: Db> Reserving<D> {
    /// The id under which the coordinator will know this transaction.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// One more reservation.
    pub fn branch(mut self, branch: Branch) -> Self {
        self.branches.push(branch);
        self
    }

    /// Several more.
    pub fn branches(mut self, branches: impl IntoIterator<Item = Branch>) -> Self {
        self.branches.extend(branches);
        self
    }

    /// Your own reference, to find the transaction by; as [`Tx::business_key`].
    pub fn business_key(mut self, key: impl fmt::Display) -> Result<Self, Error> {
        self.draft.business_key = message::checked_business_key(key.to_string())?;
        Ok(self)
    }

    /// The W3C `traceparent` that this transaction belongs to; as [`Tx::traceparent`].
    pub fn traceparent(mut self, traceparent: &str) -> Result<Self, Error> {
        let parsed = TraceParent::parse(traceparent)
            .ok_or_else(|| MessageProblem::TraceParent(traceparent.to_owned()))?;
        self.draft.traceparent = Some(parsed);
        Ok(self)
    }

    /// Reserves, and opens the local transaction with the fence row in it.
    ///
    /// [`Error::Refused`] carries the participant's reason. After any error there is no local transaction, and everything that was
    /// reserved is cancelled. [`Error::AlreadyDecided`]: somebody who was asked about it meanwhile said that it never was; begin again.
    pub async fn begin(self) -> Result<Tx<D>, Error> {
        let Self {
            shared,
            id,
            branches,
            mut draft,
        } = self;
        let mut fate = Fate::of(shared, id);
        if !branches.is_empty() {
            let mut telling = Telling {
                draft: &mut draft,
                fate: &mut fate,
            };
            if let Err(error) = telling.try_all(branches).await {
                // There is nothing that could commit.
                fate.ended(Stage::RolledBack);
                return Err(error);
            }
        }
        match open(&mut fate).await {
            Ok(sql) => Ok(Tx::opened(sql, draft, fate)),
            Err(error) => {
                fate.ended(Stage::RolledBack);
                Err(match error {
                    sqlx::Error::Database(said) if said.is_unique_violation() => {
                        Error::AlreadyDecided {
                            id,
                            phase: "CANCELLED",
                        }
                    }
                    other => other.into(),
                })
            }
        }
    }
}

/// Its error leaves nothing open: no COMMIT is ever sent.
async fn open<D: Db>(fate: &mut Fate<D>) -> Result<LocalTransaction<D>, sqlx::Error> {
    let mut sql = fate.shared.begin().await?;
    crash_point(Step::BeforeFence);
    D::insert_outcome(sql.connection_mut(), fate.id, fate.created_us).await?;
    Ok(sql)
}

impl<D: Db> fmt::Debug for Reserving<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserving")
            .field("id", &self.id)
            .field("branches", &self.branches.len())
            .finish_non_exhaustive()
    }
}
