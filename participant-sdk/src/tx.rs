//! The guard of an open local transaction: what a service's code holds while it does its business.
//!
//! It only collects what is to be sent; the order of prepare, COMMIT and confirm is in [`crate::commit`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use tracing::Instrument;

use crate::{
    commit::{Draft, FirstRow, Open},
    context::Context,
    crash::{Step, crash_point},
    error::Error,
    fate::Fate,
    ids::TransactionId,
    message::{self, Message, MessageProblem},
    slot::Slot,
    sql::{Db, local::LocalTransaction},
    trace::TraceParent,
};

/// How a transaction ended that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// Its id.
    pub id: TransactionId,
    /// Whether nothing is owed any more. `false`: the coordinator goes on by itself.
    pub is_final: bool,
}

/// An open local transaction of the service's own database, with the fence row in it.
///
/// It derefs to the sqlx connection: `sqlx::query(…).execute(&mut *tx)`. Messages are collected with [`Tx::send`] and leave
/// if, and only if, the transaction commits. Dropped without [`Tx::commit`], it rolls back.
///
/// A handler is lent one, and neither commits nor rolls it back: returning `Ok(())` commits, an error rolls back.
#[must_use = "a transaction that is dropped rolls back"]
pub struct Tx<D: Db> {
    /// `None` only between `commit` or `rollback` and the drop that follows.
    open: Option<Open<D>>,
    /// Where a lent transaction goes back to.
    lent_by: Option<Slot<D>>,
}

impl<D: Db> Tx<D> {
    /// Opens a transaction whose first row says `committed`.
    pub(crate) async fn begin(fate: Fate<D>) -> Result<Self, Error> {
        let mut sql = fate.shared.begin().await?;
        crash_point(Step::BeforeFence);
        D::insert_outcome(sql.connection_mut(), fate.id, fate.created_us).await?;
        Ok(Self::opened(sql, Draft::default(), fate))
    }

    /// One whose outcome row was written.
    pub(crate) fn opened(sql: LocalTransaction<D>, draft: Draft, fate: Fate<D>) -> Self {
        Self {
            open: Some(Open {
                sql,
                first_row: FirstRow::Outcome,
                draft,
                fate,
                answerable: true,
            }),
            lent_by: None,
        }
    }

    pub(crate) fn lent(open: Open<D>, slot: Slot<D>) -> Self {
        Self {
            open: Some(open),
            lent_by: Some(slot),
        }
    }

    /// The id under which the coordinator knows this transaction. In a handler or a step of a [`Tcc`](crate::Tcc): the transaction
    /// that it opens itself once it sends or tries something, with an id and a decision of its own; [`Tx::context`] says whose work it is.
    pub fn id(&self) -> TransactionId {
        self.open().fate.id
    }

    /// Your own reference, such as an order number, to find the transaction by. Not unique; at most 255 bytes.
    pub fn business_key(&mut self, key: impl fmt::Display) -> Result<(), Error> {
        let key = message::checked_business_key(key.to_string())?;
        self.open_mut().draft.business_key = key;
        Ok(())
    }

    /// The W3C `traceparent` that this transaction belongs to; carried to every delivery and check-back. Without it, a new
    /// trace is started (in a handler: the message's trace goes on).
    pub fn traceparent(&mut self, traceparent: &str) -> Result<(), Error> {
        let parsed = TraceParent::parse(traceparent)
            .ok_or_else(|| MessageProblem::TraceParent(traceparent.to_owned()))?;
        self.open_mut().draft.traceparent = Some(parsed);
        Ok(())
    }

    /// What to carry along over calls of your own (see [`Context`]): this transaction and its trace. In a handler, the transaction that
    /// sent the message; in a step of a [`Tcc`](crate::Tcc), the transaction and branch that are called.
    pub fn context(&mut self) -> Context {
        let open = self.open_mut();
        let chance = &*open.fate.shared.chance;
        let parent = (open.draft.traceparent).get_or_insert_with(|| TraceParent::make(chance));
        let (transaction, branch) = open.first_row.part_of(open.fate.id);
        Context {
            transaction,
            branch,
            traceparent: Some(parent.as_str().to_owned()),
        }
    }

    /// Collects a message with `payload` as JSON. An ordered subscription gets the messages of one topic and key in the order
    /// of their decisions; an empty key asks for no order.
    pub fn send(
        &mut self,
        topic: &str,
        key: impl fmt::Display,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.send_message(Message::json(topic, &payload)?.key(key))
    }

    /// Collects a message whose payload is opaque bytes.
    pub fn send_bytes(
        &mut self,
        topic: &str,
        key: impl fmt::Display,
        payload: impl Into<Bytes>,
    ) -> Result<(), Error> {
        self.send_message(Message::bytes(topic, payload).key(key))
    }

    /// Collects a message with headers and whatever else it carries.
    pub fn send_message(&mut self, message: Message) -> Result<(), Error> {
        let message = message.checked()?;
        self.open_mut().draft.messages.push(message);
        Ok(())
    }

    /// Commits. With messages: the coordinator records them first, then the database commits, then they are let go.
    ///
    /// `Ok` means committed, also when the coordinator could not be told in time: its check-back finds out. An error means
    /// that nothing was committed, except [`Error::OutcomeUnknown`], which leaves it open.
    pub async fn commit(self) -> Result<TransactionId, Error> {
        self.end(None).await.map(|committed| committed.id)
    }

    /// Commits as [`Tx::commit`] does, and waits up to `at_most` until nothing is owed any more: every branch has taken the
    /// decision, every message was taken. It is committed either way.
    pub async fn commit_and_wait(self, at_most: Duration) -> Result<Committed, Error> {
        self.end(Some(at_most)).await
    }

    async fn end(mut self, wait: Option<Duration>) -> Result<Committed, Error> {
        if self.lent_by.is_some() {
            return Err(Error::LentTransaction);
        }
        let span = tracing::info_span!("earnest.commit", transaction_id = %self.id());
        match self.open.take() {
            Some(open) => open.end(wait).instrument(span).await,
            None => unreachable!("{GONE}"),
        }
    }

    /// Rolls back and waits until the database said so. Dropping the guard rolls back as well, a little later.
    pub async fn rollback(mut self) -> Result<(), Error> {
        if self.lent_by.is_some() {
            return Err(Error::LentTransaction);
        }
        match self.open.take() {
            Some(open) => open.rollback().await,
            None => unreachable!("{GONE}"),
        }
    }

    fn open(&self) -> &Open<D> {
        self.open.as_ref().expect(GONE)
    }

    pub(crate) fn open_mut(&mut self) -> &mut Open<D> {
        self.open.as_mut().expect(GONE)
    }
}

const GONE: &str = "commit and rollback consume the guard";

impl<D: Db> Deref for Tx<D> {
    type Target = D::Connection;

    fn deref(&self) -> &Self::Target {
        self.open().sql.connection()
    }
}

impl<D: Db> DerefMut for Tx<D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.open_mut().sql.connection_mut()
    }
}

impl<D: Db> Drop for Tx<D> {
    fn drop(&mut self) {
        if let (Some(open), Some(slot)) = (self.open.take(), self.lent_by.take()) {
            slot.give_back(open);
        }
    }
}

impl<D: Db> fmt::Debug for Tx<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("id", &self.open.as_ref().map(|open| open.fate.id))
            .finish_non_exhaustive()
    }
}
