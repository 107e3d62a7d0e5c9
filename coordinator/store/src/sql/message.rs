//! Messages, as they are kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use earnest_protocol::TransactionId;

use super::column::{Cells, Columns, Read};
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
