//! Bounds on everything that comes from outside.

use crate::{Branch, Message};

/// The bounds of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one transaction.
    pub messages: usize,
    /// Branches of one transaction.
    pub branches: usize,
    /// Bytes of one payload.
    pub payload_bytes: usize,
    /// Bytes of all payloads of one transaction.
    pub transaction_bytes: usize,
    /// Headers of one message.
    pub headers: usize,
    /// Bytes of all header names and values of one message.
    pub header_bytes: usize,
    /// Bytes of a key, a business key, a content type, a resource id.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 100,
            branches: 100,
            payload_bytes: 1 << 20,
            transaction_bytes: 3 << 20,
            headers: 64,
            header_bytes: 16 << 10,
            text_bytes: 1_024,
        }
    }
}

/// A bound that was passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found}; at most {allowed} is allowed")]
pub struct LimitError {
    /// What is too large, with its place.
    pub what: String,
    /// How large it is.
    pub found: usize,
    /// How large it may be.
    pub allowed: usize,
}

impl Limits {
    /// Checks one short text.
    pub fn text(&self, what: &str, text: &str) -> Result<(), LimitError> {
        within(
            || format!("length of {what} in bytes"),
            text.len(),
            self.text_bytes,
        )
    }

    /// Checks branches that are registered together; `before` are registered already.
    pub fn branches<P: AsRef<[u8]>>(
        &self,
        before: usize,
        branches: &[Branch<P>],
    ) -> Result<(), LimitError> {
        let count = before.saturating_add(branches.len());
        within(|| "number of branches".into(), count, self.branches)?;
        for (n, branch) in branches.iter().enumerate() {
            let payload = branch.payload.as_ref().len();
            within(
                || format!("payload of branch {n} in bytes"),
                payload,
                self.payload_bytes,
            )?;
            self.text(&format!("content_type of branch {n}"), &branch.content_type)?;
            self.text(&format!("resource_id of branch {n}"), &branch.resource_id)?;
        }
        let total = branches.iter().map(|b| b.payload.as_ref().len()).sum();
        within(
            || "payloads of branches together in bytes".into(),
            total,
            self.transaction_bytes,
        )
    }

    /// Checks the messages of one transaction.
    pub fn messages<P: AsRef<[u8]>>(&self, messages: &[Message<P>]) -> Result<(), LimitError> {
        within(
            || "number of messages".into(),
            messages.len(),
            self.messages,
        )?;
        for (n, message) in messages.iter().enumerate() {
            let payload = message.payload.as_ref().len();
            let header_bytes = message.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
            within(
                || format!("payload of message {n} in bytes"),
                payload,
                self.payload_bytes,
            )?;
            within(
                || format!("number of headers of message {n}"),
                message.headers.len(),
                self.headers,
            )?;
            within(
                || format!("headers of message {n} in bytes"),
                header_bytes,
                self.header_bytes,
            )?;
            self.text(&format!("key of message {n}"), &message.key)?;
            self.text(
                &format!("content_type of message {n}"),
                &message.content_type,
            )?;
            self.text(
                &format!("content_encoding of message {n}"),
                &message.content_encoding,
            )?;
            self.text(&format!("key_id of message {n}"), &message.key_id)?;
        }
        let total = messages.iter().map(|m| m.payload.as_ref().len()).sum();
        within(
            || "payloads together in bytes".into(),
            total,
            self.transaction_bytes,
        )
    }
}

fn within(what: impl FnOnce() -> String, found: usize, allowed: usize) -> Result<(), LimitError> {
    if found <= allowed {
        Ok(())
    } else {
        Err(LimitError {
            what: what(),
            found,
            allowed,
        })
    }
}
