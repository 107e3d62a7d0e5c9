//! Every key there is.

use std::{net::SocketAddr, time::Duration};

use super::{Config, Key, LogFormat, key::Kind};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY_MS: u64 = 86_400_000;

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// All keys, in the order of the sample file: those without a table first.
pub static KEYS: &[Key] = &[
    Key {
        name: "listen",
        doc: "Where gRPC and REST are served, on one port. There is no authentication yet: whoever reaches this \
              address may do everything, so leave it on loopback unless the network around it is trusted.",
        example: "\"127.0.0.1:7450\"",
        kind: Kind::Text(set_listen, |c| c.node.listen.to_string()),
    },
    Key {
        name: "database",
        doc: "Where everything is kept: `sqlite:PATH` (created when it is not there); \
              `postgres://USER:PASSWORD@HOST:PORT/DATABASE` or `mysql://USER:PASSWORD@HOST:PORT/DATABASE` (MariaDB, too), \
              which several coordinators may share; or `memory:`, which is gone with the process and only for trying things \
              out. A password is better given in `EARNEST_DATABASE` than on the command line, where others can see it.",
        example: "\"sqlite:/var/lib/earnest/earnest.db\"",
        kind: Kind::Text(
            |c, text| {
                c.node.database = text.parse()?;
                Ok(())
            },
            |c| c.node.database.to_string(),
        ),
    },
    Key {
        name: "database_writers",
        doc: "Connections that write to a database server: one per journal lane, and a few for claims, heartbeats and \
              purges. A file needs none.",
        example: "6",
        kind: Kind::Count(|c| &mut c.node.pool.writers, 2, 1_000),
    },
    Key {
        name: "database_readers",
        doc: "Connections for queries to a database server.",
        example: "4",
        kind: Kind::Count(|c| &mut c.node.pool.readers, 1, 1_000),
    },
    Key {
        name: "node",
        doc: "This node's name in logs and attempt records. Empty: the machine's host name.",
        example: "\"coordinator-1\"",
        kind: Kind::Text(set_node, |c| c.node.driver.node.clone()),
    },
    Key {
        name: "check_after_ms",
        doc: "How long after Prepare the initiator is first asked what became of it, where Prepare doesn't say.",
        example: "10000",
        kind: Kind::Millis(|c| &mut c.node.service.defaults.check_after, 1, 30 * DAY_MS),
    },
    Key {
        name: "check_back_budget",
        doc: "How many `in progress` answers are taken before a transaction is parked, where Prepare doesn't say. \
              Silence is never counted.",
        example: "15",
        kind: Kind::Number(
            |c| &mut c.node.service.defaults.check_back_budget,
            1,
            1_000_000,
        ),
    },
    Key {
        name: "check_back_timeout_ms",
        doc: "How long one check-back call may take.",
        example: "10000",
        kind: Kind::Millis(|c| &mut c.node.driver.check_back_timeout, 1, 600_000),
    },
    Key {
        name: "lease_ms",
        doc: "How long a node counts as alive without a heartbeat: after a crash, its work is taken over when this \
              has passed.",
        example: "5000",
        kind: Kind::Millis(|c| &mut c.node.driver.lease, 100, 600_000),
    },
    Key {
        name: "poll_ms",
        doc: "The longest time between two looks for due work. Work that this node made due itself needs no look.",
        example: "250",
        kind: Kind::Millis(|c| &mut c.node.driver.poll, 10, 60_000),
    },
    Key {
        name: "retention",
        doc: "How long finished transactions are kept. Unfinished and parked ones are kept for ever. A transaction \
              id older than this is refused, since whether it was known once can't be told any more.",
        example: "\"7d\"",
        kind: Kind::Length(
            |c| &mut c.node.driver.retention,
            Duration::from_secs(1),
            Duration::from_hours(24 * 36_500),
        ),
    },
    Key {
        name: "purge_every",
        doc: "The time between two purges of what is older than `retention`.",
        example: "\"1m\"",
        kind: Kind::Length(
            |c| &mut c.node.driver.purge_every,
            Duration::from_millis(10),
            Duration::from_hours(24),
        ),
    },
    Key {
        name: "drain_ms",
        doc: "How long a stopping node waits for calls that are under way: first for those of its callers, then for \
              its own. Keep twice that below the time after which whatever stops it (docker, Kubernetes, systemd) \
              kills it.",
        example: "10000",
        kind: Kind::Millis(|c| &mut c.node.driver.drain, 0, 600_000),
    },
    Key {
        name: "log.level",
        doc: "`error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,earnest_coordinator=debug`. \
              The log goes to stderr.",
        example: "\"info\"",
        kind: Kind::Text(set_log_level, |c| c.log.level.clone()),
    },
    Key {
        name: "log.format",
        doc: "`text` for people, `json` for machines: one object per line.",
        example: "\"json\"",
        kind: Kind::Text(set_log_format, |c| {
            match c.log.format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }
            .into()
        }),
    },
    Key {
        name: "delivery.concurrency",
        doc: "Deliveries of one subscription under way at once, where the subscription doesn't say.",
        example: "64",
        kind: Kind::Number(|c| &mut c.node.service.concurrency, 1, 4_096),
    },
    Key {
        name: "delivery.timeout_ms",
        doc: "How long one delivery attempt may take, where the subscription doesn't say.",
        example: "10000",
        kind: Kind::Millis(|c| &mut c.node.service.timeout, 1, 600_000),
    },
    Key {
        name: "delivery.retry_initial_ms",
        doc: "The wait after the first failed attempt, where the subscription doesn't say. Up to half of every wait is taken \
              off by chance.",
        example: "200",
        kind: Kind::Millis(|c| &mut c.node.service.retry.initial, 1, DAY_MS),
    },
    Key {
        name: "delivery.retry_multiplier_milli",
        doc: "How each further wait grows, in thousandths: 2000 doubles it.",
        example: "2000",
        kind: Kind::Number(
            |c| &mut c.node.service.retry.multiplier_milli,
            1_000,
            100_000,
        ),
    },
    Key {
        name: "delivery.retry_cap_ms",
        doc: "The longest wait between two attempts. Attempts go on for ever, unless the consumer says that it can \
              never succeed.",
        example: "60000",
        kind: Kind::Millis(|c| &mut c.node.service.retry.cap, 1, DAY_MS),
    },
    Key {
        name: "branches.timeout_ms",
        doc: "How long one call of TCC branches may take.",
        example: "10000",
        kind: Kind::Millis(|c| &mut c.node.driver.branch_timeout, 1, 600_000),
    },
    Key {
        name: "branches.retry_initial_ms",
        doc: "The wait after the first Try, Confirm or Cancel that was not answered. Up to half of every wait is taken off by \
              chance.",
        example: "200",
        kind: Kind::Millis(|c| &mut c.node.driver.branch_retry.initial, 1, DAY_MS),
    },
    Key {
        name: "branches.retry_multiplier_milli",
        doc: "How each further wait grows, in thousandths: 2000 doubles it.",
        example: "2000",
        kind: Kind::Number(
            |c| &mut c.node.driver.branch_retry.multiplier_milli,
            1_000,
            100_000,
        ),
    },
    Key {
        name: "branches.retry_cap_ms",
        doc: "The longest wait between two calls. A decision is told for ever, unless the participant says that it can never be \
              carried out or `branches.park_after_ms` is over; a Try until its deadline.",
        example: "60000",
        kind: Kind::Millis(|c| &mut c.node.driver.branch_retry.cap, 1, DAY_MS),
    },
    Key {
        name: "branches.park_after_ms",
        doc: "How long after its decision a branch that is still not done is parked, for a person to look at; 0: never, it is \
              called for ever. A retry by hand makes one more call.",
        example: "0",
        kind: Kind::Millis(|c| &mut c.node.driver.branch_park_after, 0, 365 * DAY_MS),
    },
    Key {
        name: "limits.messages",
        doc: "Messages of one transaction.",
        example: "100",
        kind: Kind::Count(|c| &mut c.node.service.limits.messages, 1, 10_000),
    },
    Key {
        name: "limits.branches",
        doc: "TCC branches of one transaction.",
        example: "100",
        kind: Kind::Count(|c| &mut c.node.service.limits.branches, 1, 10_000),
    },
    Key {
        name: "limits.payload_bytes",
        doc: "Bytes of one payload.",
        example: "1048576",
        kind: Kind::Count(|c| &mut c.node.service.limits.payload_bytes, 1, 64 * MIB),
    },
    Key {
        name: "limits.transaction_bytes",
        doc: "Bytes of all payloads of one transaction together.",
        example: "3145728",
        kind: Kind::Count(
            |c| &mut c.node.service.limits.transaction_bytes,
            1,
            256 * MIB,
        ),
    },
    Key {
        name: "limits.headers",
        doc: "Headers of one message.",
        example: "64",
        kind: Kind::Count(|c| &mut c.node.service.limits.headers, 0, 1_000),
    },
    Key {
        name: "limits.header_bytes",
        doc: "Bytes of all header names and values of one message together.",
        example: "16384",
        kind: Kind::Count(|c| &mut c.node.service.limits.header_bytes, 0, MIB),
    },
    Key {
        name: "limits.text_bytes",
        doc: "Bytes of a key, a business key, a content type or a reason.",
        example: "1024",
        kind: Kind::Count(|c| &mut c.node.service.limits.text_bytes, 64, 64 * KIB),
    },
    Key {
        name: "journal.batch_commands",
        doc: "Commands that are committed together at most. 1 turns group commit off: for comparison only.",
        example: "512",
        kind: Kind::Count(|c| &mut c.node.journal.batch_commands, 1, 100_000),
    },
    Key {
        name: "journal.batch_bytes",
        doc: "Bytes that are committed together at most, about.",
        example: "8388608",
        kind: Kind::Count(|c| &mut c.node.journal.batch_bytes, 1, GIB),
    },
    Key {
        name: "journal.lanes",
        doc: "Batches that are written at the same time. Commands of one transaction always share a lane. More than one is \
              for database servers only: a file has one writer.",
        example: "2",
        kind: Kind::Count(|c| &mut c.node.journal.lanes, 1, 64),
    },
    Key {
        name: "journal.queue_commands",
        doc: "Commands that may wait. More are refused at once, with an error that says to try again.",
        example: "8192",
        kind: Kind::Count(|c| &mut c.node.journal.queue_commands, 1, 1_000_000),
    },
    Key {
        name: "journal.queue_bytes",
        doc: "Bytes that may wait, about; more are refused in the same way.",
        example: "134217728",
        kind: Kind::Count(|c| &mut c.node.journal.queue_bytes, 64 * KIB, 4 * GIB - 1),
    },
    Key {
        name: "board.total",
        doc: "Check-backs and deliveries held in memory at most; the rest waits in the database.",
        example: "16384",
        kind: Kind::Count(|c| &mut c.node.board.total, 1, 1_000_000),
    },
    Key {
        name: "board.per_target",
        doc: "The same for one initiator or subscription, so that a slow one takes no room from the others.",
        example: "2048",
        kind: Kind::Count(|c| &mut c.node.board.per_target, 1, 1_000_000),
    },
];

