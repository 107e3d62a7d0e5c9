//! The content hash: how a repeated Prepare is told from another one with the same id (DESIGN §3.1.1).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Branch, InitiatorOutcome, Message, Name, OnBudgetSpent, Options};

/// The version of what is hashed and how; stored beside the hash, so that a later one can tell.
pub const CONTENT_HASH_VERSION: u8 = 1;

/// Headers that differ between two sends of the same content.
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// SHA-256 over everything a Prepare says, but for trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes what a Prepare declares. Every field is preceded by its length, so that no two contents run
    /// together into one.
    pub fn of<P: AsRef<[u8]>>(
        namespace: &Name,
        initiator: &Name,
        resource_id: &str,
        business_key: &str,
        options: &Options,
        messages: &[Message<P>],
        branches: &[Branch<P>],
    ) -> Self {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(&[CONTENT_HASH_VERSION]);
        for text in [
            namespace.as_str(),
            initiator.as_str(),
            resource_id,
            business_key,
        ] {
            field(text.as_bytes());
        }
        field(&options.check_after.as_micros().to_be_bytes());
        field(&[
            match options.outcome {
                InitiatorOutcome::Local => 1,
                InitiatorOutcome::Asked => 2,
                InitiatorOutcome::None => 3,
                InitiatorOutcome::Executed => 4,
            },
            match options.on_budget_spent {
                OnBudgetSpent::Park => 1,
                OnBudgetSpent::Cancel => 2,
            },
            u8::from(options.allow_no_subscription),
        ]);
        field(&options.check_back_budget.to_be_bytes());
        field(&(messages.len() as u64).to_be_bytes());
        for message in messages {
            let texts = [
                message.topic.as_str(),
                &message.key,
                &message.content_type,
                &message.content_encoding,
                &message.key_id,
            ];
            for text in texts {
                field(text.as_bytes());
            }
            field(message.payload.as_ref());
            for (name, value) in &message.headers {
                if !TRACE_HEADERS
                    .iter()
                    .any(|trace| name.eq_ignore_ascii_case(trace))
                {
                    field(name.as_bytes());
                    field(value.as_bytes());
                }
            }
            field(b"");
        }
        // Nothing for none: a transaction without branches has the hash that it always had.
        for branch in branches {
            field(&branch.content().0);
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn message(payload: &str, headers: &[(&str, &str)]) -> Message {
        Message {
            topic: "order.placed".parse().unwrap(),
            key: "7".into(),
            headers: headers
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect::<BTreeMap<_, _>>(),
            payload: payload.into(),
            content_type: String::new(),
            content_encoding: String::new(),
            key_id: String::new(),
        }
    }

    fn hash(options: &Options, messages: &[Message]) -> ContentHash {
        let name: Name = "cashier".parse().unwrap();
        ContentHash::of(
            &Name::default_namespace(),
            &name,
            "r",
            "b",
            options,
            messages,
            &[],
        )
    }

    #[test]
    fn trace_context_is_not_content_but_all_else_is() {
        let options = Options::default();
        let first = hash(
            &options,
            &[message("a", &[("x", "1"), ("traceparent", "00-1")])],
        );
        assert_eq!(
            first,
            hash(
                &options,
                &[message("a", &[("x", "1"), ("Traceparent", "00-2")])]
            )
        );
        assert_ne!(first, hash(&options, &[message("b", &[("x", "1")])]));
        assert_ne!(first, hash(&options, &[message("a", &[("x", "2")])]));
        assert_ne!(
            first,
            hash(&options, &[message("a", &[("x", "1")]), message("a", &[])])
        );
        let other = Options {
            check_back_budget: 3,
            ..options
        };
        assert_ne!(first, hash(&other, &[message("a", &[("x", "1")])]));
    }

    #[test]
    fn fields_do_not_run_together() {
        let options = Options::default();
        let one = hash(&options, &[message("", &[("ab", "c")])]);
        assert_ne!(one, hash(&options, &[message("", &[("a", "bc")])]));
    }
}
