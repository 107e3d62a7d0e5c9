//! W3C trace context: every attempt is a span of its own in the sender's trace.

use std::fmt::Write;

use crate::clock::Environment;

/// The `traceparent` of a call made on behalf of `parent`: the same trace and flags, a new span. Where there
/// is no parent, or not a well-formed one, a new trace begins.
pub(crate) fn child_traceparent(parent: &str, environment: &Environment) -> String {
    let span = hex(environment, 2);
    match trace_of(parent) {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => format!("00-{}-{span}-01", hex(environment, 4)),
    }
}

/// Trace id and flags of a well-formed `traceparent`.
fn trace_of(parent: &str) -> Option<(&str, &str)> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0');
    well_formed.then_some((trace, flags))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `words` × 8 hexadecimal digits of chance, never all zero.
fn hex(environment: &Environment, words: usize) -> String {
    let mut text = String::with_capacity(words * 8);
    for _ in 0..words {
        let _ = write!(text, "{:08x}", environment.jitter().0);
    }
    if text.bytes().all(|b| b == b'0') {
        format!("{:0>width$}", "1", width = words * 8)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_child_keeps_the_trace_and_has_its_own_span() {
        let environment = Environment::seeded(Arc::new(SystemClock), 1);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let child = child_traceparent(parent, &environment);
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(child.ends_with("-01"));
        assert!(trace_of(&child).is_some());
        assert_ne!(child, parent);
        assert_ne!(child, child_traceparent(parent, &environment));
    }

    #[test]
    fn nonsense_begins_a_new_trace() {
        let environment = Environment::seeded(Arc::new(SystemClock), 1);
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for parent in ["", "x", "00-1-2-3", "ff-a-b-c", &zeros] {
            let made = child_traceparent(parent, &environment);
            assert!(trace_of(&made).is_some(), "{made}");
        }
    }
}
