//! The table of messages: inserted once, never changed.

use std::collections::BTreeMap;

use bytes::Bytes;
use earnest_protocol::{Ordinal, TransactionId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    column::{Columns, Read, corrupt},
    error::Context,
};
use crate::{Message, StoreError};

macro_rules! columns {
    () => {
        "transaction_id, topic, key, content_type, content_encoding, key_id, headers, payload"
    };
}

const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE transaction_id = ?1 AND ordinal = ?2"
);
const SELECT_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE transaction_id = ?1 ORDER BY ordinal"
);
const INSERT: &str = concat!(
    "INSERT INTO messages (",
    columns!(),
    ", ordinal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
);

pub(super) fn insert(
    db: &Connection,
    id: TransactionId,
    ordinal: Ordinal,
    message: &Message,
) -> Result<(), StoreError> {
    let context = "record a message";
    let headers = if message.headers.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&message.headers).map_err(|error| StoreError::Rejected {
            context: context.into(),
            source: Some(Box::new(error)),
        })?
    };
    let values = params![
        id.as_bytes(),
        message.topic.as_str(),
        message.key,
        message.content_type,
        message.content_encoding,
        message.key_id,
        headers,
        message.payload.as_ref(),
        ordinal.0,
    ];
    db.prepare_cached(INSERT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

pub(super) fn select(
    db: &Connection,
    id: TransactionId,
    ordinal: Ordinal,
) -> Result<Option<Message>, StoreError> {
    let context = "read a message";
    let mut statement = db.prepare_cached(SELECT).context(context)?;
    let found = statement
        .query_row(params![id.as_bytes(), ordinal.0], |row| Ok(read(row)))
        .optional();
    found.context(context)?.transpose()
}

pub(super) fn select_all(db: &Connection, id: TransactionId) -> Result<Vec<Message>, StoreError> {
    let context = "read messages";
    let mut statement = db.prepare_cached(SELECT_ALL).context(context)?;
    let mut rows = statement.query([id.as_bytes()]).context(context)?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        messages.push(read(row)?);
    }
    Ok(messages)
}

fn read(row: &Row<'_>) -> Result<Message, StoreError> {
    read_columns(Columns::of(row)).map_err(|why| corrupt("messages", row, &why))
}

fn read_columns(mut c: Columns<'_, '_>) -> Read<Message> {
    c.id()?;
    Ok(Message {
        topic: c.parse()?,
        key: c.get()?,
        content_type: c.get()?,
        content_encoding: c.get()?,
        key_id: c.get()?,
        headers: c
            .parse_filled::<Headers>()?
            .map(|Headers(headers)| headers)
            .unwrap_or_default(),
        payload: Bytes::copy_from_slice(c.bytes()?),
    })
}

struct Headers(BTreeMap<String, String>);

impl std::str::FromStr for Headers {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}
