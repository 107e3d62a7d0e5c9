//! What leaves no trace in any database, which is the point, and is counted from the services' logs: deliveries that came to a consumer that
//! had taken them before, and cancels of branches that were never tried.

use std::{fs, io, path::Path};

/// What the SDK writes, at level debug, when the inbox has the message already.
const TAKEN_BEFORE: &str = "earnest::deliver: taken before";

/// What the service `account` writes.
const NEVER_TRIED: &str = "account: cancelled, and never tried";

/// Deliveries that a service had taken before, by its log.
pub(crate) fn duplicates(log: &Path) -> io::Result<u64> {
    count_in(log, TAKEN_BEFORE)
}

/// Cancels that came to the service `account` without a Try, by its log.
pub(crate) fn empty_cancels(log: &Path) -> io::Result<u64> {
    count_in(log, NEVER_TRIED)
}

fn count_in(log: &Path, what: &str) -> io::Result<u64> {
    let text = fs::read(log)?;
    Ok(count(&String::from_utf8_lossy(&text), what))
}

fn count(log: &str, what: &str) -> u64 {
    log.lines().filter(|line| line.ends_with(what)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_inbox_absorbed_counts() {
        let log = "2026-01-01T00:00:00.000000Z DEBUG earnest.deliver{transaction_id=\"x\" ordinal=0}: earnest::deliver: taken before\n\
                   2026-01-01T00:00:00.000000Z  WARN earnest.deliver{transaction_id=\"x\"}: earnest::deliver: message not taken\n\
                   2026-01-01T00:00:00.000000Z  INFO earnest::background: registered";
        assert_eq!(count(log, TAKEN_BEFORE), 1);
    }
}
