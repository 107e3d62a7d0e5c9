//! A message as its sender gave it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Topic;

/// Payload and envelope. The payload is opaque bytes: whatever container the caller keeps them in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<P = Vec<u8>> {
    /// Where it goes.
    pub topic: Topic,
    /// Order key; empty: none.
    pub key: String,
    /// Carried to the destination.
    pub headers: BTreeMap<String, String>,
    /// Opaque.
    pub payload: P,
    /// Media type; empty: application/octet-stream.
    pub content_type: String,
    /// Carried, never interpreted.
    pub content_encoding: String,
    /// Names the key it is encrypted with; carried, never interpreted.
    pub key_id: String,
}
