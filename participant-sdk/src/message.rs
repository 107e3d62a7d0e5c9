//! What a transaction sends: messages, checked here against the limits of the wire contract.
//!
//! A message that would be refused anyway is refused before the local transaction holds its locks any longer.

use std::{collections::HashMap, fmt};

use bytes::Bytes;
use earnest_proto::v1;
use serde::Serialize;

const MAX_NAME_BYTES: usize = 255;
const MAX_KEY_BYTES: usize = 1_024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1_024;

/// A message to be sent with [`Tx::send_message`](crate::Tx::send_message): payload, topic, and whatever else it carries.
#[derive(Clone, Debug)]
pub struct Message(v1::Message);

impl Message {
    /// A message whose payload is `payload` as JSON.
    pub fn json(topic: &str, payload: &impl Serialize) -> Result<Self, MessageProblem> {
        let bytes = serde_json::to_vec(payload).map_err(|source| MessageProblem::Payload {
            topic: topic.to_owned(),
            source,
        })?;
        Ok(Self::bytes(topic, bytes).content_type("application/json"))
    }

    /// A message whose payload is opaque bytes.
    pub fn bytes(topic: &str, payload: impl Into<Bytes>) -> Self {
        Self(v1::Message {
            topic: topic.to_owned(),
            key: String::new(),
            headers: HashMap::new(),
            payload: payload.into(),
            content_type: String::new(),
            content_encoding: String::new(),
            key_id: String::new(),
            deliver_after_ms: 0,
        })
    }

    /// Messages of one topic and key reach an ordered subscription in the order of their decisions.
    pub fn key(mut self, key: impl fmt::Display) -> Self {
        self.0.key = key.to_string();
        self
    }

    /// A header, for the consumers.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The media type of the payload.
    pub fn content_type(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.0.content_type);
        self
    }

    /// How the payload is encoded (`gzip`, …). Earnest carries it and never looks inside.
    pub fn content_encoding(mut self, encoding: &str) -> Self {
        encoding.clone_into(&mut self.0.content_encoding);
        self
    }

    /// The key that the payload was encrypted with. Earnest carries it and never looks inside.
    pub fn key_id(mut self, key_id: &str) -> Self {
        key_id.clone_into(&mut self.0.key_id);
        self
    }

    pub(crate) fn checked(self) -> Result<v1::Message, MessageProblem> {
        let message = self.0;
        if !is_name(&message.topic) {
            return Err(MessageProblem::Topic(message.topic));
        }
        if message.key.len() > MAX_KEY_BYTES {
            return Err(MessageProblem::KeyTooLong(message.key.len()));
        }
        let header_bytes: usize = message
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if message.headers.len() > MAX_HEADERS || header_bytes > MAX_HEADER_BYTES {
            return Err(MessageProblem::TooManyHeaders {
                count: message.headers.len(),
                bytes: header_bytes,
            });
        }
        Ok(message)
    }
}

/// Whether `text` can name a topic, a service or a namespace.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// A business key as it may be sent.
pub(crate) fn checked_business_key(key: String) -> Result<String, MessageProblem> {
    if key.len() > MAX_NAME_BYTES {
        return Err(MessageProblem::BusinessKeyTooLong(key.len()));
    }
    Ok(key)
}

/// Why a message can't be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageProblem {
    /// The topic is not a name.
    #[error("topic `{0}` is not a name: use 1 to 255 letters, digits, '.', '_', '-' or '/'")]
    Topic(String),
    /// A participant or action is not a name.
    #[error("`{0}` is not a name: use 1 to 255 letters, digits, '.', '_', '-' or '/'")]
    Name(String),
    /// The key is longer than 1,024 bytes.
    #[error("its key has {0} bytes, and 1,024 are allowed")]
    KeyTooLong(usize),
    /// The transaction's business key is longer than 255 bytes.
    #[error("the business key has {0} bytes, and 255 are allowed")]
    BusinessKeyTooLong(usize),
    /// More than 64 headers, or 16 KiB of them.
    #[error(
        "it has {count} headers of {bytes} bytes together; 64 headers of 16,384 bytes together are allowed"
    )]
    TooManyHeaders {
        /// How many there are.
        count: usize,
        /// Names and values together.
        bytes: usize,
    },
    /// The text is not a W3C `traceparent`.
    #[error("`{0}` is not a W3C traceparent")]
    TraceParent(String),
    /// The payload could not be written as JSON.
    #[error("the payload for topic `{topic}` can't be written as JSON")]
    Payload {
        /// Where it should have gone.
        topic: String,
        /// What serde_json says.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_wire_contract_are_kept() {
        assert!(Message::bytes("order.placed", "x").checked().is_ok());
        assert!(Message::bytes("", "x").checked().is_err());
        assert!(Message::bytes("no spaces", "x").checked().is_err());
        assert!(Message::bytes(&"t".repeat(255), "x").checked().is_ok());
        assert!(Message::bytes(&"t".repeat(256), "x").checked().is_err());
        let keyed = |n: usize| Message::bytes("t", "x").key("k".repeat(n)).checked();
        assert!(keyed(1_024).is_ok() && keyed(1_025).is_err());
        let mut many = Message::bytes("t", "x");
        for n in 0..65 {
            many = many.header(&n.to_string(), "v");
        }
        assert!(many.checked().is_err());
        let heavy = Message::bytes("t", "x").header("h", &"v".repeat(16 * 1_024));
        assert!(heavy.checked().is_err());
    }

    #[test]
    fn json_that_cannot_be_written_is_an_error_and_not_a_panic() {
        let keys_are_not_text = HashMap::from([((1, 2), 3)]);
        let refused = Message::json("t", &keys_are_not_text);
        assert!(matches!(refused, Err(MessageProblem::Payload { .. })));
    }
}
