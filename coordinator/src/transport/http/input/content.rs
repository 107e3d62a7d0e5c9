//! What a transaction carries: messages and branches.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Problem, or};
use crate::service::{BranchInput, MessageInput};

/// One message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageBody {
    /// Its place; only where it is added to others.
    ordinal: Option<u32>,
    topic: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// As written: the text itself is the payload, so that a repeated call is recognised.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    content_encoding: String,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    deliver_after_ms: u64,
}

/// One reservation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BranchBody {
    /// Its place; only where it is added to others.
    ordinal: Option<u32>,
    service: String,
    action: String,
    #[serde(default)]
    resource_id: String,
    #[serde(default, deserialize_with = "given")]
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    #[serde(default)]
    content_type: String,
}

/// The messages of a new transaction, numbered in their order.
pub(super) fn messages(bodies: Vec<MessageBody>) -> Result<Vec<MessageInput>, Problem> {
    let message = |(n, body): (usize, MessageBody)| {
        unplaced(&format!("messages[{n}]"), body.ordinal)?;
        message(&format!("messages[{n}]"), body)
    };
    bodies.into_iter().enumerate().map(message).collect()
}

/// The branches of a new transaction, numbered in their order.
pub(super) fn branches(bodies: Vec<BranchBody>) -> Result<Vec<BranchInput>, Problem> {
    let branch = |(n, body): (usize, BranchBody)| {
        unplaced(&format!("branches[{n}]"), body.ordinal)?;
        branch(&format!("branches[{n}]"), body)
    };
    bodies.into_iter().enumerate().map(branch).collect()
}

/// Messages that are added to those that a transaction has, with their places.
pub(super) fn placed_messages(
    bodies: Vec<MessageBody>,
) -> Result<Vec<(u32, MessageInput)>, Problem> {
    let message = |(n, body): (usize, MessageBody)| {
        let field = format!("messages[{n}]");
        Ok((placed(&field, body.ordinal)?, message(&field, body)?))
    };
    bodies.into_iter().enumerate().map(message).collect()
}

/// Branches that are added to those that a transaction has, with their places.
pub(super) fn placed_branches(bodies: Vec<BranchBody>) -> Result<Vec<(u32, BranchInput)>, Problem> {
    let branch = |(n, body): (usize, BranchBody)| {
        let field = format!("branches[{n}]");
        Ok((placed(&field, body.ordinal)?, branch(&field, body)?))
    };
    bodies.into_iter().enumerate().map(branch).collect()
}

fn message(field: &str, body: MessageBody) -> Result<MessageInput, Problem> {
    let (payload, natural_type) = payload(field, body.payload, body.payload_base64)?;
    Ok(MessageInput {
        topic: body.topic,
        key: body.key,
        headers: body.headers,
        payload,
        content_type: or(body.content_type, natural_type),
        content_encoding: body.content_encoding,
        key_id: body.key_id,
        deliver_after: Duration::from_millis(body.deliver_after_ms),
    })
}

fn branch(field: &str, body: BranchBody) -> Result<BranchInput, Problem> {
    let (payload, natural_type) = payload(field, body.payload, body.payload_base64)?;
    Ok(BranchInput {
        service: body.service,
        action: body.action,
        resource_id: body.resource_id,
        payload,
        content_type: or(body.content_type, natural_type),
    })
}

/// The bytes, and the media type that they have by themselves.
fn payload(
    field: &str,
    json: Option<Box<RawValue>>,
    base64: Option<String>,
) -> Result<(Bytes, &'static str), Problem> {
    match (json, base64) {
        (Some(_), Some(_)) => Err(Problem::invalid(
            format!("{field} has both payload and payload_base64"),
            "give JSON as payload, or bytes as payload_base64",
        )),
        (Some(json), None) => {
            let text: Box<str> = Box::<RawValue>::into(json);
            Ok((Bytes::from(String::from(text)), "application/json"))
        }
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| {
                Problem::invalid(
                    format!("{field}.payload_base64: {error}"),
                    "give standard base64 with padding",
                )
            })?;
            Ok((Bytes::from(bytes), ""))
        }
        (None, None) => Ok((Bytes::new(), "")),
    }
}

/// Prepare numbers its own.
fn unplaced(field: &str, ordinal: Option<u32>) -> Result<(), Problem> {
    match ordinal {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(
            format!("{field} has an ordinal"),
            "leave it out: they are numbered from 0 in their order",
        )),
    }
}

fn placed(field: &str, ordinal: Option<u32>) -> Result<u32, Problem> {
    ordinal.ok_or_else(|| {
        Problem::invalid(
            format!("{field} has no ordinal"),
            "number on from those that the transaction has",
        )
    })
}

/// `null` is a payload too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}
