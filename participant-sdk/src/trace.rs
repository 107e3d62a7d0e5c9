//! W3C trace context: the `traceparent` that ties a transaction, its deliveries and its check-backs together.
//!
//! The SDK carries it and makes one when it is given none; it never decides what is sampled.

use std::fmt;

use crate::clock::Chance;

/// A `traceparent` of version 00.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent(String);

impl TraceParent {
    /// A new trace.
    pub(crate) fn make(chance: &dyn Chance) -> Self {
        let mut trace = [0; 16];
        let mut span = [0; 8];
        chance.fill(&mut trace);
        chance.fill(&mut span);
        // All zeros means "no trace".
        trace[15] |= 1;
        span[7] |= 1;
        Self(format!("00-{}-{}-01", Hex(&trace), Hex(&span)))
    }

    /// `None` for text that is not a `traceparent`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags] = parts[..] else {
            return None;
        };
        let lengths_fit =
            version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        let is_hex = |part: &&str| {
            part.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
        let valid = lengths_fit
            && parts.iter().all(is_hex)
            && version != "ff"
            && !is_zero(trace)
            && !is_zero(span);
        valid.then(|| Self(text.to_owned()))
    }

    /// The same trace, one step further.
    pub(crate) fn child(&self, chance: &dyn Chance) -> Self {
        let mut span = [0; 8];
        chance.fill(&mut span);
        span[7] |= 1;
        Self(format!("{}{}{}", &self.0[..36], Hex(&span), &self.0[52..]))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::test::Seeded;

    #[test]
    fn what_is_made_parses_and_a_child_keeps_the_trace() {
        let chance = Seeded::new(7);
        let root = TraceParent::make(&chance);
        assert_eq!(TraceParent::parse(root.as_str()), Some(root.clone()));
        let child = root.child(&chance);
        assert_eq!(TraceParent::parse(child.as_str()), Some(child.clone()));
        assert_eq!(root.as_str()[..36], child.as_str()[..36]);
        assert_ne!(root, child);
    }

    #[test]
    fn nonsense_is_not_carried() {
        let zero_trace = "00-00000000000000000000000000000000-0000000000000001-01";
        let upper = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
        for text in ["", "00", "00-x-y-z", zero_trace, upper, "Ü-日本-x-01"] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
