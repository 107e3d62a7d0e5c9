//! What a service writes to take part in TCC: a reservation with its three steps, and the ways in which a Try can say no.

use std::{fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::{error::Error, sql::Db, tx::Tx};

/// One kind of reservation that this service offers, in three steps (see [`Builder::tcc`](crate::Builder::tcc)).
///
/// Each step runs in a local transaction together with its fence row, so none of this needs code: a call that comes twice runs once; a
/// Cancel without a Try runs nothing and bars the Try that comes late; Confirm and Cancel never both run.
///
/// A good Try *reserves*: afterwards Confirm can't fail for a business reason, and others don't take the effect for done. All three get
/// the same payload, and nothing else.
pub trait Tcc<D: Db>: Send + Sync + 'static {
    /// What the initiator says; JSON.
    type Payload: DeserializeOwned + Send + Sync;

    /// Reserves, or says no with [`refuse`](crate::refuse). Any error rolls back.
    fn try_(
        &self,
        tx: &mut Tx<D>,
        payload: &Self::Payload,
    ) -> impl Future<Output = Result<(), TryError>> + Send;

    /// Uses what is reserved. An error rolls back, and the call comes again.
    fn confirm(
        &self,
        tx: &mut Tx<D>,
        payload: &Self::Payload,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Gives back what is reserved. An error rolls back, and the call comes again. Never runs where no Try committed.
    fn cancel(
        &self,
        tx: &mut Tx<D>,
        payload: &Self::Payload,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// For Trys that also do something outside of this database: a Cancel came, and no Try committed here, though one may have begun.
    /// From now on none can. Does nothing unless it is written.
    fn cancel_without_try(
        &self,
        _tx: &mut Tx<D>,
        _payload: &Self::Payload,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        async { Ok(()) }
    }
}

/// Why a Try did not reserve. Its local transaction is rolled back either way.
///
/// `?` turns any error into *not known, try again*; [`refuse`](crate::refuse) is a business no, which cancels the transaction. So is
/// [`Error::Refused`] of a Try that this one made itself.
pub struct TryError(pub(crate) NotTried);

pub(crate) enum NotTried {
    Refused(String),
    Again(Box<dyn std::error::Error + Send + Sync>),
}

impl TryError {
    /// A business no: the transaction is cancelled, and its initiator gets the reason.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self(NotTried::Refused(reason.into()))
    }
}

/// Ends a Try with [`TryError::refuse`].
pub fn refuse<T>(reason: impl Into<String>) -> Result<T, TryError> {
    Err(TryError::refuse(reason))
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for TryError {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        match error.downcast::<Error>().map(|error| *error) {
            Ok(Error::Refused { reason, .. }) => Self::refuse(reason),
            Ok(error) => Self(NotTried::Again(Box::new(error))),
            Err(error) => Self(NotTried::Again(error)),
        }
    }
}

impl fmt::Debug for TryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            NotTried::Refused(reason) => f.debug_tuple("Refused").field(reason).finish(),
            NotTried::Again(error) => f.debug_tuple("Again").field(error).finish(),
        }
    }
}

/// Which of the steps runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Try,
    Confirm,
    Cancel,
    CancelWithoutTry,
}

/// Why a step did not run to its end.
pub(crate) enum NotDone {
    Refused(String),
    Failed(String),
    Again(Box<dyn std::error::Error + Send + Sync>),
}

/// A reservation with its types gone.
pub(crate) trait Reservation<D: Db>: Send + Sync {
    fn run<'a>(
        &'a self,
        step: Step,
        tx: &'a mut Tx<D>,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<(), NotDone>>;
}

pub(crate) fn of<D: Db, T: Tcc<D>>(tcc: T) -> Arc<dyn Reservation<D>> {
    Arc::new(Typed(tcc))
}

struct Typed<T>(T);

impl<D: Db, T: Tcc<D>> Reservation<D> for Typed<T> {
    fn run<'a>(
        &'a self,
        step: Step,
        tx: &'a mut Tx<D>,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<(), NotDone>> {
        Box::pin(async move {
            let payload: T::Payload = match serde_json::from_slice(payload) {
                Ok(payload) => payload,
                // Nothing was reserved with it, so there is nothing to give back.
                Err(_) if step == Step::CancelWithoutTry => return Ok(()),
                Err(error) => {
                    return Err(NotDone::Failed(format!(
                        "the payload is not what the participant expects: {error}"
                    )));
                }
            };
            let done =
                match step {
                    Step::Try => {
                        return self.0.try_(tx, &payload).await.map_err(
                            |TryError(why)| match why {
                                NotTried::Refused(reason) => NotDone::Refused(reason),
                                NotTried::Again(error) => NotDone::Again(error),
                            },
                        );
                    }
                    Step::Confirm => self.0.confirm(tx, &payload).await,
                    Step::Cancel => self.0.cancel(tx, &payload).await,
                    Step::CancelWithoutTry => self.0.cancel_without_try(tx, &payload).await,
                };
            done.map_err(|error| NotDone::Again(Box::new(error)))
        })
    }
}