fn set_listen(config: &mut Config, text: &str) -> Result<(), String> {
    let text = text.trim();
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let wrong = |why: &str| format!("`{}` {why}", text.chars().take(80).collect::<String>());
    config.node.listen = match numeric.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) if text.contains("://") => return Err(wrong("is a URL: give only host:port")),
        Err(_) if text.starts_with(':') => {
            return Err(wrong(
                "names no address: give 127.0.0.1 in front for this machine only",
            ));
        }
        Err(_) if !text.contains(':') => return Err(wrong("names no port: give host:port")),
        Err(_) => return Err(wrong("is not an IP address and port")),
    };
    Ok(())
}

fn set_node(config: &mut Config, text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.len() > 128 || text.chars().any(char::is_control) {
        return Err("is not a name: give at most 128 bytes, without control characters".into());
    }
    text.clone_into(&mut config.node.driver.node);
    Ok(())
}

fn set_log_level(config: &mut Config, text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty: give error, warn, info, debug or trace".into());
    }
    tracing_subscriber::EnvFilter::try_new(text)
        .map_err(|error| format!("`{text}` is not a level or directive: {error}"))?;
    // A bare word that is no level would be taken for a crate's name.
    let bare = |word: &str| {
        !word.contains('=') && word.parse::<tracing::Level>().is_err() && word != "off"
    };
    if let Some(word) = text.split(',').map(str::trim).find(|word| bare(word)) {
        return Err(format!(
            "`{word}` is not a level: give error, warn, info, debug or trace"
        ));
    }
    text.clone_into(&mut config.log.level);
    Ok(())
}

fn set_log_format(config: &mut Config, text: &str) -> Result<(), String> {
    config.log.format = match text.trim() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(format!("`{other}` is not a format: give text or json")),
    };
    Ok(())
}
