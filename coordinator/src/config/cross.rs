//! What must hold between keys, and what is allowed but should be known.

use super::{Config, Database, Mistake, Reading, keys};

/// Notes what doesn't fit together; only where each key by itself is right.
pub(super) fn check(reading: &mut Reading) {
    let config = &reading.config;
    let (limits, retry) = (&config.node.service.limits, &config.node.service.retry);
    let pairs = [
        (
            "limits.payload_bytes",
            "limits.transaction_bytes",
            limits.payload_bytes <= limits.transaction_bytes,
        ),
        (
            "limits.transaction_bytes",
            "journal.queue_bytes",
            limits.transaction_bytes <= config.node.journal.queue_bytes,
        ),
        (
            "delivery.retry_initial_ms",
            "delivery.retry_cap_ms",
            retry.initial <= retry.cap,
        ),
        (
            "poll_ms",
            "lease_ms",
            config.node.driver.poll <= config.node.driver.lease,
        ),
        (
            "journal.lanes",
            "database_writers",
            config.node.journal.lanes <= config.node.pool.writers,
        ),
        (
            "board.per_target",
            "board.total",
            config.node.board.per_target <= config.node.board.total,
        ),
    ];
    let mut mistakes = Vec::new();
    for (small, large, holds) in pairs {
        let wrong_already = |name: &str| reading.mistakes.iter().any(|m| m.key == name);
        if holds || wrong_already(small) || wrong_already(large) {
            continue;
        }
        let shown = |name| keys::find(name).map_or_else(String::new, |key| key.show(config));
        let origin = |name| reading.origins.get(name).map(String::as_str);
        mistakes.push(Mistake {
            key: small.into(),
            origin: origin(small)
                .or_else(|| origin(large))
                .unwrap_or("default")
                .into(),
            problem: format!(
                "{} is more than {large}, which is {}",
                shown(small),
                shown(large)
            ),
            example: format!("{small} = {}", shown(large)),
        });
    }
    reading.mistakes.extend(mistakes);
}

/// What the operator should know, although it is allowed.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if !config.node.listen.ip().is_loopback() {
        warnings.push(format!(
            "listening on {} makes the coordinator reachable from outside this machine, and there is NO \
             AUTHENTICATION yet: whoever reaches it can read, decide and cancel every transaction. Keep it \
             behind a firewall or in a private network, or listen on 127.0.0.1.",
            config.node.listen
        ));
    }
    if config.node.database == Database::Memory {
        warnings.push(
            "the database is memory: every transaction is lost when this process ends. For trying things out only."
                .into(),
        );
    }
    if config.node.journal.batch_commands == 1 {
        warnings.push("journal.batch_commands = 1 turns group commit off: every call pays for its own commit.".into());
    }
    warnings
}
