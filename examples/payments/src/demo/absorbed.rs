//! How many deliveries came to a consumer that had taken them before. No database keeps that: a duplicate leaves no trace, which
//! is the point. The SDK says so in its log.

use std::{fs, io, path::Path};

/// What the SDK writes, at level debug, when the inbox has the message already.
const TAKEN_BEFORE: &str = "earnest::deliver: taken before";

/// Counts them in a service's log.
pub(crate) fn duplicates(log: &Path) -> io::Result<u64> {
    let text = fs::read(log)?;
    Ok(count(&String::from_utf8_lossy(&text)))
}

fn count(log: &str) -> u64 {
    log.lines()
        .filter(|line| line.ends_with(TAKEN_BEFORE))
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_inbox_absorbed_counts() {
        let log = "2026-01-01T00:00:00.000000Z DEBUG earnest.deliver{transaction_id=\"x\" ordinal=0}: earnest::deliver: taken before\n\
                   2026-01-01T00:00:00.000000Z  WARN earnest.deliver{transaction_id=\"x\"}: earnest::deliver: message not taken\n\
                   2026-01-01T00:00:00.000000Z  INFO earnest::background: registered";
        assert_eq!(count(log), 1);
    }
}
