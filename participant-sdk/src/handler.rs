//! What a service writes to consume messages: handlers, and the two ways in which one can say no.

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use bytes::Bytes;
use earnest_proto::v1::DeliveredMessage;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::{
    ids::{MessageId, TransactionId},
    sql::Db,
    tx::Tx,
};

/// Why a handler did not take a message. Its local transaction is rolled back either way.
///
/// `?` turns any error into *try again later*; [`reject`] says that no attempt can ever succeed.
pub struct HandlerError(pub(crate) Refusal);

pub(crate) enum Refusal {
    Retry(Box<dyn std::error::Error + Send + Sync>),
    Reject(String),
}

impl HandlerError {
    /// No attempt can ever succeed: the delivery is parked with this reason until a person looks at it.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self(Refusal::Reject(reason.into()))
    }

    /// Try again later.
    pub fn retry(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Refusal::Retry(error.into()))
    }
}

/// Ends a handler with [`HandlerError::reject`].
pub fn reject<T>(reason: impl Into<String>) -> Result<T, HandlerError> {
    Err(HandlerError::reject(reason))
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(Refusal::Retry(Box::new(error)))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Refusal::Retry(error) => f.debug_tuple("Retry").field(error).finish(),
            Refusal::Reject(reason) => f.debug_tuple("Reject").field(reason).finish(),
        }
    }
}

/// One attempt to deliver one message, with everything known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The message's id: the same in every attempt.
    pub id: MessageId,
    /// Where it was sent to.
    pub topic: String,
    /// Its key; empty: none.
    pub key: String,
    /// Its headers.
    pub headers: HashMap<String, String>,
    /// Its payload, as it was sent.
    pub payload: Bytes,
    /// Media type of the payload; empty: not given.
    pub content_type: String,
    /// How the payload is encoded; empty: as it is.
    pub content_encoding: String,
    /// The key that the payload was encrypted with; empty: not encrypted.
    pub key_id: String,
    /// The subscription that it comes by.
    pub subscription: String,
    /// The service that sent it.
    pub initiator: String,
    /// From 1.
    pub attempt: u32,
    /// The coordinator's time of the transaction, in microseconds since 1970-01-01 UTC.
    pub created_at_us: i64,
    /// W3C trace context.
    pub traceparent: String,
}

impl Delivery {
    /// Reads the payload as JSON. One that can't be read is rejected: another attempt would bring the same bytes.
    pub fn json<P: DeserializeOwned>(&self) -> Result<P, HandlerError> {
        if !self.content_encoding.is_empty() || !self.key_id.is_empty() {
            return reject(format!(
                "the payload is encoded ({}) or encrypted; read it with on_delivery and decode it there",
                self.content_encoding
            ));
        }
        serde_json::from_slice(&self.payload).or_else(|error| {
            reject(format!(
                "the payload on topic {} is not what the handler expects: {error}",
                self.topic
            ))
        })
    }

    pub(crate) fn from_wire(
        transaction: TransactionId,
        delivered: DeliveredMessage,
    ) -> Option<Self> {
        let message = delivered.message?;
        Some(Self {
            id: MessageId {
                transaction,
                ordinal: delivered.ordinal,
            },
            topic: message.topic,
            key: message.key,
            headers: message.headers,
            payload: message.payload,
            content_type: message.content_type,
            content_encoding: message.content_encoding,
            key_id: message.key_id,
            subscription: delivered.subscription,
            initiator: delivered.initiator,
            attempt: delivered.attempt,
            created_at_us: delivered.created_at_us,
            traceparent: delivered.traceparent,
        })
    }
}

/// A handler with its types gone.
pub(crate) type Handler<D> =
    Arc<dyn Fn(Tx<D>, Delivery) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

pub(crate) fn of_payload<D, P, F, Fut>(handle: F) -> Handler<D>
where
    D: Db,
    P: DeserializeOwned + Send + 'static,
    F: Fn(Tx<D>, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |tx, delivery| match delivery.json() {
        Ok(payload) => Box::pin(handle(tx, payload)),
        Err(rejected) => Box::pin(std::future::ready(Err(rejected))),
    })
}

pub(crate) fn of_delivery<D, F, Fut>(handle: F) -> Handler<D>
where
    D: Db,
    F: Fn(Tx<D>, Delivery) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |tx, delivery| Box::pin(handle(tx, delivery)))
}
