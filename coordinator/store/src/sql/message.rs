//! Messages, as they are kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use earnest_protocol::TransactionId;

use super::column::{Cells, Columns, Read, Readable, readable_rows};
use crate::{Message, StoreError};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "transaction_id, topic, message_key, content_type, content_encoding, key_id, headers, payload"
    };
}
pub(crate) use columns;

/// A message, and whose it is.
pub(crate) fn read<C: Cells>(mut c: Columns<'_, C>) -> Read<(TransactionId, Message)> {
    let id = c.id()?;
    let message = Message {
        topic: c.parse()?,
        key: c.text()?,
        content_type: c.text()?,
        content_encoding: c.text()?,
        key_id: c.text()?,
        headers: match c.str()? {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text).map_err(|e| format!("column headers: {e}"))?,
        },
        payload: Bytes::copy_from_slice(c.bytes()?),
    };
    Ok((id, message))
}

/// The messages of transactions all of whose messages can be read: a message is known by its place, so that one that is left
/// out would give its place to the next.
pub(crate) fn readable<C: Cells>(rows: &[C]) -> Readable<(TransactionId, Message)> {
    let (mut messages, damaged) = readable_rows("messages", rows, read);
    if damaged > 0 {
        let of = |row| Columns::of(row).id().ok();
        let all: Vec<TransactionId> = rows.iter().filter_map(of).collect();
        let count = |id| all.iter().filter(|of| **of == id).count();
        let mut whole = BTreeMap::new();
        for (id, _) in &messages {
            *whole.entry(*id).or_insert(0) += 1;
        }
        messages.retain(|(id, _)| whole.get(id) == Some(&count(*id)));
    }
    (messages, damaged)
}

/// A JSON object; empty: no headers.
pub(crate) fn headers(message: &Message) -> Result<String, StoreError> {
    if message.headers.is_empty() {
        return Ok(String::new());
    }
    serde_json::to_string(&message.headers).map_err(|error| StoreError::Rejected {
        context: "record a message".into(),
        source: Some(Box::new(error)),
    })
}
