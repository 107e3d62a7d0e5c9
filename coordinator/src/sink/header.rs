//! The envelope of a message as HTTP headers.

use earnest_store::DeliveryWork;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Caller;
use crate::callback::child_traceparent;

/// What a payload without a media type is.
const OPAQUE: &str = "application/octet-stream";

/// All headers of one delivery. `docs/http.md` describes them.
pub(super) fn headers(caller: &Caller, work: &DeliveryWork) -> HeaderMap {
    let message = &work.message;
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, text: &str| {
        if !text.is_empty() {
            headers.insert(HeaderName::from_static(name), value(text));
        }
    };
    let id = work.key.transaction.to_string();
    put("earnest-message-id", &format!("{id}/{}", work.key.ordinal));
    put("earnest-transaction-id", &id);
    put("earnest-namespace", work.subscription.namespace.as_str());
    put("earnest-subscription", work.subscription.name.as_str());
    put("earnest-topic", message.topic.as_str());
    put("earnest-key", &message.key);
    put("earnest-key-id", &message.key_id);
    put("earnest-attempt", &work.attempt.to_string());
    put("earnest-initiator", work.initiator.as_str());
    put("earnest-created-at", &work.created_at.to_string());
    let traceparent = child_traceparent(trace_parent(work), &caller.environment);
    put("traceparent", &traceparent);
    put("content-encoding", &message.content_encoding);
    let content_type = match message.content_type.as_str() {
        "" => OPAQUE,
        given => given,
    };
    put("content-type", content_type);
    for (name, text) in &message.headers {
        if let Ok(name) = HeaderName::try_from(format!("earnest-header-{}", encode(name, is_name)))
        {
            headers.append(name, value(text));
        }
    }
    headers
}

/// The trace that a delivery belongs to: its transaction's, or else the one in the message's own headers.
pub(super) fn trace_parent(work: &DeliveryWork) -> &str {
    match work.traceparent.as_str() {
        "" => work
            .message
            .headers
            .get("traceparent")
            .map_or("", String::as_str),
        given => given,
    }
}

/// A value that HTTP takes, whatever the text.
fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(encode(text, is_value)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Percent-encodes what may not stand, and the percent sign itself, so that decoding gives back the text.
fn encode(text: &str, may_stand: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (n, byte) in text.bytes().enumerate() {
        // HTTP strips spaces at the ends of a value.
        let at_end = byte == b' ' && (n == 0 || n == last);
        if may_stand(byte) && !at_end {
            encoded.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

fn is_value(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'%'
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http_takes_stays_and_the_rest_is_percent_encoded() {
        assert_eq!(encode("order 7; a=b", is_value), "order 7; a=b");
        assert_eq!(encode("50%", is_value), "50%25");
        assert_eq!(encode(" größe\n", is_value), "%20gr%C3%B6%C3%9Fe%0A");
        assert_eq!(encode("a b:c", is_name), "a%20b%3Ac");
    }
}
